//! Threads that compress pieces of a stream, each for itself.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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
    /// Starts `threads` of them, at `level` of 0 to 9.
    pub(super) fn new(level: u32, threads: usize) -> Self {
        let (queue, jobs) = sync_channel::<Job>(threads);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..threads).map(|_| {
            let jobs = Arc::clone(&jobs);
            std::thread::spawn(move || {
                let mut compress = Compress::new(Compression::new(level), false);
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, reply)) = job else { break };
                    // Whoever asked may have given up.
                    let _ = reply.send(blocks(&mut compress, &piece));
                }
            })
        });
        Self {
            queue: Some(queue),
            threads: threads.collect(),
        }
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
fn blocks(compress: &mut Compress, piece: &Piece) -> io::Result<Vec<u8>> {
    compress.reset();
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
