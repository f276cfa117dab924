//! Compression of layers. pycull recognizes it from the bytes and never trusts the media type.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::str::FromStr;

use crate::deflate::{BlockIndex, GzipReader, GzipWriter, Old};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar archive.
    None,
    /// One or more gzip members (RFC 1952).
    Gzip,
    /// One or more Zstandard frames (RFC 8878), including skippable frames.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// The first bytes of a layer are neither a tar archive nor a compression that pycull reads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown compression: the layer is neither tar, gzip nor zstd (it looks like {looks_like})"
)]
pub struct UnknownCompression {
    /// What the first bytes look like, for the error message.
    pub looks_like: &'static str,
}

/// The bytes that [`sniff`] needs: one tar header.
pub const SNIFF_BYTES: usize = 512;

/// Recognizes the compression from a stream's first bytes, up to [`SNIFF_BYTES`] of them.
///
/// # Errors
/// [`UnknownCompression`] if the bytes start neither a tar archive nor a known format.
pub fn sniff(start: &[u8]) -> Result<Compression, UnknownCompression> {
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        // A skippable frame may come first (RFC 8878, 3.1.2).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [b'B', b'Z', b'h', ..] => Err(UnknownCompression {
            looks_like: "bzip2",
        }),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(UnknownCompression { looks_like: "xz" }),
        [] => Ok(Compression::None),
        _ if start.len() < SNIFF_BYTES => Err(UnknownCompression {
            looks_like: "a fragment",
        }),
        _ if start.iter().all(|byte| *byte == 0) || crate::tar::has_valid_checksum(start) => {
            Ok(Compression::None)
        }
        _ => Err(UnknownCompression {
            looks_like: "other data",
        }),
    }
}

/// A blob or archive unpacks to more bytes than its size allows.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "a blob of {bytes} bytes unpacks to more than {limit} bytes: refused as a decompression bomb"
)]
pub struct DecompressionBomb {
    /// The compressed size in bytes.
    pub bytes: u64,
    /// Maximum number of bytes that the blob may unpack to.
    pub limit: u64,
}

/// Maximum number of unpacked bytes per compressed byte of a layer.
///
/// Deflate cannot exceed 1032. Zstandard can, but only a bomb does.
const LARGEST_RATIO: u64 = 1100;
const ALWAYS_ALLOWED: u64 = 64 << 20;

/// Decompresses a blob after recognizing its compression from the bytes.
///
/// Reading fails once the output exceeds what an honest blob of this size can hold.
pub struct Decoder<R: Read> {
    inner: Inner<Start<R>>,
    blob_bytes: u64,
    limit: u64,
    left: u64,
}

/// A blob with the sniffed bytes put back in front.
type Start<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

enum Inner<R: Read> {
    None(R),
    Gzip(Box<GzipReader<R>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<R>>),
}

impl<R: Read> Decoder<R> {
    /// Decodes `blob`, which has `blob_bytes` compressed bytes.
    ///
    /// # Errors
    /// I/O errors of `blob`, and [`UnknownCompression`] as an I/O error.
    pub fn new(blob: R, blob_bytes: u64) -> io::Result<Self> {
        let limit = blob_bytes
            .saturating_mul(LARGEST_RATIO)
            .saturating_add(ALWAYS_ALLOWED);
        Self::limited(blob, blob_bytes, limit)
    }

    /// Decodes `blob`, which has `blob_bytes` compressed bytes and may unpack to `limit` bytes.
    ///
    /// # Errors
    /// The same as [`Self::new`].
    pub fn limited(mut blob: R, blob_bytes: u64, limit: u64) -> io::Result<Self> {
        let mut start = Vec::with_capacity(SNIFF_BYTES);
        blob.by_ref()
            .take(SNIFF_BYTES as u64)
            .read_to_end(&mut start)?;
        let compression = sniff(&start).map_err(io::Error::other)?;
        let whole = io::Cursor::new(start).chain(blob);
        Ok(Self {
            inner: match compression {
                Compression::None => Inner::None(whole),
                Compression::Gzip => Inner::Gzip(Box::new(GzipReader::new(whole))),
                Compression::Zstd => Inner::Zstd(zstd::stream::read::Decoder::new(whole)?),
            },
            blob_bytes,
            limit,
            left: limit,
        })
    }

