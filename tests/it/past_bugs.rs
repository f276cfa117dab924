//! A test for each bug that was found later, named after what went wrong.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::builder::{write_index, write_nested_index};
use crate::support::pyc::cache_39;
use crate::support::scene::extracts;
use crate::support::tools::testdata;
use crate::support::{ImageBuilder, LayerBuilder, Layout, findings, minimized, pycull};

const DIRECTORY: &str = "usr/lib/python3.9";

fn cache_path(suffix: &str) -> String {
    format!("{DIRECTORY}/__pycache__/m.cpython-39{suffix}.pyc")
}

fn fresh_cache(payload: &[u8]) -> Vec<u8> {
    cache_39(1_600_000_000, 6, payload)
}

#[test]
fn a_link_through_a_dropped_link_kept_nothing_in_the_layer_below() {
    let lower = LayerBuilder::new()
        .stdlib(DIRECTORY)
        .file(&format!("{DIRECTORY}/m.py"), "m = 1\n")
        .file(&cache_path(".opt-1"), fresh_cache(b"m"));
    let upper = LayerBuilder::new()
        .hardlink(&cache_path(".opt-2"), &cache_path(".opt-1"))
        .hardlink(&cache_path(""), &cache_path(".opt-2"));
    let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
    assert_eq!(done.unpacked().read(&cache_path("")), fresh_cache(b"m"));
    assert!(!done.unpacked().has(&cache_path(".opt-2")));
}

#[test]
fn a_chain_of_links_over_three_layers_lost_its_lowest_target() {
    let lower = LayerBuilder::new()
        .stdlib(DIRECTORY)
        .file(&format!("{DIRECTORY}/m.py"), "m = 1\n")
        .file(&cache_path(".opt-1"), fresh_cache(b"m"));
    let middle = LayerBuilder::new().hardlink(&cache_path(".opt-2"), &cache_path(".opt-1"));
    let upper = LayerBuilder::new().hardlink(&cache_path(""), &cache_path(".opt-2"));
    let done = minimized(&ImageBuilder::of([lower, middle, upper]), &[]);
    assert_eq!(done.unpacked().read(&cache_path("")), fresh_cache(b"m"));
}

#[test]
fn a_target_kept_for_an_upper_link_came_back_into_view() {
    let lower = LayerBuilder::new()
        .stdlib(DIRECTORY)
        .file(&format!("{DIRECTORY}/m.py"), "m = 1\n")
        .file(&cache_path(".opt-1"), fresh_cache(b"old"));
    let middle = LayerBuilder::new().hardlink("kept", &cache_path(".opt-1"));
    let upper = LayerBuilder::new().file(&cache_path(".opt-1"), fresh_cache(b"new"));
    let done = minimized(&ImageBuilder::of([lower, middle, upper]), &[]);
    let unpacked = done.unpacked();
    assert_eq!(unpacked.read("kept"), fresh_cache(b"old"));
    assert_eq!(unpacked.read(&cache_path(".opt-1")), fresh_cache(b"new"));
}

#[test]
fn caches_of_a_python_newer_than_the_table_were_stripped() {
    let stdlib = "usr/lib/python3.16";
    let cache = [&3700u16.to_le_bytes()[..], b"\r\n", &[0; 30]].concat();
    let layer = LayerBuilder::new()
        .stdlib(stdlib)
        .file(&format!("{stdlib}/m.py"), "m = 1\n")
        .file(&format!("{stdlib}/__pycache__/m.cpython-316.pyc"), &cache);
    let image = ImageBuilder::of([layer]);
    assert_eq!(findings(&image), []);
    let done = minimized(&image, &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["kept"]);
    assert!(
        done.warnings()[0].contains("m.cpython-316.pyc"),
        "{:?}",
        done.warnings()
    );
}

#[test]
fn indexes_that_name_each_other_many_times_had_no_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut root = ImageBuilder::new().write_blobs(directory.path());
    for _ in 0..5 {
        root = write_nested_index(directory.path(), vec![root; 100]);
    }
    write_index(directory.path(), vec![root]);
    pycull(["inspect", directory.path().to_str().unwrap()]).refused("more than 10000 descriptors");
}

