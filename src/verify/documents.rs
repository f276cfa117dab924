//! Compares config, manifest and descriptors, field by field.

use serde_json::Value;

use super::annotations::{Digests, accept_base};
use super::media_types::{agree, meaning, meaning_of_layer, of_manifest};
use super::{Difference, Part};
use crate::oci::Image;

/// Fields of a descriptor that depend on the content, which may differ.
const OF_CONTENT: [&str; 4] = ["digest", "size", "data", "urls"];

/// Compares the documents, except the history and the fields that depend on the layers' bytes.
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
    let digests = Digests::new(before, after);
    let (old, mut new) = (config(before), config(after));
    follow_labels(&old, &mut new, &digests);
    let (old, new) = compare_inline_cache(old, new, (before, after), &mut found);
    found.compare("", Some(&old), Some(&new));
    let manifest = |image: &Image| {
        let mut manifest = image.manifest.clone();
        remove(&mut manifest, &["mediaType", "layers"]);
        if let Some(config) = manifest.get_mut("config") {
            remove(config, &OF_CONTENT);
        }
        manifest
    };
    found.part = Part::Manifest;
    let (mut old, mut new) = (manifest(before), manifest(after));
    let configs = (before.manifest.get("config"), after.manifest.get("config"));
    if let (Some(old), Some(new)) = configs {
        found.stale_fields("/config", old, new);
    }
    if before.manifest_digest() != after.manifest_digest() {
        found.left_behind("", digests.settle(&mut old, &mut new));
        accept_base(&old, &mut new, before.manifest_digest());
    }
    if let (Some(old), Some(new)) = (old.get_mut("config"), new.get_mut("config")) {
        found.left_behind("/config", digests.settle(old, new));
        agree(old, new, meaning);
    }
    found.compare("", Some(&old), Some(&new));
    let types = [of_manifest(before), of_manifest(after)];
    if types[0].map(meaning) != types[1].map(meaning) {
        let types = types.map(|it| it.map(Value::from));
        found.compare("/mediaType", types[0].as_ref(), types[1].as_ref());
    }
    found.part = Part::Index;
    let platform = |image: &Image| image.descriptor.get("platform").cloned();
    // A manifest outside an index has no platform.
    if let (Some(old), Some(new)) = (platform(before), platform(after)) {
        found.compare("/platform", Some(&old), Some(&new));
    }
    if before.manifest_digest() != after.manifest_digest() {
        let (mut old, mut new) = (before.descriptor.clone(), after.descriptor.clone());
        found.stale_fields("", &old, &new);
        found.left_behind("", digests.settle(&mut old, &mut new));
    }
}

/// A label with the digest of a layer must follow that layer. Replaces such new digests by the old ones, so that they
/// do not count as differences.
fn follow_labels(before: &Value, after: &mut Value, digests: &Digests) {
    let old = before.pointer("/config/Labels").and_then(Value::as_object);
    let new = after
        .pointer_mut("/config/Labels")
        .and_then(Value::as_object_mut);
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    for (name, value) in new {
        if let Some(old) = old.get(name).filter(|old| digests.is_followed(old, value)) {
            *value = old.clone();
        }
    }
}

/// BuildKit's inline cache refers to layers by their number. It may go if layers changed, and must go if a layer is
/// gone.
fn compare_inline_cache(
    mut before: Value,
    mut after: Value,
    images: (&Image, &Image),
    found: &mut Found<'_>,
) -> (Value, Value) {
    const FIELD: &str = "moby.buildkit.cache.v0";
    let diff_ids = |image: &Image| -> Vec<String> {
        let layers = image.layers.iter();
        layers.map(|layer| layer.diff_id.to_string()).collect()
    };
    let are_same = diff_ids(images.0) == diff_ids(images.1);
    let stays = before.get(FIELD).is_some() && before.get(FIELD) == after.get(FIELD);
    if stays && images.1.layers.len() < images.0.layers.len() {
        found.push(
            format!("/{FIELD}"),
            "counts layers that were removed".to_owned(),
        );
    }
    if !are_same && after.get(FIELD).is_none() {
        remove(&mut before, &[FIELD]);
        remove(&mut after, &[FIELD]);
    }
    (before, after)
}

/// Compares the descriptors of a layer in both images, given its indexes.
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
    let mut found = Found {
        part: Part::Manifest,
        differences,
    };
    let is_changed = old.get("digest") != new.get("digest");
    agree(
        &old,
        &mut new,
        if is_changed {
            meaning_of_layer
        } else {
            meaning
        },
    );
    if is_changed {
        found.stale_fields(&pointer, &old, &new);
        remove(&mut old, &OF_CONTENT);
        remove(&mut new, &OF_CONTENT);
        let digests = Digests::new(before.0, after.0);
        found.left_behind(&pointer, digests.settle(&mut old, &mut new));
    }
    found.compare(&pointer, Some(&old), Some(&new));
}

fn remove(document: &mut Value, fields: &[&str]) {
    if let Some(object) = document.as_object_mut() {
        object.retain(|name, _| !fields.contains(&&**name));
    }
}

/// Differences found in one document.
struct Found<'a> {
    part: Part,
    differences: &'a mut Vec<Difference>,
}

impl Found<'_> {
    /// Compares two values at a JSON pointer, down to the fields that differ.
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

    /// Reports annotations that stayed although the bytes that they describe changed. Readers that trust them fail.
    fn left_behind(&mut self, pointer: &str, names: Vec<String>) {
        for name in names {
            let pointer = format!("{pointer}/annotations/{}", escaped(&name));
            self.push(pointer, "describes bytes that were replaced".to_owned());
        }
    }

    /// Reports embedded data and URLs that stayed in a descriptor although the digest changed.
    fn stale_fields(&mut self, pointer: &str, before: &Value, after: &Value) {
        if before.get("digest") == after.get("digest") {
            return;
        }
        for field in ["data", "urls"] {
            if before.get(field).is_some() && before.get(field) == after.get(field) {
                let pointer = format!("{pointer}/{field}");
                self.push(pointer, "describes bytes that were replaced".to_owned());
            }
        }
    }

    fn push(&mut self, pointer: impl Into<String>, what: String) {
        self.differences.push(Difference {
            part: self.part,
            path: pointer.into().into_bytes(),
            what,
        });
    }
}

/// Escapes a key for a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Number of characters of a value to show in a difference.
const LONGEST_VALUE: usize = 200;

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
