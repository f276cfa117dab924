//! Indexes, manifests and configs: read with types, kept as JSON, so that fields which pycull
//! does not know survive an edit (image-spec image-index.md, manifest.md, config.md).

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::Descriptor;
use super::blob::{BlobError, BlobStore, read_document};
use super::digest::Digest;
use super::media_type::{DocumentKind, document_kind, is_image_config};

/// What can be wrong with an image's documents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A blob is missing, damaged or too large.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A document is not JSON, or not of the form that its kind has.
    #[error("{what} {digest} is malformed: {reason}")]
    Malformed {
        /// "index", "manifest" or "config".
        what: &'static str,
        /// The document's digest, or its file's name.
        digest: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An index that names nothing.
    #[error("index {digest} has no manifests")]
    EmptyIndex {
        /// The index's digest.
        digest: String,
    },
    /// Indexes nested beyond reason.
    #[error("indexes are nested more than {limit} deep")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// A descriptor of a kind that holds no image.
    #[error("{digest} has media type `{media_type}`, which is no image and no index")]
    NotAnImage {
        /// The descriptor's digest.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// `--platform` matches nothing.
    #[error("no image for platform {wanted}; there is: {available}")]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What there is, separated by commas.
        available: String,
    },
}

/// An operating system and architecture (image-spec image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// For example `amd64`.
    pub architecture: String,
    /// For example `v7`.
    pub variant: Option<String>,
}

impl Platform {
    /// Whether an image of platform `other` is wanted where `self` is asked for. Without a variant
    /// every variant is.
    pub fn accepts(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key| {
            value
                .get(key)
                .and_then(Value::as_str)
                .filter(|text: &&str| !text.is_empty())
                .map(str::to_owned)
        };
        Some(Self {
            os: text("os")?,
            architecture: text("architecture")?,
            variant: text("variant"),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            _ if parts.iter().any(|part| part.is_empty()) => {}
            [os, architecture] => {
                return Ok(Self {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: None,
                });
            }
            [os, architecture, variant] => {
                let variant = Some(variant.to_owned());
                return Ok(Self {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant,
                });
            }
            _ => {}
        }
        Err(format!(
            "`{text}` is no platform; write it as os/architecture or os/architecture/variant"
        ))
    }
}

/// One layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The digest of its tar stream, from the config.
    pub diff_id: Digest,
}

/// One image: a manifest with its config and layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// The descriptor that names the manifest, as JSON with all its fields.
    pub descriptor: Value,
    /// The manifest.
    pub manifest: Value,
    /// The config's descriptor.
    pub config_descriptor: Descriptor,
    /// The config.
    pub config: Value,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
    /// From the config; unknown parts read "unknown".
    pub platform: Platform,
}

