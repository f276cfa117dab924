//! Reads gzip streams with an index of their deflate blocks. Writes new streams that copy every unchanged block bit
//! for bit (RFC 1951, RFC 1952).

mod bit_reader;
mod block_writer;
mod compressor;
mod copied_blocks;
mod gzip_reader;
mod gzip_writer;
mod huffman;
mod index;
mod inflate;
mod sparse_reader;
mod symbols;
#[cfg(test)]
mod tests;

pub use copied_blocks::{Kept, Stretch};
pub use gzip_reader::GzipReader;
pub use gzip_writer::{GzipWriter, Old};
pub use index::{Block, BlockIndex};
pub use sparse_reader::SparseReader;

use std::io::{self, Read};

/// What is wrong with a gzip stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateError {
    /// A block has the reserved type.
    #[error("invalid deflate stream: reserved block type")]
    BlockType,
    /// A stored block's length and its complement differ.
    #[error("invalid deflate stream: stored block with a damaged length")]
    StoredLength,
    /// The code lengths of a block do not form a prefix code.
    #[error("invalid deflate stream: impossible code lengths")]
    Code,
    /// The bits are not a code word, or a symbol that must not occur.
    #[error("invalid deflate stream: invalid code word")]
    Symbol,
    /// A match refers to bytes before the start of the stream.
    #[error("invalid deflate stream: a distance reaches before the start")]
    Distance,
    /// The bytes are not a valid gzip header.
    #[error("invalid gzip header")]
    Header,
    /// The bytes after a gzip member are not another member.
    #[error("bytes after the gzip stream are not a gzip member")]
    TrailingBytes,
    /// The CRC-32 or length in a gzip trailer does not match the data.
    #[error("the gzip trailer does not match the data")]
    Trailer,
}

impl From<DeflateError> for io::Error {
    fn from(error: DeflateError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads and drops `bytes` bytes.
///
/// # Errors
/// I/O errors of the reader, and [`io::ErrorKind::UnexpectedEof`] if it has fewer bytes.
pub(crate) fn discard(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut reader.take(bytes), &mut io::sink())? == bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
