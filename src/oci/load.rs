//! Follows descriptors from a root to every image, index and artifact below it.

use std::collections::HashSet;

use serde_json::Value;

use super::Descriptor;
use super::blob::{BlobError, BlobStore, read_document};
use super::image::{
    Image, ImageError, Index, Node, Other, assemble_image, attested, descriptors, digest_text,
    is_aside, parse_object, typed_descriptor,
};
use super::json_keys::{self, Shape, respell};
use super::listing::listed;
use super::media_type::{DocumentKind, document_kind, is_image_config, is_tar_layer};
use super::platform::Platform;
use crate::limits::{Allowance, Limits};

const DEEPEST_INDEX: usize = 8;

/// Maximum number of descriptors that one root may lead to. Without a limit, nested indexes that name each other many
/// times would multiply endlessly.
const MOST_DESCRIPTORS: usize = 10_000;

/// Loads the target of `descriptor` without a limit on all documents. Use this for documents that were read within a
/// limit before.
///
/// # Errors
/// The same as [`load_within`].
pub fn load(
    store: &dyn BlobStore,
    descriptor: &Value,
    platform: Option<&Platform>,
) -> Result<Node, ImageError> {
    load_within(store, descriptor, platform, &Limits::NONE)
}

/// Loads the target of `descriptor`: an image, or an index with everything below it that matches `platform`. `None`
/// matches everything. What the platform leaves out may be missing, and so may attestations.
///
/// # Errors
/// [`ImageError`] if a document is missing, damaged or malformed, if all documents together exceed `limits`, or if
/// nothing matches.
pub fn load_within(
    store: &dyn BlobStore,
    descriptor: &Value,
    platform: Option<&Platform>,
    limits: &Limits,
) -> Result<Node, ImageError> {
    let mut loader = Loader {
        store,
        platform,
        budget: MOST_DESCRIPTORS,
        bytes: limits.of_documents(),
        passed_over: Vec::new(),
        missing: None,
    };
    let node = loader.node(descriptor, 0)?;
    if let Some(node) = node {
        if !node.images().is_empty() {
            return Ok(node);
        }
        let only_artifacts = loader.passed_over.is_empty() && loader.missing.is_none();
        if let Some(artifact) = first_artifact(&node).filter(|_| only_artifacts) {
            return Err(ImageError::NotAnImage {
                digest: typed_descriptor(&artifact.descriptor)?.digest().clone(),
                artifact_type: artifact.artifact_type.clone(),
            });
        }
    }
    if let Some(missing) = loader.missing {
        return Err(missing);
    }
    match platform {
        Some(wanted) => Err(ImageError::NoPlatform {
            wanted: wanted.clone(),
            available: match loader.passed_over.is_empty() {
                true => "none".to_owned(),
                false => listed(&loader.passed_over),
            },
        }),
        None => Err(ImageError::EmptyIndex {
            digest: digest_text(descriptor),
        }),
    }
}

fn first_artifact(node: &Node) -> Option<&Other> {
    match node {
        Node::Index(index) => index.children.iter().find_map(first_artifact),
        Node::Image(_) => None,
        Node::Other(other) => Some(other),
    }
}

struct Loader<'a> {
    store: &'a dyn BlobStore,
    platform: Option<&'a Platform>,
    /// Descriptors that may still be followed.
    budget: usize,
    /// Bytes of documents that may still be read.
    bytes: Allowance,
    /// Platforms that the filter left out.
    passed_over: Vec<String>,
    /// The error of the first missing document that might have the wanted platform.
    missing: Option<ImageError>,
}

