//! Small images for the tests of `transport`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::oci::digest::sha256_digest;
use crate::oci::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};

use super::image_name::{REF_NAME, set_annotation};
use super::{OutputBlob, OutputImage, Reference, spool};

pub(super) fn refer(text: &str) -> Reference {
    text.parse().unwrap()
}

/// A header without a name.
pub(super) fn header(entry_type: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

/// An uncompressed layer with one file.
pub(super) fn layer_tar(content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = header(tar::EntryType::Regular, content.len());
    builder.append_data(&mut header, "file", content).unwrap();
    builder.into_inner().unwrap()
}

fn blob(bytes: &[u8]) -> OutputBlob {
    OutputBlob {
        digest: sha256_digest(bytes),
        bytes: spool::blob_of(bytes).unwrap(),
        is_checked: false,
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type,
        "digest": sha256_digest(bytes).as_ref(),
        "size": bytes.len(),
    })
}

/// An image of one layer that holds `content`. Its blobs are a manifest, a config and a layer.
pub(super) fn image(name: &str, content: &[u8]) -> OutputImage {
    image_for("amd64", name, content)
}

fn image_for(architecture: &str, name: &str, content: &[u8]) -> OutputImage {
    let layer = layer_tar(content);
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [sha256_digest(&layer).as_ref()] },
        "history": [{ "created_by": "test" }],
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config.as_bytes()),
        "layers": [descriptor(OCI_LAYER, &layer)],
    })
    .to_string();
    let mut root = descriptor(OCI_MANIFEST, manifest.as_bytes());
    set_annotation(
        &mut root,
        REF_NAME,
        Some(name).filter(|name| !name.is_empty()),
    );
    let blobs = [manifest.as_bytes(), config.as_bytes(), &layer];
    OutputImage {
        root,
        origin: String::new(),
        blobs: blobs.map(blob).to_vec(),
    }
}

/// An index of two platforms.
pub(super) fn two_platforms() -> OutputImage {
    let images = [image_for("amd64", "", b"a"), image_for("arm64", "", b"b")];
    let manifests: Vec<&Value> = images.iter().map(|image| &image.root).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let index = index.to_string();
    let mut blobs = vec![blob(index.as_bytes())];
    blobs.extend(images.iter().flat_map(|image| image.blobs.clone()));
    OutputImage {
        root: descriptor(OCI_INDEX, index.as_bytes()),
        origin: String::new(),
        blobs,
    }
}

/// Number of paths in a layout of one image: itself, `oci-layout`, `index.json`, two directories, and the blobs of
/// [`image`].
pub(super) const LAYOUT_PATHS: usize = 5 + 3;

/// Every path below a directory, sorted.
pub(super) fn listing(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}
