//! The beginning and the end of an upload (OCI distribution-spec 1.1, "Pushing blobs").

use ureq::http::header::{CONTENT_TYPE, EXPECT};
use ureq::http::{HeaderValue, Method, StatusCode, Uri};

use super::address::location;
use super::error::HttpError;
use super::http::{Body, Request, Response};
use super::repository::{Repository, expect};
use super::retry::Retries;
use super::session::refused;
use crate::oci::Digest;

/// Begins an upload. Returns its address.
pub(super) fn begin(repository: &Repository) -> Result<Uri, HttpError> {
    let request = repository.request(Method::POST, "blobs/uploads/")?;
    let response = repository.session.send(&request, &repository.push())?;
    let response = expect(response, StatusCode::ACCEPTED)?;
    location(&response, &request.address)
}

/// A request with bytes of a blob. `asks_first` says to wait until the registry agrees to them.
pub(super) fn data(method: Method, address: Uri, body: Body<'_>, asks_first: bool) -> Request<'_> {
    let octets = HeaderValue::from_static("application/octet-stream");
    let request = Request::new(method, address)
        .header(CONTENT_TYPE, octets)
        .body(body);
    match asks_first {
        true => request.header(EXPECT, HeaderValue::from_static("100-continue")),
        false => request,
    }
}

/// Gives up an upload. The registry removes it by itself if this fails.
pub(super) fn cancel(repository: &Repository, address: Uri) {
    if !address.path().contains("/blobs/uploads/") {
        return;
    }
    let request = Request::new(Method::DELETE, address);
    let retries = Retries::at_most(2);
    let _ = repository
        .session
        .send_within(retries, &request, &repository.push());
}

/// Ends an upload whose bytes the registry has.
pub(super) fn close(
    repository: &Repository,
    address: &Uri,
    digest: &Digest,
) -> Result<(), HttpError> {
    let request = Request::new(Method::PUT, with_digest(address, digest)?);
    created(repository.session.send(&request, &repository.push())?)
}

/// Checks that an upload is complete.
pub(super) fn created(response: Response) -> Result<(), HttpError> {
    match response.status().as_u16() {
        201 | 204 => Ok(()),
        _ => Err(refused(response)),
    }
}

/// Adds the digest to the address that ends an upload.
pub(super) fn with_digest(address: &Uri, digest: &Digest) -> Result<Uri, HttpError> {
    let text = address.to_string();
    let separator = if address.query().is_some() { '&' } else { '?' };
    let text = format!("{text}{separator}digest={digest}");
    text.parse().map_err(|_| HttpError::Malformed {
        what: "`Location` header",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::sha256_digest;

    #[test]
    fn a_digest_joins_the_query_of_an_upload() {
        let digest = sha256_digest(b"");
        for (address, start) in [
            ("https://a/x", "https://a/x?digest=sha256:"),
            (
                "https://a/x?_state=y%3D",
                "https://a/x?_state=y%3D&digest=sha256:",
            ),
        ] {
            let found = with_digest(&address.parse().unwrap(), &digest).unwrap();
            assert!(found.to_string().starts_with(start), "{found}");
        }
    }
}
