//! Following descriptors: from a root to every image, index and artifact below it.

use std::cell::Cell;

use serde_json::Value;

use super::Descriptor;
use super::blob::{BlobStore, read_document};
use super::image::{
    Image, ImageError, Index, Node, Other, assemble_image, descriptors, digest_text, parse_object,
    typed_descriptor,
};
use super::media_type::{DocumentKind, document_kind, is_image_config};
use super::platform::Platform;

const DEEPEST_INDEX: usize = 8;

/// Most descriptors that one root may lead to. Nested indexes that name each other many times
/// would else multiply without end.
const MOST_DESCRIPTORS: usize = 10_000;

/// Reads what `descriptor` names: an image, or an index with everything below it that `platform`
/// lets through (`None`: everything).
///
/// # Errors
/// [`ImageError`] where a document is missing, damaged or malformed, or nothing matches.
pub fn load(
    store: &dyn BlobStore,
    descriptor: &Value,
    platform: Option<&Platform>,
) -> Result<Node, ImageError> {
    let mut passed_over = Vec::new();
    let loader = Loader {
        store,
        platform,
        budget: Cell::new(MOST_DESCRIPTORS),
    };
    let node = loader.node(descriptor, 0, &mut passed_over)?;
    match (node, platform) {
        (Some(Node::Other(other)), _) => {
            let typed = typed_descriptor(&other.descriptor)?;
            Err(ImageError::NotAnImage {
                digest: typed.digest().clone(),
                media_type: typed.media_type().to_string(),
            })
        }
        (Some(node), None) => Ok(node),
        (Some(node), Some(_)) if !node.images().is_empty() => Ok(node),
        (_, Some(wanted)) => {
            let available = if passed_over.is_empty() {
                "none".to_owned()
            } else {
                passed_over.join(", ")
            };
            Err(ImageError::NoPlatform {
                wanted: wanted.clone(),
                available,
            })
        }
        (None, None) => Err(ImageError::EmptyIndex {
            digest: digest_text(descriptor),
        }),
    }
}

struct Loader<'a> {
    store: &'a dyn BlobStore,
    platform: Option<&'a Platform>,
    /// Descriptors that may yet be followed.
    budget: Cell<usize>,
}

impl Loader<'_> {
    /// `None` where the platform filter leaves the node out.
    fn node(
        &self,
        descriptor: &Value,
        depth: usize,
        passed_over: &mut Vec<String>,
    ) -> Result<Option<Node>, ImageError> {
        if depth > DEEPEST_INDEX {
            return Err(ImageError::TooDeep {
                limit: DEEPEST_INDEX,
            });
        }
        let Some(budget) = self.budget.get().checked_sub(1) else {
            return Err(ImageError::TooMany {
                limit: MOST_DESCRIPTORS,
            });
        };
        self.budget.set(budget);
        if !self.wants(
            descriptor.get("platform").and_then(Platform::from_json),
            passed_over,
        ) {
            return Ok(None);
        }
        let typed = typed_descriptor(descriptor)?;
        match document_kind(typed.media_type().as_ref()) {
            Some(DocumentKind::Index) => self.index(descriptor, &typed, depth, passed_over),
            Some(DocumentKind::Manifest) => self.manifest(descriptor, &typed, passed_over),
            None => Ok(Some(Node::Other(Other {
                descriptor: descriptor.clone(),
                blobs: vec![typed],
                subject: None,
            }))),
        }
    }

    /// Attestations pass here (their platform is `unknown/unknown`): whether they stay is decided
    /// with their subject.
    fn wants(&self, found: Option<Platform>, passed_over: &mut Vec<String>) -> bool {
        match (self.platform, found) {
            (Some(wanted), Some(found)) if found.os != "unknown" && !wanted.accepts(&found) => {
                passed_over.push(found.to_string());
                false
            }
            _ => true,
        }
    }

    fn index(
        &self,
        descriptor: &Value,
        typed: &Descriptor,
        depth: usize,
        passed_over: &mut Vec<String>,
    ) -> Result<Option<Node>, ImageError> {
        let document = self.document(typed, "index")?;
        let manifests = document
            .get("manifests")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        if manifests.is_empty() {
            return Err(ImageError::EmptyIndex {
                digest: typed.digest().to_string(),
            });
        }
        let mut children = Vec::new();
        for manifest in manifests {
            children.extend(self.node(manifest, depth + 1, passed_over)?);
        }
        let empty = children
            .iter()
            .all(|child| matches!(child, Node::Index(index) if index.children.is_empty()));
        if empty && self.platform.is_some() {
            return Ok(None);
        }
        Ok(Some(Node::Index(Index {
            descriptor: descriptor.clone(),
            document,
            children,
        })))
    }

    fn manifest(
        &self,
        descriptor: &Value,
        typed: &Descriptor,
        passed_over: &mut Vec<String>,
    ) -> Result<Option<Node>, ImageError> {
        let manifest = self.document(typed, "manifest")?;
        let malformed = |reason: String| ImageError::Malformed {
            what: "manifest",
            digest: typed.digest().to_string(),
            reason,
        };
        let layers = descriptors(&manifest, "layers").map_err(malformed)?;
        let config = match manifest.get("config") {
            Some(config) => Some(typed_descriptor(config)?),
            None => None,
        };
        let is_image = config
            .as_ref()
            .is_some_and(|config| is_image_config(config.media_type().as_ref()))
            && manifest.get("artifactType").is_none()
            && !is_attestation(descriptor, &layers);
        let (Some(config), true) = (&config, is_image) else {
            let subject = subject_of(descriptor, &manifest);
            let blobs = [typed.clone()]
                .into_iter()
                .chain(config)
                .chain(layers)
                .collect();
            return Ok(Some(Node::Other(Other {
                descriptor: descriptor.clone(),
                blobs,
                subject,
            })));
        };
        let image = self.image(descriptor, manifest.clone(), config, layers)?;
        Ok(self
            .wants(Some(image.platform.clone()), passed_over)
            .then(|| Node::Image(Box::new(image))))
    }

    fn image(
        &self,
        descriptor: &Value,
        manifest: Value,
        config_descriptor: &Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Image, ImageError> {
        let config = self.document(config_descriptor, "config")?;
        assemble_image(
            descriptor.clone(),
            manifest,
            config_descriptor.clone(),
            config,
            layers,
        )
    }

    fn document(&self, descriptor: &Descriptor, what: &'static str) -> Result<Value, ImageError> {
        parse_object(
            &read_document(self.store, descriptor, what)?,
            what,
            descriptor.digest().as_ref(),
        )
    }
}

/// BuildKit's attestations carry an image's config, and in-toto statements for layers.
fn is_attestation(descriptor: &Value, layers: &[Descriptor]) -> bool {
    descriptor
        .pointer("/annotations/vnd.docker.reference.type")
        .is_some()
        || layers.iter().any(|layer| {
            layer
                .media_type()
                .to_string()
                .starts_with("application/vnd.in-toto")
        })
}

/// BuildKit's attestations name their subject in an annotation of the descriptor, referrers
/// (distribution-spec 1.1) in a field of the manifest.
fn subject_of(descriptor: &Value, manifest: &Value) -> Option<String> {
    let attested = descriptor.pointer("/annotations/vnd.docker.reference.digest");
    let referred = manifest.pointer("/subject/digest");
    attested
        .or(referred)
        .and_then(Value::as_str)
        .map(str::to_owned)
}
