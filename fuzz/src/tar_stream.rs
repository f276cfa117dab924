//! A tar stream from arbitrary bytes. The parts that the reader returns make up the stream byte for byte, for any size
//! of reads. Headers derived from those of the stream have the correct values.
//!
//! An input is a control byte, a parameter and the stream. Unless the control byte says otherwise, checksums are
//! corrected first: wrong ones would stop nearly every mutation.

use std::io::Read;

use pycull::path::clean;
use pycull::tar::{
    HeaderError, Kind, Member, NewKind, NewMember, Reader, TarError, hardlink_to, heir,
    new_headers, size_field,
};

use super::stepwise::Stepwise;
use crate::support::LayerBuilder;

/// Maximum number of checksums to correct.
const MOST_CHECKSUMS: usize = 100;

pub fn run(input: &[u8]) {
    let Some((&[control, parameter], stream)) = input.split_first_chunk() else {
        return;
    };
    let stream = match control & 1 {
        0 => with_checksums(stream.to_vec()),
        _ => stream.to_vec(),
    };
    let whole = read(&stream, usize::MAX, parameter);
    let step = [1, 7, 512, 1 + usize::from(parameter) * 5][usize::from(control >> 1 & 3)];
    assert_eq!(read(&stream, step, parameter), whole, "in steps of {step}");
    assert_makes_up(&whole, &stream);
    for pair in whole.members.windows(2) {
        assert_heir(&pair[0], &pair[1]);
    }
    for member in &whole.members {
        assert_hardlink(member, parameter);
        assert_new(&member.member);
    }
}

