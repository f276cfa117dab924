//! Reading gzip streams with an index of their deflate blocks, and writing new streams that take
//! over, bit for bit, every block that a change leaves alone (RFC 1951, RFC 1952).

mod bit_reader;
mod block_writer;
mod compressor;
mod gzip_reader;
mod gzip_writer;
mod huffman;
mod index;
mod inflate;
mod layout;
mod sparse_reader;
mod symbols;
#[cfg(test)]
mod tests;

pub use gzip_reader::GzipReader;
pub use gzip_writer::{GzipWriter, Old};
pub use index::{Block, BlockIndex};
pub use layout::{Kept, Stretch};
pub use sparse_reader::SparseReader;

use std::io::{self, Read};

/// What can be wrong with a gzip stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateError {
    /// A block's type is the reserved one.
    #[error("invalid deflate stream: reserved block type")]
    BlockType,
    /// A stored block's length and its complement differ.
    #[error("invalid deflate stream: stored block with a damaged length")]
    StoredLength,
    /// The code lengths of a block make no prefix code.
    #[error("invalid deflate stream: impossible code lengths")]
    Code,
    /// Bits that are no code word, or one that must not occur.
    #[error("invalid deflate stream: invalid code word")]
    Symbol,
    /// A match begins before the stream does.
    #[error("invalid deflate stream: a distance reaches before the start")]
    Distance,
    /// Bytes that should be a gzip header are none.
    #[error("invalid gzip header")]
    Header,
    /// What follows a gzip member is not another one.
    #[error("bytes after the gzip stream are not a gzip member")]
    TrailingBytes,
    /// CRC-32 or length in a gzip trailer do not match the data.
    #[error("the gzip trailer does not match the data")]
    Trailer,
}

impl From<DeflateError> for io::Error {
    fn from(error: DeflateError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads so many bytes for nothing.
///
/// # Errors
/// Those of the reader, and [`io::ErrorKind::UnexpectedEof`] where it has fewer.
pub(crate) fn discard(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut reader.take(bytes), &mut io::sink())? == bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
