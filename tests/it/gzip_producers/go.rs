//! Streams from the programs written in Go that make the layers of most images.

use std::path::Path;

use super::super::support::builder::{ImageBuilder, Layered};
use super::super::support::engines::{Docker, Podman, skopeo_copy};
use super::super::support::layout::Layout;
use super::super::support::registry::Registry;
use super::super::support::tools::{run, tool, tool_command};
use super::{sample, splices, written};

/// An image whose only layer is the sample, uncompressed.
fn plain_image(directory: &Path) -> String {
    let layout = directory.join("plain");
    ImageBuilder::new()
        .layer_tar(sample().to_vec(), Layered::Plain)
        .write(&layout);
    format!("oci:{}:latest", layout.display())
}

/// Splices the first layer of a layout, which is the sample in gzip.
#[track_caller]
fn assert_is_spliced(layout: &Path) {
    let layout = Layout::new(layout);
    let descriptor = &layout.manifest()["layers"][0];
    let blob = layout.blob(descriptor);
    assert_eq!(blob[..2], [0x1f, 0x8b], "{descriptor}");
    splices(&blob, sample());
}

#[test]
fn streams_of_skopeo_are_spliced() {
    let directory = tempfile::tempdir().unwrap();
    let image = plain_image(directory.path());
    for level in ["1", "6", "9"] {
        let layout = directory.path().join(level);
        let target = format!("oci:{}:latest", layout.display());
        let flags = ["copy", "--quiet", "--dest-compress-format", "gzip"];
        let rest = ["--dest-compress-level", level, &image, &target];
        tool("skopeo", flags.iter().chain(&rest)).success();
        assert_is_spliced(&layout);
    }
}

#[test]
fn streams_of_podman_and_buildah_are_spliced() {
    let directory = tempfile::tempdir().unwrap();
    plain_image(directory.path());
    let podman = Podman::new();
    podman.take(&directory.path().join("plain"), "localhost/sample:latest");
    let by_podman = directory.path().join("podman");
    let save = ["save", "--quiet", "--format", "oci-dir", "--output"];
    let rest = [by_podman.to_str().unwrap(), "localhost/sample"];
    podman.podman(&[&save[..], &rest].concat()).success();
    assert_is_spliced(&by_podman);

    let by_buildah = directory.path().join("buildah");
    let target = format!("oci:{}:latest", by_buildah.display());
    let command = &mut tool_command("buildah");
    run(podman
        .environment(command)
        .args(["push", "--quiet", "localhost/sample", &target]))
    .success();
    assert_is_spliced(&by_buildah);
}

#[test]
fn streams_of_umoci_are_spliced() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let layout_name = layout.to_str().unwrap();
    let image = format!("{layout_name}:it");
    let layer = written(sample());
    tool("umoci", ["init", "--layout", layout_name]).success();
    tool("umoci", ["new", "--image", &image]).success();
    let layer = layer.path().to_str().unwrap();
    tool("umoci", ["raw", "add-layer", "--image", &image, layer]).success();
    assert_is_spliced(&layout);
}

#[test]
fn streams_of_docker_are_spliced() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.tar");
    let target = format!("docker-archive:{}:sample:latest", archive.display());
    skopeo_copy(&plain_image(directory.path()), &target);
    let registry = Registry::start(directory.path());
    let docker = Docker::start();
    docker.load(&archive);
    let name = format!("{}/sample:latest", registry.address);
    docker.docker(&["tag", "sample:latest", &name]).success();
    docker.docker(&["push", "--quiet", &name]).success();
    let blobs = registry.blobs();
    let layer = blobs.iter().max_by_key(|blob| blob.len()).unwrap();
    splices(layer, sample());
}
