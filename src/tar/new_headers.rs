//! Headers of new members.

use tar::Header;

use super::BLOCK;
use super::extension::write_record;
use super::header::{LARGEST_SIZE_OR_TIME, LINK_FIELD, NAME_FIELD, push_pax, sealed, set_name};
use super::member::{Timestamp, Xattr};

/// A member to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The path, without a leading or trailing slash.
    pub path: Vec<u8>,
    /// The type.
    pub kind: NewKind,
    /// Permission bits and set-id bits.
    pub mode: u32,
    /// User ID of the owner.
    pub uid: u64,
    /// Group ID of the owner.
    pub gid: u64,
    /// Modification time.
    pub mtime: Timestamp,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
}

impl NewMember {
    /// A directory that the path of a member implies, as engines make it. Engines give it the time of extraction.
    /// This one has the time 0, so that no output depends on the clock.
    pub fn implied_directory(path: &[u8]) -> Self {
        Self {
            path: path.to_vec(),
            kind: NewKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
        }
    }
}

/// The type of a new member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes. The data follows the headers, padded to whole blocks.
    File(u64),
    /// Another name of an earlier file in the same archive.
    Hardlink(Vec<u8>),
}

/// The largest number in a field for users and groups: seven octal digits.
const LARGEST_ID: u64 = 0o7_777_777;

/// Writes the headers of a new member: a ustar header, after a pax extended header for values that do not fit
/// (POSIX.1-2017, pax, "pax Interchange Format").
pub fn new_headers(member: &NewMember) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let mut pax = Vec::new();
    header.set_mode(member.mode & 0o7777);
    let mut number = |key: &str, value: u64, largest: u64| {
        if value > largest {
            write_record(&mut pax, key.as_bytes(), value.to_string().as_bytes());
        }
        value.min(largest)
    };
    header.set_uid(number("uid", member.uid, LARGEST_ID));
    header.set_gid(number("gid", member.gid, LARGEST_ID));
    let size = match member.kind {
        NewKind::File(size) => size,
        NewKind::Directory | NewKind::Hardlink(_) => 0,
    };
    header.set_size(number("size", size, LARGEST_SIZE_OR_TIME));
    let seconds = u64::try_from(member.mtime.seconds);
    let fits = member.mtime.nanoseconds == 0 && seconds.is_ok_and(|s| s <= LARGEST_SIZE_OR_TIME);
    if !fits {
        write_record(&mut pax, b"mtime", time_text(member.mtime).as_bytes());
    }
    header.set_mtime(seconds.unwrap_or(0).min(LARGEST_SIZE_OR_TIME));
    for xattr in &member.xattrs {
        let key = [b"SCHILY.xattr.", &*xattr.name].concat();
        write_record(&mut pax, &key, &xattr.value);
    }
    finish(header, member, pax)
}

/// Fills in type and names, and puts the pax header first.
fn finish(mut header: Header, member: &NewMember, mut pax: Vec<u8>) -> Vec<u8> {
    header.set_entry_type(match member.kind {
        NewKind::Directory => tar::EntryType::Directory,
        NewKind::File(_) => tar::EntryType::Regular,
        NewKind::Hardlink(_) => tar::EntryType::Link,
    });
    let mut block = *header.as_bytes();
    let mut path = member.path.clone();
    if member.kind == NewKind::Directory {
        path.push(b'/');
    }
    set_name(&mut block, NAME_FIELD, &path, b"path", &mut pax);
    if let NewKind::Hardlink(target) = &member.kind {
        set_name(&mut block, LINK_FIELD, target, b"linkpath", &mut pax);
    }
    let mut headers = Vec::with_capacity(BLOCK as usize);
    if !pax.is_empty() {
        push_pax(&mut headers, &block, &pax);
    }
    headers.extend_from_slice(&sealed(block));
    headers
}

/// Decimal seconds since 1970, with a fraction if there are nanoseconds.
fn time_text(time: Timestamp) -> String {
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (
        nanoseconds.unsigned_abs() / 1_000_000_000,
        nanoseconds.unsigned_abs() % 1_000_000_000,
    );
    match rest {
        0 => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{rest:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Member};
    use super::*;
    use crate::tar::testing::only_member;

    fn member(path: &[u8], kind: NewKind) -> NewMember {
        NewMember {
            path: path.to_vec(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
        }
    }

    fn read_back(new: &NewMember, data: &[u8]) -> Member {
        only_member(&new_headers(new), data)
    }

    #[test]
    fn what_fits_a_plain_header_has_no_other() {
        let new = member(b"usr/lib/x.pyc", NewKind::File(3));
        assert_eq!(new_headers(&new).len(), 512);
        let found = read_back(&new, b"abc");
        assert_eq!((found.kind, found.size, found.mode), (Kind::File, 3, 0o644));
        assert_eq!(&*found.path, b"usr/lib/x.pyc");
    }

    #[test]
    fn what_does_not_fit_is_in_a_pax_header_and_reads_back() {
        for (seconds, nanoseconds) in [(1_600_000_000, 5), (-1, 500_000_000), (-3, 0), (1 << 40, 0)]
        {
            let path = [b"long/".repeat(60).as_slice(), "é.pyc".as_bytes()].concat();
            let mut new = member(&path, NewKind::Hardlink(b"t".repeat(150)));
            new.uid = 1 << 40;
            new.gid = 0o10_000_000;
            new.mtime = Timestamp {
                seconds,
                nanoseconds,
            };
            new.xattrs = vec![Xattr {
                name: (*b"security.selinux").into(),
                value: (*b"system_u:object_r:lib_t:s0\0").into(),
            }];
            let found = read_back(&new, b"");
            assert_eq!(*found.path, *new.path);
            assert_eq!(*found.link(), b"t".repeat(150));
            assert_eq!(found.owner(), (new.uid, new.gid));
            assert_eq!(
                (found.mtime(), found.xattrs()),
                (new.mtime, &new.xattrs[..])
            );
            assert_eq!((found.kind, found.size), (Kind::Hardlink, 0));
        }
    }

    #[test]
    fn a_directory_ends_in_a_slash() {
        let found = read_back(&member(b"a/__pycache__", NewKind::Directory), b"");
        assert_eq!(
            (&*found.path, found.kind),
            (&b"a/__pycache__/"[..], Kind::Directory)
        );
    }
}
