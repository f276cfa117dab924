//! Indexes of several platforms, and parts of an image's form that do not change.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::builder::{
    Attestation, OCI_INDEX, write_document, write_index, write_nested_index,
};
use crate::support::layout::decompressed;
use crate::support::pyc::STDLIB;
use crate::support::scene::{minimize, minimized_layout};
use crate::support::{ImageBuilder, LayerBuilder, Layered, Layout, Minimized, minimized, pycull};

fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

fn other(content: &str) -> LayerBuilder {
    LayerBuilder::new().file("etc/other", content)
}

fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"]["org.opencontainers.image.ref.name"] = json!(tag);
    descriptor
}

/// An index of two platforms inside another index, with unknown fields on every level.
fn nested(layout: &Path) {
    let image = |architecture: &str| {
        let mut image = ImageBuilder::of([other(architecture), python()])
            .platform("linux", architecture)
            .edit_config(|config| config["x-config"] = json!({"z": 1, "a": [2]}));
        image.manifest["x-manifest"] = json!({"z": 1, "a": [2]});
        let mut root = image.write_blobs(layout);
        root["x-descriptor"] = json!("kept");
        root
    };
    let inner = json!({
        "x-index": {"z": 1, "a": [2]},
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [image("amd64"), image("arm64")],
        "annotations": {"org.example.inner": "kept"},
    });
    let inner = write_document(layout, OCI_INDEX, &inner);
    let outer = write_nested_index(layout, vec![inner]);
    write_index(layout, vec![tagged(outer, "all")]);
}

fn manifests(document: &Value) -> &[Value] {
    document["manifests"].as_array().unwrap()
}

/// The innermost index of [`nested`].
fn innermost(layout: &Layout) -> Value {
    let outer = layout.document(&layout.index()["manifests"][0]);
    layout.document(&manifests(&outer)[0])
}

fn platforms(report: &Value) -> Vec<&str> {
    let images = report["images"].as_array().unwrap();
    images
        .iter()
        .map(|image| image["platform"].as_str().unwrap())
        .collect()
}

#[test]
fn every_index_above_a_rewritten_image_is_rewritten() {
    let done = minimized_layout(nested, &[]);
    assert_eq!(platforms(&done.report), ["linux/amd64", "linux/arm64"]);
    assert_ne!(done.before.manifest_digest(), done.after.manifest_digest());
    let (before, after) = (innermost(&done.before), innermost(&done.after));
    for (old, new) in manifests(&before).iter().zip(manifests(&after)) {
        assert_ne!(old["digest"], new["digest"]);
        assert_eq!(old["platform"], new["platform"]);
    }
    // None of the old documents remain among the blobs.
    let blobs = std::fs::read_dir(done.after.0.join("blobs/sha256"))
        .unwrap()
        .count();
    assert_eq!(
        blobs,
        2 + 2 * 3 + 1,
        "two indexes, two images with one layer in common"
    );
}

#[test]
fn fields_that_pycull_does_not_know_survive_in_every_document_in_their_order() {
    let done = minimized_layout(nested, &[]);
    let index = innermost(&done.after);
    let unknown = r#"{"z":1,"a":[2]}"#;
    assert_eq!(index["x-index"].to_string(), unknown);
    assert!(index.to_string().starts_with(r#"{"x-index":"#));
    assert_eq!(index["annotations"], json!({"org.example.inner": "kept"}));
    for image in manifests(&index) {
        assert_eq!(image["x-descriptor"], "kept");
        let manifest = done.after.document(image);
        assert_eq!(manifest["x-manifest"].to_string(), unknown);
        assert_eq!(
            done.after.document(&manifest["config"])["x-config"].to_string(),
            unknown
        );
    }
    assert_eq!(
        done.after.index()["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
        "all"
    );
}

#[test]
fn a_platform_narrows_what_is_read_and_what_is_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    nested(&layout);
    let input = layout.to_str().unwrap();
    let arm = ["--platform", "linux/arm64"];
    let report = pycull(["inspect", input, "--format", "json"].iter().chain(&arm));
    assert_eq!(platforms(&report.success().json()), ["linux/arm64"]);
    let all = pycull(["inspect", input, "--format", "json", "--platform", "all"]);
    assert_eq!(platforms(&all.success().json()).len(), 2);
    let output = directory.path().join("out");
    let report = minimize(&layout, &output, &arm);
    assert_eq!(platforms(&report), ["linux/arm64"]);
    let images = Layout::new(&output).images();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0]["platform"]["architecture"], "arm64");
}

