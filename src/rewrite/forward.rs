//! Frees the space of an old layer while a new one is made of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oci::Blob;
use crate::read_at::ReadAt;

/// The same bytes for two readers that go forward. What both have released is released.
pub(super) fn two_readers(bytes: Blob) -> [Arc<dyn ReadAt>; 2] {
    let shared = Arc::new(Shared {
        bytes,
        ends: Default::default(),
    });
    [0, 1].map(|number| {
        let shared = Arc::clone(&shared);
        Arc::new(OneReader { shared, number }) as _
    })
}

struct Shared {
    bytes: Blob,
    /// How far each reader has released the bytes.
    ends: [AtomicU64; 2],
}

struct OneReader {
    shared: Arc<Shared>,
    number: usize,
}

impl ReadAt for OneReader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.shared.bytes.read_at(buffer, offset)
    }

    fn release(&self, end: u64) {
        let ends = &self.shared.ends;
        ends[self.number].fetch_max(end, Ordering::Relaxed);
        let both = ends.iter().map(|end| end.load(Ordering::Relaxed)).min();
        self.shared.bytes.discard(both.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::parallel::lock;

    struct Noted(Arc<Mutex<Vec<u64>>>);

    impl ReadAt for Noted {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }

        fn release(&self, end: u64) {
            lock(&self.0).push(end);
        }
    }

    #[test]
    fn only_what_both_readers_have_passed_is_released() {
        let ends = Arc::default();
        let blob = Blob::new(Arc::new(Noted(Arc::clone(&ends))), 100);
        let [one, other] = two_readers(blob);
        one.release(30);
        other.release(20);
        other.release(10);
        other.release(u64::MAX);
        one.release(u64::MAX);
        assert_eq!(*lock(&ends), [0, 20, 20, 30, 100]);
    }
}
