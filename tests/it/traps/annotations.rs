//! Trap 15: annotations, labels and index entries that describe bytes which no longer exist.

use std::path::Path;

use serde_json::{Value, json};

use super::documents::{other, python};
use crate::support::builder::{OCI_MANIFEST, write_document, write_index, write_nested_index};
use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::minimized_layout;
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized, pycull};

/// Annotations of layers that describe the layer's bytes, by the tool that writes them.
const OF_BYTES: [&str; 18] = [
    // containers/storage, now and before 2021
    "io.github.containers.zstd-chunked.manifest-checksum",
    "io.github.containers.zstd-chunked.manifest-position",
    "io.github.containers.zstd-chunked.tarsplit-checksum",
    "io.github.containers.zstd-chunked.tarsplit-position",
    "io.containers.zstd-chunked.manifest-checksum",
    "io.containers.zstd-chunked.manifest-position",
    // stargz-snapshotter
    "containerd.io/snapshot/stargz/toc.digest",
    "io.containers.estargz.uncompressed-size",
    "containerd.io/snapshot/remote/stargz.digest",
    // nydus-snapshotter
    "containerd.io/snapshot/nydus-blob",
    "containerd.io/snapshot/nydus-source-digest",
    "containerd.io/snapshot/nydus-reference-blob-ids",
    // accelerated-container-image
    "containerd.io/snapshot/overlaybd/blob-digest",
    "containerd.io/snapshot/overlaybd/blob-size",
    "containerd.io/snapshot/overlaybd/turbo-oci/target-digest",
    // soci-snapshotter
    "com.amazon.soci.image-layer-digest",
    "com.amazon.soci.span-size",
    "com.amazon.soci.index-digest",
];

/// Annotations that stay true.
const LASTING: [&str; 5] = [
    "org.example.note",
    "containerd.io/distribution.source.docker.io",
    "buildkit/createdat",
    "buildkit/rewritten-timestamp",
    "org.opencontainers.image.base.digest",
];

fn annotate(value: &mut Value) {
    for name in OF_BYTES.iter().chain(&LASTING) {
        value["annotations"][*name] = json!("1");
    }
}

fn names(value: &Value) -> Vec<String> {
    let annotations = value["annotations"].as_object();
    annotations.map_or_else(Vec::new, |all| all.keys().cloned().collect())
}

fn verify(before: &Path, after: &Path) -> (Option<i32>, String) {
    let images = [before.to_str().unwrap(), after.to_str().unwrap()];
    let output = pycull(["verify", images[0], images[1], "--format", "json"]);
    (output.code, output.text())
}

#[test]
fn all_that_describes_old_bytes_goes_and_what_stays_true_stays() {
    let image = ImageBuilder::of([python(), other()])
        .edit_layer(0, annotate)
        .edit_layer(1, annotate);
    let done = minimized(&image, &[]);
    let (before, after) = (done.before.manifest(), done.after.manifest());
    assert_eq!(names(&after["layers"][0]), LASTING);
    assert_eq!(
        after["layers"][1], before["layers"][1],
        "it was not rewritten"
    );
    for format in ["zstd:chunked", "eStargz", "Nydus", "overlaybd", "SOCI"] {
        let warnings = done.warnings().join("\n");
        let expected =
            format!("layer 1 can no longer be pulled lazily: pycull removed its {format}");
        assert!(warnings.contains(&expected), "{warnings}");
        assert!(!warnings.contains("layer 2"), "{warnings}");
    }
    assert_eq!(verify(&done.before.0, &done.after.0).0, Some(0));
}

#[test]
fn verify_refuses_each_that_stayed() {
    let layer = |name: &str| {
        ImageBuilder::of([python()])
            .edit_layer(0, |layer| layer["annotations"] = json!({name: "sha256:0"}))
    };
    for name in OF_BYTES {
        let done = minimized(&layer(name), &[]);
        let root = done.after.index()["manifests"][0].clone();
        let mut manifest = done.after.document(&root);
        manifest["layers"][0]["annotations"] = json!({name: "sha256:0"});
        let mut damaged = write_document(&done.after.0, OCI_MANIFEST, &manifest);
        damaged["annotations"] = root["annotations"].clone();
        write_index(&done.after.0, vec![damaged]);
        let (code, text) = verify(&done.before.0, &done.after.0);
        assert_eq!(code, Some(1), "{name}");
        assert!(
            text.contains("describes bytes that were replaced"),
            "{name}: {text}"
        );
    }
}

