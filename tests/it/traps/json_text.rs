//! Trap 71: text that an edit does not touch stays the same: digits, escapes, spaces, repeated keys.

use std::fs;
use std::path::Path;

use pycull::oci::digest::sha256_digest;
use pycull::oci::json_text::parse;
use serde_json::Value;

use crate::support::builder::{OCI_CONFIG, OCI_MANIFEST, write_text};
use crate::support::pyc::STDLIB;
use crate::support::scene::minimize;
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull};

/// Members that JSON parsers like to change.
const ODD: &str = r#"
   "x-numbers" : [12345678901234567890123456, -0, 1.0, 1e5, 1E+40, 0.10, 9007199254740993],
   "x-strings":"\ud800 \u003c\/\u00e9é",   "x-twice": 1.0, "x-twice": {"Case":1.50,"case": [ ]},"#;

/// A document on several lines, with odd members at the start and a line feed at the end.
fn odd(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document).unwrap();
    format!("{{{ODD}{}\n", text.strip_prefix('{').unwrap())
}

fn write(layout: &Path, image: &ImageBuilder) {
    let root = image.write_blobs(layout);
    let mut manifest = Layout::new(layout).document(&root);
    let config = Layout::new(layout).document(&manifest["config"]);
    manifest["config"] = write_text(layout, OCI_CONFIG, &odd(&config));
    let mut root = write_text(layout, OCI_MANIFEST, &odd(&manifest));
    root["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(layout.join("index.json"), odd(&index)).unwrap();
}

/// The changes between two texts with the same number of lines, as pairs of an old and a new word.
fn changes(before: &str, after: &str) -> Vec<(String, String)> {
    assert_eq!(
        before.lines().count(),
        after.lines().count(),
        "{before}\n{after}"
    );
    let lines = before
        .lines()
        .zip(after.lines())
        .filter(|(old, new)| old != new);
    lines
        .map(|(old, new)| (old.trim().to_owned(), new.trim().to_owned()))
        .collect()
}

#[test]
fn only_digests_sizes_and_diff_ids_change_in_the_documents() {
    let directory = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| directory.path().join(name));
    let python = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    let image = ImageBuilder::of([python, LayerBuilder::new().file("etc/x", "x")]);
    write(&before, &image);
    write(
        &after,
        &ImageBuilder::of([LayerBuilder::new().file("etc/y", "y")]),
    );
    minimize(
        &before,
        Path::new(&format!("oci:{}:v1", after.display())),
        &[],
    );
    let text =
        |layout: &Layout, descriptor: &Value| String::from_utf8(layout.blob(descriptor)).unwrap();
    let (old, new) = (Layout::new(&before), Layout::new(&after));
    let roots = [&before, &after].map(|layout| {
        let index = parse(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        index["manifests"][0].clone()
    });
    let manifests = [text(&old, &roots[0]), text(&new, &roots[1])];
    let changed = changes(&manifests[0], &manifests[1]);
    assert!(
        changed
            .iter()
            .all(|(old, _)| old.starts_with("\"digest\"") || old.starts_with("\"size\"")),
        "{changed:?}"
    );
    let config = |layout: &Layout, manifest: &str| {
        let manifest = parse(manifest.as_bytes()).unwrap();
        text(layout, &manifest["config"])
    };
    let configs = [config(&old, &manifests[0]), config(&new, &manifests[1])];
    let changed = changes(&configs[0], &configs[1]);
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].0.starts_with("\"sha256:"), "{changed:?}");
    for document in manifests.iter().chain(&configs) {
        assert!(
            document.starts_with(&format!("{{{ODD}")) && document.ends_with("}\n"),
            "{document}"
        );
    }
    let index = fs::read_to_string(after.join("index.json")).unwrap();
    assert!(index.starts_with(&format!("{{{ODD}")), "{index}");
    let names = [&before, &after].map(|path| path.to_str().unwrap());
    pycull(["verify", names[0], names[1]]).success();
    assert_eq!(
        sha256_digest(manifests[1].as_bytes()).to_string(),
        roots[1]["digest"]
    );
}

#[test]
fn a_byte_order_mark_is_refused_as_go_refuses_it() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &ImageBuilder::of([LayerBuilder::new().file("etc/y", "y")]),
    );
    let path = directory.path().join("index.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    pycull(["inspect", directory.path().to_str().unwrap()]).refused("index.json");
}
