//! Threads that compress pieces of a stream independently of each other.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use flate2::{Compress, Compression, FlushCompress, Status};

/// A piece of a stream.
#[derive(Default)]
pub(super) struct Piece {
    /// The history before the piece, at most a window, followed by the piece itself.
    pub(super) bytes: Vec<u8>,
    /// Bytes of history at the start of `bytes`.
    pub(super) history: usize,
}

/// The future deflate blocks of a piece.
pub(super) type Pending = Receiver<io::Result<Vec<u8>>>;

type Job = (Piece, SyncSender<io::Result<Vec<u8>>>);

/// Threads that compress. Their output does not depend on their number.
pub(super) struct Compressors {
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Compressors {
    /// Starts at most `threads` threads that compress at `level` (0 to 9). Continues with fewer if the system refuses
    /// more.
    ///
    /// # Errors
    /// The error of the system if not one thread starts.
    pub(super) fn new(level: u32, threads: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(threads);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut started = Vec::new();
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            let work = move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, reply)) = job else { break };
                    // The receiver is gone if the writer was abandoned.
                    let _ = reply.send(blocks(level, &piece));
                }
            };
            match Builder::new().spawn(work) {
                Ok(thread) => started.push(thread),
                Err(error) if started.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Self {
            queue: Some(queue),
            threads: started,
        })
    }

    /// Queues a piece for compression. Blocks while the queue is full.
    pub(super) fn compress(&self, piece: Piece) -> Pending {
        let (reply, pending) = sync_channel(1);
        if let Some(queue) = &self.queue {
            // This cannot fail: the threads live as long as the queue.
            let _ = queue.send((piece, reply));
        }
        pending
    }
}

impl Drop for Compressors {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Compresses a piece to deflate blocks that begin and end at byte boundaries. None of them is marked as the last.
fn blocks(level: u32, piece: &Piece) -> io::Result<Vec<u8>> {
    // A new compressor each time: one that was reset finds other matches (zlib-rs 0.6.8), so the output would depend
    // on which thread compressed which piece.
    let mut compress = Compress::new(Compression::new(level), false);
    let (history, data) = piece.bytes.split_at(piece.history);
    if !history.is_empty() {
        compress.set_dictionary(history)?;
    }
    // More room than the blocks can take, because how zlib stores bytes depends on the room that it has.
    let mut blocks = Vec::with_capacity(data.len() + data.len() / 8 + 1024);
    let status = compress.compress_vec(data, &mut blocks, FlushCompress::Sync)?;
    let is_whole = compress.total_in() == data.len() as u64 && blocks.len() < blocks.capacity();
    match status == Status::Ok && is_whole {
        true => Ok(blocks),
        false => Err(io::Error::other("deflate did not take all of its input")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from an alphabet of eight. They have many short matches, so the size shows which ones the compressor
    /// found.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8 & 7
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_a_thread_compressed_before_leaves_no_trace() {
        let bytes = noise(1_000_000);
        let piece = |number: usize| Piece {
            bytes: bytes[number * 9973..][..20_000 + number * 3000].to_vec(),
            history: number * 500,
        };
        let compressed = |numbers: &mut dyn Iterator<Item = usize>| -> Vec<_> {
            let compressors = Compressors::new(6, 1).unwrap();
            numbers
                .map(|number| compressors.compress(piece(number)).recv().unwrap().unwrap())
                .collect()
        };
        let forward = compressed(&mut (0..30));
        let mut backward = compressed(&mut (0..30).rev());
        backward.reverse();
        assert!(forward == backward);
    }
}
