//! Writes a gzip stream that copies parts of an old stream and compresses the rest.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crc32fast::Hasher;

use super::block_writer::BlockWriter;
use super::compressor::{Compressors, Pending, Piece};
use super::copied_blocks::{CopiedBlocks, Kept, Run, Stretch, divide};
use super::index::BlockIndex;
use super::inflate::WINDOW;
use crate::read_at::ReadAt;

/// Bytes in each piece that is compressed on its own, with the bytes before it as dictionary.
const PIECE: usize = 128 << 10;

/// Parts that may wait for the writing thread.
const WAITING: usize = 16;

/// The old stream and the parts of it that the new stream keeps.
pub struct Old<'a> {
    /// The old stream's compressed bytes.
    pub bytes: Arc<dyn ReadAt>,
    /// The old stream's blocks.
    pub index: &'a BlockIndex,
    /// The parts of the old stream that the new stream has, in the order of the new stream.
    pub kept: &'a [Kept],
    /// The length of the new uncompressed stream in bytes.
    pub new_length: u64,
}

/// Takes an uncompressed stream and writes it as one gzip member.
///
/// Separate threads compress and write. The output depends only on the stream, the level and the old stream, not on
/// the number of threads.
pub struct GzipWriter<W> {
    compressors: Compressors,
    is_abandoned: Arc<AtomicBool>,
    output: Option<SyncSender<Part>>,
    thread: Option<JoinHandle<io::Result<W>>>,
    runs: std::vec::IntoIter<Run>,
    /// Whether everything after the runs is compressed.
    is_endless: bool,
    /// Whether the current run is copied, and how many of its bytes are still to come.
    is_copied: bool,
    left: u64,
    /// What the current run decodes to, until [`Self::begin_part`] returns it.
    stretches: Vec<Stretch>,
    /// The last bytes of the stream: at least a window, if the next run needs one.
    recent: Vec<u8>,
    /// The current piece: its history, and the bytes written to it so far.
    piece: Piece,
    crc: Hasher,
    length: u64,
}

enum Part {
    Copy(CopiedBlocks),
    Compressed(Pending),
    End { crc: u32, length: u64 },
}

