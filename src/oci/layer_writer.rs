//! Writing one layer: bytes of the tar stream go in; diff_id, digest and sizes come out, and the file
//! is read back, while it is being written, before anything may name it.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use twox_hash::XxHash3_64;

use super::compression::{Compression, Encoder, Encoding};
use super::digest::{Digest, DigestHasher, HashingReader};
use super::growing_file::{GrowingReader, GrowingWriter, growing};
use super::second_decoder;
use crate::deflate::Stretch;
use crate::parallel::read_ahead;

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

/// Compresses a tar stream into a file, and reads back what is there while it grows.
///
/// Digest and diff_id are those of what was read back, after every stretch of it was held against
/// what was meant: the bytes that were written here, or those that blocks taken over had before.
pub struct LayerWriter {
    encoder: Encoder<BufWriter<GrowingWriter>>,
    meant: Sender<Stretch>,
    /// Bytes of the file as they are read back.
    progress: Receiver<u64>,
    /// After the encoder: the file has no end before that is gone.
    read_back: ReadBackThread,
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
        let (meant, stretches) = channel();
        let (advance, progress) = channel();
        let reader = ReportingReader {
            inner: reader,
            advance,
        };
        Ok(Self {
            encoder: Encoder::new(output, encoding, threads)?,
            meant,
            progress,
            read_back: ReadBackThread(Some(
                Builder::new().spawn(move || read_back(reader, compression, &stretches))?,
            )),
            uncompressed_bytes: 0,
            path: path.to_owned(),
            compression,
        })
    }

    /// How many of the next bytes may be [skipped](Self::skip), because they are taken over.
    ///
    /// # Errors
    /// I/O errors.
    pub fn unneeded(&mut self) -> io::Result<u64> {
        match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.unneeded(),
            Encoder::None(_) | Encoder::Zstd(_) => Ok(0),
        }
    }

    /// Goes on after bytes that are [not needed](Self::unneeded).
    ///
    /// # Errors
    /// I/O errors.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.expect_copied()?;
        if let Encoder::Gzip(encoder) = &mut self.encoder {
            encoder.skip(bytes)?;
        }
        self.uncompressed_bytes += bytes;
        Ok(())
    }

    /// Bytes of the file that were read back since the last call.
    pub fn take_read_back(&mut self) -> u64 {
        self.progress.try_iter().sum()
    }

    /// Ends the layer, once it was read back and is what was meant. Reading back is told of to
    /// `advance`, in bytes of the file.
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidData`] where the file does not decode to what was
    /// written into it.
    pub fn finish(self, advance: &mut dyn FnMut(u64)) -> io::Result<WrittenLayer> {
        let output = self.encoder.finish()?;
        let output = output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // The disk takes its time, which reading back does not mind.
        let written_bytes = output.finish()?;
        drop(self.meant);
        // Until the thread is done, or has failed.
        self.progress.into_iter().for_each(advance);
        let found = self.read_back.join()?;
        if found.compressed_bytes != written_bytes {
            return Err(not_as_written());
        }
        Ok(WrittenLayer {
            path: self.path,
            digest: found.digest,
            compressed_bytes: written_bytes,
            diff_id: found.diff_id,
            uncompressed_bytes: self.uncompressed_bytes,
            compression: self.compression,
        })
    }

    /// Where the next bytes are taken over, tells the reader what they must be. False where they are not.
    fn expect_copied(&mut self) -> io::Result<bool> {
        let Encoder::Gzip(encoder) = &mut self.encoder else {
            return Ok(false);
        };
        let mut expected = Vec::new();
        let is_copied = encoder.begin_part(&mut expected)?;
        for stretch in expected {
            self.expect(stretch);
        }
        Ok(is_copied)
    }

    fn expect(&self, stretch: Stretch) {
        // The reader only stops listening after a failure, which finishing tells.
        let _ = self.meant.send(stretch);
    }
}

impl Write for LayerWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let is_copied = self.expect_copied()?;
        let count = self.encoder.write(buffer)?;
        if !is_copied {
            self.expect(Stretch {
                length: count as u64,
                fingerprint: XxHash3_64::oneshot(&buffer[..count]),
            });
        }
        self.uncompressed_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// The thread that reads back. It is waited for even where the layer is given up.
struct ReadBackThread(Option<JoinHandle<io::Result<ReadBack>>>);

impl ReadBackThread {
    fn join(mut self) -> io::Result<ReadBack> {
        let failed = || io::Error::other("the thread that reads back failed");
        let thread = self.0.take().ok_or_else(failed)?;
        thread.join().unwrap_or_else(|_| Err(failed()))
    }
}

impl Drop for ReadBackThread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Its result is about a layer that nobody wants.
            let _ = thread.join();
        }
    }
}

/// What is in a layer's file.
struct ReadBack {
    digest: Digest,
    compressed_bytes: u64,
    diff_id: Digest,
}

fn read_back(
    file: ReportingReader,
    compression: Compression,
    meant: &Receiver<Stretch>,
) -> io::Result<ReadBack> {
    let mut blob = HashingReader {
        inner: file,
        hasher: DigestHasher::sha256(),
    };
    let diff_id = read_ahead(&mut blob, |blob| {
        let mut decoder = second_decoder::decode(blob, compression)?;
        read_ahead(&mut decoder, |stream| compare(stream, meant))
    })?;
    // What the decoder left unread is part of the blob too.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(ReadBack {
        compressed_bytes: blob.inner.inner.position(),
        digest: blob.hasher.finish(),
        diff_id: diff_id.finish(),
    })
}

/// Tells how much was read.
struct ReportingReader {
    inner: GrowingReader,
    advance: Sender<u64>,
}

impl Read for ReportingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Whoever gave up the layer does not listen.
        let _ = self.advance.send(count as u64);
        Ok(count)
    }
}

/// Hashes a stream that must be the stretches that were meant and nothing else.
fn compare(stream: &mut impl Read, meant: &Receiver<Stretch>) -> io::Result<DigestHasher> {
    let mut diff_id = DigestHasher::sha256();
    let mut buffer = vec![0; 128 << 10];
    for stretch in meant {
        let mut fingerprint = XxHash3_64::new();
        let mut left = stretch.length;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = stream.read(&mut buffer[..wanted])?;
            if count == 0 {
                return Err(not_as_written());
            }
            diff_id.update(&buffer[..count]);
            fingerprint.write(&buffer[..count]);
            left -= count as u64;
        }
        if fingerprint.finish() != stretch.fingerprint {
            return Err(not_as_written());
        }
    }
    match stream.read(&mut buffer)? {
        0 => Ok(diff_id),
        _ => Err(not_as_written()),
    }
}

fn not_as_written() -> io::Error {
    let message = "the written layer does not read back as it was written";
    io::Error::new(io::ErrorKind::InvalidData, message)
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
            let written = writer.finish(&mut |_| {}).unwrap();
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
                let digest = writer.finish(&mut |_| {}).unwrap().digest;
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
            assert!(writer.finish(&mut |_| {}).is_err());
            std::fs::remove_file(&path).unwrap();
        }
    }
}
