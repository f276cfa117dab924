//! Walking up from rewritten manifests to the root: every index that names one is written anew
//! (after umoci: replace a leaf, then each of its parents).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::annotations::{Renamed, forget_zstd, names_any, refresh};
use super::documents::{NewDocument, rename, replace_document, set_content};
use super::media_types::convert_index;
use crate::oci::Node;
use crate::oci::image::{Index, Other};
use crate::oci::media_type::Family;

/// What walking up gave.
#[derive(Debug, Default)]
pub(crate) struct Rebuilt {
    /// Indexes that were written anew.
    pub indexes: Vec<NewDocument>,
    /// Artifacts that are left out since they speak of a manifest that is gone.
    pub left_out: Vec<LeftOutArtifact>,
}

/// An artifact that is left out.
#[derive(Debug)]
pub(crate) struct LeftOutArtifact {
    /// Its descriptor.
    pub descriptor: Value,
    /// The manifest that it speaks of, if it says so.
    pub subject: Option<String>,
}

/// What became of images.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    /// New descriptors by the digest of the manifest that they replace.
    pub manifests: HashMap<String, NewManifest>,
    /// All that has another digest now.
    pub renamed: Renamed,
}

/// A manifest that replaces another.
#[derive(Debug)]
pub(crate) struct NewManifest {
    /// Its descriptor.
    pub descriptor: Value,
    /// Whether it has a layer that is compressed with Zstandard.
    pub has_zstd: bool,
}

/// The descriptor of the root after images were rewritten.
///
/// Attestations and other artifacts about a manifest that is gone are left out. Indexes get the media types of
/// `family`; without one they keep their own.
///
/// `texts` are the indexes as they are written, by digest: what does not change stays so.
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

/// Digests of manifests that the new root does not lead to any more: rewritten ones, those that
/// the platform filter left out, and artifacts about one of these.
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

/// Whether an artifact is about one of these manifests: its subject, or one that its descriptor's annotations name
/// (SOCI's do).
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
    /// The node's descriptor after the walk; `None` where the node is left out.
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

    /// An index all of whose manifests are left out is left out too.
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

    /// One manifest may be named several times, with other platforms or annotations.
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
