//! Image archives. Reads a tar file as a table of named byte ranges, and writes tar files that depend only on their
//! content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::oci::blob::{DOCUMENT_LIMIT, VerifyingReader};
use crate::oci::compression::Compression;
use crate::oci::json_keys::respell;
use crate::oci::json_text;
use crate::oci::{Blob, BlobError, BlobStore, Digest};
use crate::tar::{BLOCK, Kind, Reader, TarError};

use super::error::TransportError;
use super::file_names::{blob_name, shape};
use super::identity::Identity;
use super::place::{BlobSource, OutputBlob, copy_error};
use super::reference::Reference;
use super::{no_image, spool};

/// Limits on the number of members in an archive and on the total bytes of their names. Image archives have hundreds of
/// members.
const MOST_MEMBERS: usize = 100_000;
const MOST_NAME_BYTES: usize = 32 << 20;

/// Number of links that a lookup follows from one name. Real archives need one.
const LONGEST_LINK_CHAIN: usize = 8;

#[derive(Debug)]
enum Entry {
    Data { offset: u64, size: u64 },
    Link(String),
}

/// The byte range of a member, with its headers and padding.
#[derive(Debug)]
struct RawMember {
    /// `None` if the name leads out of the archive.
    name: Option<String>,
    offset: u64,
    size: u64,
}

/// An archive's files by name, read by seeking from header to header.
#[derive(Debug)]
pub(super) struct Archive {
    /// The archive's path, for messages; `-` for standard input.
    pub(super) path: PathBuf,
    /// The whole archive, decompressed.
    bytes: Blob,
    /// `None` if the archive came from a stream.
    identity: Option<Identity>,
    members: Vec<RawMember>,
    entries: HashMap<String, Entry>,
}

impl Archive {
    /// Opens the archive that a reference names: its file, or `stdin`. Spools input that does not support seeking, and
    /// decompresses a compressed archive.
    pub(super) fn open(reference: &Reference, stdin: impl Read) -> Result<Self, TransportError> {
        let path = reference.path();
        let spooled = |file: io::Result<File>| {
            file.map_err(TransportError::io("make a temporary copy of", path))
        };
        let (file, identity) = if reference.is_stream() {
            (spooled(spool::spool_archive(stdin))?, None)
        } else {
            let file = File::open(path).map_err(|error| reference.cannot_open(error))?;
            let metadata = file.metadata().map_err(TransportError::io("open", path))?;
            match metadata.is_file() {
                true => (file, Some(Identity::of(&metadata))),
                false => (spooled(spool::spool_archive(file))?, None),
            }
        };
        let whole = spool::whole_file(file).map_err(TransportError::io("read", path))?;
        if whole.size() == 0 {
            return Err(TransportError::Empty {
                path: path.to_owned(),
                is_stream: identity.is_none(),
            });
        }
        if let Some(found) = no_image::recognized(&whole, path) {
            return Err(found);
        }
        let compression = spool::compression(&whole);
        let plain = spool::decompressed(whole)
            .map_err(|error| unpack_error(error, path, compression.ok()))?;
        let (members, entries) = index(&plain).map_err(|reason| TransportError::Malformed {
            path: path.to_owned(),
            document: "the archive".to_owned(),
            reason,
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes: plain,
            identity,
            members,
            entries,
        })
    }

    /// Size in bytes, decompressed.
    pub(super) fn size(&self) -> u64 {
        self.bytes.size()
    }

    /// Whether `metadata` is that of the file that was opened, unchanged since.
    pub(super) fn is_file(&self, metadata: &Metadata) -> bool {
        self.identity == Some(Identity::of(metadata))
    }

    /// Returns the name and every name that its chain of links leads through.
    pub(super) fn names_behind(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = normalized("", name).into_iter().collect();
        while names.len() <= LONGEST_LINK_CHAIN
            && let Some(Entry::Link(target)) = names.last().and_then(|it| self.entries.get(it))
        {
            names.push(target.clone());
        }
        names
    }

