//! JSON keys in any case. Every container engine reads documents with Go's decoder, which takes `rootfS` for `rootfs`
//! (encoding/json, "Unmarshal"). That decoder prefers an exact match and accepts a case-insensitive one. If several
//! keys match a field, the last one counts.

use serde_json::{Map, Value};

/// The keys of a part of a document.
pub enum Shape {
    /// Any value, or an object whose keys are data.
    Data,
    /// A list.
    List(&'static Shape),
    /// An object with these keys.
    Object(&'static [(&'static str, Shape)]),
}

use Shape::{Data, List, Object};

const PLATFORM: Shape = Object(&[
    ("architecture", Data),
    ("os", Data),
    ("os.version", Data),
    ("os.features", Data),
    ("variant", Data),
]);

const DESCRIPTOR: Shape = Object(&[
    ("mediaType", Data),
    ("digest", Data),
    ("size", Data),
    ("urls", Data),
    ("annotations", Data),
    ("data", Data),
    ("artifactType", Data),
    ("platform", PLATFORM),
]);

/// An index, or the `index.json` of a layout.
pub const INDEX: Shape = Object(&[
    ("schemaVersion", Data),
    ("mediaType", Data),
    ("artifactType", Data),
    ("manifests", List(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Data),
]);

/// An image manifest.
pub const MANIFEST: Shape = Object(&[
    ("schemaVersion", Data),
    ("mediaType", Data),
    ("artifactType", Data),
    ("config", DESCRIPTOR),
    ("layers", List(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Data),
]);

const HISTORY: Shape = Object(&[
    ("created", Data),
    ("created_by", Data),
    ("author", Data),
    ("comment", Data),
    ("empty_layer", Data),
]);

const HEALTHCHECK: Shape = Object(&[
    ("Test", Data),
    ("Interval", Data),
    ("Timeout", Data),
    ("StartPeriod", Data),
    ("StartInterval", Data),
    ("Retries", Data),
]);

/// An image's config.
pub const CONFIG: Shape = Object(&[
    ("created", Data),
    ("author", Data),
    ("architecture", Data),
    ("os", Data),
    ("os.version", Data),
    ("os.features", Data),
    ("variant", Data),
    (
        "config",
        Object(&[
            ("User", Data),
            ("ExposedPorts", Data),
            ("Env", Data),
            ("Entrypoint", Data),
            ("Cmd", Data),
            ("Volumes", Data),
            ("WorkingDir", Data),
            ("Labels", Data),
            ("StopSignal", Data),
            ("ArgsEscaped", Data),
            ("Shell", Data),
            ("OnBuild", Data),
            ("Healthcheck", HEALTHCHECK),
        ]),
    ),
    ("rootfs", Object(&[("type", Data), ("diff_ids", Data)])),
    ("history", List(&HISTORY)),
]);

/// The `manifest.json` of a docker archive.
pub const MANIFEST_JSON: Shape = List(&Object(&[
    ("Config", Data),
    ("RepoTags", Data),
    ("Layers", Data),
    ("Parent", Data),
    ("LayerSources", Data),
]));

/// The `oci-layout` of a layout.
pub const OCI_LAYOUT: Shape = Object(&[("imageLayoutVersion", Data)]);

/// Renames every key that the shape knows to its exact spelling.
pub fn respell(value: &mut Value, shape: &Shape) {
    match (shape, value) {
        (List(shape), Value::Array(items)) => {
            for item in items {
                respell(item, shape);
            }
        }
        (Object(known), Value::Object(fields)) => respell_fields(fields, known),
        _ => {}
    }
}

fn respell_fields(fields: &mut Map<String, Value>, known: &[(&'static str, Shape)]) {
    let spelling = |key: &str| {
        let exact = known.iter().find(|(name, _)| *name == key);
        exact.or_else(|| known.iter().find(|(name, _)| folded(name) == folded(key)))
    };
    let is_misspelt = |key: &String| spelling(key).is_some_and(|(name, _)| name != key);
    if fields.keys().any(is_misspelt) {
        let misspelt = std::mem::take(fields);
        for (key, value) in misspelt {
            match spelling(&key) {
                Some((name, _)) => fields.insert((*name).to_owned(), value),
                None => fields.insert(key, value),
            };
        }
    }
    for (key, value) in fields.iter_mut() {
        if let Some((_, shape)) = known.iter().find(|(name, _)| name == key) {
            respell(value, shape);
        }
    }
}

/// Folds case like Go: the non-ASCII letters U+017F and U+212A match `s` and `k`.
fn folded(key: &str) -> String {
    key.to_lowercase().replace('ſ', "s")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn respelt(mut value: Value, shape: &Shape) -> Value {
        respell(&mut value, shape);
        value
    }

    #[test]
    fn keys_of_any_case_are_read_and_data_is_left_alone() {
        let config = json!({
            "RootfS": {"TYPE": "layers", "Diff_IDs": ["d"]}, "OS": "linux", "x-Unknown": {"OS": 1},
            "Config": {"env": ["A=b"], "labels": {"env": "L", "Env": "M"}, "HEALTHCHEC\u{212a}": {"test": []}},
            "hiſtory": [{"Empty_Layer": true}],
        });
        let expected = json!({
            "rootfs": {"type": "layers", "diff_ids": ["d"]}, "os": "linux", "x-Unknown": {"OS": 1},
            "config": {"Env": ["A=b"], "Labels": {"env": "L", "Env": "M"}, "Healthcheck": {"Test": []}},
            "history": [{"empty_layer": true}],
        });
        assert_eq!(respelt(config, &CONFIG).to_string(), expected.to_string());
    }

    #[test]
    fn of_two_spellings_the_last_counts() {
        let manifest = json!({"layers": [1], "Layers": [2]});
        assert_eq!(respelt(manifest, &MANIFEST), json!({"layers": [2]}));
        let manifest = json!({"Layers": [2], "layers": [1]});
        assert_eq!(respelt(manifest, &MANIFEST), json!({"layers": [1]}));
    }

    #[test]
    fn what_has_another_form_is_left_as_it_is() {
        for value in [json!(null), json!([1, null]), json!({"LAYERS_": 1})] {
            assert_eq!(respelt(value.clone(), &MANIFEST_JSON), value);
            assert_eq!(respelt(value.clone(), &MANIFEST), value);
        }
    }
}
