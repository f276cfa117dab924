//! Every command recognizes paths that are not images, and says what they are.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{file, python, tagged};
use crate::support::builder::{
    OCI_CONFIG, OCI_MANIFEST, write_document, write_index, write_nested_index, write_text,
};
use crate::support::{ImageBuilder, LayerBuilder, pycull, tool};

/// Checks that every command refuses the image with all of `needles` and a hint, and writes nothing.
#[track_caller]
fn refused(directory: &Path, reference: &str, needles: &[&str]) {
    let good = directory.join("good");
    ImageBuilder::of([file("good")]).write(&good);
    let good = good.to_str().unwrap();
    let output = directory.join("output");
    let to = output.to_str().unwrap();
    for arguments in [
        &["inspect", reference][..],
        &["minimize", reference, "--dry-run"],
        &["minimize", reference, "--output", to],
        &["compare", good, reference],
        &["verify", good, reference],
        &["bench", reference],
    ] {
        let done = pycull(arguments).refused("");
        assert_eq!(done.text(), "", "{arguments:?}");
        for needle in needles.iter().chain(&["hint: "]) {
            assert!(
                done.stderr.contains(needle),
                "{arguments:?}: no `{needle}` in {}",
                done.stderr
            );
        }
        assert!(!output.exists());
    }
}

/// Writes a layout with a single manifest, which is an artifact.
fn artifact(layout: &Path, edit: impl FnOnce(&Path) -> Value) -> Value {
    ImageBuilder::of([file("x")]).write(layout);
    let mut manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST});
    let Value::Object(fields) = edit(layout) else {
        unreachable!()
    };
    manifest.as_object_mut().unwrap().extend(fields);
    write_document(layout, OCI_MANIFEST, &manifest)
}

fn parts(layout: &Path, config: &str, layer: &str) -> Value {
    json!({
        "config": write_text(layout, config, "{}"),
        "layers": [write_text(layout, layer, "content")],
    })
}

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

#[test]
fn an_artifact_is_named_by_its_type() {
    for (config, layer, stated, expected) in [
        (
            "application/vnd.wasm.config.v0+json",
            "application/wasm",
            None,
            "application/vnd.wasm.config.v0+json",
        ),
        (
            OCI_CONFIG,
            "application/vnd.wasm.content.layer.v1+wasm",
            None,
            "application/vnd.wasm.content.layer.v1+wasm",
        ),
        (
            EMPTY,
            "application/jose+json",
            Some("application/vnd.cncf.notary.signature"),
            "application/vnd.cncf.notary.signature",
        ),
        (
            OCI_CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            None,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        ),
        (
            OCI_CONFIG,
            "application/vnd.stacker.image.layer.squashfs+zstd+verity",
            None,
            "squashfs",
        ),
        (
            "application/vnd.cncf.helm.config.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            None,
            "application/vnd.cncf.helm.config.v1+json",
        ),
        (EMPTY, "text/plain", None, "text/plain"),
        (
            OCI_CONFIG,
            "application/vnd.oci.image.layer.v1.tar",
            Some("application/vnd.example.disk"),
            "application/vnd.example.disk",
        ),
        (
            "application/vnd.example.config+json",
            "application/vnd.oci.image.layer.v1.tar",
            None,
            "application/vnd.example.config+json",
        ),
    ] {
        for in_index in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let layout = directory.path().join("in");
            let mut root = artifact(&layout, |layout| {
                let mut parts = parts(layout, config, layer);
                if let Some(stated) = stated {
                    parts["artifactType"] = json!(stated);
                }
                parts
            });
            if in_index {
                root = write_nested_index(&layout, vec![root]);
            }
            write_index(&layout, vec![root]);
            let said = ["is not an image, but an artifact of type `", expected];
            refused(directory.path(), layout.to_str().unwrap(), &said);
        }
    }
}

