//! Writes one layer. It takes the tar stream and returns diff_id, digest and sizes. It also reads the file back
//! during the writing, before anything may name it.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use twox_hash::XxHash3_64;

use super::compression::{Compression, Encoder, Encoding};
use super::digest::{Digest, DigestHasher, HashingReader};
use super::growing_file::{GrowingFile, GrowingReader, GrowingWriter, WrittenFile, growing};
use super::second_decoder;
use crate::deflate::Stretch;
use crate::parallel::read_ahead;

/// A layer that was written, read back and compared.
#[derive(Debug, Clone)]
pub struct WrittenLayer {
    /// The file with the blob.
    pub path: PathBuf,
    /// The SHA-256 digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub compressed_bytes: u64,
    /// The SHA-256 digest of the tar stream.
    pub diff_id: Digest,
    /// The size of the tar stream in bytes.
    pub uncompressed_bytes: u64,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// A new file for a layer.
pub struct LayerFile {
    /// The file, open for reading too. It must be empty.
    pub file: File,
    /// Its path.
    pub path: PathBuf,
    /// Whether to compute the digest of the bytes that are written too, to know it before they are read back.
    pub hashes: bool,
}

/// Compresses a tar stream into a file, and reads the file back while it grows.
///
/// The digest and diff_id come from the bytes that were read back. Each stretch of those bytes is first compared with
/// the expected content: bytes written here, or the former content of copied blocks.
pub struct LayerWriter {
    growing: GrowingFile,
    encoder: Encoder<BufWriter<GrowingWriter>>,
    meant: Sender<Stretch>,
    /// The numbers of file bytes that were read back.
    progress: Receiver<u64>,
    /// Dropped after the encoder, because this waits for the end of the file, which comes with that drop.
    read_back: ReadBackThread,
    uncompressed_bytes: u64,
    path: PathBuf,
    compression: Compression,
}

impl LayerWriter {
    /// Starts a layer with `threads` threads to compress.
    ///
    /// # Errors
    /// I/O errors, and errors of starting threads.
    pub fn new(file: LayerFile, encoding: Encoding<'_>, threads: usize) -> io::Result<Self> {
        let compression = encoding.compression();
        let (writer, growing) = growing(file.file, file.hashes);
        let output = BufWriter::with_capacity(128 << 10, writer);
        let (meant, stretches) = channel();
        let (advance, progress) = channel();
        let reader = ReportingReader {
            inner: growing.reader(),
            advance,
        };
        Ok(Self {
            growing,
            encoder: Encoder::new(output, encoding, threads)?,
            meant,
            progress,
            read_back: ReadBackThread(Some(
                Builder::new().spawn(move || read_back(reader, compression, &stretches))?,
            )),
            uncompressed_bytes: 0,
            path: file.path,
            compression,
        })
    }

    /// A reader of the compressed bytes. It ends when they end, even if the layer is given up.
    pub fn reader(&self) -> impl Read + Send + use<> {
        self.growing.reader()
    }

    /// How many of the next bytes the caller may [skip](Self::skip), because the writer copies them.
    ///
    /// # Errors
    /// I/O errors.
    pub fn unneeded(&mut self) -> io::Result<u64> {
        match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.unneeded(),
            Encoder::None(_) | Encoder::Zstd(_) => Ok(0),
        }
    }

