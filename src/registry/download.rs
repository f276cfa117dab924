//! The bytes of a blob from a registry. After a cut, the download goes on where it ended.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::BodyReader;
use ureq::http::StatusCode;
use ureq::http::header::CONTENT_RANGE;

use super::error::HttpError;
use super::http::Response;
use super::repository::Repository;
use super::retry::Retries;
use super::session::refused;
use crate::oci::Digest;

/// The slowest rate that pycull accepts, in bytes a second.
const SLOWEST: u64 = 1024;

/// A download must have got on by this share of the blob, or by 1 MiB, before a new cut counts as the first one.
const PROGRESS_SHARE: u64 = 64;
const PROGRESS: u64 = 1 << 20;

/// Reads a blob from an offset to its end.
pub(super) struct Download {
    repository: Arc<Repository>,
    digest: Digest,
    size: u64,
    position: u64,
    body: Option<BodyReader<'static>>,
    retries: Retries,
    /// The position at the last cut.
    cut_at: u64,
    pace: Pace,
}

impl Download {
    /// Asks for nothing yet. `silence` is how long the registry may send next to nothing.
    pub(super) fn new(
        repository: Arc<Repository>,
        digest: Digest,
        size: u64,
        position: u64,
    ) -> Self {
        let silence = repository.silence();
        Self {
            repository,
            digest,
            size,
            position,
            body: None,
            retries: Retries::new(),
            cut_at: position,
            pace: Pace::new(silence),
        }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                let response = self.repository.blob(&self.digest, self.position)?;
                let body = body_from(response, self.position, self.size)?;
                self.body.insert(body)
            }
        };
        let started = Instant::now();
        let count = body.read(buffer).map_err(broken)?;
        self.pace.note(count as u64, started.elapsed())?;
        if count == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.position += count as u64;
        // An error here does not matter: all bytes are there, and their digest is checked.
        if self.position == self.size && matches!(body.read(&mut [0]), Ok(1)) {
            return Err(HttpError::Malformed {
                what: "size: it has more bytes than the manifest says",
            });
        }
        Ok(count)
    }

    /// Waits before another attempt. Returns the error if there should be none.
    fn after(&mut self, error: HttpError) -> Result<(), HttpError> {
        self.body = None;
        self.pace.restart();
        if self.position - self.cut_at >= (self.size / PROGRESS_SHARE).clamp(1, PROGRESS) {
            self.retries = Retries::new();
        }
        self.cut_at = self.position;
        match self.retries.wait(error.asked_pause()) {
            true => Ok(()),
            false => Err(error),
        }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position == self.size {
            return Ok(0);
        }
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        loop {
            let error = match self.read_once(&mut buffer[..wanted]) {
                Ok(count) => return Ok(count),
                Err(error) => error,
            };
            let result = match error.is_temporary() {
                true => self.after(error),
                false => Err(error),
            };
            let action = format!("read blob {} of", self.digest);
            result.map_err(|cause| io::Error::other(self.repository.error(action, cause)))?;
        }
    }
}

/// An error in the middle of a body.
fn broken(source: io::Error) -> HttpError {
    HttpError::Broken { source }
}

/// The body of an answer from `position` on.
fn body_from(
    response: Response,
    position: u64,
    size: u64,
) -> Result<BodyReader<'static>, HttpError> {
    let wrong = |what| Err(HttpError::Malformed { what });
    let skipped = match response.status() {
        // The registry cannot send a part, so it sends all.
        StatusCode::OK => position,
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get(CONTENT_RANGE);
            let range = range.and_then(|value| value.to_str().ok());
            if range.and_then(range_start) != Some(position) {
                return wrong("`Content-Range` header");
            }
            0
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            return wrong("size: it has fewer bytes than the manifest says");
        }
        _ => return Err(refused(response)),
    };
    let body = response.into_body();
    let whole = size - (position - skipped);
    match body.content_length() {
        Some(length) if length < whole => {
            return wrong("size: it has fewer bytes than the manifest says");
        }
        Some(length) if length > whole => {
            return wrong("size: it has more bytes than the manifest says");
        }
        _ => {}
    }
    let mut body = body.into_reader();
    io::copy(&mut (&mut body).take(skipped), &mut io::sink()).map_err(broken)?;
    Ok(body)
}

/// The first byte in a `Content-Range` header: `bytes FIRST-LAST/SIZE`.
fn range_start(header: &str) -> Option<u64> {
    let range = header.trim().strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

/// Notices a registry that sends next to nothing, without ever being silent.
struct Pace {
    window: Duration,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self {
            window,
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    fn restart(&mut self) {
        *self = Self::new(self.window);
    }

    /// Counts bytes, and the time that they took to come.
    fn note(&mut self, bytes: u64, waited: Duration) -> Result<(), HttpError> {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < self.window {
            return Ok(());
        }
        let seconds = self.window.as_secs().max(1);
        let expected = SLOWEST * seconds;
        if self.bytes < expected {
            return Err(HttpError::TooSlow {
                bytes: expected,
                seconds,
            });
        }
        self.restart();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_range_is_read() {
        assert_eq!(range_start("bytes 100-199/200"), Some(100));
        assert_eq!(range_start("bytes 7-8/*"), Some(7));
        for wrong in ["", "bytes", "bytes */200", "items 1-2/3", "bytes x-2/3"] {
            assert_eq!(range_start(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_trickle_is_noticed_and_a_pause_of_the_reader_is_not() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(10 * second);
        for _ in 0..9 {
            pace.note(1, second).unwrap();
        }
        assert!(matches!(
            pace.note(1, second),
            Err(HttpError::TooSlow { .. })
        ));
        let mut pace = Pace::new(10 * second);
        for _ in 0..100 {
            pace.note(2048, second).unwrap();
        }
        for _ in 0..100 {
            pace.note(1, Duration::ZERO).unwrap();
        }
    }
}