impl Loader<'_> {
    /// Loads one node; `None` if the platform filter leaves it out.
    fn node(&mut self, descriptor: &Value, depth: usize) -> Result<Option<Node>, ImageError> {
        if depth > DEEPEST_INDEX {
            return Err(ImageError::TooDeep {
                limit: DEEPEST_INDEX,
            });
        }
        self.budget = self.budget.checked_sub(1).ok_or(ImageError::TooMany {
            limit: MOST_DESCRIPTORS,
        })?;
        let stated = descriptor.get("platform").and_then(Platform::from_json);
        let stated = stated.filter(|platform| platform.os != "unknown");
        if let Some(stated) = &stated
            && !self.wants(stated)
        {
            return Ok(None);
        }
        let typed = typed_descriptor(descriptor)?;
        let found = match document_kind(typed.media_type().as_ref()) {
            Some(DocumentKind::Index) => self.index(descriptor, &typed, depth),
            Some(DocumentKind::Manifest) => self.manifest(descriptor, &typed, stated.is_some()),
            None => {
                let artifact_type = typed.media_type().to_string();
                let blobs = vec![typed];
                Ok(Some(self.other(descriptor, blobs, None, artifact_type)))
            }
        };
        match found {
            // The platform of a missing document is unknown, so this is an error only if nothing else matches.
            Err(error) if is_missing(&error) && self.platform.is_some() && stated.is_none() => {
                self.missing.get_or_insert(error);
                Ok(None)
            }
            found => found,
        }
    }

    fn wants(&mut self, found: &Platform) -> bool {
        let wants = self.platform.is_none_or(|wanted| wanted.accepts(found));
        if !wants {
            self.passed_over.push(found.to_string());
        }
        wants
    }

    fn index(
        &mut self,
        descriptor: &Value,
        typed: &Descriptor,
        depth: usize,
    ) -> Result<Option<Node>, ImageError> {
        let document = self.document(typed, "index", &json_keys::INDEX)?;
        let manifests = document
            .get("manifests")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        // A nested index without manifests counts like an absent one.
        if manifests.is_empty() && depth == 0 {
            return Err(ImageError::EmptyIndex {
                digest: typed.digest().to_string(),
            });
        }
        let mut children: Vec<Option<Node>> = Vec::new();
        let mut there = HashSet::new();
        for manifest in manifests.iter() {
            let child = match attested(manifest) {
                Some(_) => None,
                None => self.node(manifest, depth + 1)?,
            };
            there.extend(child.is_some().then(|| digest_text(manifest)));
            children.push(child);
        }
        // Skip attestations of images that the platform leaves out.
        for (manifest, child) in manifests.iter().zip(&mut children) {
            let subject = attested(manifest);
            if subject.is_some_and(|it| self.platform.is_none() || there.contains(it)) {
                *child = self.node(manifest, depth + 1)?;
            }
        }
        let children: Vec<Node> = children.into_iter().flatten().collect();
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

    /// `chosen` says that the descriptor states a wanted platform. The platform in the config does not matter then.
    fn manifest(
        &mut self,
        descriptor: &Value,
        typed: &Descriptor,
        chosen: bool,
    ) -> Result<Option<Node>, ImageError> {
        let manifest = match self.document(typed, "manifest", &json_keys::MANIFEST) {
            Err(error) if is_missing(&error) && is_aside(descriptor) => {
                let subject = attested(descriptor).map(str::to_owned);
                let artifact_type = typed.media_type().to_string();
                let blobs = vec![typed.clone()];
                return Ok(Some(self.other(descriptor, blobs, subject, artifact_type)));
            }
            read => read?,
        };
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
            && !is_set(&manifest, "artifactType")
            && !is_attestation(descriptor, &layers)
            && (layers.is_empty() || layers.iter().any(is_layer));
        let (Some(config), true) = (&config, is_image) else {
            let subject = subject_of(descriptor, &manifest);
            let artifact_type = artifact_type(&manifest, config.as_ref(), &layers);
            let blobs = [typed.clone()].into_iter().chain(config).chain(layers);
            let other = self.other(descriptor, blobs.collect(), subject, artifact_type);
            return Ok(Some(other));
        };
        let image = self.image(descriptor, manifest.clone(), config, layers)?;
        let wanted = chosen || self.wants(&image.platform);
        Ok(wanted.then(|| Node::Image(Box::new(image))))
    }

    fn other(
        &self,
        descriptor: &Value,
        blobs: Vec<Descriptor>,
        subject: Option<String>,
        artifact_type: String,
    ) -> Node {
        let is_missing = |blob: &Descriptor| {
            let located = self.store.open(blob.digest());
            matches!(located, Err(BlobError::Missing { .. }))
        };
        Node::Other(Other {
            descriptor: descriptor.clone(),
            is_incomplete: blobs.iter().any(is_missing),
            blobs,
            subject,
            artifact_type,
        })
    }

    fn image(
        &self,
        descriptor: &Value,
        manifest: Value,
        config_descriptor: &Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Image, ImageError> {
        for (index, layer) in layers.iter().enumerate() {
            if !is_layer(layer) || is_encrypted(layer) {
                return Err(ImageError::LayerType {
                    layer: index + 1,
                    digest: layer.digest().clone(),
                    media_type: layer.media_type().to_string(),
                    encrypted: is_encrypted(layer),
                });
            }
        }
        let config = self.document(config_descriptor, "config", &json_keys::CONFIG)?;
        assemble_image(
            descriptor.clone(),
            manifest,
            config_descriptor.clone(),
            config,
            layers,
        )
    }

    fn document(
        &self,
        descriptor: &Descriptor,
        what: &'static str,
        shape: &Shape,
    ) -> Result<Value, ImageError> {
        let bytes = read_document(self.store, descriptor, what)?;
        self.bytes.spend(weight(&bytes))?;
        let mut document = parse_object(&bytes, what, descriptor.digest().as_ref())?;
        respell(&mut document, shape);
        Ok(document)
    }
}

/// The cost of a document: its bytes, or 16 per value if that is more, since a value takes more memory than its text.
fn weight(document: &[u8]) -> u64 {
    let starts = document.iter().filter(|byte| b",[{".contains(byte));
    (document.len() as u64).max(16 * starts.count() as u64)
}

/// Whether a document has a field. Null and an empty string count as absent, as in Go, which most engines use.
pub fn is_set(document: &Value, key: &str) -> bool {
    document
        .get(key)
        .is_some_and(|value| !value.is_null() && value.as_str() != Some(""))
}

fn is_missing(error: &ImageError) -> bool {
    matches!(error, ImageError::Blob(BlobError::Missing { .. }))
}

fn is_layer(layer: &Descriptor) -> bool {
    is_tar_layer(layer.media_type().as_ref())
}

/// Whether the media type has `+encrypted` after the compression, the image-spec extension of ocicrypt.
fn is_encrypted(layer: &Descriptor) -> bool {
    layer.media_type().as_ref().contains("+encrypted")
}

/// The type of an artifact (image-spec manifest.md, "Guidelines for Artifact Usage").
fn artifact_type(manifest: &Value, config: Option<&Descriptor>, layers: &[Descriptor]) -> String {
    let stated = manifest.get("artifactType").and_then(Value::as_str);
    let media_type = |descriptor: &Descriptor| descriptor.media_type().to_string();
    let says_nothing = |text: &String| {
        is_image_config(text)
            || text.starts_with("application/vnd.oci.empty.")
            || text.starts_with("application/vnd.oci.scratch.")
    };
    let of_config = config.map(media_type).filter(|text| !says_nothing(text));
    let of_layer = || layers.first().map(media_type);
    let stated = stated.map(str::to_owned).filter(|text| !text.is_empty());
    stated
        .or(of_config)
        .or_else(of_layer)
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Whether a manifest is an attestation. BuildKit's attestations have an image config, and in-toto statements as
/// layers.
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

/// The subject's digest. BuildKit's attestations name it in an annotation of the descriptor, and referrers
/// (distribution-spec 1.1) in a field of the manifest.
fn subject_of(descriptor: &Value, manifest: &Value) -> Option<String> {
    let referred = manifest.pointer("/subject/digest");
    let attested = attested(descriptor).or(referred.and_then(Value::as_str));
    attested.map(str::to_owned)
}
