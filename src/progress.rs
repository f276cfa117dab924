//! Progress of long work. The library reports progress and never draws it.

use std::io::{self, Read};

/// A stretch of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pass 1: reading every layer.
    Reading,
    /// Reading sources again to check the hashes in their caches.
    HashingSources,
    /// Reading files again to compare their content.
    HashingContent,
    /// Compiling sources.
    Compiling,
    /// Measuring import speed.
    Measuring,
    /// Pass 2: writing the layers that the plan changes.
    Writing,
    /// Writing the output's archive.
    Saving,
    /// Uploading the blobs that a registry lacks.
    Uploading,
}

/// Receives the progress of long work. Methods that are not implemented do nothing. Several threads may call them at
/// the same time.
pub trait Observer: Sync {
    /// A phase begins. It has `items` layers, and `bytes` is their compressed size. Some phases count other items:
    ///
    /// * [`Phase::Compiling`]: sources and their bytes.
    /// * [`Phase::Measuring`]: runs, without bytes.
    /// * [`Phase::Saving`]: one archive and its bytes.
    /// * [`Phase::Uploading`]: blobs and their bytes. Blobs that the registry has count as items without bytes.
    fn begin(&self, _phase: Phase, _items: usize, _bytes: u64) {}
    /// This many more bytes are done.
    fn advance(&self, _bytes: u64) {}
    /// One more item of the phase is done.
    fn item_done(&self) {}
    /// The phase ends.
    fn end(&self) {}
}

/// An observer that ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// Passes a reader's bytes through and reports their number to an observer.
pub(crate) struct ObservedReader<'a, R> {
    pub(crate) inner: R,
    pub(crate) observer: &'a dyn Observer,
}

impl<R: Read> Read for ObservedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.observer.advance(count as u64);
        Ok(count)
    }
}