impl Image {
    /// The manifest's digest.
    pub fn manifest_digest(&self) -> &str {
        self.descriptor
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// An index with what it names, in its order.
#[derive(Debug, Clone)]
pub struct Index {
    /// The descriptor that names the index.
    pub descriptor: Value,
    /// The index.
    pub document: Value,
    /// What it names. Children that the platform filter left out are not among them.
    pub children: Vec<Node>,
}

/// Something in an index that is no image.
#[derive(Debug, Clone)]
pub struct Other {
    /// The descriptor that names it.
    pub descriptor: Value,
    /// Every blob that belongs to it, its own first.
    pub blobs: Vec<Descriptor>,
    /// The digest of a manifest that it speaks about: an attestation's or a referrer's subject.
    pub subject: Option<String>,
}

/// What a descriptor leads to.
#[derive(Debug, Clone)]
pub enum Node {
    /// An index.
    Index(Index),
    /// An image.
    Image(Box<Image>),
    /// An attestation, a signature, or another artifact.
    Other(Other),
}

impl Node {
    /// The descriptor that names this node.
    pub fn descriptor(&self) -> &Value {
        match self {
            Self::Index(index) => &index.descriptor,
            Self::Image(image) => &image.descriptor,
            Self::Other(other) => &other.descriptor,
        }
    }

    /// Digests of every blob at and below this node, documents before what they name; one that is
    /// named several times comes several times.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] for a descriptor that is none.
    pub fn blobs(&self) -> Result<Vec<Digest>, ImageError> {
        let mut digests = vec![typed_descriptor(self.descriptor())?.digest().clone()];
        match self {
            Self::Index(index) => {
                for child in &index.children {
                    digests.extend(child.blobs()?);
                }
            }
            Self::Image(image) => {
                digests.push(image.config_descriptor.digest().clone());
                digests.extend(
                    image
                        .layers
                        .iter()
                        .map(|layer| layer.descriptor.digest().clone()),
                );
            }
            Self::Other(other) => {
                digests.extend(other.blobs.iter().skip(1).map(|blob| blob.digest().clone()))
            }
        }
        Ok(digests)
    }

    /// All images at and below this node, in order.
    pub fn images(&self) -> Vec<&Image> {
        match self {
            Self::Index(index) => index.children.iter().flat_map(Self::images).collect(),
            Self::Image(image) => vec![image],
            Self::Other(_) => Vec::new(),
        }
    }
}

const DEEPEST_INDEX: usize = 8;

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
    let loader = Loader { store, platform };
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

/// Puts an image together from its parts, matching layers with the config's diff_ids.
///
/// # Errors
/// [`ImageError::Malformed`] where the config does not fit the manifest.
pub fn assemble_image(
    descriptor: Value,
    manifest: Value,
    config_descriptor: Descriptor,
    config: Value,
    layers: Vec<Descriptor>,
) -> Result<Image, ImageError> {
    let malformed = |reason: String| ImageError::Malformed {
        what: "config",
        digest: config_descriptor.digest().to_string(),
        reason,
    };
    let diff_ids = diff_ids(&config).map_err(malformed)?;
    if diff_ids.len() != layers.len() {
        return Err(malformed(format!(
            "it has {} diff_ids for {} layers",
            diff_ids.len(),
            layers.len()
        )));
    }
    let layers = layers
        .into_iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| Layer {
            descriptor,
            diff_id,
        })
        .collect();
    let text = |key: &str| {
        config
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let platform = Platform {
        os: text("os").unwrap_or_else(|| "unknown".to_owned()),
        architecture: text("architecture").unwrap_or_else(|| "unknown".to_owned()),
        variant: text("variant"),
    };
    Ok(Image {
        descriptor,
        manifest,
        config_descriptor,
        config,
        layers,
        platform,
    })
}

/// The diff_ids of a config, lowest layer first.
///
/// # Errors
/// A sentence on what is wrong with them.
pub fn diff_ids(config: &Value) -> Result<Vec<Digest>, String> {
    let list = config
        .pointer("/rootfs/diff_ids")
        .and_then(Value::as_array)
        .ok_or("it has no rootfs.diff_ids")?;
    list.iter()
        .map(|value| {
            let text = value
                .as_str()
                .ok_or_else(|| format!("diff_id {value} is no string"))?;
            Digest::from_str(text).map_err(|error| format!("diff_id `{text}`: {error}"))
        })
        .collect()
}

/// Parses JSON that must be an object.
///
/// # Errors
/// [`ImageError::Malformed`].
pub fn parse_object(bytes: &[u8], what: &'static str, name: &str) -> Result<Value, ImageError> {
    let malformed = |reason: String| ImageError::Malformed {
        what,
        digest: name.to_owned(),
        reason,
    };
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if !value.is_object() {
        return Err(malformed("it is no JSON object".to_owned()));
    }
    Ok(value)
}

/// A descriptor as a type.
///
/// # Errors
/// [`ImageError::Malformed`] where media type, digest or size is missing or wrong.
pub fn typed_descriptor(value: &Value) -> Result<Descriptor, ImageError> {
    serde_json::from_value(value.clone()).map_err(|error| ImageError::Malformed {
        what: "descriptor",
        digest: digest_text(value),
        reason: error.to_string(),
    })
}

fn descriptors(document: &Value, key: &str) -> Result<Vec<Descriptor>, String> {
    let list = document
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|value| typed_descriptor(value).map_err(|error| error.to_string()))
        .collect()
}

fn digest_text(descriptor: &Value) -> String {
    descriptor
        .get("digest")
        .and_then(Value::as_str)
        .unwrap_or("without a digest")
        .to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_without_variant_accepts_every_variant() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v6").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm64").accepts(&platform("linux/amd64")));
        assert!("linux".parse::<Platform>().is_err() && "linux//v7".parse::<Platform>().is_err());
    }
}
