//! When to send a request again, and how long to wait before.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The longest pause before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest time that pycull waits because a registry asks for it.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// The longest time from the first fault to the last attempt.
const LONGEST: Duration = Duration::from_secs(300);

/// How often a failed request is sent again, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Retries {
    left: u32,
    pause: Duration,
    /// When to give up: five minutes after the first fault.
    until: Option<Instant>,
}

impl Retries {
    /// Five more attempts, within five minutes of the first fault.
    pub(super) fn new() -> Self {
        Self::at_most(5)
    }

    /// This many more attempts.
    pub(super) fn at_most(left: u32) -> Self {
        Self {
            left,
            pause: Duration::from_millis(250),
            until: None,
        }
    }

    /// Waits before the next attempt. Returns whether there should be one. `asked` is what the server asks for.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> bool {
        let pause = self.pause(asked);
        pause.map(thread::sleep).is_some()
    }

    /// The pause before the next attempt; `None` if there should be none.
    ///
    /// `asked` is what the server asks for (`Retry-After`). Otherwise the pause doubles each time. A random part of it
    /// keeps many clients from coming back at the same moment.
    fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let own = self.pause.mul_f64(0.5 + random_share());
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let pause = match asked {
            Some(asked) if asked > LONGEST_RETRY_AFTER => return None,
            Some(asked) => asked.max(own),
            None => own,
        };
        let until = *self.until.get_or_insert_with(|| Instant::now() + LONGEST);
        (Instant::now() + pause < until).then_some(pause)
    }
}

/// A random number from 0 to 1. It needs no quality, so the random keys of hash maps do.
fn random_share() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Whether another attempt may succeed after this status (RFC 9110, section 15).
pub(super) fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// The time that a `Retry-After` header asks to wait: a number of seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut retries = Retries::new();
        let pauses: Vec<Duration> = std::iter::from_fn(|| retries.pause(None)).collect();
        assert_eq!(pauses.len(), 5);
        for (number, pause) in pauses.iter().enumerate() {
            let middle = Duration::from_millis(250 << number);
            assert!(
                *pause >= middle / 2 && *pause <= middle * 3 / 2,
                "{pauses:?}"
            );
        }
    }

    #[test]
    fn a_server_may_ask_for_two_minutes_and_no_more() {
        let asked = |seconds| Retries::new().pause(Some(Duration::from_secs(seconds)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(3600), None);
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(10)));
        let past = "Sun, 06 Nov 1994 08:49:27 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn refusals_are_final_and_faults_are_not() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_temporary(status));
        }
        for status in [200, 400, 401, 403, 404, 413, 416, 501] {
            assert!(!is_temporary(status));
        }
    }
}
