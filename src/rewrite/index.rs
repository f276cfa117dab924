//! Walking up from rewritten manifests to the root: every index that names one is written anew
//! (after umoci: replace a leaf, then each of its parents).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::documents::{NewDocument, replace_document};
use crate::oci::Node;
use crate::oci::image::{Index, Other};

/// What walking up gave.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Indexes that were written anew.
    pub indexes: Vec<NewDocument>,
    /// Descriptors of artifacts that are left out since they speak of a manifest that is gone.
    pub left_out: Vec<Value>,
}

/// The descriptor of the root after images were rewritten.
///
/// `replaced` has the new descriptor of each rewritten image, by the digest of its old manifest.
/// Attestations and other artifacts about a manifest that is gone are left out.
pub fn rebuild(root: &Node, replaced: &HashMap<String, Value>) -> (Value, Rebuilt) {
    let mut rebuilt = Rebuilt::default();
    let gone = gone(root, replaced);
    let mut walk = Walk {
        replaced,
        gone: &gone,
        rebuilt: &mut rebuilt,
    };
    let descriptor = walk.node(root).unwrap_or_else(|| root.descriptor().clone());
    (descriptor, rebuilt)
}

/// Digests of manifests that the new root does not lead to any more: rewritten ones, those that
/// the platform filter left out, and artifacts about one of these.
fn gone(root: &Node, replaced: &HashMap<String, Value>) -> HashSet<String> {
    let mut gone: HashSet<String> = replaced.keys().cloned().collect();
    let mut artifacts = Vec::new();
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        match node {
            Node::Image(_) => {}
            Node::Other(other) => artifacts.push(other),
            Node::Index(index) => {
                let present: HashSet<&str> = index
                    .children
                    .iter()
                    .map(|child| digest(child.descriptor()))
                    .collect();
                let named = index.document.get("manifests").and_then(Value::as_array);
                let named = named.into_iter().flatten().map(digest);
                gone.extend(
                    named
                        .filter(|digest| !present.contains(digest))
                        .map(str::to_owned),
                );
                pending.extend(&index.children);
            }
        }
    }
    loop {
        let is_about_gone = |other: &&Other| {
            other
                .subject
                .as_ref()
                .is_some_and(|subject| gone.contains(subject))
        };
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

fn digest(descriptor: &Value) -> &str {
    descriptor
        .get("digest")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

struct Walk<'a> {
    replaced: &'a HashMap<String, Value>,
    gone: &'a HashSet<String>,
    rebuilt: &'a mut Rebuilt,
}

impl Walk<'_> {
    /// The node's descriptor after the walk; `None` where the node is left out.
    fn node(&mut self, node: &Node) -> Option<Value> {
        match node {
            Node::Image(image) => {
                let new = self.replaced.get(image.manifest_digest());
                Some(new.map_or_else(
                    || image.descriptor.clone(),
                    |new| with_fields_of(&image.descriptor, new),
                ))
            }
            Node::Other(other) => self.other(other),
            Node::Index(index) => Some(self.index(index)),
        }
    }

    fn other(&mut self, other: &Other) -> Option<Value> {
        let subject_is_gone = other
            .subject
            .as_deref()
            .is_some_and(|subject| self.gone.contains(subject));
        if subject_is_gone {
            self.rebuilt.left_out.push(other.descriptor.clone());
            return None;
        }
        Some(other.descriptor.clone())
    }

    fn index(&mut self, index: &Index) -> Value {
        let manifests: Vec<Value> = index
            .children
            .iter()
            .filter_map(|child| self.node(child))
            .collect();
        if index.document.get("manifests").and_then(Value::as_array) == Some(&manifests) {
            return index.descriptor.clone();
        }
        let mut document = index.document.clone();
        document["manifests"] = Value::Array(manifests);
        let new = replace_document(&index.descriptor, &document);
        let descriptor = new.descriptor.clone();
        self.rebuilt.indexes.push(new);
        descriptor
    }
}

/// One manifest may be named several times, with other platforms or annotations.
fn with_fields_of(old: &Value, new: &Value) -> Value {
    let mut descriptor = old.clone();
    for key in ["digest", "size"] {
        descriptor[key] = new[key].clone();
    }
    if let Some(fields) = descriptor.as_object_mut() {
        fields.shift_remove("data");
    }
    descriptor
}
