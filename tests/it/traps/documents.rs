//! Documents that describe bytes which changed: annotations, attestations, history.

use serde_json::{Value, json};

use crate::support::builder::{Attestation, write_document, write_index, write_nested_index};
use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::{inspected_layout, minimize, minimized_layout, verdict};
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized, pycull};

pub(super) fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

pub(super) fn other() -> LayerBuilder {
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

/// Trap 15: the same for an embedded `data` field in the descriptors of the config and the manifest.
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

/// Trap 15: addresses and copies of old bytes must not stay in the output of another tool either.
#[test]
fn verify_refuses_addresses_and_copies_of_bytes_that_are_gone() {
    type Place = fn(&mut Value) -> &mut Value;
    let places: [(Place, &str); 2] = [
        (|manifest| &mut manifest["layers"][0], "/layers/0"),
        (|manifest| &mut manifest["config"], "/config"),
    ];
    for (place, pointer) in places {
        for (field, value) in [
            ("urls", json!(["https://example.org/old"])),
            ("data", json!("AAAA")),
        ] {
            let with_field = |layout: &Layout| {
                let root = layout.index()["manifests"][0].clone();
                let mut manifest = layout.document(&root);
                place(&mut manifest)[field] = value.clone();
                let media_type = root["mediaType"].as_str().unwrap();
                let mut changed = write_document(&layout.0, media_type, &manifest);
                changed["annotations"] = root["annotations"].clone();
                write_index(&layout.0, vec![changed]);
            };
            let done = minimized(&ImageBuilder::of([python()]), &[]);
            with_field(&done.before);
            done.is_verified(&[]);
            with_field(&done.after);
            let images = [&done.before, &done.after].map(|it| it.0.to_str().unwrap());
            let said = pycull(["verify", images[0], images[1]]);
            assert_eq!(said.code, Some(1), "{pointer} {field}");
            let expected = format!("{pointer}/{field}");
            assert!(said.text().contains(&expected), "{}", said.text());
        }
    }
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

/// Trap 40: if a history has fewer or more entries than there are layers, its entries belong to the lowest layers.
#[test]
fn entries_of_a_history_that_does_not_match_stay_with_their_layers() {
    let caches = || LayerBuilder::new().cache(STDLIB, "m", 1, "# m\n", "m 1");
    let base = || {
        let stdlib = LayerBuilder::new().stdlib(STDLIB);
        stdlib.file(&format!("{STDLIB}/m.py"), "# m\n")
    };
    // Layers, number of entries, and the entries that are marked as empty afterwards.
    let cases: [(Vec<LayerBuilder>, usize, &[usize]); 5] = [
        (vec![base(), caches(), other()], 2, &[1]),
        (vec![base(), caches(), other()], 1, &[]),
        (vec![base(), other(), caches()], 2, &[]),
        (vec![base(), caches(), other()], 4, &[1]),
        (vec![base(), caches(), other()], 0, &[]),
    ];
    for (layers, entries, marked) in cases {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["before", "after"].map(|name| directory.path().join(name));
        let names = (0..entries).map(|number| json!({"created_by": format!("entry {number}")}));
        let history: Vec<Value> = names.collect();
        let set = |config: &mut Value| config["history"] = json!(history);
        ImageBuilder::of(layers).edit_config(set).write(&paths[0]);
        minimize(&paths[0], &paths[1], &[]);
        let mut expected = history.clone();
        for place in marked {
            expected[*place]["empty_layer"] = json!(true);
        }
        let after = Layout::new(&paths[1]);
        assert_eq!(after.config()["history"], json!(expected));
        assert_eq!(after.layer_count(), 2);
        assert_eq!(verdict(&paths[0], &paths[1]), "same");
        // The entry of the dropped layer must not become the entry of the next layer.
        if !marked.is_empty() {
            let mut shifted = Layout::new(&paths[1]).config();
            shifted["history"] = json!(history);
            let moved = directory.path().join("moved");
            let layers = [base(), other()];
            let image = ImageBuilder::of(layers).edit_config(|config| *config = shifted);
            image.write(&moved);
            assert_eq!(verdict(&paths[0], &moved), "different");
        }
    }
}

/// Trap 42: Go writes an empty list as `null`.
#[test]
fn an_image_whose_layers_are_null_is_an_image_without_layers() {
    for written in [Value::Null, json!([])] {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["before", "after"].map(|name| directory.path().join(name));
        let image = ImageBuilder::new().edit_config(|config| {
            config["rootfs"]["diff_ids"] = written.clone();
            config["history"] = written.clone();
        });
        let mut root = image.write_blobs(&paths[0]);
        let mut manifest = Layout::new(&paths[0]).document(&root);
        manifest["layers"] = written.clone();
        let media_type = root["mediaType"].as_str().unwrap().to_owned();
        root = write_document(&paths[0], &media_type, &manifest);
        root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        write_index(&paths[0], vec![root]);
        let found = inspected_layout(&paths[0]);
        assert_eq!(found["layers"], json!([]));
        let report = minimize(&paths[0], &paths[1], &["--profile", "all"]);
        assert_eq!(report["images"][0]["layers"], json!([]));
        assert_eq!(verdict(&paths[0], &paths[1]), "same");
    }
}

#[test]
fn layers_that_are_not_a_list_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let root = ImageBuilder::of([other()]).write_blobs(directory.path());
    let mut manifest = Layout::new(directory.path()).document(&root);
    manifest["layers"] = json!({});
    let media_type = root["mediaType"].as_str().unwrap();
    let root = write_document(directory.path(), media_type, &manifest);
    write_index(directory.path(), vec![root]);
    let layout = directory.path().to_str().unwrap();
    pycull(["inspect", layout]).refused("layers is not a list");
}

/// Trap 18: an image keeps its only layer even if it is empty, because not every engine runs an image without layers.
#[test]
fn the_last_layer_stays_though_nothing_is_in_it() {
    let layer = LayerBuilder::new().cache(".", "m", 0, "# m\n", "m");
    let done = minimized(&ImageBuilder::of([layer]), &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["rewritten"]);
    assert_eq!(done.after.names(0), [""; 0]);
}

/// Trap 17: signatures sign the manifest, and become invalid with it.
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
