//! Media that hold images: archives of other tools, files with several images, and paths that are not images.

mod choose;
mod in_place;
mod memory;
mod other_files;
mod outputs;
mod refusals;
mod sparse;

use std::fs;
use std::path::Path;

use pycull::oci::digest::sha256_digest;
use serde_json::{Value, json};

use crate::support::layout::decompressed;
use crate::support::pyc::STDLIB;
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// A layer with something to strip.
fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

fn file(content: &str) -> LayerBuilder {
    LayerBuilder::new().file("etc/file", content)
}

fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"]["org.opencontainers.image.ref.name"] = json!(tag);
    descriptor
}

/// A config with these layers.
fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids = layers.iter().map(|layer| sha256_digest(layer).to_string());
    json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>()},
    })
    .to_string()
    .into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    sha256_digest(bytes).digest().to_owned()
}

/// The files of an archive by name, without links.
fn archive_files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let tar = decompressed(&fs::read(path).unwrap());
    let members = crate::support::layout::tar_members(&tar);
    let files = members.into_iter().filter(|member| member.kind.is_file());
    files.map(|member| (member.path, member.data)).collect()
}

/// A file of an archive as JSON.
#[track_caller]
fn archive_json(path: &Path, name: &str) -> Value {
    let files = archive_files(path);
    let found = files.iter().find(|(file, _)| file == name);
    serde_json::from_slice(&found.unwrap_or_else(|| panic!("no {name}")).1).unwrap()
}

/// The digest of the only image of a reference.
#[track_caller]
fn digest(reference: &str) -> String {
    let report = pycull(["inspect", reference, "--format", "json"])
        .success()
        .json();
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
    report["images"][0]["manifest_digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Writes a layout as an uncompressed tar file.
fn archived(layout: &Path, to: &Path) {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("", layout).unwrap();
    fs::write(to, builder.into_inner().unwrap()).unwrap();
}

/// Writes an image of one layer to its own layout.
fn write_image(layout: &Path) -> ImageBuilder {
    let image = ImageBuilder::of([file("below"), python()]).tag("v1");
    image.write(layout);
    image
}
