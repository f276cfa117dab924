//! Walking up from rewritten manifests to the root: every index that names one is written anew
//! (after umoci: replace a leaf, then each of its parents).

use std::collections::HashMap;

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
    let kept: Vec<&str> = root
        .images()
        .iter()
        .map(|image| image.manifest_digest())
        .filter(|digest| !replaced.contains_key(*digest))
        .collect();
    let descriptor = Walk {
        replaced,
        kept,
        rebuilt: &mut rebuilt,
    }
    .node(root)
    .unwrap_or_else(|| root.descriptor().clone());
    (descriptor, rebuilt)
}

struct Walk<'a> {
    replaced: &'a HashMap<String, Value>,
    /// Manifests of images that stay as they are.
    kept: Vec<&'a str>,
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
            .is_some_and(|subject| !self.kept.contains(&subject));
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
