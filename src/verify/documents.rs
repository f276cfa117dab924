//! Config, manifest and descriptors, field by field.

use serde_json::Value;

use super::{Difference, Part};
use crate::oci::Image;

/// What a descriptor says of bytes, which may be others.
const OF_CONTENT: [&str; 5] = ["mediaType", "digest", "size", "data", "urls"];

/// Annotations that describe the bytes of a blob, by how their names begin: zstd:chunked, eStargz, Nydus
/// and SOCI layers.
const ANNOTATIONS_OF_CONTENT: [&str; 5] = [
    "io.github.containers.zstd-chunked.",
    "containerd.io/snapshot/stargz/",
    "io.containers.estargz.",
    "containerd.io/snapshot/nydus",
    "com.amazon.soci.",
];

/// Compares all but the history and what follows from the layers' bytes.
pub(super) fn compare(before: &Image, after: &Image, differences: &mut Vec<Difference>) {
    let config = |image: &Image| {
        let mut config = image.config.clone();
        remove(&mut config, &["history"]);
        if let Some(rootfs) = config.get_mut("rootfs") {
            remove(rootfs, &["diff_ids"]);
        }
        config
    };
    let mut found = Found {
        part: Part::Config,
        differences,
    };
    found.compare("", Some(&config(before)), Some(&config(after)));
    let manifest = |image: &Image| {
        let mut manifest = image.manifest.clone();
        remove(&mut manifest, &["mediaType", "layers"]);
        if let Some(config) = manifest.get_mut("config") {
            remove(config, &OF_CONTENT);
        }
        manifest
    };
    found.part = Part::Manifest;
    found.compare("", Some(&manifest(before)), Some(&manifest(after)));
    found.part = Part::Index;
    let platform = |image: &Image| image.descriptor.get("platform").cloned();
    // A manifest that no index names has none.
    if let (Some(old), Some(new)) = (platform(before), platform(after)) {
        found.compare("/platform", Some(&old), Some(&new));
    }
}

/// Compares the descriptors of a layer before and after, given their places.
pub(super) fn compare_layer(
    before: (&Image, usize),
    after: (&Image, usize),
    differences: &mut Vec<Difference>,
) {
    let layer = |(image, index): (&Image, usize)| image.manifest.get("layers")?.get(index).cloned();
    let (Some(mut old), Some(mut new)) = (layer(before), layer(after)) else {
        return;
    };
    if old.get("digest") != new.get("digest") {
        remove(&mut old, &OF_CONTENT);
        remove(&mut new, &OF_CONTENT);
        forget_annotations(&mut old);
        // Those that are there speak of other bytes.
        if new.get("annotations") == Some(&Value::Object(Default::default())) {
            remove(&mut new, &["annotations"]);
        }
    }
    let mut found = Found {
        part: Part::Manifest,
        differences,
    };
    let pointer = format!("/layers/{}", after.1);
    found.compare(&pointer, Some(&old), Some(&new));
}

fn remove(document: &mut Value, fields: &[&str]) {
    if let Some(object) = document.as_object_mut() {
        object.retain(|name, _| !fields.contains(&&**name));
    }
}

fn forget_annotations(descriptor: &mut Value) {
    let annotations = descriptor.get_mut("annotations");
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return;
    };
    let is_of_content = |name: &str| ANNOTATIONS_OF_CONTENT.iter().any(|it| name.starts_with(it));
    annotations.retain(|name, _| !is_of_content(name));
    if annotations.is_empty() {
        remove(descriptor, &["annotations"]);
    }
}

/// Differences found in one document.
struct Found<'a> {
    part: Part,
    differences: &'a mut Vec<Difference>,
}

impl Found<'_> {
    /// Compares two values at a place, down to the fields that differ.
    fn compare(&mut self, pointer: &str, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let added = new.keys().filter(|key| !old.contains_key(*key));
                for key in old.keys().chain(added) {
                    let pointer = format!("{pointer}/{}", escaped(key));
                    self.compare(&pointer, old.get(key), new.get(key));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
                for (index, (old, new)) in old.iter().zip(new).enumerate() {
                    self.compare(&format!("{pointer}/{index}"), Some(old), Some(new));
                }
            }
            (old, new) if old == new => {}
            (Some(_), None) => self.push(pointer, "is gone".to_owned()),
            (None, Some(new)) => self.push(pointer, format!("is new: {}", short(new))),
            (Some(old), Some(new)) => {
                self.push(pointer, format!("was {}, is {}", short(old), short(new)));
            }
            (None, None) => {}
        }
    }

    fn push(&mut self, pointer: &str, what: String) {
        self.differences.push(Difference {
            part: self.part,
            path: pointer.as_bytes().to_vec(),
            what,
        });
    }
}

/// A key as a part of a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Most characters of a value that a difference shows.
const LONGEST_VALUE: usize = 200;

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
