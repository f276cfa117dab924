//! Uploads that begin before the image is complete, on threads of their own.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use super::error::HttpError;
use super::push::{PushedBlob, Target};
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
    failure: Option<Box<Failure>>,
}

/// A blob that failed, and why.
pub(super) struct Failure {
    pub(super) digest: Digest,
    pub(super) cause: HttpError,
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
        if state.failure.is_some() || !state.taken.insert(blob.digest.clone()) {
            return;
        }
        state.waiting.push_back(blob);
        if state.running >= self.most_threads {
            return;
        }
        let shared = Arc::clone(&self.shared);
        if let Ok(thread) = Builder::new().spawn(move || shared.work()) {
            state.running += 1;
            state.threads.push(thread);
        }
    }

    /// Waits for the uploads that began. Returns the blobs that the registry has.
    ///
    /// # Errors
    /// The first blob that failed.
    pub(super) fn wait(&self) -> Result<HashSet<Digest>, Box<Failure>> {
        let threads = std::mem::take(&mut lock(&self.shared.state).threads);
        for thread in threads {
            // A thread that panicked did not note its blob as done.
            let _ = thread.join();
        }
        let mut state = lock(&self.shared.state);
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(state.done.clone()),
        }
    }
}

impl Drop for Early {
    /// Begins no more uploads for an image that is given up.
    fn drop(&mut self) {
        lock(&self.shared.state).waiting.clear();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(blob) = self.next() {
            let result = self.target.upload(&blob, false, &|_| ());
            let mut state = lock(&self.state);
            match result {
                Ok(()) => drop(state.done.insert(blob.digest)),
                Err(cause) => {
                    state.waiting.clear();
                    let digest = blob.digest;
                    state
                        .failure
                        .get_or_insert(Box::new(Failure { digest, cause }));
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
