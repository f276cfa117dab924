//! The metadata of one tar member.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The type of a member, by its type flag (POSIX.1-2017, pax, "ustar Interchange Format").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file, sparse or not.
    File,
    /// Another name of an earlier file.
    Hardlink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A pax global header: not a file, but records for all later members.
    PaxGlobal,
    /// Any other type flag. pycull copies such members without interpreting them.
    Other(u8),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Hardlink => f.write_str("hardlink"),
            Self::Symlink => f.write_str("symlink"),
            Self::CharacterDevice => f.write_str("character device"),
            Self::BlockDevice => f.write_str("block device"),
            Self::Directory => f.write_str("directory"),
            Self::Fifo => f.write_str("fifo"),
            Self::PaxGlobal => f.write_str("pax global header"),
            Self::Other(flag) => write!(f, "member of type {:?}", *flag as char),
        }
    }
}

/// A point in time in a tar header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds after them, below 1 000 000 000.
    pub nanoseconds: u32,
}

/// Nanoseconds in a second.
const NANOSECONDS: i64 = 1_000_000_000;

impl Timestamp {
    /// Nanoseconds since 1970; `None` if they exceed 64 bits.
    pub(super) fn in_nanoseconds(self) -> Option<i64> {
        let seconds = self.seconds.checked_mul(NANOSECONDS)?;
        seconds.checked_add(self.nanoseconds.into())
    }
}

/// An extended attribute, from a `SCHILY.xattr.` record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The name, for example `security.selinux`.
    pub name: Box<[u8]>,
    /// The value: any bytes.
    pub value: Box<[u8]>,
}

impl Xattr {
    /// Whether this is the SELinux label.
    pub(crate) fn is_label(&self) -> bool {
        &*self.name == b"security.selinux"
    }
}

/// One member: its place in the uncompressed archive, and its metadata with extension headers applied.
///
/// Pax global headers are members of their own and do not change other members. Go's tar library, which every
/// container engine reads layers with, does not apply them either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Offset of the first extension header, or of the header if there is none.
    pub offset: u64,
    /// Size of the file in bytes. A sparse file has fewer bytes in the archive.
    pub size: u64,
    /// The name, exactly as written.
    pub path: MemberPath,
    /// Fields that few members use.
    pub(super) rare: Option<Box<Rare>>,
    /// Modification time in nanoseconds since 1970.
    pub(super) mtime: i64,
    /// Bytes of all headers.
    pub(super) header_bytes: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Permission bits and set-id bits.
    pub mode: u16,
    /// The type.
    pub kind: Kind,
}

/// A member's name. Many members share one allocation for their names, because one for each takes more memory.
#[derive(Clone)]
pub struct MemberPath {
    text: Arc<Box<[u8]>>,
    start: u32,
    length: u32,
}

impl MemberPath {
    /// A name with an allocation of its own.
    pub fn new(path: &[u8]) -> Self {
        Self {
            text: Arc::new(path.into()),
            start: 0,
            // Bounded by EXTENSION_LIMIT.
            length: path.len() as u32,
        }
    }
}

impl Deref for MemberPath {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[self.start as usize..][..self.length as usize]
    }
}

impl fmt::Debug for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

impl PartialEq for MemberPath {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for MemberPath {}

/// Lets several members share one allocation for their names. Does nothing if the names exceed 4 GiB in total.
pub fn share_paths(members: &mut [Member]) {
    let text = members.iter().map(|member| &*member.path);
    let text = Arc::new(text.collect::<Vec<_>>().concat().into_boxed_slice());
    if u32::try_from(text.len()).is_err() {
        return;
    }
    let mut start = 0;
    for member in members {
        let length = member.path.length;
        member.path = MemberPath {
            text: Arc::clone(&text),
            start,
            length,
        };
        start += length;
    }
}

/// Fields that few members use. A separate box saves memory, since an image may have millions of members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rare {
    /// Target of a hardlink or symlink; empty for other members.
    pub(crate) link: Box<[u8]>,
    /// Sorted by name.
    pub(crate) xattrs: Vec<Xattr>,
    /// Major and minor device number.
    pub(crate) device: (u32, u32),
    /// Bytes in the archive, for a sparse file.
    pub(crate) sparse_bytes: Option<u64>,
    /// Owner and group, if they exceed 32 bits.
    pub(crate) large_owner: Option<(u64, u64)>,
    /// Modification time, if it is not within 292 years of 1970.
    pub(crate) far_mtime: Option<Timestamp>,
}