#[test]
fn what_an_index_calls_an_attestation_is_no_image_though_its_manifest_is_that_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let mut root = ImageBuilder::of([python()]).write_blobs(&layout);
    root["annotations"]["vnd.docker.reference.type"] = json!("attestation-manifest");
    let index = write_nested_index(&layout, vec![root]);
    write_index(&layout, vec![index]);
    let said = ["is not an image, but an artifact of type `"];
    refused(directory.path(), layout.to_str().unwrap(), &said);
}

#[test]
fn a_signature_beside_an_image_is_not_in_the_way_and_is_refused_by_its_tag() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let signature = artifact(&layout, |layout| {
        parts(
            layout,
            OCI_CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        )
    });
    let image = ImageBuilder::of([python()]).write_blobs(&layout);
    let tag = format!("sha256-{}.sig", "a".repeat(64));
    write_index(&layout, vec![tagged(signature, &tag), tagged(image, "v1")]);
    pycull(["inspect", layout.to_str().unwrap()]).success();
    let reference = format!("oci:{}:{tag}", layout.display());
    refused(
        directory.path(),
        &reference,
        &["artifact of type", "name the image that it signs"],
    );
}

#[test]
fn encrypted_foreign_and_other_layers_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |edit: &dyn Fn(&mut Value)| {
        ImageBuilder::of([python(), file("second")]).edit_layer(1, |descriptor| edit(descriptor))
    };
    let typed = |media_type: &'static str| {
        move |descriptor: &mut Value| descriptor["mediaType"] = json!(media_type)
    };
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    for (name, edit, needles) in [
        (
            "encrypted",
            &typed(encrypted) as &dyn Fn(&mut Value),
            &["layer 2", "is encrypted", "--decryption-key"][..],
        ),
        (
            "squashfs",
            &typed("application/vnd.example.squashfs"),
            &["layer 2", "is not a tar archive"],
        ),
    ] {
        let layout = directory.path().join(name);
        layer(edit).write(&layout);
        refused(directory.path(), layout.to_str().unwrap(), needles);
    }
    let layout = directory.path().join("foreign");
    let url = "https://example.com/layer.tar.gz";
    layer(&|descriptor| descriptor["urls"] = json!([url])).write(&layout);
    let input = layout.to_str().unwrap();
    pycull(["inspect", input]).success();
    let manifest = crate::support::Layout::new(&layout).manifest();
    let digest = manifest["layers"][1]["digest"].as_str().unwrap();
    fs::remove_file(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    refused(
        directory.path(),
        input,
        &["layer 2", digest, url, "curl -L -o blobs/sha256/"],
    );
}

#[test]
fn archives_that_are_packed_otherwise_are_told_how_to_unpack() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    ImageBuilder::of([python()]).write(&layout);
    let archive = directory.path().join("x.tar");
    super::archived(&layout, &archive);
    for (command, ending) in [("xz", "xz"), ("bzip2", "bz2")] {
        tool(command, ["-k", archive.to_str().unwrap()]).success();
        let packed = format!("{}.{ending}", archive.display());
        let hint = format!("`{command} -dc {packed} > {packed}.unpacked`");
        refused(directory.path(), &packed, &["compressed with", &hint]);
    }
}

#[test]
fn what_an_image_could_be_made_of_is_told_how() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for top in ["etc", "usr/lib"] {
        fs::create_dir_all(path("rootfs").join(top)).unwrap();
    }
    fs::create_dir(path("context")).unwrap();
    fs::write(path("context/Dockerfile"), "FROM scratch\n").unwrap();
    fs::write(path("Containerfile"), "# syntax=x\n\nARG A=1\nFROM $A\n").unwrap();
    let tar = LayerBuilder::new()
        .file("etc/passwd", "")
        .file("usr/bin/env", "");
    fs::write(path("export.tar"), tar.build()).unwrap();
    for (name, needles) in [
        ("rootfs", &["a root file system", "podman import"][..]),
        ("context", &["a build context", "podman build"]),
        ("Containerfile", &["a Containerfile", "podman build"]),
        (
            "export.tar",
            &["an archive of a root file system", "podman import"],
        ),
    ] {
        refused(directory.path(), path(name).to_str().unwrap(), needles);
    }
}