    /// Continues after bytes that are [not needed](Self::unneeded).
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidInput`] if a gzip stream needs some of the bytes.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.expect_copied()?;
        if let Encoder::Gzip(encoder) = &mut self.encoder {
            encoder.skip(bytes)?;
        }
        self.uncompressed_bytes += bytes;
        Ok(())
    }

    /// Bytes of the file read back since the last call.
    pub fn take_read_back(&mut self) -> u64 {
        self.progress.try_iter().sum()
    }

    /// Ends the file. Reading it back goes on.
    ///
    /// # Errors
    /// I/O errors.
    pub fn end(self) -> io::Result<EndedLayer> {
        let output = self.encoder.finish()?;
        let output = output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // Syncing the disk takes time. Reading back continues meanwhile.
        let file = output.finish()?;
        Ok(EndedLayer {
            path: self.path,
            file,
            progress: self.progress,
            read_back: self.read_back,
            uncompressed_bytes: self.uncompressed_bytes,
            compression: self.compression,
        })
    }

    /// Ends the layer, waits until it was read back, and compares it.
    ///
    /// # Errors
    /// The errors of [`Self::end`] and [`EndedLayer::check`].
    pub fn finish(self) -> io::Result<WrittenLayer> {
        self.end()?.check(&mut |_| {})
    }

    /// Returns whether the next bytes are copied. If so, tells the reader what they must be.
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
        // The receiver is gone only after a failure, which `finish` reports.
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

/// A layer whose file is complete, and not yet read back.
pub struct EndedLayer {
    path: PathBuf,
    file: WrittenFile,
    progress: Receiver<u64>,
    read_back: ReadBackThread,
    uncompressed_bytes: u64,
    compression: Compression,
}

impl EndedLayer {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes.
    pub fn compressed_bytes(&self) -> u64 {
        self.file.bytes
    }

    /// The digest of the bytes that were written, if [`LayerFile::hashes`] asked for it.
    pub fn digest(&self) -> Option<&Digest> {
        self.file.digest.as_ref()
    }

    /// Waits until the file was read back, and compares it. Calls `advance` with the numbers of file bytes read back.
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidData`] if the file does not decode to what was written.
    pub fn check(self, advance: &mut dyn FnMut(u64)) -> io::Result<WrittenLayer> {
        // This loop ends when the thread is done or has failed.
        self.progress.into_iter().for_each(advance);
        let found = self.read_back.join()?;
        let is_other = |digest: &Digest| *digest != found.digest;
        if found.compressed_bytes != self.file.bytes
            || self.file.digest.is_some_and(|it| is_other(&it))
        {
            return Err(not_as_written());
        }
        Ok(WrittenLayer {
            path: self.path,
            digest: found.digest,
            compressed_bytes: found.compressed_bytes,
            diff_id: found.diff_id,
            uncompressed_bytes: self.uncompressed_bytes,
            compression: self.compression,
        })
    }
}

/// The thread that reads back. Dropping this waits for it, even if the layer was abandoned.
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
            // Nobody needs the result of an abandoned layer.
            let _ = thread.join();
        }
    }
}

/// The digests and size of the file that was read back.
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
    // Bytes that the decoder left unread belong to the blob too.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(ReadBack {
        compressed_bytes: blob.inner.inner.position(),
        digest: blob.hasher.finish(),
        diff_id: diff_id.finish(),
    })
}

/// Reports the number of bytes that are read through it.
struct ReportingReader {
    inner: GrowingReader,
    advance: Sender<u64>,
}

impl Read for ReportingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // The receiver is gone if the layer was abandoned.
        let _ = self.advance.send(count as u64);
        Ok(count)
    }
}

/// Hashes a stream that must consist of the expected stretches and nothing else.
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
    let message = "pycull read the written layer back and got other content";
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::compression::Decoder;
    use crate::oci::digest::sha256_digest;

    fn new_file(path: &Path) -> LayerFile {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        LayerFile {
            file: file.unwrap(),
            path: path.to_owned(),
            hashes: true,
        }
    }

    #[test]
    fn a_layer_has_the_digests_of_its_bytes_in_every_compression() {
        let directory = tempfile::tempdir().unwrap();
        // Start with zeros like an empty archive, because other plain bytes are not recognized as a layer.
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
            let mut writer = LayerWriter::new(new_file(&path), encoding(), 2).unwrap();
            writer.write_all(&data).unwrap();
            let ended = writer.end().unwrap();
            let early = (ended.digest().unwrap().clone(), ended.compressed_bytes());
            let written = ended.check(&mut |_| {}).unwrap();
            assert_eq!(early, (written.digest.clone(), written.compressed_bytes));
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
                let mut writer = LayerWriter::new(new_file(&path), encoding(), threads).unwrap();
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
            let mut other = file.file.try_clone().unwrap();
            let mut writer = LayerWriter::new(file, encoding, 1).unwrap();
            writer.write_all(&b"tar bytes ".repeat(500)).unwrap();
            // The writer buffers everything until the end, so this byte gets to the start of the file.
            other.write_all(b"x").unwrap();
            assert!(writer.finish().is_err());
            std::fs::remove_file(&path).unwrap();
        }
    }
}
