//! Parallel work on many layers with a result that does not depend on the number of threads, and reading ahead within
//! one layer.

mod read_ahead;

pub(crate) use read_ahead::read_ahead;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// Locks a mutex, even after a thread panicked while holding it. Joining that thread passes the panic on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applies `work` to every item on at most `jobs` threads. The results have the order of the items.
///
/// # Errors
/// The error of the first failed item, in the order of the items. Items that have not begun stay undone.
pub(crate) fn try_map<T, R, E>(
    jobs: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(index, item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            lock(&results).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(items.len()) {
            // If the system refuses another thread, work with those that there are.
            if Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_items_at_any_number_of_jobs() {
        let items: Vec<u64> = (0..50).collect();
        for jobs in [1, 2, 8, 100] {
            let doubled: Result<Vec<_>, ()> = try_map(jobs, &items, |index, item| {
                assert_eq!(index as u64, *item);
                Ok(item * 2)
            });
            assert_eq!(
                doubled.unwrap(),
                items.iter().map(|item| item * 2).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let items = [1, 2, 3];
        assert_eq!(
            try_map(1, &items, |_, item| if *item >= 2 {
                Err(*item)
            } else {
                Ok(())
            }),
            Err(2)
        );
    }
}
