//! Annotations and labels that describe bytes. They must change or go together with the bytes.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::oci::Image;
use crate::oci::annotations::{BASE_DIGEST, BASE_NAME};

/// Digests that only one of two images has: those of the manifest, the config, the layers and their tar streams.
pub(super) struct Digests {
    gone: HashSet<String>,
    come: HashSet<String>,
}

impl Digests {
    pub(super) fn new(before: &Image, after: &Image) -> Self {
        let (old, new) = (digests(before), digests(after));
        Self {
            gone: old.difference(&new).cloned().collect(),
            come: new.difference(&old).cloned().collect(),
        }
    }

    /// Whether `old` is a digest that is gone, and `new` is one that came.
    pub(super) fn is_followed(&self, old: &Value, new: &Value) -> bool {
        self.is_gone(old) && new.as_str().is_some_and(|it| self.come.contains(it))
    }

    pub(super) fn is_gone(&self, value: &Value) -> bool {
        value.as_str().is_some_and(|it| self.gone.contains(it))
    }

    /// Removes from two descriptors or documents the annotations that may differ, because what they describe differs.
    /// Returns the names of annotations that stayed although what they describe is gone.
    pub(super) fn settle(&self, before: &mut Value, after: &mut Value) -> Vec<String> {
        let (old, new) = (annotations(before), annotations(after));
        let is_about = |name: &str, value: &Value| is_of_content(name) || self.is_gone(value);
        let mut stayed = Vec::new();
        let mut settled = HashSet::new();
        for (name, value) in &old {
            match new.get(name) {
                _ if !is_about(name, value) => continue,
                Some(same) if same == value => stayed.push(name.clone()),
                Some(other) if !is_of_content(name) && !self.is_followed(value, other) => continue,
                _ => {}
            }
            settled.insert(name.clone());
        }
        // A new layer made for lazy pulling has annotations of its own.
        settled.extend(
            new.into_iter()
                .map(|(name, _)| name)
                .filter(|name| is_of_content(name)),
        );
        for side in [before, after] {
            retain(side, |name| !settled.contains(name));
        }
        stayed
    }
}

/// Accepts annotations that name the first image as the base of the second one. They are new and come together.
pub(super) fn accept_base(before: &Value, after: &mut Value, base: &str) {
    let (old, new) = (annotations(before), annotations(after));
    let is_new = !old.contains_key(BASE_DIGEST) && !old.contains_key(BASE_NAME);
    let is_base = new.get(BASE_DIGEST).is_some_and(|digest| *digest == base);
    let has_name = new.get(BASE_NAME).is_some_and(Value::is_string);
    if is_new && is_base && has_name {
        retain(after, |name| name != BASE_DIGEST && name != BASE_NAME);
    }
}

fn digests(image: &Image) -> HashSet<String> {
    let layers = image.layers.iter();
    let layers = layers.flat_map(|layer| [layer.descriptor.digest(), &layer.diff_id]);
    let config = image.config_descriptor.digest();
    layers
        .chain([config])
        .map(ToString::to_string)
        .chain([image.manifest_digest().to_owned()])
        .collect()
}

/// Whether readers take an annotation with this name as a description of where files lie in a layer's bytes.
fn is_of_content(name: &str) -> bool {
    const FORMATS: [&str; 6] = [
        "zstd-chunked",
        "stargz",
        "snapshot/nydus",
        "overlaybd",
        "amazon.soci",
        "snapshot/remote/",
    ];
    FORMATS.iter().any(|format| name.contains(format))
}

fn annotations(value: &Value) -> Map<String, Value> {
    let annotations = value.get("annotations").and_then(Value::as_object);
    annotations.cloned().unwrap_or_default()
}

fn retain(value: &mut Value, keep: impl Fn(&str) -> bool) {
    let Some(annotations) = value.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.retain(|name, _| keep(name));
    if annotations.is_empty()
        && let Some(fields) = value.as_object_mut()
    {
        fields.shift_remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(annotations: Value) -> Value {
        json!({"annotations": annotations})
    }

    /// What remains to be compared if one digest is gone and another came, and what stayed.
    fn settled(before: Value, after: Value) -> (Value, Value, Vec<String>) {
        let digests = Digests {
            gone: HashSet::from(["old".to_owned()]),
            come: HashSet::from(["new".to_owned()]),
        };
        let (mut before, mut after) = (document(before), document(after));
        let stayed = digests.settle(&mut before, &mut after);
        (before, after, stayed)
    }

    #[test]
    fn an_annotation_with_a_digest_that_is_gone_may_go_or_name_the_new_one() {
        let old = json!({"of": "old", "note": "kept"});
        let rest = document(json!({"note": "kept"}));
        for after in [
            json!({"note": "kept"}),
            json!({"of": "new", "note": "kept"}),
        ] {
            let (before, after, stayed) = settled(old.clone(), after);
            assert_eq!((before, after), (rest.clone(), rest.clone()));
            assert_eq!(stayed, [""; 0]);
        }
        let (_, _, stayed) = settled(old.clone(), old.clone());
        assert_eq!(stayed, ["of"]);
        let other = json!({"of": "another", "note": "kept"});
        let (before, after, stayed) = settled(old.clone(), other.clone());
        assert_eq!((before, after), (document(old), document(other)));
        assert_eq!(stayed, [""; 0]);
    }

    #[test]
    fn annotations_about_places_in_a_layer_may_change_and_others_may_not() {
        let place = "com.amazon.soci.span-size";
        for after in [json!({place: "2"}), json!({})] {
            let (before, after, stayed) = settled(json!({place: "1"}), after);
            assert_eq!((before, after), (json!({}), json!({})));
            assert_eq!(stayed, [""; 0]);
        }
        let (before, after, _) = settled(json!({"note": "1"}), json!({"note": "2"}));
        assert_ne!(before, after);
    }

    #[test]
    fn an_image_may_name_as_its_base_only_the_image_that_it_was_made_from() {
        let accepted = |before: Value, after: Value| {
            let mut after = document(after);
            accept_base(&document(before), &mut after, "old");
            after.get("annotations").is_none()
        };
        let named = |digest: &str| json!({BASE_DIGEST: digest, BASE_NAME: "localhost/app"});
        assert!(accepted(json!({}), named("old")));
        assert!(!accepted(json!({}), named("another")));
        assert!(!accepted(json!({}), json!({BASE_DIGEST: "old"})));
        assert!(!accepted(
            json!({}),
            json!({BASE_DIGEST: "old", BASE_NAME: 1})
        ));
        assert!(!accepted(named("other"), named("old")));
        assert!(!accepted(json!({BASE_NAME: "x"}), named("old")));
        assert!(!accepted(json!({BASE_DIGEST: "x"}), named("old")));
    }
}