    /// The recognized compression.
    pub fn compression(&self) -> Compression {
        match self.inner {
            Inner::None(_) => Compression::None,
            Inner::Gzip(_) => Compression::Gzip,
            Inner::Zstd(_) => Compression::Zstd,
        }
    }

    /// The deflate blocks so far: all blocks, once the blob was read to its end. Empty unless the blob is gzip.
    pub fn into_block_index(self) -> BlockIndex {
        match self.inner {
            Inner::Gzip(reader) => reader.into_index(),
            Inner::None(_) | Inner::Zstd(_) => BlockIndex::default(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            // Uncompressed data cannot be a bomb.
            Inner::None(blob) => return blob.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer)?,
            Inner::Zstd(decoder) => decoder.read(buffer)?,
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(DecompressionBomb {
                bytes: self.blob_bytes,
                limit: self.limit,
            })
        })?;
        Ok(count)
    }
}

/// The value of `--compression`: how to compress rewritten layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompressionSetting {
    /// Keep each layer's compression. gzip compresses at its default level, Zstandard at the level nearest to the
    /// layer's.
    #[default]
    Keep,
    /// As [`Self::Keep`], but compress what is not compressed, also in layers without any other change. Registries get
    /// this, because engines save images without compression.
    Pack,
    /// No compression.
    None,
    /// gzip at a level from 0 to 9.
    Gzip(u32),
    /// Zstandard at a level from 1 to 22.
    Zstd(i32),
}

/// The default level of gzip.
pub const DEFAULT_GZIP_LEVEL: u32 = 6;
/// The default level of Zstandard.
pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

impl CompressionSetting {
    /// Whether layers keep the compression that they have.
    pub(crate) fn keeps(self) -> bool {
        matches!(self, Self::Keep | Self::Pack)
    }

    /// Whether a layer with this compression is written anew, even if nothing in it changes.
    pub(crate) fn packs(self, compression: Compression) -> bool {
        self == Self::Pack && compression == Compression::None
    }

    /// The encoding of a rewritten layer that was compressed with `original`.
    pub fn encoding(self, original: Compression) -> Encoding<'static> {
        let gzip = |level| Encoding::Gzip { level, old: None };
        match (self, original) {
            (Self::Keep, Compression::None) | (Self::None, _) => Encoding::None,
            (Self::Keep, Compression::Gzip) => gzip(DEFAULT_GZIP_LEVEL),
            (Self::Pack, Compression::None | Compression::Gzip) => gzip(DEFAULT_GZIP_LEVEL),
            (Self::Keep | Self::Pack, Compression::Zstd) => Encoding::Zstd(DEFAULT_ZSTD_LEVEL),
            (Self::Gzip(level), _) => gzip(level),
            (Self::Zstd(level), _) => Encoding::Zstd(level),
        }
    }
}

/// How to write a layer.
pub enum Encoding<'a> {
    /// As a plain tar archive.
    None,
    /// As one gzip member.
    Gzip {
        /// The level of newly compressed data, from 0 to 9.
        level: u32,
        /// An old stream to copy compressed blocks from.
        old: Option<Old<'a>>,
    },
    /// As one Zstandard frame, at a level from 1 to 22.
    Zstd(i32),
}

impl Encoding<'_> {
    /// The compression of a layer with this encoding.
    pub fn compression(&self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip { .. } => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }
}

/// An invalid `--compression` value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{value}` is not a compression; use keep, none, gzip, gzip:0 to gzip:9, zstd, or zstd:1 to zstd:22"
)]
pub struct ParseCompressionError {
    value: String,
}

impl FromStr for CompressionSetting {
    type Err = ParseCompressionError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let error = || ParseCompressionError {
            value: value.to_owned(),
        };
        let (name, level) = match value.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| error())?)),
            None => (value, None),
        };
        match (name, level) {
            ("keep", None) => Ok(Self::Keep),
            ("none", None) => Ok(Self::None),
            ("gzip", None) => Ok(Self::Gzip(DEFAULT_GZIP_LEVEL)),
            ("gzip", Some(level @ 0..=9)) => Ok(Self::Gzip(level)),
            ("zstd", None) => Ok(Self::Zstd(DEFAULT_ZSTD_LEVEL)),
            ("zstd", Some(level @ 1..=22)) => Ok(Self::Zstd(level as i32)),
            _ => Err(error()),
        }
    }
}

