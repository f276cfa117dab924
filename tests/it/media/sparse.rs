//! Blobs that are not needed may be missing.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{file, python, tagged};
use crate::support::builder::{Attestation, write_index, write_nested_index};
use crate::support::scene::minimize;
use crate::support::{ImageBuilder, Layout, pycull};

const ARCHITECTURES: [&str; 4] = ["386", "amd64", "arm64", "s390x"];

/// Writes an index of four platforms, each with an attestation. Returns the descriptors of each image and attestation.
fn four(layout: &Path) -> Vec<[Value; 2]> {
    let pairs: Vec<[Value; 2]> = ARCHITECTURES
        .map(|architecture| {
            let image = ImageBuilder::of([file(architecture), python()])
                .platform("linux", architecture)
                .write_blobs(layout);
            let attestation = Attestation::of(&image).write(layout);
            [image, attestation]
        })
        .to_vec();
    let index = write_nested_index(layout, pairs.concat());
    write_index(layout, vec![tagged(index, "v1")]);
    pairs
}

fn remove(layout: &Path, descriptor: &Value) {
    let digest = descriptor["digest"].as_str().unwrap();
    fs::remove_file(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
}

#[test]
fn a_platform_needs_nothing_of_the_others_nor_any_attestation() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let pairs = four(&layout);
    for (architecture, [image, attestation]) in ARCHITECTURES.iter().zip(&pairs) {
        remove(&layout, attestation);
        if *architecture != "arm64" {
            let manifest = Layout::new(&layout).document(image);
            remove(&layout, &manifest["config"]);
            remove(&layout, &manifest["layers"][0]);
            remove(&layout, image);
        }
    }
    let input = layout.to_str().unwrap();
    pycull(["inspect", input]).refused("--platform");
    pycull(["inspect", input, "--platform", "arm64"]).success();
    let output = directory.path().join("out");
    let report = minimize(&layout, &output, &["--platform", "linux/arm64"]);
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
    let left_out = report["left_out"].as_array().unwrap();
    assert!(
        matches!(&left_out[..], [one] if one["manifest_digest"] == pairs[2][1]["digest"]),
        "{left_out:?}"
    );
    assert_eq!(Layout::new(&output).images().len(), 1);
    // Everything that the output names exists.
    pycull([
        "verify",
        input,
        output.to_str().unwrap(),
        "--platform",
        "arm64",
    ])
    .success();
}

#[test]
fn a_wanted_image_that_is_missing_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let pairs = four(&layout);
    remove(&layout, &pairs[2][0]);
    let arm = ["inspect", layout.to_str().unwrap(), "--platform", "arm64"];
    pycull(arm).refused("is missing");
}

#[test]
fn an_attestation_that_is_missing_is_left_out_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let image = ImageBuilder::of([file("nothing to strip")]).write_blobs(&layout);
    let attestation = Attestation::of(&image).write(&layout);
    let statement = Layout::new(&layout).document(&attestation)["layers"][0].clone();
    let index = write_nested_index(&layout, vec![image, attestation.clone()]);
    write_index(&layout, vec![tagged(index, "v1")]);
    for gone in [&statement, &attestation] {
        remove(&layout, gone);
        pycull(["inspect", layout.to_str().unwrap()]).success();
        let output = directory.path().join("out");
        let report = minimize(&layout, &output, &[]);
        assert_eq!(
            report["left_out"][0]["manifest_digest"],
            attestation["digest"]
        );
        let index = Layout::new(&output).manifest();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        fs::remove_dir_all(&output).unwrap();
    }
}

#[test]
fn an_image_whose_descriptor_states_no_platform_may_be_missing_beside_the_wanted_one() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let mut roots: Vec<Value> = four(&layout).into_iter().map(|[image, _]| image).collect();
    for root in &mut roots {
        root.as_object_mut().unwrap().remove("platform");
    }
    let index = write_nested_index(&layout, roots.clone());
    write_index(&layout, vec![index]);
    remove(&layout, &roots[0]);
    let input = layout.to_str().unwrap();
    pycull(["inspect", input, "--platform", "amd64"]).success();
    pycull(["inspect", input, "--platform", "riscv64"]).refused("is missing");
}
