//! Uploads that begin before the image is complete, on threads of their own.

use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use super::following::{Followed, Following, follow};
use super::target::{PushedBlob, Target};
use crate::oci::Digest;
use crate::parallel::lock;

/// Blobs that go up while others are still written.
pub(super) struct Early {
    shared: Arc<Shared>,
    most_threads: usize,
}

struct Shared {
    target: Target,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<PushedBlob>,
    threads: Vec<JoinHandle<()>>,
    /// Threads that still take blobs.
    running: usize,
    /// Every blob that was ever taken.
    taken: HashSet<Digest>,
    done: HashSet<Digest>,
    /// Whether an upload failed. Then all that is left waits for the commit.
    has_failed: bool,
}

impl Early {
    /// Uploads at most `jobs` blobs at a time.
    pub(super) fn new(target: Target, jobs: usize) -> Self {
        let state = Mutex::default();
        Self {
            shared: Arc::new(Shared { target, state }),
            most_threads: jobs,
        }
    }

    /// Takes a blob. What is not uploaded by then, [`Self::wait`] leaves to the caller.
    pub(super) fn begin(&self, blob: PushedBlob) {
        let mut state = lock(&self.shared.state);
        if state.has_failed || !state.taken.insert(blob.digest.clone()) {
            return;
        }
        state.waiting.push_back(blob);
        self.start(&mut state, |shared| shared.work());
    }

    /// Uploads a blob while it is written, if a thread is free.
    pub(super) fn follow(&self, bytes: Box<dyn Read + Send>) -> Option<Following> {
        let (sender, ended) = channel();
        let mut state = lock(&self.shared.state);
        let starts = self.start(&mut state, move |shared| {
            shared.follow(bytes, &ended);
            shared.work();
        });
        starts.then_some(Following(sender))
    }

    /// Starts a thread, unless enough are running or the system has none.
    fn start(&self, state: &mut State, work: impl FnOnce(&Shared) + Send + 'static) -> bool {
        if state.running >= self.most_threads {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        let Ok(thread) = Builder::new().spawn(move || work(&shared)) else {
            return false;
        };
        state.running += 1;
        state.threads.push(thread);
        true
    }

    /// Waits for the uploads that began. Returns the blobs that the registry has.
    pub(super) fn wait(&self) -> HashSet<Digest> {
        let threads = std::mem::take(&mut lock(&self.shared.state).threads);
        for thread in threads {
            // A thread that panicked did not note its blob as done.
            let _ = thread.join();
        }
        lock(&self.shared.state).done.clone()
    }
}

impl Drop for Early {
    /// Begins no more uploads for an image that is given up.
    fn drop(&mut self) {
        lock(&self.shared.state).waiting.clear();
    }
}

impl Shared {
    fn follow(&self, bytes: Box<dyn Read + Send>, ended: &Receiver<PushedBlob>) {
        let followed = follow(&self.target.repository, bytes, ended);
        let mut state = lock(&self.state);
        match followed {
            Followed::Stored(digest) => drop(state.done.insert(digest)),
            Followed::Left(blob) => state.waiting.push_back(blob),
            Followed::GivenUp => {}
        }
    }

    fn work(&self) {
        while let Some(blob) = self.next() {
            let result = self.target.upload(&blob, false, &|_| ());
            let mut state = lock(&self.state);
            match result {
                Ok(()) => {
                    // The commit does not read it again.
                    blob.bytes.discard(u64::MAX);
                    state.done.insert(blob.digest);
                }
                // The commit tries it again, and says why it fails.
                Err(_) => {
                    state.has_failed = true;
                    state.waiting.clear();
                }
            }
        }
    }

    /// The next blob to upload. `None` ends the thread.
    fn next(&self) -> Option<PushedBlob> {
        let mut state = lock(&self.state);
        let blob = state.waiting.pop_front();
        if blob.is_none() {
            state.running -= 1;
        }
        blob
    }
}