/// Corrects the checksums of the headers in a stream.
pub fn with_checksums(mut stream: Vec<u8>) -> Vec<u8> {
    for _ in 0..MOST_CHECKSUMS {
        let mut reader = Reader::new(&stream[..]);
        let error = loop {
            match reader.next_member() {
                Ok(Some(_)) => {}
                Ok(None) => return stream,
                Err(error) => break error,
            }
        };
        let TarError::Header {
            offset,
            source: HeaderError::Checksum,
        } = error
        else {
            break;
        };
        let block = &mut stream[offset as usize..][..512];
        let mut header = tar::Header::from_byte_slice(block).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    stream
}

/// Everything that a reader returns for a stream.
#[derive(Debug, PartialEq)]
struct Found {
    members: Vec<FoundMember>,
    /// The length of the stream, or its error.
    end: Result<u64, String>,
}

#[derive(Debug, PartialEq)]
struct FoundMember {
    member: Member,
    headers: Vec<u8>,
    /// The part of the data that was read.
    data: Vec<u8>,
}

fn read(stream: &[u8], step: usize, parameter: u8) -> Found {
    let mut members = Vec::new();
    let end = read_members(stream, step, parameter, &mut members);
    let end = end.map_err(|error| error.to_string());
    Found { members, end }
}

/// Reads the data of one member, half the data of the next, none of the one after that, and so on.
fn read_members(
    stream: &[u8],
    step: usize,
    parameter: u8,
    members: &mut Vec<FoundMember>,
) -> Result<u64, TarError> {
    let mut reader = Reader::new(Stepwise(stream, step));
    while let Some(member) = reader.next_member()? {
        let wanted = match (members.len() + usize::from(parameter)) % 3 {
            0 => member.stored_bytes(),
            1 => member.stored_bytes() / 2,
            _ => 0,
        };
        members.push(FoundMember {
            member,
            headers: reader.raw_headers().to_vec(),
            data: Vec::new(),
        });
        let data = members.last_mut().map(|member| &mut member.data);
        reader.by_ref().take(wanted).read_to_end(data.unwrap())?;
    }
    reader.drain()
}

/// Checks that one member follows the other and nothing is left over.
fn assert_makes_up(found: &Found, stream: &[u8]) {
    let mut position = 0;
    for FoundMember {
        member,
        headers,
        data,
    } in &found.members
    {
        assert_eq!(member.offset, position, "a gap between members");
        let start = member.data_offset() as usize;
        assert!(
            stream[position as usize..start] == headers[..],
            "other headers"
        );
        assert!(stream[start..].starts_with(data), "other data");
        position = member.end();
    }
    if let Ok(length) = found.end {
        assert_eq!(length, stream.len() as u64);
        let rest = &stream[position as usize..];
        let end = &rest[..rest.len().min(1024)];
        assert!(end.iter().all(|byte| *byte == 0), "a member is left over");
    }
}

/// The member that these headers describe.
fn parsed(headers: &[u8]) -> Member {
    let mut reader = Reader::new(headers);
    let member = reader.next_member().unwrap().unwrap();
    assert!(reader.raw_headers() == headers, "other headers");
    member
}

fn assert_hardlink(found: &FoundMember, parameter: u8) {
    let target = match parameter & 3 {
        0 => b"target".to_vec(),
        1 => "zi\u{e9}l".into(),
        _ => b"t".repeat(usize::from(parameter) + 90),
    };
    let headers = hardlink_to(&found.headers, &target).unwrap();
    let (old, new) = (&found.member, parsed(&headers));
    assert_eq!((new.kind, new.link()), (Kind::Hardlink, &target[..]));
    assert_eq!(size_field(&headers), 0);
    assert_eq!(new.path, old.path);
    assert_eq!(metadata(&new), metadata(old));
    assert_eq!(new.xattrs(), old.xattrs());
}

fn assert_heir(file: &FoundMember, link: &FoundMember) {
    if file.member.kind != Kind::File || link.member.kind != Kind::Hardlink {
        return;
    }
    let headers = heir(&file.headers, &link.headers, b"new/path").unwrap();
    let (old, new) = (&file.member, parsed(&headers));
    assert_eq!((new.kind, &*new.path), (Kind::File, &b"new/path"[..]));
    assert_eq!(
        (new.size, new.stored_bytes(), new.is_sparse()),
        (old.size, old.stored_bytes(), old.is_sparse())
    );
    assert_eq!(metadata(&new), metadata(&link.member));
    for xattr in link.member.xattrs() {
        assert!(new.xattrs().contains(xattr), "{xattr:?} is gone");
    }
}

/// Checks that headers made from scratch describe the same member.
fn assert_new(member: &Member) {
    let (path, link) = (clean(&member.path), member.link().to_vec());
    let is_odd = |name: &[u8]| name.is_empty() || name.contains(&0);
    let kind = match member.kind {
        Kind::Directory => NewKind::Directory,
        Kind::File if !member.is_sparse() => NewKind::File(member.size),
        Kind::Hardlink if !is_odd(&link) => NewKind::Hardlink(link),
        _ => return,
    };
    if is_odd(&path) {
        return;
    }
    let headers = new_headers(&NewMember {
        path: path.clone(),
        kind,
        mode: member.mode.into(),
        uid: member.owner().0,
        gid: member.owner().1,
        mtime: member.mtime(),
        xattrs: member.xattrs().to_vec(),
    });
    let new = parsed(&headers);
    assert_eq!(clean(&new.path), path);
    assert_eq!(
        (new.kind, new.stored_bytes()),
        (member.kind, member.stored_bytes())
    );
    assert_eq!((new.link(), new.xattrs()), (member.link(), member.xattrs()));
    assert_eq!(metadata(&new), metadata(member));
}

fn metadata(member: &Member) -> impl PartialEq + std::fmt::Debug + use<> {
    (member.mode, member.owner(), member.mtime())
}

/// Archives in every format.
pub fn seeds() -> Vec<Vec<u8>> {
    let archives = [
        LayerBuilder::new().build(),
        plain().build(),
        plain().trailing(&[7; 700]).build(),
        with_records().build(),
        with_gnu_names().build(),
        sparse().build(),
        with_odd_numbers().build(),
        // An archive without its end marker.
        plain().build()[..4096].to_vec(),
        [plain().build(), plain().build()].concat(),
    ];
    let numbered = archives.iter().zip(0u8..);
    let seed = |(archive, number): (&Vec<u8>, u8)| [&[number << 1, number][..], archive].concat();
    numbered.map(seed).collect()
}

fn plain() -> LayerBuilder {
    LayerBuilder::new()
        .directory("usr/lib/")
        .file("usr/lib/empty", b"")
        .file("usr/lib/m.py", b"x = 1\n".repeat(100))
        .mode(0o4755)
        .hardlink("usr/bin/m", "usr/lib/m.py")
        .symlink("lib", "usr/lib")
        .whiteout("etc/gone")
        .device(1, 300)
        .member("dev/null", tar::EntryType::Char, 0o666, "", &[])
        .member("pipe", tar::EntryType::Fifo, 0o600, "", &[])
        .member("other", tar::EntryType::new(b'V'), 0, "", b"data")
}

fn with_records() -> LayerBuilder {
    LayerBuilder::new()
        .member(
            "g",
            tar::EntryType::XGlobalHeader,
            0o644,
            "",
            b"13 comment=a\n",
        )
        .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02")
        .pax("mtime", "-1.5")
        .pax("uid", "5000000000")
        .file("data", b"data")
        .pax("mtime", "1600000000.25")
        .pax("SCHILY.xattr.user.note", "a note")
        .hardlink("link", "data")
        .pax("path", "")
        .pax("size", "3")
        .file(&"long/".repeat(50), b"123")
        .symlink("s", &"target/".repeat(30))
}

/// GNU long names, before and after pax records.
fn with_gnu_names() -> LayerBuilder {
    let long = |kind: u8, name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(name.len() as u64 + 1);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(name.as_bytes());
        bytes.resize((bytes.len() + 1).next_multiple_of(512), 0);
        bytes
    };
    LayerBuilder::new()
        .raw_member(&long(b'L', &"n".repeat(600)))
        .file("short", b"1")
        .pax("path", "another")
        .after_pax(&long(b'L', "the name"))
        .raw_member(&long(b'K', "the target"))
        .hardlink("short", "t")
}

