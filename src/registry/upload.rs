//! Uploads of blobs (OCI distribution-spec 1.1, "Pushing blobs").
//!
//! A blob goes up in one request, as a stream. If a registry refuses that, it goes up in chunks, and the registry says
//! after each chunk how much it has.

use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::http::{HeaderValue, Method, StatusCode, Uri};

use super::address::location;
use super::error::HttpError;
use super::http::{Body, Request, Response};
use super::repository::{Repository, expect};
use super::retry::Retries;
use super::session::Way;
use super::upload_session::{begin, cancel, close, created, data, with_digest};
use crate::oci::{Blob, Digest};

/// The size of a chunk. GitHub's registry refuses larger ones.
const CHUNK: u64 = 4 << 20;

/// The smallest chunk to try after a registry refused a larger one.
const SMALLEST_CHUNK: u64 = 64 << 10;

/// Broken connections, or faults of the registry, before a blob goes up in chunks.
const MOST_FAULTS: u32 = 2;

/// How often to try another way for one blob.
const MOST_CHANGES: u32 = 8;

/// A body of at least this size waits until the registry agrees to it, because sending it in vain takes time.
const ASK_FIRST: u64 = 1 << 20;

/// A blob to upload.
pub(super) struct Upload<'a> {
    pub(super) repository: &'a Repository,
    pub(super) digest: &'a Digest,
    pub(super) blob: &'a Blob,
    /// A repository of the same registry that has the blob.
    pub(super) from: Option<&'a str>,
    /// Whether to upload the blob even if the registry says that it has it.
    pub(super) distrusts: bool,
    /// Receives the number of bytes that went up.
    pub(super) sent: &'a (dyn Fn(u64) + Sync),
}

/// What comes of a mount.
enum Mount {
    Done,
    /// The registry began an upload instead.
    Begun(Uri),
    Refused,
}

/// What comes of an attempt.
enum Attempt {
    Done,
    /// The registry wants the blob in another way.
    Another(Way, HttpError),
    /// It may work with a new upload.
    Again(HttpError),
}

/// What went wrong with one blob so far.
struct Faults {
    retries: Retries,
    changes: u32,
    /// Connections that ended.
    broken: u32,
    /// Whole bodies that the registry answered with a fault of its own (500).
    refused: u32,
    /// Whether the registry takes no chunks.
    only_whole: bool,
}

impl Faults {
    fn new() -> Self {
        Self {
            retries: Retries::new(),
            changes: 0,
            broken: 0,
            refused: 0,
            only_whole: false,
        }
    }

    /// How to send the blob next, if the registry takes others in the way `usual`.
    fn way(&self, usual: Way, size: u64) -> Way {
        // A registry or a proxy that cannot take the whole body may just end the connection. A registry that knows no
        // body in the request that ends an upload may say that it has a fault.
        let is_broken = self.broken >= MOST_FAULTS && size > CHUNK;
        let is_refused = self.refused >= MOST_FAULTS && size > 0;
        match usual {
            Way::Whole if (is_broken || is_refused) && !self.only_whole => Way::Chunks(CHUNK),
            usual => usual,
        }
    }

    /// Counts a change to another way. Fails if there were too many.
    fn change(&mut self, way: Way, error: HttpError) -> Result<(), HttpError> {
        self.changes += 1;
        self.only_whole |= way == Way::Whole;
        match self.changes > MOST_CHANGES {
            true => Err(error),
            false => Ok(()),
        }
    }

    /// Waits before the next attempt. Fails if there were too many.
    fn wait(&mut self, way: Way, error: HttpError) -> Result<(), HttpError> {
        // Other statuses, such as 503, say that the registry is away for a while.
        let is_fault = status_of(&error) == Some(500);
        self.broken += u32::from(matches!(error, HttpError::Unreachable { .. }));
        self.refused += u32::from(is_fault && way == Way::Whole);
        match self.retries.wait(error.asked_pause()) {
            true => Ok(()),
            false => Err(error),
        }
    }
}

