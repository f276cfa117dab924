//! What refers to an image in a registry: signatures, attestations and other artifacts. They are about bytes that
//! change, so pycull lists them and carries none along.

use serde_json::Value;
use ureq::http::header::{ACCEPT, LINK};
use ureq::http::{HeaderValue, Method};

use super::error::{HttpError, RegistryError};
use super::http::{Request, Response, read_limited};
use super::repository::Repository;
use super::session::refused;
use crate::oci::Digest;

/// Something that refers to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Referrer {
    /// The digest of the referring manifest.
    pub(crate) digest: String,
    pub(crate) kind: ReferrerKind,
}

/// The kinds of referring manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferrerKind {
    Signature,
    Attestation,
    Sbom,
    Other,
}

/// Endings of the tags under which cosign stores what is about a manifest, and what it is.
const COSIGN_TAGS: [(&str, ReferrerKind); 3] = [
    ("sig", ReferrerKind::Signature),
    ("att", ReferrerKind::Attestation),
    ("sbom", ReferrerKind::Sbom),
];

impl Repository {
    /// Lists what refers to a manifest: by the referrers API or the tag in its place (distribution-spec 1.1, "Listing
    /// referrers"), and by cosign's tags.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry cannot be asked.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, RegistryError> {
        let found = self.all_referrers(subject);
        found.map_err(|cause| self.error(format!("list what refers to {subject} in"), cause))
    }

    fn all_referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, HttpError> {
        let tag = format!("{}-{}", subject.algorithm(), subject.digest());
        let index = match self.index_at(&format!("referrers/{subject}"))? {
            Some(index) => Some(index),
            None => self.index_at(&format!("manifests/{tag}"))?,
        };
        let mut found: Vec<Referrer> = index.iter().flatten().filter_map(referrer).collect();
        for (ending, kind) in COSIGN_TAGS {
            if let Some(digest) = self.tagged(&format!("{tag}.{ending}"), &self.pull())? {
                found.push(Referrer {
                    digest: digest.to_string(),
                    kind,
                });
            }
        }
        Ok(found)
    }

    /// The descriptors in an index and on its further pages; `None` if the registry has none there.
    fn index_at(&self, path: &str) -> Result<Option<Vec<Value>>, HttpError> {
        let mut request = self.request(Method::GET, path)?;
        let mut found = Vec::new();
        for page in 0..MOST_PAGES {
            let index = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
            let response = self
                .session
                .send(&request.header(ACCEPT, index), &self.pull())?;
            match response.status().as_u16() {
                200 => {}
                // The registry does not have the API, or has nothing there.
                400 | 404 | 405 | 501 if page == 0 => return Ok(None),
                _ => return Err(refused(response)),
            }
            let next = next_page(&response).map(str::to_owned);
            let index: Value = serde_json::from_slice(&read_limited(response)?).unwrap_or_default();
            found.extend(index["manifests"].as_array().into_iter().flatten().cloned());
            let Some(next) = next else { break };
            request = Request::new(Method::GET, self.session.address(&next)?);
        }
        Ok(Some(found))
    }
}

/// Most pages of a list to read.
const MOST_PAGES: usize = 20;

/// The path of the next page (RFC 8288): `</v2/…>; rel="next"`.
fn next_page(response: &Response) -> Option<&str> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (path, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    (path.starts_with('/') && relation.contains("next")).then_some(path)
}

/// A descriptor in the list of referrers.
fn referrer(descriptor: &Value) -> Option<Referrer> {
    let words = descriptor["artifactType"].as_str().unwrap_or_default();
    let kind = match words {
        _ if words.contains("sigstore.bundle") || words.contains("signature") => {
            ReferrerKind::Signature
        }
        _ if words.contains("cosign") => ReferrerKind::Signature,
        _ if words.contains("in-toto") || words.contains("attestation") => {
            ReferrerKind::Attestation
        }
        _ if words.contains("spdx") || words.contains("cyclonedx") => ReferrerKind::Sbom,
        _ => ReferrerKind::Other,
    };
    Some(Referrer {
        digest: descriptor["digest"].as_str()?.to_owned(),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_type_of_an_artifact_says_what_it_is() {
        for (artifact_type, kind) in [
            (
                "application/vnd.cncf.notary.signature",
                ReferrerKind::Signature,
            ),
            (
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                ReferrerKind::Signature,
            ),
            (
                "application/vnd.dev.cosign.artifact.sig.v1+json",
                ReferrerKind::Signature,
            ),
            ("application/vnd.in-toto+json", ReferrerKind::Attestation),
            ("application/spdx+json", ReferrerKind::Sbom),
            ("application/vnd.cyclonedx+json", ReferrerKind::Sbom),
            ("application/vnd.example", ReferrerKind::Other),
        ] {
            let descriptor = json!({"digest": "sha256:1", "artifactType": artifact_type});
            assert_eq!(referrer(&descriptor).unwrap().kind, kind, "{artifact_type}");
        }
        assert_eq!(referrer(&json!({})), None);
    }
}
