//! The upload of a blob that is still written. Its digest is not known before its end.
//!
//! Its bytes go up in one request of unknown length, as docker and podman send them. If anything fails, the complete blob
//! goes up as any other.

use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender};

use ureq::http::{Method, StatusCode, Uri};

use super::address::location;
use super::error::HttpError;
use super::http::{Body, Stream};
use super::repository::{Repository, expect};
use super::target::PushedBlob;
use super::upload_session::{begin, cancel, close, data};
use crate::oci::Digest;

/// A blob that goes up while it is written. Dropping it gives the blob up.
pub(crate) struct Following(pub(super) Sender<PushedBlob>);

impl Following {
    /// Says that the blob is complete.
    pub(crate) fn end(self, blob: PushedBlob) {
        // If the thread that uploads it has failed, the commit uploads it.
        let _ = self.0.send(blob);
    }
}

/// What came of an upload.
pub(super) enum Followed {
    /// The registry has the blob.
    Stored(Digest),
    /// The blob must go up in another way.
    Left(PushedBlob),
    GivenUp,
}

/// Sends bytes until they end. `ended` then says which blob they are.
pub(super) fn follow(
    repository: &Repository,
    bytes: Box<dyn Read + Send>,
    ended: &Receiver<PushedBlob>,
) -> Followed {
    let sent = send(repository, bytes);
    let Ok(blob) = ended.recv() else {
        if let Ok(address) = sent {
            cancel(repository, address);
        }
        return Followed::GivenUp;
    };
    let Ok(address) = sent else {
        return Followed::Left(blob);
    };
    match close(repository, &address, &blob.digest) {
        Ok(()) => Followed::Stored(blob.digest),
        Err(_) => {
            cancel(repository, address);
            Followed::Left(blob)
        }
    }
}

/// Returns the address that ends the upload.
fn send(repository: &Repository, bytes: Box<dyn Read + Send>) -> Result<Uri, HttpError> {
    let address = begin(repository)?;
    let stream = Mutex::new(Stream::new(bytes));
    let request = data(Method::PATCH, address.clone(), Body::Stream(&stream), true);
    let response = repository.session.send_once(&request, &repository.push());
    let next = response
        .and_then(|response| expect(response, StatusCode::ACCEPTED))
        .and_then(|response| location(&response, &address));
    if next.is_err() {
        cancel(repository, address);
    }
    next
}
