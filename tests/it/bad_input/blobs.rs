//! Blobs that do not match their descriptors.

use std::fs;
use std::path::Path;

use super::{damage, good, is_refused, python};
use crate::support::builder::{OCI_INDEX, write_index, write_text};
use crate::support::{ImageBuilder, Layered, Layout};

const LAYER: &str = "/layers/1";

/// The image with its second layer's file changed.
fn with_layer(change: impl Fn(&mut Vec<u8>)) -> impl Fn(&Path) {
    move |layout| {
        good().write(layout);
        damage(layout, LAYER, &change);
    }
}

#[test]
fn a_truncated_layer_is_refused() {
    let truncated = with_layer(|bytes| bytes.truncate(bytes.len() / 2));
    is_refused(truncated, &["layer 2", "wrong size", "sha256:"]);
}

#[test]
fn an_empty_layer_file_is_refused() {
    is_refused(with_layer(Vec::clear), &["layer 2", "wrong size"]);
}

#[test]
fn a_layer_with_one_wrong_bit_is_refused_wherever_the_bit_is() {
    for place in [3, 5] {
        let flip = with_layer(move |bytes| {
            let at = bytes.len() * place / 10;
            bytes[at] ^= 1;
        });
        is_refused(flip, &["layer 2", "is damaged"]);
    }
    // The last byte of the length in the gzip trailer. Every decoder has all the data before it reads this byte.
    let last = with_layer(|bytes| *bytes.last_mut().unwrap() ^= 1);
    is_refused(last, &["layer 2", "is damaged"]);
}

#[test]
fn a_layer_longer_or_shorter_than_its_descriptor_is_refused() {
    for difference in [1, -1] {
        let wrong = good().edit_layer(1, |descriptor| {
            let size = descriptor["size"].as_i64().unwrap() + difference;
            descriptor["size"] = size.into();
        });
        is_refused(|layout| wrong.write(layout), &["layer 2", "wrong size"]);
    }
}

#[test]
fn bytes_added_to_a_layer_are_refused() {
    is_refused(
        with_layer(|bytes| bytes.extend([0; 512])),
        &["layer 2", "wrong size"],
    );
}

#[test]
fn a_damaged_manifest_or_config_is_refused() {
    for pointer in ["", "/config"] {
        let write = |layout: &Path| {
            good().write(layout);
            damage(layout, pointer, |bytes| {
                let at = bytes.len() - 1;
                bytes[at] = b' ';
            });
        };
        is_refused(write, &["is damaged"]);
    }
}

#[test]
fn a_layer_or_config_that_is_not_there_is_refused() {
    for pointer in [LAYER, "/config"] {
        let write = |layout: &Path| {
            good().write(layout);
            let manifest = Layout::new(layout).manifest();
            let digest = manifest.pointer(pointer).unwrap()["digest"]
                .as_str()
                .unwrap();
            fs::remove_file(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
        };
        is_refused(write, &["blob sha256:", "is missing"]);
    }
}

#[test]
fn a_blob_that_is_a_directory_is_refused() {
    let write = |layout: &Path| {
        good().write(layout);
        let manifest = Layout::new(layout).manifest();
        let digest = manifest["layers"][1]["digest"].as_str().unwrap();
        let path = layout.join("blobs").join(digest.replace(':', "/"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    };
    is_refused(write, &["layer 2", "not a regular file"]);
}

#[test]
fn a_digest_that_would_leave_the_layout_is_refused() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), good().config.to_string()).unwrap();
    let up = format!(
        "sha256:../../../../../../../../..{}",
        secret.path().display()
    );
    for digest in [
        &*up,
        "sha256:../../index.json",
        "../x:0000",
        "sha256:",
        "sha256:ABCD",
        "",
    ] {
        let evil = good().edit_layer(1, |descriptor| descriptor["digest"] = digest.into());
        is_refused(|layout| evil.write(layout), &["malformed"]);
    }
}

#[test]
fn a_digest_that_cannot_be_checked_is_refused() {
    let digest = format!("md5:{}", "0".repeat(32));
    let odd = good().edit_layer(1, |descriptor| descriptor["digest"] = digest.clone().into());
    let write = |layout: &Path| {
        odd.write(layout);
        fs::create_dir(layout.join("blobs/md5")).unwrap();
        let size = odd_size(&odd);
        fs::write(layout.join("blobs/md5").join("0".repeat(32)), vec![0; size]).unwrap();
    };
    is_refused(write, &["layer 2", "cannot check", &digest]);
}

fn odd_size(image: &ImageBuilder) -> usize {
    let directory = tempfile::tempdir().unwrap();
    image.write(directory.path());
    let manifest = Layout::new(directory.path()).manifest();
    manifest["layers"][1]["size"].as_u64().unwrap() as usize
}

#[test]
fn a_config_that_means_another_layer_is_refused() {
    let wrong = good().edit_config(|config| {
        let ids = config["rootfs"]["diff_ids"].as_array_mut().unwrap();
        ids.swap(0, 1);
    });
    is_refused(
        |layout| wrong.write(layout),
        &["layer 1", "diff_id", "has the digest"],
    );
}

#[test]
fn a_zstd_bomb_is_refused_before_it_is_unpacked() {
    // A tar member of zeros. Zstandard makes one byte of about ten thousand zeros.
    let size = 128 << 20;
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.resize(512 + size + 1024, 0);
    let bomb = ImageBuilder::new()
        .layer(python())
        .layer_tar(tar, Layered::Zstd);
    is_refused(
        |layout| bomb.write(layout),
        &["layer 2", "decompression bomb"],
    );
}

#[test]
fn a_manifest_or_config_beyond_the_bound_is_refused_unread() {
    let padding = "x".repeat(9 << 20);
    let config = good().edit_config(|config| config["x-padding"] = padding.clone().into());
    is_refused(
        |layout| config.write(layout),
        &["config sha256:", "the limit is 8388608 bytes"],
    );
    let mut manifest = good();
    manifest.manifest["x-padding"] = padding.clone().into();
    is_refused(
        |layout| manifest.write(layout),
        &["manifest sha256:", "the limit is 8388608 bytes"],
    );
    let index = |layout: &Path| {
        good().write(layout);
        let nested = format!(r#"{{"x-padding": "{padding}", "manifests": []}}"#);
        write_index(layout, vec![write_text(layout, OCI_INDEX, &nested)]);
    };
    is_refused(index, &["index sha256:", "the limit is 8388608 bytes"]);
}
