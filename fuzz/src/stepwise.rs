//! A reader that returns a few bytes at a time, so that the boundary between two reads is at every place.

use std::io::{self, Read};

/// Reads from the slice, at most this many bytes at a time.
pub struct Stepwise<'a>(pub &'a [u8], pub usize);

impl Read for Stepwise<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}
