//! How long work tells of itself. The library reports, and never draws.

use std::io::{self, Read};

/// A stretch of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pass 1: reading every layer.
    Reading,
    /// Reading sources again whose hash a cache is checked against.
    HashingSources,
    /// Reading files again whose content is compared.
    HashingContent,
    /// Compiling sources.
    Compiling,
    /// Measuring how fast imports are.
    Measuring,
    /// Pass 2: writing the layers that the plan changes.
    Writing,
    /// Writing the output's archive.
    Saving,
}

/// Is told how far the work is. Every method does nothing unless implemented; all may be called
/// from several threads at once.
pub trait Observer: Sync {
    /// A phase begins that will go through so many layers and blob bytes; where it compiles, sources
    /// and their bytes; where it measures, runs, and no bytes; where it saves, one archive.
    fn begin(&self, _phase: Phase, _items: usize, _bytes: u64) {}
    /// So many more bytes are done.
    fn advance(&self, _bytes: u64) {}
    /// One more layer, source or run is done.
    fn item_done(&self) {}
    /// The phase is over.
    fn end(&self) {}
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// Passes a reader's bytes through and reports their number.
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