    /// The names of all files and links, in no particular order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Finds the data of a name. Follows links.
    pub(super) fn find(&self, name: &str) -> Option<Blob> {
        let mut name = normalized("", name)?;
        for _ in 0..=LONGEST_LINK_CHAIN {
            match self.entries.get(&name)? {
                Entry::Link(target) => name.clone_from(target),
                Entry::Data { offset, size } => return Some(self.bytes.part(*offset, *size)),
            }
        }
        None
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Reads a small file: at most [`DOCUMENT_LIMIT`] bytes.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, TransportError> {
        let blob = self.find(name).ok_or_else(|| TransportError::NotAnImage {
            path: self.path.clone(),
            reason: format!("it has no {name}"),
        })?;
        if blob.size() > DOCUMENT_LIMIT {
            return Err(TransportError::TooLarge {
                path: self.path.clone(),
                document: name.to_owned(),
                size: blob.size(),
                limit: DOCUMENT_LIMIT,
            });
        }
        let mut bytes = Vec::new();
        blob.reader()
            .read_to_end(&mut bytes)
            .map_err(TransportError::io("read", &self.path))?;
        Ok(bytes)
    }

    pub(super) fn read_json(&self, name: &str) -> Result<Value, TransportError> {
        let parsed = json_text::parse(&self.read(name)?);
        let mut document = parsed.map_err(|error| TransportError::Malformed {
            path: self.path.clone(),
            document: name.to_owned(),
            reason: error.to_string(),
        })?;
        respell(&mut document, shape(name));
        Ok(document)
    }
}

/// Tells apart two causes of a failure to unpack the archive: its content and the disk.
fn unpack_error(error: io::Error, path: &Path, compression: Option<Compression>) -> TransportError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let bomb = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(bomb) = bomb {
        return TransportError::Bomb {
            path: path.to_owned(),
            bomb: *bomb,
            tool: match compression {
                Some(Compression::Zstd) => "zstd",
                _ => "gzip",
            },
        };
    }
    match error.kind() {
        InvalidData | InvalidInput | Other | UnexpectedEof => TransportError::NotAnImage {
            path: path.to_owned(),
            reason: format!("it cannot be read as an archive: {error}"),
        },
        _ => TransportError::io("unpack", path)(error),
    }
}

/// The blobs of an OCI layout inside an archive.
impl BlobStore for Archive {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        self.find(&blob_name(digest))
            .ok_or_else(|| BlobError::Missing {
                digest: digest.clone(),
            })
    }
}

/// Builds the table of members and the table of names.
///
/// Each member gets a new reader, which starts where the last member ended. This skips the data of members without
/// reading it. The error is a sentence that says what is wrong with the archive.
fn index(archive: &Blob) -> Result<(Vec<RawMember>, HashMap<String, Entry>), String> {
    let mut members = Vec::new();
    let mut name_bytes = 0;
    let mut entries = HashMap::new();
    let mut position = 0;
    loop {
        let rest = archive.part(position, archive.size() - position);
        let member = Reader::new(rest.reader()).next_member();
        let Some(member) = member.map_err(|error| error.to_string())? else {
            return Ok((members, entries));
        };
        name_bytes += member.held_bytes() as usize;
        if members.len() == MOST_MEMBERS {
            return Err(format!("it has more than {MOST_MEMBERS} members"));
        }
        if name_bytes > MOST_NAME_BYTES {
            return Err(format!("it has more than {MOST_NAME_BYTES} bytes of names"));
        }
        let name = normalized("", &member.path_lossy());
        let data = position + member.data_offset();
        // The padding of the last member may be missing: nothing reads it.
        if data + member.stored_bytes() > archive.size() {
            let cut_short = TarError::CutShort {
                offset: archive.size(),
                place: member.path_lossy(),
            };
            return Err(cut_short.to_string());
        }
        let start = position;
        position = (position + member.end()).min(archive.size());
        members.push(RawMember {
            name: name.clone(),
            offset: start,
            size: position - start,
        });
        let link = |directory: &str| {
            normalized(directory, &String::from_utf8_lossy(member.link())).map(Entry::Link)
        };
        let entry = match (member.kind, &name) {
            (Kind::File, _) if !member.is_sparse() => Some(Entry::Data {
                offset: data,
                size: member.stored_bytes(),
            }),
            (Kind::Hardlink, _) => link(""),
            (Kind::Symlink, Some(name)) => {
                link(name.rsplit_once('/').map_or("", |(directory, _)| directory))
            }
            _ => None,
        };
        // If two members have one name, the last one counts, as in an unpacked archive.
        if let (Some(name), Some(entry)) = (name, entry) {
            entries.insert(name, entry);
        }
    }
}

