//! Reads an archive from a stream, member by member, and accounts for every byte.

use std::io::{self, Read};

use super::extension::Extensions;
use super::header::{self, HeaderError};
use super::member::{Kind, Member, MemberPath, Rare, Timestamp};
use super::{BLOCK, padded};

/// Maximum number of bytes in a member's extension headers. Real names, links and attributes need far less, and a
/// hostile size field cannot ask for more memory.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// Maximum number of bytes in a name or link target: Linux's PATH_MAX.
const NAME_LIMIT: usize = 4096;

/// Largest size that a sparse file may claim, 4 TiB.
const LARGEST_SPARSE: u64 = 1 << 42;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The stream ends inside a member.
    #[error("the tar archive is cut short at byte {offset}, in {place}")]
    CutShort {
        /// Where the stream ended.
        offset: u64,
        /// The member or header that is incomplete.
        place: String,
    },
    /// A block is not a valid header.
    #[error("invalid tar header at byte {offset}: {source}")]
    Header {
        /// The block's offset.
        offset: u64,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// An extension header is malformed.
    #[error("malformed extension header at byte {offset}: {reason}")]
    Extension {
        /// The header's offset.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream itself failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A stream of members. It skips unread data and never seeks.
pub struct Reader<R> {
    input: R,
    position: u64,
    /// Header bytes of the current member, extension headers first.
    raw: Vec<u8>,
    /// Bytes of data, and of padding after it, left of the current member.
    data_left: u64,
    padding_left: u64,
    ended: bool,
    current: String,
}

impl<R: Read> Reader<R> {
    /// Reads an uncompressed archive from its first byte.
    pub fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            raw: Vec::new(),
            data_left: 0,
            padding_left: 0,
            ended: false,
            current: String::new(),
        }
    }

    /// Reads the headers of the next member. `None` at the archive's end marker or the end of the stream.
    ///
    /// # Errors
    /// [`TarError`]. Do not use the stream afterwards.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        self.skip(self.data_left.saturating_add(self.padding_left))?;
        (self.data_left, self.padding_left) = (0, 0);
        if self.ended {
            return Ok(None);
        }
        self.raw.clear();
        let offset = self.position;
        let mut extensions = Extensions::default();
        loop {
            let at = self.position;
            let Some(block) = self.header_block(offset)? else {
                return Ok(None);
            };
            let header =
                header::parse(&block).map_err(|source| TarError::Header { offset: at, source })?;
            match header.entry_type().as_byte() {
                flag @ (b'x' | b'L' | b'K') => {
                    let payload = self.extension_payload(at, header)?;
                    let payload = &self.raw[payload];
                    if flag == b'x' {
                        extensions
                            .apply_pax(payload)
                            .map_err(|reason| TarError::Extension { offset: at, reason })?;
                    } else {
                        extensions.apply_gnu(flag, payload);
                    }
                }
                _ => return self.member(offset, at, &block, extensions).map(Some),
            }
        }
    }

    /// The raw headers of the current member: extension headers, header, and the continuation blocks of a GNU sparse
    /// file.
    pub fn raw_headers(&self) -> &[u8] {
        &self.raw
    }

    /// Reads to the end of the stream, past the end marker, and returns the bytes of the whole archive. The bytes
    /// after the marker belong to the diff_id.
    ///
    /// # Errors
    /// I/O errors of the stream.
    pub fn drain(mut self) -> Result<u64, TarError> {
        self.skip(self.data_left.saturating_add(self.padding_left))?;
        self.position += io::copy(&mut self.input, &mut io::sink())?;
        Ok(self.position)
    }

    /// The member with its header at `at` and its first extension header at `offset`.
    fn member(
        &mut self,
        offset: u64,
        at: u64,
        block: &[u8; 512],
        mut extensions: Extensions,
    ) -> Result<Member, TarError> {
        extensions.settle();
        check_names(&extensions).map_err(|reason| TarError::Extension { offset, reason })?;
        let in_header = |source| TarError::Header { offset: at, source };
        let header = header::parse(block).map_err(in_header)?;
        let fields = header::Fields::read(header).map_err(in_header)?;
        let gnu_sparse = header.entry_type().is_gnu_sparse();
        let path = extensions.path.as_deref().unwrap_or(&fields.path);
        let kind = header::kind(header, path);
        self.current = String::from_utf8_lossy(path).into_owned();
        if gnu_sparse {
            self.sparse_continuation(header)?;
        }
        let size = extensions.size.unwrap_or(fields.size);
        let stored_bytes = if header::has_data(kind) { size } else { 0 };
        let sparse_size = extensions
            .sparse_size
            .or(gnu_sparse.then_some(fields.sparse_size).flatten());
        let data_offset = self.position;
        let too_large = || in_header(HeaderError::Field { name: "size" });
        let end = padded(stored_bytes).and_then(|bytes| data_offset.checked_add(bytes));
        let end = end.filter(|end| *end < u64::MAX / 2);
        let end = end.ok_or_else(too_large)?;
        if sparse_size.is_some_and(|size| size > LARGEST_SPARSE) {
            return Err(too_large());
        }
        self.data_left = stored_bytes;
        self.padding_left = end - data_offset - stored_bytes;
        let mut member = Member {
            offset,
            size: sparse_size.unwrap_or(stored_bytes),
            path: MemberPath::new(extensions.sparse_name.as_deref().unwrap_or(path)),
            rare: None,
            mtime: 0,
            // At most a little more than EXTENSION_LIMIT.
            header_bytes: (data_offset - offset) as u32,
            uid: 0,
            gid: 0,
            // `Fields::read` keeps only twelve bits.
            mode: fields.mode as u16,
            kind,
        };
        let is_sparse = sparse_size.is_some() || gnu_sparse;
        let sparse_bytes = is_sparse.then_some(stored_bytes);
        describe(&mut member, fields, extensions, sparse_bytes);
        Ok(member)
    }

    /// Reads a header block into `raw`. `None` at the end marker, or if the stream ends between members.
    fn header_block(&mut self, member_offset: u64) -> Result<Option<[u8; 512]>, TarError> {
        let mut block = [0; BLOCK as usize];
        let found = self.fill(&mut block)?;
        let between_members = self.raw.is_empty();
        let all_zero = block.iter().all(|byte| *byte == 0);
        match found {
            0 if between_members => {
                self.ended = true;
                Ok(None)
            }
            512 if all_zero && between_members => {
                self.ended = true;
                let after = self.fill(&mut block)?;
                if block[..after].iter().any(|byte| *byte != 0) {
                    let source = HeaderError::LoneZeroBlock;
                    return Err(TarError::Header {
                        offset: member_offset,
                        source,
                    });
                }
                Ok(None)
            }
            512 => {
                self.raw.extend_from_slice(&block);
                Ok(Some(block))
            }
            _ => Err(TarError::CutShort {
                offset: self.position,
                place: "a header".to_owned(),
            }),
        }
    }

    fn extension_payload(
        &mut self,
        at: u64,
        header: &tar::Header,
    ) -> Result<std::ops::Range<usize>, TarError> {
        let size =
            header::raw_size(header).map_err(|source| TarError::Header { offset: at, source })?;
        if size > EXTENSION_LIMIT || self.raw.len() as u64 > EXTENSION_LIMIT {
            let reason = format!("it has {size} bytes, and the limit is {EXTENSION_LIMIT} bytes");
            return Err(TarError::Extension { offset: at, reason });
        }
        let start = self.raw.len();
        let end = start + size as usize;
        self.raw
            .resize(start + size.next_multiple_of(BLOCK) as usize, 0);
        let mut raw = std::mem::take(&mut self.raw);
        let wanted = raw.len() - start;
        let found = self.fill(&mut raw[start..])?;
        self.raw = raw;
        if found < wanted {
            return Err(TarError::CutShort {
                offset: self.position,
                place: "an extension header".to_owned(),
            });
        }
        Ok(start..end)
    }

    /// Reads the continuation blocks of an old GNU sparse header into `raw`.
    fn sparse_continuation(&mut self, header: &tar::Header) -> Result<(), TarError> {
        let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            if self.raw.len() as u64 > EXTENSION_LIMIT {
                let reason = "its sparse map is too long".to_owned();
                return Err(TarError::Extension {
                    offset: self.position,
                    reason,
                });
            }
            let mut extended = tar::GnuExtSparseHeader::new();
            if self.fill(extended.as_mut_bytes())? < BLOCK as usize {
                return Err(TarError::CutShort {
                    offset: self.position,
                    place: self.current.clone(),
                });
            }
            self.raw.extend_from_slice(extended.as_bytes());
            more = extended.is_extended();
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())?;
        self.position += skipped;
        if skipped < bytes {
            return Err(TarError::CutShort {
                offset: self.position,
                place: self.current.clone(),
            });
        }
        Ok(())
    }
}

