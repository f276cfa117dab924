//! Holds bytes until the layers that contain them are written.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::read_at::ReadAt;

/// Bytes in a file without a name.
pub(crate) struct Spool {
    file: File,
    length: u64,
}

impl Spool {
    /// Creates an empty spool on the file system of `directory`.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(directory)?,
            length: 0,
        })
    }

    /// Appends bytes, and returns their range in the spool.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<Range<u64>> {
        self.file.write_all(bytes)?;
        let start = self.length;
        self.length += bytes.len() as u64;
        Ok(start..self.length)
    }

    /// Reads the bytes in a range.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}

impl ReadAt for Spool {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}
