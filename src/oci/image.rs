//! Indexes, manifests and configs. pycull reads them with types but keeps them as JSON, so fields that it does not
//! know survive an edit (image-spec image-index.md, manifest.md, config.md).

use std::collections::HashSet;
use std::str::FromStr;

use serde_json::Value;

use super::Descriptor;
use super::blob::BlobStore;
use super::digest::Digest;
pub use super::image_error::ImageError;
use super::json_text;
use super::platform::Platform;

/// One layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The descriptor in the manifest.
    pub descriptor: Descriptor,
    /// The digest of the layer's tar stream, from the config.
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
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The platform from the config. Missing parts are "unknown".
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

/// An index with its children in document order.
#[derive(Debug, Clone)]
pub struct Index {
    /// The descriptor that names the index.
    pub descriptor: Value,
    /// The index.
    pub document: Value,
    /// The nodes that the index names, except those that the platform filter left out.
    pub children: Vec<Node>,
}

impl Index {
    /// The descriptors in the index that the platform filter left out.
    pub fn left_out(&self) -> impl Iterator<Item = &Value> {
        let children = self.children.iter();
        let present: HashSet<String> = children
            .map(|child| digest_text(child.descriptor()))
            .collect();
        let named = self.document.get("manifests").and_then(Value::as_array);
        named
            .into_iter()
            .flatten()
            .filter(move |it| !present.contains(&digest_text(it)))
    }
}

/// Something in an index that is not an image.
#[derive(Debug, Clone)]
pub struct Other {
    /// The descriptor that names this node.
    pub descriptor: Value,
    /// All blobs of this node. The first one is its own.
    pub blobs: Vec<Descriptor>,
    /// The digest of the manifest that this node describes: the subject of an attestation or referrer.
    pub subject: Option<String>,
    /// The artifact type, or the media type of the config or first layer.
    pub artifact_type: String,
    /// Whether one of its blobs is missing.
    pub is_incomplete: bool,
}

/// The target of a descriptor.
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

    /// The digests of all blobs at and below this node. Documents precede what they name, and a blob that is named
    /// several times comes several times.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] if this node or a node below has a malformed descriptor.
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

    /// The layers of images and the blobs of artifacts at and below this node, in order. Skips artifacts with missing
    /// blobs.
    pub fn descriptors(&self) -> Vec<&Descriptor> {
        match self {
            Self::Index(index) => index.children.iter().flat_map(Self::descriptors).collect(),
            Self::Image(image) => image.layers.iter().map(|layer| &layer.descriptor).collect(),
            Self::Other(other) if other.is_incomplete => Vec::new(),
            Self::Other(other) => other.blobs.iter().collect(),
        }
    }

    /// The images in `store` that the platform filter left out. Names their platforms, or digests if the index states
    /// no platform.
    pub fn images_left_out(&self, store: &dyn BlobStore) -> Vec<String> {
        let Self::Index(index) = self else {
            return Vec::new();
        };
        let is_there = |it: &&Value| {
            let descriptor = typed_descriptor(it);
            descriptor.is_ok_and(|it| store.open(it.digest()).is_ok())
        };
        let own = index.left_out().filter(|it| !is_aside(it));
        let own = own.filter(is_there);
        let name_of = |it: &Value| {
            let platform = it.get("platform").and_then(Platform::from_json);
            platform.map_or_else(|| digest_text(it), |it| it.to_string())
        };
        let own = own.map(name_of);
        let children = index.children.iter();
        let below = children.flat_map(|child| child.images_left_out(store));
        own.chain(below).collect()
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

/// Assembles an image from its parts, and pairs each layer with a diff_id of the config.
///
/// # Errors
/// [`ImageError::Malformed`] if the config does not match the manifest.
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
/// A message about what is wrong with the diff_ids.
pub fn diff_ids(config: &Value) -> Result<Vec<Digest>, String> {
    let list = match config.pointer("/rootfs/diff_ids") {
        Some(Value::Array(list)) => &list[..],
        // Go writes null for an empty list.
        Some(Value::Null) => &[],
        Some(_) => return Err("rootfs.diff_ids is not a list".to_owned()),
        None => return Err("it has no rootfs.diff_ids".to_owned()),
    };
    list.iter()
        .map(|value| {
            let text = value
                .as_str()
                .ok_or_else(|| format!("diff_id {value} is not a string"))?;
            Digest::from_str(text).map_err(|error| format!("diff_id `{text}`: {error}"))
        })
        .collect()
}

/// Whether a history entry has no layer (image-spec config.md, "history").
pub fn is_empty_layer(entry: &Value) -> bool {
    entry
        .get("empty_layer")
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// Parses JSON that must be an object. `what` and `name` describe the document in errors.
///
/// # Errors
/// [`ImageError::Malformed`] if the text is not a JSON object.
pub fn parse_object(bytes: &[u8], what: &'static str, name: &str) -> Result<Value, ImageError> {
    let malformed = |reason: String| ImageError::Malformed {
        what,
        digest: name.to_owned(),
        reason,
    };
    let value: Value = json_text::parse(bytes).map_err(|error| malformed(error.to_string()))?;
    if !value.is_object() {
        return Err(malformed("it is not a JSON object".to_owned()));
    }
    Ok(value)
}

/// Maximum number of bytes in a blob, 32 TiB. With this limit, sums over all layers of a manifest cannot overflow.
const LARGEST_BLOB: u64 = 1 << 45;

/// Parses a descriptor.
///
/// # Errors
/// [`ImageError::Malformed`] if the media type, digest or size is missing or invalid.
pub fn typed_descriptor(value: &Value) -> Result<Descriptor, ImageError> {
    let malformed = |reason: String| ImageError::Malformed {
        what: "descriptor",
        digest: digest_text(value),
        reason,
    };
    let descriptor: Descriptor =
        serde_json::from_value(value.clone()).map_err(|error| malformed(error.to_string()))?;
    if descriptor.size() > LARGEST_BLOB {
        let reason = format!(
            "its size is {} bytes; the limit is {LARGEST_BLOB} bytes",
            descriptor.size()
        );
        return Err(malformed(reason));
    }
    Ok(descriptor)
}

/// The digest of the manifest that an attestation describes, if the descriptor names one.
pub(super) fn attested(descriptor: &Value) -> Option<&str> {
    let subject = descriptor.pointer("/annotations/vnd.docker.reference.digest");
    subject.and_then(Value::as_str)
}

/// Whether a descriptor says that its target is not an image.
pub(super) fn is_aside(descriptor: &Value) -> bool {
    let is_unknown = descriptor.pointer("/platform/os") == Some(&Value::from("unknown"));
    is_unknown || attested(descriptor).is_some() || descriptor.get("artifactType").is_some()
}

pub(super) fn descriptors(document: &Value, key: &str) -> Result<Vec<Descriptor>, String> {
    let list = match document.get(key) {
        Some(Value::Array(list)) => &list[..],
        // Go writes null for an empty list.
        Some(Value::Null) | None => &[],
        Some(_) => return Err(format!("{key} is not a list")),
    };
    list.iter()
        .map(|value| typed_descriptor(value).map_err(|error| error.to_string()))
        .collect()
}

pub(super) fn digest_text(descriptor: &Value) -> String {
    descriptor
        .get("digest")
        .and_then(Value::as_str)
        .unwrap_or("without a digest")
        .to_owned()
}