/// Reads the data of the current member.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            let place = self.current.clone();
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                TarError::CutShort {
                    offset: self.position,
                    place,
                },
            ));
        }
        self.position += count as u64;
        self.data_left -= count as u64;
        Ok(count)
    }
}

/// Refuses names that are longer than any system takes.
fn check_names(extensions: &Extensions) -> Result<(), String> {
    let longest = [&extensions.path, &extensions.link, &extensions.sparse_name];
    let longest = longest.into_iter().flatten().map(Vec::len).max();
    match longest.filter(|length| *length > NAME_LIMIT) {
        Some(length) => Err(format!(
            "a name has {length} bytes, and the limit is {NAME_LIMIT} bytes"
        )),
        None => Ok(()),
    }
}

/// Adds owner, time and rare fields. Extension headers override the header.
fn describe(
    member: &mut Member,
    fields: header::Fields,
    extensions: Extensions,
    sparse_bytes: Option<u64>,
) {
    let owner = (
        extensions.uid.unwrap_or(fields.uid),
        extensions.gid.unwrap_or(fields.gid),
    );
    let large_owner = match (u32::try_from(owner.0), u32::try_from(owner.1)) {
        (Ok(uid), Ok(gid)) => {
            (member.uid, member.gid) = (uid, gid);
            None
        }
        _ => Some(owner),
    };
    let mtime = extensions.mtime.unwrap_or(Timestamp {
        seconds: fields.mtime,
        nanoseconds: 0,
    });
    let near_mtime = mtime.in_nanoseconds();
    member.mtime = near_mtime.unwrap_or_default();
    let mut xattrs = extensions.xattrs;
    xattrs.sort();
    let rare = Rare {
        link: match member.kind {
            Kind::Hardlink | Kind::Symlink => extensions.link.unwrap_or(fields.link).into(),
            _ => Box::default(),
        },
        xattrs,
        device: fields.device,
        sparse_bytes,
        large_owner,
        far_mtime: near_mtime.is_none().then_some(mtime),
    };
    member.rare = rare.boxed();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar::{hardlink_to, heir};

    fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        header
    }

    fn archive(members: &[(tar::Header, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, data) in members {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes
    }

    fn pax(records: &[u8]) -> (tar::Header, &[u8]) {
        (
            header("x", tar::EntryType::XHeader, records.len() as u64),
            records,
        )
    }

    fn members(bytes: &[u8]) -> Result<(Vec<Member>, u64), TarError> {
        let mut reader = Reader::new(bytes);
        let mut members = Vec::new();
        while let Some(member) = reader.next_member()? {
            members.push(member);
        }
        Ok((members, reader.drain()?))
    }

    fn regular(name: &str, size: u64) -> tar::Header {
        header(name, tar::EntryType::Regular, size)
    }

    #[test]
    fn members_cover_the_archive_without_gaps() {
        let bytes = [
            archive(&[
                (regular("a", 3), b"abc"),
                pax(b"9 path=b\n"),
                (regular("x", 0), b""),
                (regular("c", 512), &[7; 512]),
            ]),
            vec![0; 1024],
            b"what follows".to_vec(),
        ]
        .concat();
        let (members, length) = members(&bytes).unwrap();
        let places: Vec<_> = members
            .iter()
            .map(|member| (member.offset, member.data_offset(), member.end()))
            .collect();
        assert_eq!(
            places,
            [(0, 512, 1024), (1024, 2560, 2560), (2560, 3072, 3584)]
        );
        assert_eq!(&*members[1].path, b"b");
        assert_eq!(length, bytes.len() as u64);
    }

    #[test]
    fn an_archive_may_end_without_its_marker_but_not_within_a_member() {
        let whole = archive(&[(regular("a", 600), &[1; 600])]);
        assert_eq!(members(&whole).unwrap().0.len(), 1);
        for cut in 1..whole.len() {
            assert!(
                matches!(members(&whole[..cut]), Err(TarError::CutShort { .. })),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_lone_zero_block_is_refused() {
        let bytes = [vec![0; 512], archive(&[(regular("a", 0), b"")])].concat();
        assert!(matches!(
            members(&bytes),
            Err(TarError::Header {
                source: HeaderError::LoneZeroBlock,
                ..
            })
        ));
    }

    #[test]
    fn a_hardlinks_size_is_not_taken_for_data() {
        let mut link = header("b", tar::EntryType::Link, 3);
        link.set_link_name("a").unwrap();
        link.set_cksum();
        let bytes = archive(&[
            (regular("a", 3), b"abc"),
            (link, b""),
            (regular("c", 0), b""),
        ]);
        let names: Vec<_> = members(&bytes)
            .unwrap()
            .0
            .into_iter()
            .map(|member| member.path_lossy())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn empty_numeric_fields_count_as_zero() {
        let mut bytes = archive(&[(regular("a", 0), b"")]);
        bytes[108..116].fill(0);
        let mut fixed = tar::Header::from_byte_slice(&bytes[..512]).clone();
        fixed.set_cksum();
        assert_eq!(members(fixed.as_bytes()).unwrap().0[0].owner().0, 0);
    }

    #[test]
    fn a_gnu_long_name_wins_over_a_pax_path_on_either_side() {
        let long = format!("{}/name", "d".repeat(120));
        let gnu = (
            header("././@LongLink", tar::EntryType::GNULongName, 126),
            [long.as_bytes(), b"\0"].concat(),
        );
        let path = pax(b"9 path=b\n");
        let own = (regular("a", 0), &b""[..]);
        let gnu = (gnu.0, &*gnu.1);
        for extensions in [[gnu.clone(), path.clone()], [path, gnu]] {
            let bytes = archive(&[&extensions[..], std::slice::from_ref(&own)].concat());
            assert_eq!(members(&bytes).unwrap().0[0].path_lossy(), long);
        }
    }

    #[test]
    fn an_heir_has_its_own_metadata_and_the_data_of_the_file() {
        let mut link = header("b", tar::EntryType::Link, 0);
        link.set_link_name("a").unwrap();
        link.set_mode(0o600);
        link.set_uid(7);
        link.set_mtime(5);
        link.set_cksum();
        let files =
            b"19 mtime=160000.25\n27 SCHILY.xattr.user.a=abc\n28 SCHILY.xattr.user.b=abcd\n";
        let links = b"26 SCHILY.xattr.user.b=xy\n11 uname=u\n26 SCHILY.xattr.user.c=de\n";
        let raw = |records: &[u8], header: tar::Header, data: &[u8]| {
            let bytes = archive(&[pax(records), (header, data)]);
            let mut reader = Reader::new(&bytes[..]);
            reader.next_member().unwrap();
            reader.raw_headers().to_vec()
        };
        let file = raw(files, regular("a", 3), b"abc");
        let link = raw(links, link, b"");
        let new = [&*heir(&file, &link, b"b").unwrap(), &[0; 512]].concat();
        let new = members(&new).unwrap().0.remove(0);
        assert_eq!((&*new.path, new.kind, new.size), (&b"b"[..], Kind::File, 3));
        assert_eq!(
            (new.mode, new.owner().0, new.mtime().seconds),
            (0o600, 7, 5)
        );
        let values: Vec<_> = new.xattrs().iter().map(|xattr| &*xattr.value).collect();
        assert_eq!(values, [&b"abc"[..], b"xy", b"de"]);
    }

    #[test]
    fn derived_headers_keep_what_they_do_not_change() {
        let long = format!("{}/name", "d".repeat(120));
        let records = b"30 SCHILY.xattr.user.a=abcdef\n30 mtime=1600000000.123456789\n";
        let bytes = archive(&[pax(records), (regular("a", 3), b"abc")]);
        let mut reader = Reader::new(&bytes[..]);
        let old = reader.next_member().unwrap().unwrap();
        let raw = reader.raw_headers().to_vec();
        for name in ["b", &long, "caf\u{e9}"] {
            let new = members(
                &[
                    heir(&raw, &raw, name.as_bytes()).unwrap(),
                    b"abc".to_vec(),
                    vec![0; 509],
                ]
                .concat(),
            )
            .unwrap()
            .0
            .remove(0);
            assert_eq!(&*new.path, name.as_bytes());
            assert_eq!(
                (new.mtime(), new.xattrs(), new.stored_bytes()),
                (old.mtime(), old.xattrs(), 3)
            );

            let link = members(&hardlink_to(&raw, name.as_bytes()).unwrap())
                .unwrap()
                .0
                .remove(0);
            assert_eq!(
                (link.kind, link.link(), link.stored_bytes()),
                (Kind::Hardlink, name.as_bytes(), 0)
            );
            assert_eq!((&*link.path, link.xattrs()), (&b"a"[..], old.xattrs()));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_an_archive_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let _ = members(&bytes);
        }

        #[test]
        fn a_damaged_archive_never_panics(at in 0usize..2560, value in any::<u8>()) {
            let mut bytes = archive(&[pax(b"9 path=b\n"), (regular("a", 3), b"abc"), (header("s", tar::EntryType::GNUSparse, 3), b"abc")]);
            let at = at % bytes.len();
            bytes[at] = value;
            // Correct the checksums, so that the reader gets to other fields.
            for block in bytes.chunks_exact_mut(512) {
                if block[257..262] == *b"ustar" {
                    let mut header = tar::Header::from_byte_slice(block).clone();
                    header.set_cksum();
                    block.copy_from_slice(header.as_bytes());
                }
            }
            let _ = members(&bytes);
        }
    }
}