/// Resolves `name` relative to `directory`, without `.`, `..` and repeated slashes. Returns `None` if it leaves the
/// archive.
fn normalized(directory: &str, name: &str) -> Option<String> {
    let from = match name.starts_with('/') {
        true => "",
        false => directory,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The content of a file in a new archive.
pub(super) enum Content<'a> {
    Bytes(Vec<u8>),
    Blob(&'a OutputBlob),
}

/// Writes an archive. Names are sorted, and a directory comes before its content. Nothing depends on the clock, the
/// user or the machine. Verifies each blob while it copies it.
pub(super) fn write(
    output: impl Write,
    path: &Path,
    files: &BTreeMap<String, Content<'_>>,
) -> Result<(), TransportError> {
    write_files(output, path, files, BTreeSet::new())
}

/// Copies the members of `old` whose names `keeps` accepts, byte for byte and in their order, then writes `files`. A
/// file in `files` replaces the old member of the same name.
pub(super) fn write_after<'a>(
    mut output: impl Write,
    path: &Path,
    old: &'a Archive,
    keeps: impl Fn(&str) -> bool,
    files: &'a BTreeMap<String, Content<'_>>,
) -> Result<(), TransportError> {
    let mut names = BTreeSet::new();
    for member in &old.members {
        let name = match &member.name {
            Some(name) if keeps(name) && !files.contains_key(name) => name,
            _ => continue,
        };
        let stretch = old.bytes.part(member.offset, member.size);
        // The last member's padding may be missing.
        let padding = vec![0; (member.size.next_multiple_of(BLOCK) - member.size) as usize];
        io::copy(&mut stretch.reader(), &mut output)
            .and_then(|_| output.write_all(&padding))
            .map_err(TransportError::io("write", path))?;
        names.insert(name.as_str());
    }
    write_files(output, path, files, names)
}

/// `there` holds the names of directories that exist already.
fn write_files<'a>(
    output: impl Write,
    path: &Path,
    files: &'a BTreeMap<String, Content<'_>>,
    mut there: BTreeSet<&'a str>,
) -> Result<(), TransportError> {
    let mut builder = tar::Builder::new(output);
    for (name, content) in files {
        for (end, _) in name.match_indices('/') {
            let directory = &name[..=end];
            if there.insert(&name[..end]) {
                append(&mut builder, directory, 0, io::empty())
                    .map_err(TransportError::io("write", path))?;
            }
        }
        match content {
            Content::Bytes(bytes) => append(&mut builder, name, bytes.len() as u64, &bytes[..]),
            Content::Blob(blob) => {
                let size = blob.bytes.size();
                let verified = VerifyingReader::new(
                    BlobSource::new(&blob.digest, blob.bytes.reader()),
                    blob.digest.clone(),
                    size,
                )?;
                append(&mut builder, name, size, verified)
            }
        }
        .map_err(|error| copy_error(error, "write", path))?;
    }
    builder
        .into_inner()
        .and_then(|mut output| output.flush())
        .map_err(TransportError::io("write", path))
}

/// Appends a directory if `name` ends with a slash, else a regular file.
fn append(
    builder: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    let (entry_type, mode) = match name.ends_with('/') {
        true => (tar::EntryType::Directory, 0o755),
        false => (tar::EntryType::Regular, 0o644),
    };
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, data)
}

#[cfg(test)]
mod tests {
    use super::super::testing::header;
    use super::*;
    use crate::oci::digest::sha256_digest;