#[test]
fn a_platform_that_is_not_in_the_layout_is_no_trouble_where_another_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    nested(&layout);
    let index = innermost(&Layout::new(&layout));
    let amd64 = &manifests(&index)[0];
    let digest = amd64["digest"].as_str().unwrap().replace(':', "/");
    std::fs::remove_file(layout.join("blobs").join(digest)).unwrap();
    let input = layout.to_str().unwrap();
    pycull(["inspect", input]).refused("--platform");
    pycull(["inspect", input, "--platform", "linux/arm64"]).success();
    let output = directory.path().join("out");
    minimize(&layout, &output, &["--platform", "linux/arm64"]);
}

#[test]
fn an_attestation_stays_where_its_subject_was_not_rewritten() {
    let done = minimized_layout(
        |layout| {
            let image = ImageBuilder::of([other("o")]).write_blobs(layout);
            let attestation = Attestation::of(&image).write(layout);
            let index = write_nested_index(layout, vec![image, attestation]);
            write_index(layout, vec![index]);
        },
        &[],
    );
    assert_eq!(done.report["left_out"], json!([]));
    assert_eq!(done.before.index(), done.after.index());
    let index = done.after.document(&done.after.index()["manifests"][0]);
    // The blobs were copied too.
    let attestation = done.after.document(&manifests(&index)[1]);
    done.after.blob(&attestation["layers"][0]);
}