#[test]
fn a_name_of_a_million_parts_took_for_ever() {
    let name = "a/".repeat(300_000) + "b";
    let layer = LayerBuilder::new().pax("path", &name).file("x", "");
    let directory = tempfile::tempdir().unwrap();
    ImageBuilder::of([layer]).write(directory.path());
    pycull(["inspect", directory.path().to_str().unwrap()]).refused("the limit is 4096 bytes");
}

#[test]
fn a_damaged_blob_in_the_target_was_taken_for_whole() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let source = testdata("fedora-shaped.tar").display().to_string();
    let target = |tag: &str| format!("oci:{}:{tag}", layout.display());
    pycull(["minimize", &source, "--output", &target("a")]).success();
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let mut bytes = fs::read(&blob).unwrap();
        bytes[20] ^= 1;
        fs::write(&blob, bytes).unwrap();
    }
    pycull(["minimize", &source, "--output", &target("b")]).success();
    pycull(["inspect", &target("b")]).success();
}

#[test]
fn an_image_without_a_name_minimized_in_place_was_there_twice() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    let layer = LayerBuilder::new()
        .stdlib(DIRECTORY)
        .module(DIRECTORY, "m", "m = 1\n");
    let root = ImageBuilder::of([layer]).write_blobs(directory.path());
    write_index(directory.path(), vec![root]);
    let image = directory.path().to_str().unwrap();
    for _ in 0..2 {
        pycull(["minimize", image, "--output", image, "--profile", "minimal"]).success();
        assert_eq!(layout.index()["manifests"].as_array().unwrap().len(), 1);
    }
    extracts(&layout);
}

#[test]
fn a_config_that_its_name_does_not_fit_was_taken_for_another_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("damaged.tar");
    let bytes = fs::read(testdata("docker-old.tar")).unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"amd64")
        .unwrap();
    fs::write(
        &damaged,
        [&bytes[..at], b"arm64", &bytes[at + 5..]].concat(),
    )
    .unwrap();
    // Engines accept such an image, and so does pycull, but with a warning.
    let inspected = pycull(["inspect", damaged.to_str().unwrap()]).success();
    let warning = "does not match its digest";
    assert!(inspected.stderr.contains(warning), "{}", inspected.stderr);
}

#[test]
fn an_artifact_about_something_outside_the_index_was_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let layer = LayerBuilder::new()
        .stdlib(DIRECTORY)
        .module(DIRECTORY, "m", "m = 1\n");
    let image = ImageBuilder::of([layer]).write_blobs(directory.path());
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example",
        "config": image["config"],
        "layers": [],
        "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{}", "0".repeat(64)), "size": 3},
    });
    let mut artifact = artifact;
    artifact.as_object_mut().unwrap().remove("config");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let artifact = crate::support::builder::write_document(directory.path(), media_type, &artifact);
    let index = write_nested_index(directory.path(), vec![image, artifact]);
    write_index(directory.path(), vec![index]);
    let out = directory.path().join("out");
    let arguments = [
        "minimize",
        directory.path().to_str().unwrap(),
        "--output",
        out.to_str().unwrap(),
        "--format",
        "json",
    ];
    let report = pycull(arguments).success().json();
    assert_eq!(report["left_out"], json!([]));
}

#[test]
fn a_new_layer_can_be_read_by_whoever_can_read_the_other_blobs() {
    let image = ImageBuilder::of([LayerBuilder::new()
        .stdlib(DIRECTORY)
        .module_of_three(DIRECTORY, "m")]);
    let done = minimized(&image, &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["rewritten"]);
    let blobs = fs::read_dir(done.after.0.join("blobs/sha256")).unwrap();
    let modes = blobs.map(|blob| blob.unwrap().metadata().unwrap().permissions().mode() & 0o444);
    let modes: BTreeSet<u32> = modes.collect();
    // Documents follow the umask. Layers used to be readable by their owner only.
    assert_eq!(modes.len(), 1, "{modes:?}");
}