impl Upload<'_> {
    /// Gives the blob to the registry, unless it has it.
    ///
    /// # Errors
    /// [`HttpError`] if the registry refuses it, or cannot be reached after several attempts.
    pub(super) fn run(&self) -> Result<(), HttpError> {
        if self.is_there()? {
            return Ok(());
        }
        let mut begun = match self.from.filter(|_| !self.distrusts) {
            Some(from) => match self.mount(from)? {
                Mount::Done => return Ok(()),
                Mount::Begun(address) => Some(address),
                Mount::Refused => None,
            },
            None => None,
        };
        let mut faults = Faults::new();
        loop {
            let address = match begun.take() {
                Some(address) => address,
                None => begin(self.repository)?,
            };
            let way = faults.way(self.repository.session.way(), self.blob.size());
            let attempt = match way {
                Way::Whole => self.send_whole(&address),
                Way::Chunks(size) => self.send_chunks(address.clone(), size),
            };
            let error = match attempt {
                Ok(Attempt::Done) => {
                    if faults.refused >= MOST_FAULTS && way != Way::Whole {
                        self.repository.session.set_way(way);
                    }
                    return Ok(());
                }
                Ok(Attempt::Another(way, error)) => {
                    cancel(self.repository, address);
                    faults.change(way, error)?;
                    self.repository.session.set_way(way);
                    continue;
                }
                Ok(Attempt::Again(error)) => error,
                Err(error) => {
                    cancel(self.repository, address);
                    return Err(error);
                }
            };
            cancel(self.repository, address);
            faults.wait(way, error)?;
            // The answer may be all that was lost.
            if self.is_there()? {
                return Ok(());
            }
        }
    }

    /// Whether the registry says that it has the blob, and is believed.
    fn is_there(&self) -> Result<bool, HttpError> {
        let (scope, size) = (self.repository.push(), self.blob.size());
        Ok(!self.distrusts && self.repository.has_blob(self.digest, size, &scope)?)
    }

    /// Asks the registry to take the blob from another repository.
    fn mount(&self, from: &str) -> Result<Mount, HttpError> {
        let path = format!("blobs/uploads/?mount={}&from={from}", self.digest);
        let request = self.repository.request(Method::POST, &path)?;
        let mut scope = self.repository.push();
        scope.push(format!("repository:{from}:pull"));
        let response = match self.repository.session.send(&request, &scope) {
            // The user may write here and not read there.
            Err(HttpError::Unauthorized { .. }) => return Ok(Mount::Refused),
            result => result?,
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => location(&response, &request.address).map(Mount::Begun),
            _ => Ok(Mount::Refused),
        }
    }

    fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        self.repository
            .session
            .send(request, &self.repository.push())
    }

    fn send_once(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        self.repository
            .session
            .send_once(request, &self.repository.push())
    }

    fn send_whole(&self, address: &Uri) -> Result<Attempt, HttpError> {
        let size = self.blob.size();
        let request = self.data(Method::PUT, with_digest(address, self.digest)?, 0, size);
        let error = match self.send_once(&request).and_then(created) {
            Ok(()) => {
                (self.sent)(size);
                return Ok(Attempt::Done);
            }
            Err(error) => error,
        };
        match status_of(&error) {
            // Too large, or the registry knows uploads in chunks only.
            Some(413 | 416 | 405 | 501) if size > 0 => {
                Ok(Attempt::Another(Way::Chunks(CHUNK), error))
            }
            // The upload is gone.
            Some(404) => Ok(Attempt::Again(error)),
            _ if error.is_temporary() => Ok(Attempt::Again(error)),
            _ => Err(error),
        }
    }

    /// A request with a part of the blob.
    fn data(&self, method: Method, address: Uri, offset: u64, size: u64) -> Request<'_> {
        let blob = self.blob;
        let body = Body::Part { blob, offset, size };
        data(method, address, body, size >= ASK_FIRST)
    }

    fn send_chunks(&self, mut address: Uri, most: u64) -> Result<Attempt, HttpError> {
        let size = self.blob.size();
        let mut retries = Retries::new();
        let mut stored = 0;
        while stored < size {
            let count = most.min(size - stored);
            let error = match self.send_chunk(&mut address, stored, count) {
                Ok(now) => {
                    (self.sent)(now - stored);
                    (stored, retries) = (now, Retries::new());
                    continue;
                }
                Err(error) => error,
            };
            match status_of(&error) {
                Some(413 | 416) if stored == 0 && most > SMALLEST_CHUNK => {
                    return Ok(Attempt::Another(Way::Chunks(most / 2), error));
                }
                Some(405 | 501) => return Ok(Attempt::Another(Way::Whole, error)),
                Some(404) => return Ok(Attempt::Again(error)),
                // The registry has another part of the blob than pycull knows of.
                Some(416) => {}
                _ if error.is_temporary() || matches!(error, HttpError::Malformed { .. }) => {}
                _ => return Err(error),
            }
            if !retries.wait(error.asked_pause()) {
                return Ok(Attempt::Again(error));
            }
            // Only the registry knows how much of the chunk it has.
            match self.stored(&address)? {
                Some((now, next)) if now <= size => (stored, address) = (now, next),
                _ => return Ok(Attempt::Again(error)),
            }
        }
        self.close(&address)
    }

    /// Sends a chunk. Returns how many bytes the registry has then.
    fn send_chunk(&self, address: &mut Uri, stored: u64, count: u64) -> Result<u64, HttpError> {
        let wrong_range = || HttpError::Malformed { what: "range" };
        let request = self.data(Method::PATCH, address.clone(), stored, count);
        let range = HeaderValue::try_from(format!("{stored}-{}", stored + count - 1));
        let request = request.header(CONTENT_RANGE, range.map_err(|_| wrong_range())?);
        let response = expect(self.send_once(&request)?, StatusCode::ACCEPTED)?;
        *address = location(&response, address)?;
        match stored_range(&response) {
            None => Ok(stored + count),
            // `0-0` means one byte, or none.
            Some(0) if stored == 0 && count == 1 => Ok(1),
            Some(now) if now > stored && now <= stored + count => Ok(now),
            Some(_) => Err(wrong_range()),
        }
    }

    /// How many bytes of an upload the registry has, and where the upload goes on.
    fn stored(&self, address: &Uri) -> Result<Option<(u64, Uri)>, HttpError> {
        let response = self.send(&Request::new(Method::GET, address.clone()))?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let next = location(&response, address).unwrap_or_else(|_| address.clone());
        Ok(stored_range(&response).map(|stored| (stored, next)))
    }

    fn close(&self, address: &Uri) -> Result<Attempt, HttpError> {
        let error = match close(self.repository, address, self.digest) {
            Ok(()) => return Ok(Attempt::Done),
            Err(error) => error,
        };
        match status_of(&error) {
            Some(404) => Ok(Attempt::Again(error)),
            _ => Err(error),
        }
    }
}

