//! Trap 26: media types follow the medium. Tools do not find a manifest with a Docker type in an OCI layout by its tag.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::builder::{write_document, write_index};
use crate::support::engines::Podman;
use crate::support::pyc::STDLIB;
use crate::support::scene::{Unpacked, minimize};
use crate::support::tools::tool;
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull};

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

fn layers() -> [LayerBuilder; 2] {
    let python = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    [python, LayerBuilder::new().file("etc/other", "o")]
}

fn docker() -> ImageBuilder {
    ImageBuilder::of(layers()).docker_media_types()
}

/// All media types at and below the root of an image.
fn types(layout: &Layout, root: &Value) -> Vec<String> {
    let document = layout.document(root);
    let lists = ["manifests", "layers"].map(|key| document[key].as_array().cloned());
    let mut types = vec![root["mediaType"].clone(), document["mediaType"].clone()];
    types.push(document["config"]["mediaType"].clone());
    let below = lists.into_iter().flatten().flatten();
    let mut types: Vec<String> = types
        .iter()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect();
    for descriptor in below {
        match descriptor["mediaType"].as_str().unwrap() {
            layer if layer.contains("layer") || layer.contains("rootfs") => {
                types.push(layer.to_owned())
            }
            _ => types.extend(self::types(layout, &descriptor)),
        }
    }
    types
}

fn root_types(layout: &Path) -> Vec<String> {
    let layout = Layout::new(layout);
    types(&layout, &layout.index()["manifests"][0])
}

#[track_caller]
fn assert_family(types: &[String], family: &str) {
    assert!(types.len() >= 5, "{types:?}");
    let prefix = format!("application/vnd.{family}.");
    assert!(types.iter().all(|it| it.starts_with(&prefix)), "{types:?}");
}

fn unpack_archive(archive: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (archive, to) = (
        archive.to_str().unwrap(),
        directory.path().to_str().unwrap(),
    );
    tool("tar", ["-xf", archive, "-C", to]).success();
    directory
}

#[test]
fn skopeo_podman_buildah_and_umoci_find_a_docker_image_by_its_tag_in_the_output() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    docker().tag("v1").write(&input);
    // The layout needs a second image, so that there is a choice.
    ImageBuilder::of(layers()).tag("other").write(&output);
    let to = format!("oci:{}:v1", output.display());
    minimize(&input, Path::new(&to), &[]);
    tool("skopeo", ["inspect", &to]).success();
    let podman = Podman::new();
    // The engines make a name from the path, which must therefore be in lower case.
    for engine in ["podman", "buildah"] {
        let parent = directory.path().display();
        let line = format!("cd {parent} && {engine} pull --quiet oci:out:v1");
        podman.pipeline(&line).success();
    }
    assert!(Unpacked::by_umoci(&output, "v1").has("etc/other"));
}

#[test]
fn a_layout_or_oci_archive_gets_oci_types_and_a_docker_archive_dockers() {
    type Builder = fn() -> ImageBuilder;
    let cases: [(Builder, &str, &str); 6] = [
        (docker, "oci:", "oci"),
        (docker, "oci-archive:", "oci"),
        (docker, "docker-archive:", "docker"),
        (|| ImageBuilder::of(layers()), "oci:", "oci"),
        (|| ImageBuilder::of(layers()), "oci-archive:", "oci"),
        (|| ImageBuilder::of(layers()), "docker-archive:", "docker"),
    ];
    for (image, transport, family) in cases {
        // Profile `all` keeps every layer.
        for profile in ["default", "all"] {
            let directory = tempfile::tempdir().unwrap();
            let (input, output) = (directory.path().join("in"), directory.path().join("out"));
            image().write(&input);
            let to = format!("{transport}{}", output.display());
            minimize(
                &input,
                Path::new(&to),
                &["--profile", profile, "--set", "missing=\"leave\""],
            );
            let archive = (transport != "oci:").then(|| unpack_archive(&output));
            let layout = archive.as_ref().map_or(&*output, |it| it.path());
            let vendor = match family {
                "oci" => "oci.image",
                _ => "docker",
            };
            assert_family(&root_types(layout), vendor);
        }
    }
}