/// An encoder around a blob's file. Its output depends only on the input and the encoding, not on the number of
/// threads.
pub(crate) enum Encoder<W: Write + Send + 'static> {
    None(W),
    Gzip(Box<GzipWriter<W>>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

/// Bytes in each job of Zstandard's threads. The job size determines the output, so it must be the same on every
/// machine. Each thread needs a few times as much memory. High levels refer further back and need larger jobs.
fn zstd_job(level: i32) -> u32 {
    match level {
        ..10 => 2 << 20,
        10.. => 8 << 20,
    }
}

/// Maximum number of Zstandard threads for one layer, to limit their memory.
const ZSTD_THREADS: usize = 8;

impl<W: Write + Send + 'static> Encoder<W> {
    pub(crate) fn new(output: W, encoding: Encoding<'_>, threads: usize) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::None => Self::None(output),
            Encoding::Gzip { level, old } => Self::Gzip(Box::new(match old {
                Some(old) => GzipWriter::splicing(output, level, threads, old)?,
                None => GzipWriter::new(output, level, threads)?,
            })),
            Encoding::Zstd(level) => {
                let mut encoder = zstd::stream::write::Encoder::new(output, level)?;
                encoder.include_checksum(true)?;
                // One thread divides the frame into jobs as several do; zero threads would not.
                encoder.multithread(threads.clamp(1, ZSTD_THREADS) as u32)?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(zstd_job(level)))?;
                Self::Zstd(encoder)
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write + Send + 'static> Write for Encoder<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(output) => output.write(buffer),
            Self::Gzip(encoder) => encoder.write(buffer),
            Self::Zstd(encoder) => encoder.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(output) => output.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::write::GzEncoder;

    use super::*;

    fn decoded(blob: &[u8], claimed: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::new(blob, claimed)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_zstd_bomb_is_refused_and_an_honest_layer_is_not() {
        let bomb = zstd::encode_all(io::repeat(0).take(80 << 20), 3).unwrap();
        let error = decoded(&bomb, bomb.len() as u64).unwrap_err();
        assert!(error.to_string().contains("decompression bomb"), "{error}");
        let honest = zstd::encode_all(io::repeat(0).take(60 << 20), 3).unwrap();
        assert_eq!(
            decoded(&honest, honest.len() as u64).unwrap().len(),
            60 << 20
        );
    }

    #[test]
    fn many_gzip_members_and_skippable_frames_decode_as_one_stream() {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(b"abc").unwrap();
        let one = encoder.finish().unwrap();
        assert_eq!(
            decoded(&[one.clone(), one].concat(), 60).unwrap(),
            b"abcabc"
        );

        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"junk"].concat();
        let frame = zstd::encode_all(&b"abc"[..], 3).unwrap();
        let stream = [skippable.clone(), frame, skippable].concat();
        assert_eq!(decoded(&stream, 60).unwrap(), b"abc");
    }

    #[test]
    fn other_formats_are_named_in_the_error() {
        assert_eq!(sniff(b"BZh91AY").unwrap_err().looks_like, "bzip2");
        assert_eq!(sniff(b"\xfd7zXZ\0").unwrap_err().looks_like, "xz");
        assert_eq!(sniff(&[b'x'; 600]).unwrap_err().looks_like, "other data");
    }

    #[test]
    fn settings_parse_with_their_bounds() {
        assert_eq!("gzip:9".parse(), Ok(CompressionSetting::Gzip(9)));
        assert_eq!("zstd".parse(), Ok(CompressionSetting::Zstd(3)));
        for wrong in ["gzip:10", "zstd:0", "zstd:23", "keep:1", "xz", "gzip:"] {
            assert!(wrong.parse::<CompressionSetting>().is_err(), "{wrong}");
        }
    }
}