fn status_of(error: &HttpError) -> Option<u16> {
    match error {
        HttpError::Status { status, .. } => Some(status.as_u16()),
        _ => None,
    }
}

/// The number of bytes in a `Range` header of a registry: `FIRST-LAST`, and `0-0` for none or one.
fn stored_range(response: &Response) -> Option<u64> {
    let value = response.headers().get(RANGE)?.to_str().ok()?;
    let range = value.trim().trim_start_matches("bytes=");
    let last: u64 = range.split_once('-')?.1.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_takes_no_chunks_gets_the_whole_blob_whatever_failed_before() {
        let error = || HttpError::Malformed { what: "test" };
        for (broken, refused, size, first) in [
            (0, 1, 1, Way::Whole),
            (0, 2, 1, Way::Chunks(CHUNK)),
            (2, 0, CHUNK, Way::Whole),
            (2, 0, CHUNK + 1, Way::Chunks(CHUNK)),
            (0, 2, 0, Way::Whole),
        ] {
            let mut faults = Faults {
                broken,
                refused,
                ..Faults::new()
            };
            assert_eq!(faults.way(Way::Whole, size), first);
            faults.change(Way::Chunks(CHUNK / 2), error()).unwrap();
            assert_eq!(faults.way(Way::Whole, size), first);
            faults.change(Way::Whole, error()).unwrap();
            assert_eq!(faults.way(Way::Whole, size), Way::Whole);
        }
    }

    #[test]
    fn changes_to_another_way_end() {
        let mut faults = Faults::new();
        let mut change = || faults.change(Way::Whole, HttpError::Malformed { what: "test" });
        for _ in 0..MOST_CHANGES {
            change().unwrap();
        }
        change().unwrap_err();
    }
}