#[test]
fn an_image_that_is_named_twice_is_rewritten_under_both_names() {
    let done = minimized_layout(
        |layout| {
            let image = ImageBuilder::of([python()]).write_blobs(layout);
            let mut again = image.clone();
            again["annotations"] = json!({"org.example.name": "again"});
            let index = write_nested_index(layout, vec![image, again]);
            write_index(layout, vec![index]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    let entries = manifests(&index);
    assert_eq!(entries[0]["digest"], entries[1]["digest"]);
    assert_eq!(
        entries[1]["annotations"],
        json!({"org.example.name": "again"})
    );
}

/// The compression of each layer's blob, according to its first bytes, and its media type.
fn compressions(layout: &Layout) -> Vec<(&'static str, String)> {
    let manifest = layout.manifest();
    let layers = manifest["layers"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| {
            let compression = match layout.blob(layer)[..] {
                [0x1f, 0x8b, ..] => "gzip",
                [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
                _ => "none",
            };
            let media_type = layer["mediaType"].as_str().unwrap();
            (
                compression,
                media_type.replace("application/vnd.oci.image.layer.v1.", ""),
            )
        })
        .collect()
}

/// Two layers of each compression. The first of each pair is rewritten.
fn of_every_compression() -> ImageBuilder {
    let mut image = ImageBuilder::new();
    for (name, compression) in [
        ("p", Layered::Plain),
        ("g", Layered::Gzip),
        ("z", Layered::Zstd),
    ] {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .module_of_three(STDLIB, name);
        image = image.layer_as(layer, compression).layer_as(
            LayerBuilder::new().file(&format!("etc/{name}"), name),
            compression,
        );
    }
    image
}

fn of_types(types: [&'static str; 6]) -> Vec<(&'static str, String)> {
    let suffix = |compression| match compression {
        "none" => "tar".to_owned(),
        other => format!("tar+{other}"),
    };
    types
        .into_iter()
        .map(|compression| (compression, suffix(compression)))
        .collect()
}

const ACTIONS: [&str; 6] = [
    "rewritten",
    "kept",
    "rewritten",
    "kept",
    "rewritten",
    "kept",
];

fn kept_layers_are_the_same(done: &Minimized) {
    let (before, after) = (done.before.manifest(), done.after.manifest());
    for index in [1, 3, 5] {
        assert_eq!(
            before["layers"][index], after["layers"][index],
            "layer {index}"
        );
        assert_eq!(
            done.before.blob(&before["layers"][index]),
            done.after.blob(&after["layers"][index])
        );
    }
}

#[test]
fn each_layer_keeps_its_compression_and_an_untouched_one_its_blob() {
    let done = minimized(&of_every_compression(), &[]);
    assert_eq!(done.actions(), ACTIONS);
    let expected = of_types(["none", "none", "gzip", "gzip", "zstd", "zstd"]);
    assert_eq!(compressions(&done.after), expected);
    kept_layers_are_the_same(&done);
}

#[test]
fn a_chosen_compression_is_that_of_rewritten_layers_alone() {
    for (setting, name) in [
        ("none", "none"),
        ("gzip", "gzip"),
        ("gzip:9", "gzip"),
        ("zstd:19", "zstd"),
    ] {
        let done = minimized(&of_every_compression(), &["--compression", setting]);
        assert_eq!(done.actions(), ACTIONS, "{setting}");
        let expected = of_types([name, "none", name, "gzip", name, "zstd"]);
        assert_eq!(compressions(&done.after), expected, "{setting}");
        kept_layers_are_the_same(&done);
    }
}

#[test]
fn a_level_of_compression_changes_the_blob_and_not_the_diff_id() {
    let digests = ["gzip:1", "gzip:9"].map(|setting| {
        let done = minimized(&ImageBuilder::of([python()]), &["--compression", setting]);
        let manifest = done.after.manifest();
        let tar = decompressed(&done.after.blob(&manifest["layers"][0]));
        (manifest["layers"][0]["digest"].clone(), tar)
    });
    assert_ne!(digests[0].0, digests[1].0);
    assert!(digests[0].1 == digests[1].1);
}

#[test]
fn a_chosen_compression_alone_changes_nothing() {
    let done = minimized(&ImageBuilder::of([other("o")]), &["--compression", "zstd"]);
    assert_eq!(done.actions(), ["kept"]);
    assert_eq!(done.before.index(), done.after.index());
}

#[test]
fn a_layer_that_becomes_empty_goes_with_its_history_entry_marked() {
    let caches = LayerBuilder::new()
        .cache(STDLIB, "m", 1, "# m\n", "again")
        .cache(STDLIB, "m", 2, "# m\n", "again");
    let done = minimized(&ImageBuilder::of([python(), caches, other("o")]), &[]);
    assert_eq!(done.actions(), ["rewritten", "dropped", "kept"]);
    assert_eq!(done.after.layer_count(), 2);
    let history = done.after.config()["history"].clone();
    assert_eq!(
        history[1],
        json!({"created_by": "layer 2", "empty_layer": true})
    );
    let dropped = done.before.manifest()["layers"][1]["digest"]
        .as_str()
        .unwrap()
        .replace(':', "/");
    assert!(!done.after.0.join("blobs").join(dropped).exists());
}

#[test]
fn other_tags_of_a_layout_stay_and_the_same_tag_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let (mine, others) = (ImageBuilder::of([python()]), ImageBuilder::of([other("o")]));
    let roots = vec![
        tagged(mine.write_blobs(&layout), "mine"),
        tagged(others.write_blobs(&layout), "others"),
    ];
    write_index(&layout, roots.clone());
    let path = layout.to_str().unwrap();
    let (mine, small) = (format!("oci:{path}:mine"), format!("oci:{path}:small"));
    pycull(["minimize", &mine, "--output", &small]).success();
    let index = Layout::new(&layout).index();
    assert_eq!(manifests(&index).len(), 3);
    assert_eq!(manifests(&index)[..2], roots[..]);
    pycull(["minimize", &mine, "--output", &mine]).success();
    let index = Layout::new(&layout).index();
    assert_eq!(manifests(&index).len(), 3);
    assert_eq!(manifests(&index)[1], roots[1]);
    assert_eq!(
        manifests(&index)[0]["digest"],
        manifests(&index)[2]["digest"]
    );
    for image in Layout::new(&layout).images() {
        crate::support::scene::extracts_image(&Layout::new(&layout), &image);
    }
}
