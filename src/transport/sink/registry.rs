//! Writes an image to a registry: blobs, then manifests, then the tag.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::{Committed, EarlyBlobs, Follower, Replaced, Sink};
use crate::oci::blob::{DOCUMENT_LIMIT, into_blob_error};
use crate::oci::media_type::document_kind;
use crate::oci::{Blob, Digest, Node};
use crate::progress::Observer;
use crate::quoting::quoted;
use crate::registry::{ImageName, Push, PushedBlob};
use crate::scratch::Scratch;
use crate::transport::error::TransportError;
use crate::transport::medium::Medium;
use crate::transport::output::OutputImage;
use crate::transport::place::OutputBlob;
use crate::transport::source::{Origin, Source};

/// Writes an image to a registry.
pub(super) struct RegistrySink {
    pub(super) name: ImageName,
    pub(super) push: Push,
    /// The digest that the tag led to before.
    pub(super) old: Option<Digest>,
    pub(super) staging: Scratch,
}

impl Sink for RegistrySink {
    fn medium(&self) -> Medium {
        Medium::Registry
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, source: &Source) -> bool {
        let Origin::Registry(_, name) = &source.origin else {
            return false;
        };
        let place = |name: &ImageName| {
            let tag = name.tag_or_latest().to_owned();
            (name.host.clone(), name.repository.clone(), tag)
        };
        place(name) == place(&self.name)
    }

    fn early(&self) -> Option<&dyn EarlyBlobs> {
        Some(self)
    }

    fn commit(
        self: Box<Self>,
        output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        let checked = output.checked()?;
        let mut types = HashMap::new();
        note_media_types(&checked, &mut types);
        let tag = self.name.tag_or_latest();
        let is_document = |blob: &&OutputBlob| types.contains_key(blob.digest.as_ref());
        let (manifests, blobs): (Vec<&OutputBlob>, Vec<_>) =
            output.blobs.iter().partition(is_document);
        let pushed = |blob: &OutputBlob| self.pushed(blob);
        let blobs: Vec<PushedBlob> = blobs.into_iter().map(pushed).collect();
        self.push.blobs(&blobs, observer)?;
        let root = output.root["digest"].as_str();
        for blob in manifests {
            let is_root = root == Some(blob.digest.as_ref());
            let reference = if is_root { tag } else { blob.digest.as_ref() };
            let bytes = read(&blob.digest, &blob.bytes)?;
            let write = || {
                self.push
                    .document(reference, types[blob.digest.as_ref()], &bytes)
            };
            match write() {
                Err(error) if error.lacks_blob() => {
                    self.push.blobs_again(&blobs)?;
                    write()?;
                }
                result => result?,
            }
        }
        let old = self.old.as_ref().map(ToString::to_string);
        let old = old.filter(|old| root != Some(old));
        Ok(Committed {
            replaced: old.map(|id| self.replaced(id)),
        })
    }
}

impl RegistrySink {
    fn pushed(&self, blob: &OutputBlob) -> PushedBlob {
        let path = blob.bytes.path();
        PushedBlob {
            digest: blob.digest.clone(),
            bytes: blob.bytes.clone(),
            is_new: path.is_some_and(|path| path.starts_with(self.staging.path())),
        }
    }

    fn replaced(&self, id: String) -> Replaced {
        let ImageName {
            host, repository, ..
        } = &self.name;
        let tag = self.name.tag_or_latest();
        let name = format!("docker://{host}/{repository}");
        let options = match self.push.is_plain() {
            true => "--src-tls-verify=false --dest-tls-verify=false ",
            false => "",
        };
        let login = self.push.auth_file().map_or_else(String::new, |file| {
            format!("--authfile {} ", quoted(&file.display().to_string()))
        });
        Replaced {
            restore: format!("skopeo copy --all {login}{options}{name}@{id} {name}:{tag}"),
            id,
        }
    }
}

impl EarlyBlobs for RegistrySink {
    fn take(&self, blob: OutputBlob) {
        self.push.begin(self.pushed(&blob));
    }

    fn follow(&self, bytes: Box<dyn Read + Send>) -> Option<Follower<'_>> {
        let following = self.push.follow(bytes)?;
        Some(Box::new(|blob| following.end(self.pushed(&blob))))
    }
}

/// Notes the media types of the manifests and indexes at and below a node, by digest.
fn note_media_types<'a>(node: &'a Node, types: &mut HashMap<&'a str, &'a str>) {
    let text = |key: &str| node.descriptor()[key].as_str().unwrap_or_default();
    let media_type = text("mediaType");
    if document_kind(media_type).is_some() {
        types.insert(text("digest"), media_type);
    }
    if let Node::Index(index) = node {
        for child in &index.children {
            note_media_types(child, types);
        }
    }
}

/// Reads a document, which [`OutputImage::checked`] found to be small.
fn read(digest: &Digest, blob: &Blob) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    let result = blob.reader().take(DOCUMENT_LIMIT).read_to_end(&mut bytes);
    result.map_err(|error| into_blob_error(error, digest))?;
    Ok(bytes)
}