/// Sparse files in both GNU formats.
fn sparse() -> LayerBuilder {
    let mut header = tar::Header::new_gnu();
    header.set_path("old").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(512);
    let bytes = header.as_mut_bytes();
    bytes[386..410].copy_from_slice(b"00000000000\x0000000001000\0");
    bytes[482] = 1;
    bytes[483..495].copy_from_slice(b"00000010000\0");
    header.set_cksum();
    let more = [&b"00000002000\x0000000001000\0"[..], &[0; 488]].concat();
    LayerBuilder::new()
        .raw_member(&[&header.as_bytes()[..], &more, &[1; 512]].concat())
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "new")
        .pax("GNU.sparse.realsize", "100000")
        .file(
            "GNUSparseFile.1/new",
            [&b"1\n0\n512\n"[..], &[0; 1016]].concat(),
        )
        .hardlink("link", "new")
}

/// Numbers in base 256, empty fields, and the format before POSIX.
fn with_odd_numbers() -> LayerBuilder {
    let mut large = tar::Header::new_gnu();
    large.set_path("large").unwrap();
    large.set_uid(1 << 40);
    large.set_gid(u64::MAX);
    large.set_mtime(1 << 35);
    large.as_mut_bytes()[136..148].copy_from_slice(&[&[0xff; 11][..], &[0xfe]].concat());
    large.set_cksum();
    let mut old = tar::Header::new_old();
    old.set_path("directory/").unwrap();
    old.as_mut_bytes()[156] = 0;
    old.set_cksum();
    LayerBuilder::new()
        .raw_member(large.as_bytes())
        .raw_member(old.as_bytes())
        .hardlink("link", "large")
}