#[test]
fn indexes_and_foreign_layers_get_oci_types_too_and_a_second_run_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let [input, output, again] = ["in", "out", "again"].map(|name| directory.path().join(name));
    let foreign = |layer: &mut Value| {
        layer["mediaType"] = json!(DOCKER_FOREIGN);
        layer["urls"] = json!(["https://example.com/layer"]);
    };
    let images = [
        docker().edit_layer(1, foreign),
        ImageBuilder::of([LayerBuilder::new().file("etc/x", "x")])
            .docker_media_types()
            .platform("linux", "arm64"),
    ];
    let roots = images.map(|image| image.write_blobs(&input));
    let list = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": roots});
    let list = write_document(&input, DOCKER_LIST, &list);
    write_index(&input, vec![list]);
    let report = minimize(&input, &output, &[]);
    for image in report["images"].as_array().unwrap() {
        let warnings = image["warnings"].to_string();
        assert!(
            warnings.contains("the manifest digest changes"),
            "{warnings}"
        );
        assert_ne!(
            image["before"]["manifest_digest"],
            image["after"]["manifest_digest"]
        );
    }
    let types = root_types(&output);
    assert_family(&types, "oci.image");
    assert!(types.iter().any(|it| it == OCI_FOREIGN), "{types:?}");
    let layout = Layout::new(&output);
    let index = layout.document(&layout.index()["manifests"][0]);
    let manifest = layout.document(&index["manifests"][0]);
    assert_eq!(
        manifest["layers"][1]["urls"],
        json!(["https://example.com/layer"])
    );
    let report = minimize(&output, &again, &[]);
    assert_eq!(report["images"][0]["warnings"], json!([]));
    assert_eq!(Layout::new(&again).index(), layout.index());
    // With one platform, its index is converted too.
    let one = directory.path().join("one");
    minimize(&input, &one, &["--platform", "linux/arm64"]);
    assert_family(&root_types(&one), "oci.image");
}

#[test]
fn what_docker_has_no_type_for_stays_oci_in_a_docker_archive() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (
        directory.path().join("in"),
        directory.path().join("out.tar"),
    );
    ImageBuilder::of(layers()).write(&input);
    let to = format!("docker-archive:{}", output.display());
    minimize(&input, Path::new(&to), &["--compression", "zstd"]);
    let types = root_types(unpack_archive(&output).path());
    assert_family(&types, "oci.image");
    assert!(types.iter().any(|it| it.ends_with("zstd")), "{types:?}");
}

#[test]
fn an_image_keeps_its_types_from_one_docker_archive_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let [input, first, second] =
        ["in", "first.tar", "second.tar"].map(|name| directory.path().join(name));
    ImageBuilder::of(layers()).write(&input);
    let archive = |path: &Path| format!("docker-archive:{}", path.display());
    minimize(&input, Path::new(&archive(&first)), &[]);
    minimize(&first, Path::new(&archive(&second)), &[]);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
}

fn verified(before: &Path, after: &Path) -> (Option<i32>, Value) {
    let images = [before.to_str().unwrap(), after.to_str().unwrap()];
    let output = pycull(["verify", images[0], images[1], "--format", "json"]);
    (
        output.code,
        output.json()["images"][0]["differences"].clone(),
    )
}

#[test]
fn verify_and_compare_accept_types_that_mean_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (oci, docker_typed) = (
        directory.path().join("oci"),
        directory.path().join("docker"),
    );
    ImageBuilder::of(layers()).write(&oci);
    docker().write(&docker_typed);
    for (before, after) in [(&oci, &docker_typed), (&docker_typed, &oci)] {
        assert_eq!(verified(before, after), (Some(0), json!([])));
        let images = [before.to_str().unwrap(), after.to_str().unwrap()];
        pycull(["compare", images[0], images[1], "--max-growth", "0"]).success();
    }
}

#[test]
fn verify_refuses_other_changes_of_media_types() {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before");
    ImageBuilder::of(layers()).write(&before);
    let layer = |media_type: &'static str| {
        ImageBuilder::of(layers()).edit_layer(1, |layer| layer["mediaType"] = json!(media_type))
    };
    let cases = [
        ("foreign", layer(OCI_FOREIGN)),
        ("docker foreign", layer(DOCKER_FOREIGN)),
        ("one docker layer", layer(DOCKER_LAYER)),
        (
            "another compression",
            layer("application/vnd.oci.image.layer.v1.tar+zstd"),
        ),
        ("unknown", layer("application/vnd.example.layer.v1.tar")),
        ("one docker manifest", {
            let mut image = ImageBuilder::of(layers());
            image.manifest["mediaType"] = json!(DOCKER_MANIFEST);
            image
        }),
        ("another compression of a new layer", {
            let python = LayerBuilder::new().stdlib(STDLIB);
            let python = python.module(STDLIB, "m", "# m\n");
            ImageBuilder::of([python, LayerBuilder::new().file("etc/other", "o")]).edit_layer(
                0,
                |layer| {
                    layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
                },
            )
        }),
    ];
    for (name, image) in cases {
        let after = directory.path().join(name);
        image.write(&after);
        let (code, differences) = verified(&before, &after);
        assert_eq!(code, Some(1), "{name}");
        assert!(
            differences.to_string().contains("/mediaType"),
            "{name}: {differences}"
        );
    }
}

#[test]
fn verify_refuses_a_descriptor_of_another_type_than_its_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| directory.path().join(name));
    let image = ImageBuilder::of(layers());
    image.write(&before);
    image.write(&after);
    let mut root = Layout::new(&after).index()["manifests"][0].clone();
    root["mediaType"] = json!(DOCKER_MANIFEST);
    write_index(&after, vec![root]);
    let (code, differences) = verified(&before, &after);
    assert_eq!(code, Some(1));
    let what = "is not the media type of the descriptor that names the manifest";
    assert!(differences.to_string().contains(what), "{differences}");
}
