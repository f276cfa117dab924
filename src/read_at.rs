//! Random access to bytes.

use std::io::{self, Read};
use std::sync::Arc;

/// A source of bytes that several readers can read at any offset at the same time.
pub trait ReadAt: Send + Sync {
    /// Reads bytes at `offset` into the start of `buffer` and returns their number. Returns 0 only at the end of the
    /// bytes.
    ///
    /// # Errors
    /// I/O errors.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Says that the caller needs the bytes before `end` no more. A source that keeps them only to be read again may then
    /// free their space. They can still be read, perhaps slowly.
    fn release(&self, _end: u64) {}
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn release(&self, end: u64) {
        (**self).release(end);
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn release(&self, end: u64) {
        (**self).release(end);
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}

/// Reads sequentially from an offset.
#[derive(Debug)]
pub struct ReadFrom<B> {
    bytes: B,
    offset: u64,
}

impl<B: ReadAt> ReadFrom<B> {
    /// Starts at byte `offset` of `bytes`.
    pub fn new(bytes: B, offset: u64) -> Self {
        Self { bytes, offset }
    }
}

impl<B: ReadAt> Read for ReadFrom<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