impl<W: Write + Send + 'static> GzipWriter<W> {
    /// Compresses the whole stream at `level` (0 to 9) with at most `threads` threads, at least one.
    ///
    /// # Errors
    /// The error of the system if a thread to write, or the first thread to compress, does not start.
    pub fn new(output: W, level: u32, threads: usize) -> io::Result<Self> {
        Self::start(output, level, threads, None)
    }

    /// Copies what the old stream already has, and compresses the rest at `level` (0 to 9) with at most `threads`
    /// threads, at least one.
    ///
    /// # Errors
    /// The error of the system if a thread to write, or the first thread to compress, does not start.
    pub fn splicing(output: W, level: u32, threads: usize, old: Old<'_>) -> io::Result<Self> {
        Self::start(output, level, threads, Some(old))
    }

    fn start(output: W, level: u32, threads: usize, old: Option<Old<'_>>) -> io::Result<Self> {
        let is_endless = old.is_none();
        let runs = old
            .as_ref()
            .map_or_else(Vec::new, |old| divide(old.index, old.kept, old.new_length));
        let old: Arc<dyn ReadAt> = old.map_or_else(|| Arc::new(Vec::new()) as _, |old| old.bytes);
        let (sender, parts) = sync_channel(WAITING);
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_abandoned);
        let thread = Builder::new().spawn(move || {
            let mut writer = BlockWriter::new(output, stop)?;
            for part in parts {
                match part {
                    Part::Copy(blocks) => writer.copy(&blocks, &*old)?,
                    Part::Compressed(blocks) => writer.aligned(&blocks.recv().map_err(lost)??)?,
                    Part::End { crc, length } => return writer.finish(crc, length),
                }
            }
            Err(io::Error::other("the stream was not written to its end"))
        })?;
        Ok(Self {
            // With more threads than parts that may wait, some would only wait for the others.
            compressors: Compressors::new(level, threads.clamp(1, WAITING))?,
            is_abandoned,
            output: Some(sender),
            thread: Some(thread),
            runs: runs.into_iter(),
            is_endless,
            is_copied: false,
            left: 0,
            stretches: Vec::new(),
            recent: Vec::new(),
            piece: Piece::default(),
            crc: Hasher::new(),
            length: 0,
        })
    }

    /// Returns whether the next bytes are copied. At the start of a copied part, appends to `expected` what that part
    /// must decode to.
    ///
    /// # Errors
    /// I/O errors of the output and of the old stream.
    pub fn begin_part(&mut self, expected: &mut Vec<Stretch>) -> io::Result<bool> {
        self.begin_run()?;
        expected.append(&mut self.stretches);
        Ok(self.is_copied)
    }

    /// How many of the next bytes the caller may [skip](Self::skip) instead of writing them. These bytes are copied,
    /// and no compressed piece has them in its window.
    ///
    /// # Errors
    /// I/O errors of the output and of the old stream.
    pub fn unneeded(&mut self) -> io::Result<u64> {
        self.begin_run()?;
        Ok(match self.is_copied {
            true => self.left.saturating_sub(WINDOW as u64),
            false => 0,
        })
    }

    /// Continues after bytes that are [not needed](Self::unneeded).
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if some of the bytes are needed. I/O errors of the output and of the old
    /// stream.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.unneeded()? {
            return Err(wrong_length());
        }
        self.left -= bytes;
        self.length += bytes;
        Ok(())
    }

    /// Writes what is left, and returns the output.
    ///
    /// # Errors
    /// I/O errors of the output and of the old stream. [`io::ErrorKind::InvalidInput`] if the stream is shorter than
    /// [`Old::new_length`].
    pub fn finish(mut self) -> io::Result<W> {
        self.end_piece()?;
        if !self.is_endless && (self.left > 0 || self.runs.len() > 0) {
            return Err(wrong_length());
        }
        let (crc, length) = (self.crc.clone().finalize(), self.length);
        self.send(Part::End { crc, length })?;
        self.join()
    }

    /// Begins the next run, if the last one has ended and another one exists.
    fn begin_run(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Ok(());
        }
        let run = match self.runs.next() {
            Some(run) => run,
            None if self.is_endless => Run::Compress(u64::MAX),
            None => return Ok(()),
        };
        match run {
            Run::Compress(length) => {
                (self.is_copied, self.left) = (false, length);
                self.start_piece();
                Ok(())
            }
            Run::Copy(mut blocks) => {
                (self.is_copied, self.left) = (true, blocks.length);
                self.stretches = std::mem::take(&mut blocks.stretches);
                self.crc
                    .combine(&Hasher::new_with_initial_len(blocks.crc, blocks.length));
                self.send(Part::Copy(blocks))
            }
        }
    }

    fn start_piece(&mut self) {
        let history = self.recent.len().min(WINDOW);
        let mut bytes = Vec::with_capacity(history + PIECE);
        bytes.extend_from_slice(&self.recent[self.recent.len() - history..]);
        self.piece = Piece { bytes, history };
    }

    fn end_piece(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.bytes.len() > piece.history {
            self.crc.update(&piece.bytes[piece.history..]);
            let pending = self.compressors.compress(piece);
            self.send(Part::Compressed(pending))?;
        }
        Ok(())
    }

    /// Remembers bytes that the next compressed piece may have as history.
    fn remember(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(WINDOW)..];
        if self.recent.len() + bytes.len() > 4 * WINDOW {
            let unneeded = self.recent.len() - WINDOW.min(self.recent.len());
            self.recent.drain(..unneeded);
        }
        self.recent.extend_from_slice(bytes);
    }

    fn send(&mut self, part: Part) -> io::Result<()> {
        let sent = self
            .output
            .as_ref()
            .is_some_and(|output| output.send(part).is_ok());
        match sent {
            true => Ok(()),
            // The thread ended early. Its result has the reason.
            false => match self.join() {
                Err(error) => Err(error),
                Ok(_) => Err(io::ErrorKind::BrokenPipe.into()),
            },
        }
    }

    fn join(&mut self) -> io::Result<W> {
        self.output = None;
        let thread = self.thread.take().ok_or(io::ErrorKind::BrokenPipe)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that writes failed")))
    }
}

impl<W: Write + Send + 'static> Write for GzipWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.begin_run()?;
        if self.left == 0 {
            return Err(wrong_length());
        }
        let mut count = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let unneeded = match self.is_copied {
            // Only the last window can be history of the next run.
            true => self.left.saturating_sub(WINDOW as u64).min(count as u64) as usize,
            false => {
                count = count.min(self.piece.history + PIECE - self.piece.bytes.len());
                self.piece.bytes.extend_from_slice(&buffer[..count]);
                0
            }
        };
        self.remember(&buffer[unneeded..count]);
        self.left -= count as u64;
        self.length += count as u64;
        if !self.is_copied {
            let is_full = self.piece.bytes.len() == self.piece.history + PIECE;
            if is_full || self.left == 0 {
                self.end_piece()?;
            }
            if is_full && self.left > 0 {
                self.start_piece();
            }
        }
        Ok(count)
    }

    /// Does nothing: nobody can read the output before it ends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Drop for GzipWriter<W> {
    fn drop(&mut self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
        self.output = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lost<E>(_: E) -> io::Error {
    io::Error::other("a thread that compresses failed")
}

fn wrong_length() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the length of the stream is not the expected one",
    )
}
