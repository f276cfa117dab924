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
    let pointer = format!("/layers/{}", after.1);
    if old.get("digest") != new.get("digest") {
        remove(&mut old, &OF_CONTENT);
        remove(&mut new, &OF_CONTENT);
        for name in left_behind(&old, &new) {
            differences.push(Difference {
                part: Part::Manifest,
                path: format!("{pointer}/annotations/{}", escaped(&name)).into_bytes(),
                what: "describes the bytes that the layer had".to_owned(),
            });
        }
        forget_annotations(&mut old);
        forget_annotations(&mut new);
    }
    let mut found = Found {
        part: Part::Manifest,
        differences,
    };
    found.compare(&pointer, Some(&old), Some(&new));
}

fn remove(document: &mut Value, fields: &[&str]) {
    if let Some(object) = document.as_object_mut() {
        object.retain(|name, _| !fields.contains(&&**name));
    }
}

fn is_of_content(annotation: &str) -> bool {
    let mut prefixes = ANNOTATIONS_OF_CONTENT.iter();
    prefixes.any(|prefix| annotation.starts_with(prefix))
}

/// Annotations with digests of a blob's parts that stayed when its bytes changed: readers that trust them fail.
fn left_behind(before: &Value, after: &Value) -> Vec<String> {
    let annotations = |descriptor: &Value| descriptor.get("annotations")?.as_object().cloned();
    let (Some(old), Some(new)) = (annotations(before), annotations(after)) else {
        return Vec::new();
    };
    let is_digest = |value: &Value| value.as_str().is_some_and(|it| it.contains("sha256:"));
    let stayed = old.into_iter().filter(|(name, value)| {
        is_of_content(name) && is_digest(value) && new.get(name) == Some(value)
    });
    stayed.map(|(name, _)| name).collect()
}

fn forget_annotations(descriptor: &mut Value) {
    let annotations = descriptor.get_mut("annotations");
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return;
    };
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
