//! Threads that compress pieces of a stream, each for itself.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use flate2::{Compress, Compression, FlushCompress, Status};

/// A piece of a stream.
#[derive(Default)]
pub(super) struct Piece {
    /// What comes before it, at most a window, and then itself.
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes come before it.
    pub(super) history: usize,
}

/// The deflate blocks of a piece, once they are made.
pub(super) type Pending = Receiver<io::Result<Vec<u8>>>;

type Job = (Piece, SyncSender<io::Result<Vec<u8>>>);

/// A few threads that compress. What comes out does not depend on how many they are.
pub(super) struct Compressors {
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Compressors {
    /// Starts `threads` of them, at `level` of 0 to 9; where there can be no more, there are fewer.
    ///
    /// # Errors
    /// Not even one can be started.
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
                    // Whoever asked may have given up.
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

    /// Has a piece compressed. Waits while all are busy and the next piece is waiting too.
    pub(super) fn compress(&self, piece: Piece) -> Pending {
        let (reply, pending) = sync_channel(1);
        if let Some(queue) = &self.queue {
            // The threads only end once the queue does.
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

/// Deflate blocks that decode to the piece after its history. They begin and end at a byte, and the
/// last one is not marked as such.
fn blocks(level: u32, piece: &Piece) -> io::Result<Vec<u8>> {
    // A new one each time: one that was reset finds other matches (zlib-rs 0.6.8), and which thread has
    // compressed what before is chance.
    let mut compress = Compress::new(Compression::new(level), false);
    let (history, data) = piece.bytes.split_at(piece.history);
    if !history.is_empty() {
        compress.set_dictionary(history)?;
    }
    // More than the blocks can have: how zlib stores bytes depends on the room that it is given.
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

    /// Bytes of an alphabet of eight: matches are many and short, and which are found shows in the size.
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
