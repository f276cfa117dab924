//! Rewrites every index between the root and a rewritten manifest. It goes from the manifests up to the root, as umoci
//! does: replace a leaf, then each of its parents.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::annotations::{Renamed, forget_zstd, names_any, refresh};
use super::documents::{NewDocument, rename, replace_document, set_content};
use super::media_types::convert_index;
use crate::oci::Node;
use crate::oci::image::{Index, Other};
use crate::oci::media_type::Family;

/// The changes to the indexes of an image.
#[derive(Debug, Default)]
pub(crate) struct Rebuilt {
    /// Rewritten indexes.
    pub indexes: Vec<NewDocument>,
    /// Artifacts that are left out because they refer to a manifest that is gone, or because one of their blobs is
    /// missing.
    pub left_out: Vec<LeftOutArtifact>,
}

#[derive(Debug)]
pub(crate) struct LeftOutArtifact {
    /// The descriptor of the artifact.
    pub descriptor: Value,
    /// The digest of the manifest that the artifact refers to, if it names one.
    pub subject: Option<String>,
}

/// The changes to images.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    /// The new manifests, by the digest of the manifest that they replace.
    pub manifests: HashMap<String, NewManifest>,
    /// All changed digests.
    pub renamed: Renamed,
}

/// A manifest that replaces another.
#[derive(Debug)]
pub(crate) struct NewManifest {
    /// The descriptor of the new manifest.
    pub descriptor: Value,
    /// Whether the image has a layer compressed with Zstandard.
    pub has_zstd: bool,
}

/// Returns the descriptor of the root after images were rewritten, and the changes to indexes.
///
/// Attestations and other artifacts that refer to a manifest that is gone are left out. Indexes get the media types of
/// `family`; without a family, they keep their own.
///
/// `texts` has the original texts of the indexes, by digest. Unchanged parts keep their text.
pub(crate) fn rebuild(
    root: &Node,
    replaced: &Replacements,
    family: Option<Family>,
    texts: &HashMap<String, Vec<u8>>,
) -> (Value, Rebuilt) {
    let mut rebuilt = Rebuilt::default();
    let gone = gone(root, &replaced.manifests);
    let mut walk = Walk {
        replaced,
        texts,
        renamed: replaced.renamed.clone(),
        family,
        gone: &gone,
        rebuilt: &mut rebuilt,
    };
    let descriptor = walk.node(root).unwrap_or_else(|| root.descriptor().clone());
    (descriptor, rebuilt)
}

/// Digests of manifests that the new root no longer leads to. These are rewritten manifests, manifests that the
/// platform filter left out, and artifacts that refer to one of these.
fn gone(root: &Node, replaced: &HashMap<String, NewManifest>) -> HashSet<String> {
    let mut gone: HashSet<String> = replaced.keys().cloned().collect();
    let mut artifacts = Vec::new();
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        match node {
            Node::Image(_) => {}
            Node::Other(other) => artifacts.push(other),
            Node::Index(index) => {
                gone.extend(index.left_out().map(digest).map(str::to_owned));
                pending.extend(&index.children);
            }
        }
    }
    loop {
        let is_about_gone = |other: &&Other| speaks_of(other, &gone);
        let about: Vec<String> = artifacts
            .iter()
            .copied()
            .filter(is_about_gone)
            .map(|other| digest(&other.descriptor).to_owned())
            .collect();
        let before = gone.len();
        gone.extend(about);
        if gone.len() == before {
            return gone;
        }
    }
}

/// Whether an artifact refers to one of these manifests, by its subject or by an annotation of its descriptor (as in
/// SOCI).
fn speaks_of(other: &Other, manifests: &HashSet<String>) -> bool {
    let subject = other.subject.as_ref();
    subject.is_some_and(|subject| manifests.contains(subject))
        || names_any(&other.descriptor, manifests)
}

fn digest(descriptor: &Value) -> &str {
    descriptor
        .get("digest")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

struct Walk<'a> {
    replaced: &'a Replacements,
    texts: &'a HashMap<String, Vec<u8>>,
    renamed: Renamed,
    family: Option<Family>,
    gone: &'a HashSet<String>,
    rebuilt: &'a mut Rebuilt,
}

impl Walk<'_> {
    /// The node's new descriptor; `None` if the node is left out.
    fn node(&mut self, node: &Node) -> Option<Value> {
        match node {
            Node::Image(image) => {
                let new = self.replaced.manifests.get(image.manifest_digest());
                Some(new.map_or_else(
                    || image.descriptor.clone(),
                    |new| self.entry(&image.descriptor, new),
                ))
            }
            Node::Other(other) => self.other(other),
            Node::Index(index) => self.index(index),
        }
    }

    fn other(&mut self, other: &Other) -> Option<Value> {
        if speaks_of(other, self.gone) || other.is_incomplete {
            self.rebuilt.left_out.push(LeftOutArtifact {
                descriptor: other.descriptor.clone(),
                subject: other.subject.clone(),
            });
            return None;
        }
        Some(other.descriptor.clone())
    }

    /// The new descriptor of an index; `None` if all of its manifests are left out.
    fn index(&mut self, index: &Index) -> Option<Value> {
        let manifests: Vec<Value> = index
            .children
            .iter()
            .filter_map(|child| self.node(child))
            .collect();
        if manifests.is_empty() && !index.children.is_empty() {
            return None;
        }
        let (mut descriptor, mut document) = (index.descriptor.clone(), index.document.clone());
        document["manifests"] = Value::Array(manifests);
        if let Some(family) = self.family {
            convert_index(&mut descriptor, &mut document, family);
        }
        if document == index.document {
            return Some(descriptor);
        }
        refresh(&mut document, &self.renamed);
        let text = self.texts.get(digest(&descriptor));
        let text = text.map_or(&[][..], Vec::as_slice);
        let new = replace_document(&descriptor, text, &document, &self.renamed);
        rename(&mut self.renamed, &descriptor, &new.descriptor);
        let descriptor = new.descriptor.clone();
        self.rebuilt.indexes.push(new);
        Some(descriptor)
    }

    /// The new descriptor of a manifest. Indexes may name one manifest several times, with different platforms or
    /// annotations, so this changes the old descriptor.
    fn entry(&self, old: &Value, new: &NewManifest) -> Value {
        let mut descriptor = old.clone();
        descriptor["mediaType"] = new.descriptor["mediaType"].clone();
        if !new.has_zstd {
            forget_zstd(&mut descriptor);
        }
        let size = new.descriptor["size"].as_u64().unwrap_or_default();
        set_content(
            &mut descriptor,
            digest(&new.descriptor),
            size,
            &self.renamed,
        );
        descriptor
    }
}