#[test]
fn digests_of_a_layer_and_a_config_follow_them() {
    let image = ImageBuilder::of([python()]);
    let old_diff_id = image.config["rootfs"]["diff_ids"][0].clone();
    let image = image
        .edit_layer(0, |layer| {
            layer["annotations"] = json!({
                "containerd.io/uncompressed": old_diff_id,
                "org.example.copy-of": layer["digest"],
            });
        })
        .edit_config(|config| {
            config["config"]["Labels"] =
                json!({"ostree.final-diffid": old_diff_id, "other": "kept"});
        });
    let done = minimized_layout(
        |layout| {
            let mut root = image.write_blobs(layout);
            let manifest = Layout::new(layout).document(&root);
            root["annotations"] = json!({
                "config.digest": manifest["config"]["digest"],
                "io.github.containers.compression.zstd": "true",
                "org.opencontainers.image.created": "2024-01-01T00:00:00Z",
            });
            let index = write_nested_index(layout, vec![root]);
            write_index(layout, vec![index]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    let root = &index["manifests"][0];
    let manifest = done.after.document(root);
    let config = done.after.document(&manifest["config"]);
    let new_diff_id = &config["rootfs"]["diff_ids"][0];
    assert_ne!(new_diff_id, &old_diff_id);
    assert_eq!(
        manifest["layers"][0]["annotations"],
        json!({"containerd.io/uncompressed": new_diff_id})
    );
    assert_eq!(
        config["config"]["Labels"],
        json!({"ostree.final-diffid": new_diff_id, "other": "kept"})
    );
    assert_eq!(
        root["annotations"],
        json!({
            "config.digest": manifest["config"]["digest"],
            "org.opencontainers.image.created": "2024-01-01T00:00:00Z",
        })
    );
    assert_eq!(verify(&done.before.0, &done.after.0).0, Some(0));
}

/// SOCI's second version: the image names the table of contents, and another index entry names the image.
#[test]
fn an_index_entry_about_the_old_manifest_is_left_out() {
    let mut image = ImageBuilder::of([python()]);
    image.manifest["annotations"] = json!({
        "com.amazon.soci.index-digest": format!("sha256:{}", "0".repeat(64)), "org.example.note": "kept",
    });
    let artifact = |layout: &Path, manifest: Value, annotations: Value| {
        let mut entry = write_document(layout, OCI_MANIFEST, &manifest);
        entry["artifactType"] = json!("application/vnd.example");
        entry["annotations"] = annotations;
        entry
    };
    let manifest = |layout: &Path, note: &str| {
        let config = write_document(layout, "application/vnd.oci.empty.v1+json", &json!({}));
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example",
               "config": config, "layers": [], "annotations": {"note": note}})
    };
    let done = minimized_layout(
        |layout| {
            let root = image.write_blobs(layout);
            let by_annotation = artifact(
                layout,
                manifest(layout, "soci"),
                json!({"com.amazon.soci.image-manifest-digest": root["digest"]}),
            );
            let mut referrer = manifest(layout, "referrer");
            referrer["subject"] = root.clone();
            let by_subject = artifact(layout, referrer, json!({}));
            let unrelated = artifact(
                layout,
                manifest(layout, "other"),
                json!({"org.example": "x"}),
            );
            let index =
                write_nested_index(layout, vec![root, by_annotation, by_subject, unrelated]);
            write_index(layout, vec![index]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[1]["annotations"], json!({"org.example": "x"}));
    let manifest = done.after.document(&entries[0]);
    assert_eq!(manifest["annotations"], json!({"org.example.note": "kept"}));
    assert_eq!(done.report["left_out"].as_array().unwrap().len(), 2);
    let warnings = done.warnings().join("\n");
    assert!(
        warnings.contains("the image can no longer be pulled lazily"),
        "{warnings}"
    );
    assert_eq!(verify(&done.before.0, &done.after.0).0, Some(0));
}

/// A signature of an SBOM of the image, and a signature of that signature.
#[test]
fn what_is_about_an_artifact_that_is_left_out_is_left_out_too() {
    let image = ImageBuilder::of([python()]);
    let about = |layout: &Path, subject: &Value| {
        let config = write_document(layout, "application/vnd.oci.empty.v1+json", &json!({}));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example",
            "config": config, "layers": [], "subject": subject,
        });
        let mut entry = write_document(layout, OCI_MANIFEST, &manifest);
        entry["artifactType"] = json!("application/vnd.example");
        entry
    };
    let mut unrelated = Value::Null;
    let done = minimized_layout(
        |layout| {
            let root = image.write_blobs(layout);
            let artifact = about(layout, &root);
            let signature = about(layout, &artifact);
            let countersignature = about(layout, &signature);
            let other = ImageBuilder::of([other()]).platform("linux", "arm64");
            let other = other.write_blobs(layout);
            unrelated = about(layout, &about(layout, &other));
            // The last of the chain comes first, so a single pass over the list does not find all.
            let all = vec![
                countersignature,
                signature,
                artifact,
                unrelated.clone(),
                root,
                other,
            ];
            write_index(layout, vec![write_nested_index(layout, all)]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert_eq!(entries[0], unrelated);
    assert_eq!(done.report["left_out"].as_array().unwrap().len(), 3);
}

/// BuildKit's inline cache identifies layers by their number.
#[test]
fn an_inline_cache_goes_with_the_first_layer_that_does() {
    let with_cache = |layers: Vec<LayerBuilder>| {
        ImageBuilder::of(layers)
            .edit_config(|config| config["moby.buildkit.cache.v0"] = json!("W10="))
    };
    let caches = LayerBuilder::new().file(&cache_path(STDLIB, "m", 1), "x");
    let done = minimized(&with_cache(vec![python(), caches, other()]), &[]);
    assert!(done.actions().contains(&"dropped"), "{:?}", done.actions());
    assert_eq!(done.after.config().get("moby.buildkit.cache.v0"), None);
    assert_eq!(verify(&done.before.0, &done.after.0).0, Some(0));
    let done = minimized(&with_cache(vec![python(), other()]), &[]);
    assert_eq!(done.after.config()["moby.buildkit.cache.v0"], "W10=");
}

#[test]
fn a_config_descriptor_that_names_a_layer_follows_it() {
    let done = minimized_layout(
        |layout| {
            let image = ImageBuilder::of([python(), other()]);
            let root = image.write_blobs(layout);
            let mut manifest = Layout(layout.to_owned()).document(&root);
            let config = Layout(layout.to_owned()).document(&manifest["config"]);
            let diff_id = config["rootfs"]["diff_ids"][0].clone();
            manifest["config"]["annotations"] = json!({
                "containerd.io/uncompressed": diff_id, "org.example.note": "kept"
            });
            write_index(
                layout,
                vec![write_document(layout, OCI_MANIFEST, &manifest)],
            );
        },
        &[],
    );
    let (before, after) = (done.before.manifest(), done.after.manifest());
    let name = "containerd.io/uncompressed";
    let annotations = |manifest: &Value| manifest["config"]["annotations"].clone();
    assert_ne!(annotations(&before)[name], annotations(&after)[name]);
    assert_eq!(annotations(&after)["org.example.note"], "kept");
    done.is_verified(&[]);
}

#[test]
fn an_index_of_attestations_alone_goes_with_their_images() {
    let done = minimized_layout(
        |layout| {
            let image = ImageBuilder::of([python()]).write_blobs(layout);
            let statement = ImageBuilder::of([other()]).write_blobs(layout);
            let mut statement = statement;
            statement["platform"] = json!({"os": "unknown", "architecture": "unknown"});
            statement["annotations"] = json!({
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image["digest"],
            });
            let inner = write_nested_index(layout, vec![statement]);
            write_index(layout, vec![write_nested_index(layout, vec![image, inner])]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "{index}");
}

#[test]
fn addresses_of_a_manifest_that_is_gone_go_from_the_index() {
    let done = minimized_layout(
        |layout| {
            let mut image = ImageBuilder::of([python()]).write_blobs(layout);
            image["urls"] = json!(["https://example.org/old"]);
            write_index(layout, vec![write_nested_index(layout, vec![image])]);
        },
        &[],
    );
    let index = done.after.document(&done.after.index()["manifests"][0]);
    assert_eq!(index["manifests"][0].get("urls"), None, "{index}");
}

#[test]
fn what_describes_layers_stays_where_only_media_types_change() {
    let image = ImageBuilder::of([other()]).docker_media_types();
    let done = minimized_layout(
        |layout| {
            let root = image.write_blobs(layout);
            let mut manifest = Layout(layout.to_owned()).document(&root);
            manifest["annotations"] = json!({"com.amazon.soci.index-digest": "sha256:1"});
            let media_type = root["mediaType"].as_str().unwrap().to_owned();
            let mut root = write_document(layout, &media_type, &manifest);
            root["mediaType"] = json!(media_type);
            write_index(layout, vec![root]);
        },
        &[],
    );
    assert_eq!(
        names(&done.after.manifest()),
        ["com.amazon.soci.index-digest"]
    );
    assert!(!done.warnings().join("\n").contains("lazily"));
}

#[test]
fn verify_refuses_a_digest_in_an_index_that_stayed() {
    let image = ImageBuilder::of([python()]);
    let note = "org.example.config";
    let done = minimized_layout(
        |layout| {
            let mut root = image.write_blobs(layout);
            let manifest = Layout::new(layout).document(&root);
            root["annotations"] = json!({note: manifest["config"]["digest"]});
            write_index(layout, vec![root]);
        },
        &[],
    );
    let root = |layout: &Layout| layout.index()["manifests"][0].clone();
    let (before, mut after) = (root(&done.before), root(&done.after));
    assert_ne!(before["annotations"][note], after["annotations"][note]);
    assert_eq!(verify(&done.before.0, &done.after.0).0, Some(0));
    after["annotations"][note] = before["annotations"][note].clone();
    write_index(&done.after.0, vec![after]);
    let (code, text) = verify(&done.before.0, &done.after.0);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(note), "{text}");
}
