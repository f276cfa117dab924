//! One repository of a registry: its manifests, blobs and tags (OCI distribution-spec 1.1).

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use ureq::http::{HeaderValue, Method, StatusCode};

use super::error::{HttpError, RegistryError};
use super::http::{Body, Request, Response, read_limited};
use super::session::{Scope, Session, refused};
use crate::oci::digest::sha256_digest;
use crate::oci::{Digest, DigestHasher};

/// The media types of manifests and indexes that pycull reads.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index as a registry serves it.
pub(crate) struct Document {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

/// A repository.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(super) session: Arc<Session>,
    /// The path of the repository on the registry.
    name: String,
    /// The image as the user knows it, for messages.
    image: String,
}

impl Repository {
    pub(super) fn new(session: Arc<Session>, name: String, image: String) -> Self {
        Self {
            session,
            name,
            image,
        }
    }

    /// The path of the repository on the registry.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The image as the user knows it.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// How long the registry may be silent.
    pub(super) fn silence(&self) -> Duration {
        self.session.silence()
    }

    /// Whether both are on one registry, so that blobs need not move between them.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.session.host() == other.session.host()
    }

    /// The error for something that failed, as in "cannot `action` the image".
    pub(super) fn error(&self, action: impl Into<String>, cause: HttpError) -> RegistryError {
        RegistryError::Request {
            action: action.into(),
            image: self.image.clone(),
            cause: Box::new(cause),
        }
    }

    /// The right to read the repository.
    pub(super) fn pull(&self) -> Scope {
        vec![format!("repository:{}:pull", self.name)]
    }

    /// The right to write to the repository.
    pub(super) fn push(&self) -> Scope {
        vec![format!("repository:{}:pull,push", self.name)]
    }

    /// A request for a path below the repository.
    pub(super) fn request<'b>(&self, method: Method, path: &str) -> Result<Request<'b>, HttpError> {
        let address = self.session.address(&format!("/v2/{}/{path}", self.name))?;
        Ok(Request::new(method, address))
    }

    /// Reads a manifest or index by its tag or digest.
    ///
    /// # Errors
    /// [`HttpError`], for example if there is no such manifest, or its bytes do not match the digest.
    pub(super) fn document(&self, reference: &str) -> Result<Document, HttpError> {
        let request = self.request(Method::GET, &format!("manifests/{reference}"))?;
        let request = request.header(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        let response = expect(self.session.send(&request, &self.pull())?, StatusCode::OK)?;
        let media_type = media_type(&response);
        let bytes = read_limited(response)?;
        let digest = match reference.parse::<Digest>() {
            Ok(expected) => checked(&bytes, expected)?,
            // The header is a hint only. pycull trusts the bytes.
            Err(_) => sha256_digest(&bytes),
        };
        Ok(Document {
            media_type,
            digest,
            bytes,
        })
    }

    /// The digest that a tag leads to; `None` if there is no such tag. `scope` is the right that the caller needs.
    ///
    /// # Errors
    /// [`HttpError`] if the registry cannot be asked.
    pub(super) fn tagged(&self, tag: &str, scope: &Scope) -> Result<Option<Digest>, HttpError> {
        let request = self.request(Method::HEAD, &format!("manifests/{tag}"))?;
        let request = request.header(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        let response = self.session.send(&request, scope)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = expect(response, StatusCode::OK)?;
        let digest = response.headers().get("docker-content-digest");
        let digest = digest.and_then(|value| value.to_str().ok()?.parse().ok());
        match digest {
            Some(digest) => Ok(Some(digest)),
            None => Ok(Some(self.document(tag)?.digest)),
        }
    }

    /// Whether the repository has no tag. False if the registry does not say.
    pub(super) fn is_new(&self) -> bool {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<IgnoredAny>>,
        }
        // One tag is enough.
        let request = self.request(Method::GET, "tags/list?n=1");
        let response = request.and_then(|it| self.session.send(&it, &self.push()));
        let Ok(response) = response else {
            return false;
        };
        match response.status() {
            StatusCode::NOT_FOUND => true,
            StatusCode::OK => {
                let tags = read_limited(response).ok();
                let tags = tags.and_then(|text| serde_json::from_slice::<Tags>(&text).ok());
                tags.is_some_and(|it| it.tags.is_none_or(|tags| tags.is_empty()))
            }
            _ => false,
        }
    }

    /// Asks for the bytes of a blob, from an offset on.
    pub(super) fn blob(&self, digest: &Digest, from: u64) -> Result<Response, HttpError> {
        let mut request = self.request(Method::GET, &format!("blobs/{digest}"))?;
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            request = request.header(
                RANGE,
                range.map_err(|_| HttpError::Malformed { what: "range" })?,
            );
        }
        self.session.send_once(&request, &self.pull())
    }

    /// Whether the registry has a blob of this size in the repository. `scope` is the right that the caller needs.
    pub(super) fn has_blob(
        &self,
        digest: &Digest,
        size: u64,
        scope: &Scope,
    ) -> Result<bool, HttpError> {
        let request = self.request(Method::HEAD, &format!("blobs/{digest}"))?;
        let response = self.session.send(&request, scope)?;
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        match response.status() {
            StatusCode::OK => Ok(length.is_none_or(|length| length == size)),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(response)),
        }
    }

    /// Writes a manifest or index under a tag or its digest.
    pub(super) fn put_document(
        &self,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), HttpError> {
        let media_type = HeaderValue::try_from(media_type);
        let media_type = media_type.map_err(|_| HttpError::Malformed { what: "media type" })?;
        let request = self.request(Method::PUT, &format!("manifests/{reference}"))?;
        let request = request
            .header(CONTENT_TYPE, media_type)
            .body(Body::Bytes(bytes));
        let response = self.session.send(&request, &self.push())?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(refused(response)),
        }
    }
}

fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

/// Checks that bytes have a digest.
fn checked(bytes: &[u8], expected: Digest) -> Result<Digest, HttpError> {
    let Some(mut hasher) = DigestHasher::for_digest(&expected) else {
        return Err(HttpError::Malformed {
            what: "digest algorithm that pycull knows",
        });
    };
    hasher.update(bytes);
    let found = hasher.finish();
    match found == expected {
        true => Ok(expected),
        false => Err(HttpError::Digest { expected, found }),
    }
}

/// Returns the answer if it has this status.
pub(super) fn expect(response: Response, status: StatusCode) -> Result<Response, HttpError> {
    match response.status() == status {
        true => Ok(response),
        false => Err(refused(response)),
    }
}
