//! Unlinked temporary files, for streams that must be read twice and for bytes that have no file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::oci::compression::{Compression, Decoder, sniff};
use crate::oci::{Blob, BlobFile};
use crate::scratch;

/// Copies a stream into an unlinked file in TMPDIR.
fn spool(mut stream: impl Read) -> io::Result<File> {
    let mut file = scratch::file()?;
    io::copy(&mut stream, &mut file).map_err(scratch::failed_copy)?;
    Ok(file)
}

/// Number of bytes to read from the start of a stream to decide whether it can be an archive.
const START: u64 = 4096;

/// Copies an archive into an unlinked file in TMPDIR. If the stream cannot be an archive, copies only its start: the
/// stream may be endless.
pub(super) fn spool_archive(mut stream: impl Read) -> io::Result<File> {
    let mut start = Vec::new();
    stream.by_ref().take(START).read_to_end(&mut start)?;
    let mut file = scratch::file()?;
    file.write_all(&start).map_err(scratch::failed)?;
    // An empty archive begins with zeros.
    let is_empty = start.iter().all(|byte| *byte == 0);
    if !is_empty && sniff(&start).is_ok() {
        io::copy(&mut stream, &mut file).map_err(scratch::failed_copy)?;
    }
    Ok(file)
}

/// Stores bytes in an unlinked file in TMPDIR, as a blob.
pub(super) fn blob_of(bytes: &[u8]) -> io::Result<Blob> {
    let mut file = scratch::file()?;
    file.write_all(bytes).map_err(scratch::failed)?;
    whole_file(file)
}

/// A whole file, as a blob.
pub(super) fn whole_file(file: File) -> io::Result<Blob> {
    let size = file.metadata()?.len();
    let file = BlobFile::opened(Arc::new(file));
    Ok(Blob::of_file(file, None, size))
}

/// A compressed archive may unpack to this many times its own size. Its layers are compressed already, or compress to a
/// fraction of their size.
const LARGEST_RATIO: u64 = 64;
const ALWAYS_ALLOWED: u64 = 256 << 20;

/// Returns the archive itself if it is not compressed. Otherwise decompresses it into a spooled file.
///
/// # Errors
/// I/O errors. A [`DecompressionBomb`](crate::oci::compression::DecompressionBomb) is wrapped in one.
pub(super) fn decompressed(archive: Blob) -> io::Result<Blob> {
    if compression(&archive)? == Compression::None {
        return Ok(archive);
    }
    let limit = archive
        .size()
        .saturating_mul(LARGEST_RATIO)
        .saturating_add(ALWAYS_ALLOWED);
    let decoder = Decoder::limited(archive.reader(), archive.size(), limit)?;
    whole_file(spool(decoder)?)
}

/// A blob's compression, according to its first bytes.
pub(super) fn compression(blob: &Blob) -> io::Result<Compression> {
    let mut start = Vec::new();
    blob.reader()
        .take(crate::oci::compression::SNIFF_BYTES as u64)
        .read_to_end(&mut start)?;
    sniff(&start).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_archive_is_unpacked_and_a_plain_one_is_not_copied() {
        let tar = vec![0; 1024];
        let plain = blob_of(&tar).unwrap();
        assert!(decompressed(plain.clone()).unwrap().is_same(&plain));
        for compressed in [zstd::encode_all(&tar[..], 3).unwrap(), {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            gzip.write_all(&tar).unwrap();
            gzip.finish().unwrap()
        }] {
            let mut found = Vec::new();
            decompressed(blob_of(&compressed).unwrap())
                .unwrap()
                .reader()
                .read_to_end(&mut found)
                .unwrap();
            assert_eq!(found, tar);
        }
    }
}