impl Rare {
    /// Moves the fields to the heap; `None` if all are empty.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl Member {
    /// Offset of the first byte of data.
    pub fn data_offset(&self) -> u64 {
        self.offset + u64::from(self.header_bytes)
    }

    /// User ID and group ID.
    pub fn owner(&self) -> (u64, u64) {
        let large = self.rare.as_ref().and_then(|rare| rare.large_owner);
        large.unwrap_or((self.uid.into(), self.gid.into()))
    }

    /// Modification time.
    pub fn mtime(&self) -> Timestamp {
        let far = self.rare.as_ref().and_then(|rare| rare.far_mtime);
        far.unwrap_or(Timestamp {
            seconds: self.mtime.div_euclid(NANOSECONDS),
            nanoseconds: self.mtime.rem_euclid(NANOSECONDS) as u32,
        })
    }

    /// Target of a hardlink or symlink, exactly as written; empty for other members.
    pub fn link(&self) -> &[u8] {
        self.rare.as_ref().map_or(&[], |rare| &rare.link)
    }

    /// Extended attributes, sorted by name.
    pub fn xattrs(&self) -> &[Xattr] {
        self.rare.as_ref().map_or(&[], |rare| &rare.xattrs)
    }

    /// Major and minor number of a device; zeros for other members.
    pub fn device(&self) -> (u32, u32) {
        self.rare.as_ref().map_or((0, 0), |rare| rare.device)
    }

    /// Whether this is a sparse file, in any of the three formats.
    pub fn is_sparse(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.sparse_bytes.is_some())
    }

    /// Bytes of data in the archive, without padding.
    pub fn stored_bytes(&self) -> u64 {
        let rare = self.rare.as_ref();
        rare.and_then(|rare| rare.sparse_bytes).unwrap_or(self.size)
    }

    /// Offset of the first byte after the data and its padding.
    pub fn end(&self) -> u64 {
        self.data_offset() + self.stored_bytes().next_multiple_of(super::BLOCK)
    }

    /// Bytes that the name, the link target and the extended attributes take in memory.
    pub fn held_bytes(&self) -> u64 {
        let xattrs = self.xattrs().iter();
        let xattrs = xattrs.map(|xattr| xattr.name.len() + xattr.value.len());
        (self.path.len() + self.link().len() + xattrs.sum::<usize>()) as u64
    }

    /// The name for an error message. Bytes that are not UTF-8 are replaced.
    pub fn path_lossy(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// An empty member at the start of an archive, for tests that build merged views by hand.
    pub fn empty(kind: Kind, path: &str, link: &str) -> Self {
        let rare = Rare {
            link: link.as_bytes().into(),
            ..Rare::default()
        };
        Self {
            offset: 0,
            size: 0,
            path: MemberPath::new(path.as_bytes()),
            rare: rare.boxed(),
            mtime: 0,
            header_bytes: super::BLOCK as u32,
            uid: 0,
            gid: 0,
            mode: 0o644,
            kind,
        }
    }
}

#[cfg(test)]
impl Member {
    pub(crate) fn set_owner(&mut self, uid: u32, gid: u32) {
        (self.uid, self.gid) = (uid, gid);
    }

    pub(crate) fn set_seconds(&mut self, seconds: i64) {
        self.mtime = seconds * NANOSECONDS;
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_one_text_are_what_they_were() {
        let names = ["a", "", "some/longer/name"];
        let mut members = names.map(|name| Member::empty(Kind::File, name, ""));
        let before = members.clone();
        share_paths(&mut members);
        assert_eq!(members, before);
        assert_eq!(members.map(|member| member.path_lossy()), names);
    }

    #[test]
    fn a_member_takes_no_more_than_a_line_of_the_processors_cache() {
        assert_eq!(size_of::<Member>(), 64);
    }
}
