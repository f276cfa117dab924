//! Writing one layer: bytes of the tar stream go in; diff_id, digest and sizes come out, all
//! computed while streaming, and the file is read back before anything may name it.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::compression::{Compression, Encoder, Encoding};
use super::digest::{Digest, DigestHasher, HashingReader};
use super::growing_file::{GrowingReader, GrowingWriter, growing};
use super::second_decoder;

/// A layer that was written and read back.
#[derive(Debug, Clone)]
pub struct WrittenLayer {
    /// The file that holds the blob.
    pub path: PathBuf,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub compressed_bytes: u64,
    /// SHA-256 of the tar stream.
    pub diff_id: Digest,
    /// Bytes of the tar stream.
    pub uncompressed_bytes: u64,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// Hashes and counts a tar stream, compresses it, and reads back what was written while it grows.
pub struct LayerWriter {
    encoder: Encoder<BufWriter<GrowingWriter>>,
    read_back: JoinHandle<io::Result<ReadBack>>,
    diff_id: DigestHasher,
    uncompressed_bytes: u64,
    path: PathBuf,
    compression: Compression,
}

impl LayerWriter {
    /// Starts a layer in an empty `file` (open for reading too) at `path`, with so many threads that
    /// compress.
    ///
    /// # Errors
    /// I/O errors.
    pub fn new(
        file: File,
        path: &Path,
        encoding: Encoding<'_>,
        threads: usize,
    ) -> io::Result<Self> {
        let compression = encoding.compression();
        let (writer, reader) = growing(file);
        let output = BufWriter::with_capacity(128 << 10, writer);
        Ok(Self {
            encoder: Encoder::new(output, encoding, threads)?,
            read_back: std::thread::spawn(move || read_back(reader, compression)),
            diff_id: DigestHasher::sha256(),
            uncompressed_bytes: 0,
            path: path.to_owned(),
            compression,
        })
    }

    /// Ends the layer, and compares what another decoder read back.
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidData`] where the file does not decode to what was
    /// written into it.
    pub fn finish(self) -> io::Result<WrittenLayer> {
        let output = self.encoder.finish()?;
        let written_bytes = output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .finish();
        let diff_id = self.diff_id.finish();
        let found = self
            .read_back
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that reads back failed")))?;
        if found.diff_id != diff_id || found.compressed_bytes != written_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the written layer {} does not read back as it was written",
                    found.digest
                ),
            ));
        }
        Ok(WrittenLayer {
            path: self.path,
            digest: found.digest,
            compressed_bytes: written_bytes,
            diff_id,
            uncompressed_bytes: self.uncompressed_bytes,
            compression: self.compression,
        })
    }
}

impl Write for LayerWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.encoder.write_all(buffer)?;
        self.diff_id.update(buffer);
        self.uncompressed_bytes += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// What is in a layer's file.
struct ReadBack {
    digest: Digest,
    compressed_bytes: u64,
    diff_id: Digest,
}

fn read_back(file: GrowingReader, compression: Compression) -> io::Result<ReadBack> {
    let mut blob = HashingReader {
        inner: file,
        hasher: DigestHasher::sha256(),
    };
    let mut diff_id = DigestHasher::sha256();
    let mut decoder = second_decoder::decode(&mut blob, compression)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = decoder.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        diff_id.update(&buffer[..count]);
    }
    drop(decoder);
    // What the decoder left unread is part of the blob too.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(ReadBack {
        compressed_bytes: blob.inner.position(),
        digest: blob.hasher.finish(),
        diff_id: diff_id.finish(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::compression::Decoder;
    use crate::oci::digest::sha256_digest;

    fn new_file(path: &Path) -> File {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap()
    }

    #[test]
    fn a_layer_has_the_digests_of_its_bytes_in_every_compression() {
        let directory = tempfile::tempdir().unwrap();
        // Zeros first, as in an empty archive: other plain bytes are not taken for a layer.
        let data = [&[0; 1024][..], &b"tar bytes ".repeat(50_000)].concat();
        let encodings: [fn() -> Encoding<'static>; 4] = [
            || Encoding::None,
            || Encoding::Gzip {
                level: 6,
                old: None,
            },
            || Encoding::Zstd(3),
            || Encoding::Zstd(19),
        ];
        for (index, encoding) in encodings.into_iter().enumerate() {
            let path = directory.path().join(index.to_string());
            let mut writer = LayerWriter::new(new_file(&path), &path, encoding(), 2).unwrap();
            writer.write_all(&data).unwrap();
            let written = writer.finish().unwrap();
            let blob = std::fs::read(&path).unwrap();
            assert_eq!(written.digest, sha256_digest(&blob));
            assert_eq!(written.compressed_bytes, blob.len() as u64);
            assert_eq!(written.diff_id, sha256_digest(&data));
            let mut out = Vec::new();
            Decoder::new(&blob[..], blob.len() as u64)
                .unwrap()
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == data);
        }
    }

    #[test]
    fn the_number_of_threads_does_not_show_in_the_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..9_000_000u32)
            .map(|i| (i.wrapping_mul(i >> 9) >> 13) as u8)
            .collect();
        let encodings: [fn() -> Encoding<'static>; 2] = [
            || Encoding::Gzip {
                level: 6,
                old: None,
            },
            || Encoding::Zstd(3),
        ];
        for encoding in encodings {
            let digests = [1, 2, 5].map(|threads| {
                let path = directory.path().join("layer");
                let mut writer =
                    LayerWriter::new(new_file(&path), &path, encoding(), threads).unwrap();
                writer.write_all(&data).unwrap();
                let digest = writer.finish().unwrap().digest;
                std::fs::remove_file(&path).unwrap();
                digest
            });
            assert!(
                digests.iter().all(|digest| *digest == digests[0]),
                "{digests:?}"
            );
        }
    }

    #[test]
    fn a_layer_that_was_damaged_on_disk_does_not_read_back() {
        let directory = tempfile::tempdir().unwrap();
        for encoding in [
            Encoding::None,
            Encoding::Zstd(3),
            Encoding::Gzip {
                level: 6,
                old: None,
            },
        ] {
            let path = directory.path().join("layer");
            let file = new_file(&path);
            let mut writer =
                LayerWriter::new(file.try_clone().unwrap(), &path, encoding, 1).unwrap();
            writer.write_all(&b"tar bytes ".repeat(500)).unwrap();
            // All is held back until the end, so a byte that is there already is lost, or in the way.
            (&file).write_all(b"x").unwrap();
            assert!(writer.finish().is_err());
            std::fs::remove_file(&path).unwrap();
        }
    }
}
