//! Documents that speak of bytes which changed: annotations, attestations, history.

use serde_json::{Value, json};

use crate::support::builder::{Attestation, write_index, write_nested_index};
use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::minimized_layout;
use crate::support::{ImageBuilder, LayerBuilder, minimized, pycull};

fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

fn other() -> LayerBuilder {
    LayerBuilder::new().file("etc/other", "o")
}

fn annotated(descriptor: &mut Value) {
    descriptor["annotations"] = json!({
        "io.github.containers.zstd-chunked.manifest-checksum": "sha256:0",
        "io.github.containers.zstd-chunked.manifest-position": "1:2:3:1",
        "containerd.io/snapshot/stargz/toc.digest": "sha256:0",
        "io.containers.estargz.uncompressed-size": "1",
        "org.example.note": "kept",
    });
    descriptor["data"] = json!("AAAA");
}

/// Trap 15: stale annotations and embedded data.
#[test]
fn what_describes_old_bytes_leaves_a_rewritten_layers_descriptor() {
    let image = ImageBuilder::of([python(), other()])
        .edit_layer(0, annotated)
        .edit_layer(1, annotated);
    let done = minimized(&image, &[]);
    let (before, after) = (done.before.manifest(), done.after.manifest());
    assert_eq!(
        after["layers"][0]["annotations"],
        json!({"org.example.note": "kept"})
    );
    assert_eq!(after["layers"][0].get("data"), None);
    assert_eq!(
        after["layers"][1], before["layers"][1],
        "it was not rewritten"
    );
}

/// Trap 15: an embedded `data` field of the config's and the manifest's descriptor likewise.
#[test]
fn embedded_copies_of_changed_documents_go() {
    let image = ImageBuilder::of([python()]);
    let done = minimized_layout(
        |layout| {
            let mut root = image.write_blobs(layout);
            root["data"] = json!("AAAA");
            write_index(layout, vec![root]);
        },
        &[],
    );
    let index = done.after.index();
    assert_eq!(index["manifests"][0].get("data"), None);
}

/// Trap 16: attestation manifests.
#[test]
fn an_attestation_of_a_rewritten_manifest_is_left_out_and_named() {
    let (rewritten, kept) = (
        ImageBuilder::of([python()]),
        ImageBuilder::of([other()]).platform("linux", "arm64"),
    );
    let mut attestations = Vec::new();
    let done = minimized_layout(
        |layout| {
            let images = [rewritten.write_blobs(layout), kept.write_blobs(layout)];
            attestations = images
                .iter()
                .map(|image| Attestation::of(image).write(layout))
                .collect();
            let all = images
                .into_iter()
                .chain(attestations.iter().cloned())
                .collect();
            let nested = write_nested_index(layout, all);
            write_index(layout, vec![nested]);
        },
        &[],
    );
    let left_out = done.report["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert_eq!(left_out[0]["manifest_digest"], attestations[0]["digest"]);
    assert_eq!(
        left_out[0]["subject"],
        attestations[0]["annotations"]["vnd.docker.reference.digest"]
    );
    assert_eq!(left_out[0]["kind"], "attestation");
    let nested = done.after.document(&done.after.index()["manifests"][0]);
    let digests: Vec<&Value> = nested["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["digest"])
        .collect();
    assert_eq!(digests.len(), 3);
    assert!(!digests.contains(&&attestations[0]["digest"]));
    assert!(digests.contains(&&attestations[1]["digest"]));
    let gone = attestations[0]["digest"]
        .as_str()
        .unwrap()
        .replace(':', "/");
    assert!(!done.after.0.join("blobs").join(gone).exists());
}

/// Trap 18: empty layers and history.
#[test]
fn history_and_diff_ids_stay_aligned_when_a_layer_goes() {
    let caches = LayerBuilder::new().cache(STDLIB, "m", 1, "# m\n", "m 1");
    let base = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), "# m\n");
    let image = ImageBuilder::of([base, caches, other()]).edit_config(|config| {
        let history = config["history"].as_array_mut().unwrap();
        history.insert(1, json!({"created_by": "ENV A=b", "empty_layer": true}));
    });
    let done = minimized(&image, &[]);
    assert_eq!(done.actions(), ["kept", "dropped", "kept"]);
    let (before, after) = (done.before.config(), done.after.config());
    let ids = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(
        ids(&after),
        [ids(&before)[0].clone(), ids(&before)[2].clone()]
    );
    assert_eq!(done.after.layer_count(), 2);
    let history = after["history"].as_array().unwrap();
    let entries: Vec<(&str, bool)> = history
        .iter()
        .map(|entry| {
            (
                entry["created_by"].as_str().unwrap(),
                entry["empty_layer"] == true,
            )
        })
        .collect();
    let expected = [
        ("layer 1", false),
        ("ENV A=b", true),
        ("layer 2", true),
        ("layer 3", false),
    ];
    assert_eq!(entries, expected);
    assert!(!done.unpacked().has(&cache_path(STDLIB, "m", 1)));
}

/// Trap 18: an image whose only layer would be empty keeps it: not every engine runs one without.
#[test]
fn the_last_layer_stays_though_nothing_is_in_it() {
    let layer = LayerBuilder::new().cache("app", "m", 0, "# m\n", "m");
    let done = minimized(&ImageBuilder::of([layer]), &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["rewritten"]);
    assert_eq!(done.after.names(0), [""; 0]);
}

/// Trap 17: signatures are over the manifest and die with it.
#[test]
fn the_report_says_that_signatures_do_not_survive_and_only_where_it_is_so() {
    let said = |layer: LayerBuilder| {
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (directory.path().join("in"), directory.path().join("out"));
        ImageBuilder::of([layer]).write(&input);
        let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
        let output = pycull(["minimize", input, "--output", output]).success();
        output.text().contains("signatures")
    };
    assert!(said(python()));
    assert!(!said(other()), "the manifest did not change");
}
