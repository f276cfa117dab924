//! Layers that match their digests but do not form a valid image.

use std::fs;

use super::{is_refused, python};
use crate::support::{ImageBuilder, LayerBuilder, Layered, tool};

/// Checks that pycull refuses the image with this second layer.
#[track_caller]
fn layer_is_refused(layer: LayerBuilder, needles: &[&str]) {
    tar_is_refused(layer.build(), needles);
}

#[track_caller]
fn tar_is_refused(tar: Vec<u8>, needles: &[&str]) {
    let needles = [&["layer 2"], needles].concat();
    for compression in [Layered::Plain, Layered::Gzip] {
        let image = ImageBuilder::new()
            .layer(python())
            .layer_tar(tar.clone(), compression);
        is_refused(|layout| image.write(layout), &needles);
    }
}

#[test]
fn a_tar_archive_cut_short_is_refused() {
    let whole = python().file("etc/big", vec![b'x'; 5000]).build();
    for (length, place) in [
        (whole.len() - 1024 - 3000, "etc/big"),
        (whole.len() - 1024 - 5120 - 100, "a header"),
    ] {
        tar_is_refused(whole[..length].to_vec(), &["cut short", place]);
    }
}

#[test]
fn a_header_with_a_wrong_checksum_is_refused() {
    let mut tar = python().build();
    tar[512 * 2 + 3] ^= 1;
    tar_is_refused(tar, &["invalid tar header at byte", "checksum"]);
}

#[test]
fn a_size_beyond_all_reason_is_refused() {
    let layer = LayerBuilder::new()
        .pax("size", "18446744073709551615")
        .file("etc/huge", "h");
    layer_is_refused(layer, &["size"]);
    let layer = LayerBuilder::new()
        .pax("size", "9000000000000000000")
        .file("etc/huge", "h");
    layer_is_refused(layer, &["etc/huge"]);
}

#[test]
fn malformed_extension_headers_are_refused() {
    let layer = LayerBuilder::new()
        .pax("mtime", "yesterday")
        .file("etc/x", "x");
    layer_is_refused(layer, &["malformed extension header", "yesterday"]);
}

#[test]
fn a_hardlink_to_nothing_is_refused() {
    let layer = LayerBuilder::new().hardlink("etc/link", "etc/nothing");
    layer_is_refused(layer, &["etc/link", "etc/nothing"]);
}

#[test]
fn a_hardlink_to_what_the_layer_deletes_is_refused() {
    let layer = LayerBuilder::new()
        .whiteout("usr/lib64/python3.9/m.py")
        .hardlink("etc/link", "usr/lib64/python3.9/m.py");
    layer_is_refused(layer, &["etc/link", "m.py"]);
}

#[test]
fn a_whiteout_without_a_name_is_refused() {
    layer_is_refused(LayerBuilder::new().file("etc/.wh.", ""), &["etc/.wh."]);
}

#[test]
fn directories_that_lead_in_a_circle_are_refused() {
    let layer = LayerBuilder::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/file", "x");
    layer_is_refused(layer, &["a/file", "symlinks"]);
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    layer_is_refused(LayerBuilder::new().symlink("./", "etc"), &["root"]);
}

#[test]
fn layers_of_unknown_compression_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("layer.tar");
    fs::write(&plain, python().build()).unwrap();
    let path = plain.to_str().unwrap();
    for (program, name) in [("xz", "xz"), ("bzip2", "bzip2")] {
        let blob = tool(program, ["--stdout", path]).success().stdout;
        let image = ImageBuilder::new()
            .layer(python())
            .layer_blob(&python().build(), blob, "");
        is_refused(
            |layout| image.write(layout),
            &["layer 2", "unknown compression", name],
        );
    }
}

#[test]
fn a_layer_that_is_no_archive_is_refused() {
    let noise = vec![b'?'; 4096];
    for (compression, needle) in [
        (Layered::Plain, "neither tar, gzip nor zstd"),
        (Layered::Gzip, "invalid tar header at byte 0"),
        (Layered::Zstd, "invalid tar header at byte 0"),
    ] {
        let image = ImageBuilder::new().layer(python());
        let image = image.layer_tar(noise.clone(), compression);
        is_refused(|layout| image.write(layout), &["layer 2", needle]);
    }
}

#[test]
fn a_gzip_stream_that_ends_early_is_refused() {
    let tar = python().build();
    let whole = ImageBuilder::new().layer_tar(tar.clone(), Layered::Gzip);
    let blob = whole.blob(0);
    let blob = blob[..blob.len() - 6].to_vec();
    let image = ImageBuilder::new()
        .layer(python())
        .layer_blob(&tar, blob, "+gzip");
    is_refused(
        |layout| image.write(layout),
        &["layer 2", "cannot be decompressed"],
    );
}
