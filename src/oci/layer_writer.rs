//! Writing one layer: bytes of the tar stream go in; diff_id, digest and sizes come out, all
//! computed while streaming, and the file is read back before anything may name it.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::compression::{Compression, CompressionSetting, Encoder};
use super::digest::{Digest, DigestHasher, HashingReader};
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

/// Hashes and counts a tar stream, compresses it, and hashes and counts the blob.
pub struct LayerWriter {
    encoder: Encoder<HashingWriter<BufWriter<File>>>,
    diff_id: DigestHasher,
    uncompressed_bytes: u64,
    path: PathBuf,
    compression: Compression,
}

impl LayerWriter {
    /// Starts a layer in an empty `file` (open for reading too) at `path`, compressed as the
    /// (resolved) setting says.
    ///
    /// # Errors
    /// I/O errors.
    pub fn new(file: File, path: &Path, setting: CompressionSetting) -> io::Result<Self> {
        let output = HashingWriter {
            inner: BufWriter::with_capacity(128 << 10, file),
            hasher: DigestHasher::sha256(),
            count: 0,
        };
        Ok(Self {
            encoder: Encoder::new(output, setting)?,
            diff_id: DigestHasher::sha256(),
            uncompressed_bytes: 0,
            path: path.to_owned(),
            compression: setting.compression().unwrap_or(Compression::None),
        })
    }

    /// Ends the layer, reads it back with another decoder, and compares.
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidData`] where the file does not decode to what was
    /// written into it.
    pub fn finish(self) -> io::Result<WrittenLayer> {
        let output = self.encoder.finish()?;
        let mut file = output
            .inner
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let written = WrittenLayer {
            path: self.path,
            digest: output.hasher.finish(),
            compressed_bytes: output.count,
            diff_id: self.diff_id.finish(),
            uncompressed_bytes: self.uncompressed_bytes,
            compression: self.compression,
        };
        file.rewind()?;
        read_back(&file, &written)?;
        Ok(written)
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

fn read_back(file: &File, written: &WrittenLayer) -> io::Result<()> {
    let mut blob = HashingReader {
        inner: file,
        hasher: DigestHasher::sha256(),
    };
    let mut diff_id = DigestHasher::sha256();
    let mut decoder = second_decoder::decode(&mut blob, written.compression)?;
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
    if blob.hasher.finish() != written.digest || diff_id.finish() != written.diff_id {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the written layer {} does not read back as it was written",
                written.digest
            ),
        ));
    }
    Ok(())
}

struct HashingWriter<W> {
    inner: W,
    hasher: DigestHasher,
    count: u64,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::compression::decode;
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
        let settings = [
            CompressionSetting::None,
            CompressionSetting::Gzip(6),
            CompressionSetting::Zstd(3),
            CompressionSetting::Zstd(19),
        ];
        for (index, setting) in settings.into_iter().enumerate() {
            let path = directory.path().join(index.to_string());
            let mut writer = LayerWriter::new(new_file(&path), &path, setting).unwrap();
            writer.write_all(&data).unwrap();
            let written = writer.finish().unwrap();
            let blob = std::fs::read(&path).unwrap();
            assert_eq!(written.digest, sha256_digest(&blob));
            assert_eq!(written.compressed_bytes, blob.len() as u64);
            assert_eq!(written.diff_id, sha256_digest(&data));
            let mut out = Vec::new();
            decode(&blob[..], blob.len() as u64)
                .unwrap()
                .1
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == data);
        }
    }

    #[test]
    fn a_layer_that_was_damaged_on_disk_does_not_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layer");
        let mut writer =
            LayerWriter::new(new_file(&path), &path, CompressionSetting::Zstd(3)).unwrap();
        writer.write_all(&b"tar bytes ".repeat(500)).unwrap();
        let written = writer.finish().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&path, bytes).unwrap();
        assert!(read_back(&File::open(&path).unwrap(), &written).is_err());
    }
}