    fn archive(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, entry_type, content) in members {
            let size = if entry_type.is_file() {
                content.len()
            } else {
                0
            };
            let mut header = header(*entry_type, size);
            let name_field = &mut header.as_old_mut().name;
            name_field[..name.len()].copy_from_slice(name.as_bytes());
            if entry_type.is_file() {
                header.set_cksum();
                builder.append(&header, content.as_bytes()).unwrap();
            } else {
                header.set_link_name_literal(content).unwrap();
                header.set_cksum();
                builder.append(&header, io::empty()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Archive, TransportError> {
        Archive::open(&Reference::Stream, bytes)
    }

    #[test]
    fn names_are_normalized_links_followed_and_the_last_duplicate_wins() {
        use tar::EntryType::{Link, Regular, Symlink};
        let archive = open(&archive(&[
            ("./a", Regular, "first"),
            ("b/../a", Regular, "second"),
            ("id/layer.tar", Symlink, "../a"),
            ("deep/hard", Link, "./a"),
            ("loop", Symlink, "loop"),
            ("out", Symlink, "../../etc/passwd"),
            ("../../out2", Regular, "x"),
        ]))
        .unwrap();
        for name in ["a", "./a", "id/layer.tar", "deep/hard"] {
            assert_eq!(archive.read(name).unwrap(), b"second", "{name}");
        }
        for name in ["loop", "out", "out2", "../out2", "nothing"] {
            assert!(!archive.has(name), "{name}");
        }
    }

    #[test]
    fn an_archive_that_is_cut_short_or_none_at_all_is_refused() {
        let whole = archive(&[("a", tar::EntryType::Regular, "some bytes")]);
        assert!(open(&whole[..512 + 10]).is_ok());
        assert!(matches!(
            open(&whole[..512 + 9]),
            Err(TransportError::Malformed { .. })
        ));
        assert!(matches!(
            open(&[b'x'; 2000]),
            Err(TransportError::NotAnImage { .. })
        ));
    }

    #[test]
    fn a_written_archive_reads_back_and_long_names_survive() {
        let bytes = b"blob";
        let blob = OutputBlob {
            digest: sha256_digest(bytes),
            bytes: spool::blob_of(bytes).unwrap(),
            is_checked: false,
        };
        let long = format!("blobs/sha512/{}", "f".repeat(128));
        let files = BTreeMap::from([
            (long.clone(), Content::Bytes(b"long".to_vec())),
            (blob_name(&blob.digest), Content::Blob(&blob)),
        ]);
        let mut written = Vec::new();
        write(&mut written, Path::new("-"), &files).unwrap();
        let archive = open(&written).unwrap();
        assert_eq!(archive.read(&blob_name(&blob.digest)).unwrap(), bytes);
        assert_eq!(archive.read(&long).unwrap(), b"long");
        let mut again = Vec::new();
        write(&mut again, Path::new("-"), &files).unwrap();
        assert_eq!(written, again);
    }

    #[test]
    fn a_damaged_blob_is_not_written() {
        let blob = OutputBlob {
            digest: sha256_digest(b"what it should be"),
            bytes: spool::blob_of(b"what it really is").unwrap(),
            is_checked: false,
        };
        let files = BTreeMap::from([("blob".to_owned(), Content::Blob(&blob))]);
        assert!(matches!(
            write(io::sink(), Path::new("-"), &files),
            Err(TransportError::Blob(BlobError::Digest { .. }))
        ));
    }

    #[test]
    fn a_digest_with_odd_characters_cannot_leave_the_blobs() {
        for text in [
            "sha256:../../../etc/passwd",
            "../x:00",
            "..:..",
            "sha256:ABCD",
            "x/y:00",
            "sha256:",
            ":00",
            "a:.",
            "a:..",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let odd: Digest = "a+b.c:Zz_=-".parse().unwrap();
        assert_eq!(blob_name(&odd), "blobs/a+b.c/Zz_=-");
    }

    #[test]
    fn a_document_may_be_as_large_as_the_limit_and_not_larger() {
        let document = |size: u64| {
            let content = " ".repeat(size as usize);
            let archive = open(&archive(&[("a", tar::EntryType::Regular, &content)])).unwrap();
            archive.read("a")
        };
        assert_eq!(
            document(DOCUMENT_LIMIT).unwrap().len() as u64,
            DOCUMENT_LIMIT
        );
        match document(DOCUMENT_LIMIT + 1) {
            Err(TransportError::TooLarge { size, .. }) => assert_eq!(size, DOCUMENT_LIMIT + 1),
            other => panic!("{:?}", other.map(|bytes| bytes.len())),
        }
    }

    #[test]
    fn a_chain_of_links_is_named_down_to_its_file() {
        use tar::EntryType::{Regular, Symlink};
        let archive = open(&archive(&[
            ("a", Regular, "data"),
            ("b", Symlink, "a"),
            ("c/d", Symlink, "../b"),
            ("loop", Symlink, "loop"),
        ]))
        .unwrap();
        assert_eq!(archive.names_behind("c/d"), ["c/d", "b", "a"]);
        assert_eq!(archive.names_behind("./a"), ["a"]);
        assert!(archive.names_behind("loop").len() > LONGEST_LINK_CHAIN);
    }
}
