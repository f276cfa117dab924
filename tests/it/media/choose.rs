//! Choosing an image by platform and by digest.

use serde_json::Value;

use super::{archived, digest, file, python, tagged};
use crate::support::builder::{write_index, write_nested_index};
use crate::support::{ImageBuilder, Layout, pycull};

fn image(architecture: &str) -> ImageBuilder {
    ImageBuilder::of([file(architecture), python()]).platform("linux", architecture)
}

#[test]
fn a_platform_is_that_of_the_index_before_that_of_the_config() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    // Some builders leave their own architecture in every config.
    let roots = ["amd64", "arm64"].map(|architecture| {
        let mut root = ImageBuilder::of([file(architecture), python()]).write_blobs(&layout);
        root["platform"]["architecture"] = architecture.into();
        root
    });
    let index = write_nested_index(&layout, roots.to_vec());
    write_index(&layout, vec![index]);
    let input = layout.to_str().unwrap();
    for (platform, root) in [
        ("linux/amd64", &roots[0]),
        ("linux/arm64", &roots[1]),
        ("aarch64", &roots[1]),
        ("linux/arm64/v8", &roots[1]),
        ("X86_64", &roots[0]),
    ] {
        let report = pycull(["inspect", input, "--platform", platform, "--format", "json"]);
        let report = report.success().json();
        let images = report["images"].as_array().unwrap();
        assert_eq!(images.len(), 1, "{platform}");
        assert_eq!(images[0]["manifest_digest"], root["digest"], "{platform}");
    }
    pycull(["inspect", input, "--platform", "s390x"]).refused("linux/amd64, linux/arm64");
}

#[test]
fn a_platform_chooses_among_images_of_one_tag_or_of_none() {
    let directory = tempfile::tempdir().unwrap();
    for (name, tag) in [("tagged", Some("v1")), ("bare", None)] {
        let layout = directory.path().join(name);
        let roots: Vec<Value> = ["amd64", "arm64"]
            .into_iter()
            .map(|architecture| {
                let root = image(architecture).write_blobs(&layout);
                tag.map_or(root.clone(), |tag| tagged(root, tag))
            })
            .collect();
        write_index(&layout, roots.clone());
        let reference = match tag {
            Some(tag) => format!("oci:{}:{tag}", layout.display()),
            None => layout.to_str().unwrap().to_owned(),
        };
        pycull(["inspect", &reference]).refused("names more than one image");
        let report = pycull([
            "inspect",
            &reference,
            "--platform",
            "arm64",
            "--format",
            "json",
        ]);
        let report = report.success().json();
        assert_eq!(report["images"][0]["manifest_digest"], roots[1]["digest"]);
    }
}

#[test]
fn a_digest_chooses_an_image_or_an_index_at_any_depth() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let roots = ["amd64", "arm64"].map(|architecture| image(architecture).write_blobs(&layout));
    let index = write_nested_index(&layout, roots.to_vec());
    let other = ImageBuilder::of([file("other")]).write_blobs(&layout);
    write_index(
        &layout,
        vec![tagged(index.clone(), "v1"), tagged(other.clone(), "v2")],
    );
    let archive = directory.path().join("x.tar");
    archived(&layout, &archive);
    let of = |descriptor: &Value| descriptor["digest"].as_str().unwrap().to_owned();
    for medium in [
        format!("oci:{}", layout.display()),
        format!("oci-archive:{}", archive.display()),
    ] {
        for root in [&roots[0], &roots[1], &other] {
            assert_eq!(digest(&format!("{medium}@{}", of(root))), of(root));
        }
        let both = pycull([
            "inspect",
            &format!("{medium}:v1@{}", of(&index)),
            "--format",
            "json",
        ]);
        assert_eq!(both.success().json()["images"].as_array().unwrap().len(), 2);
        // The name must lead to the digest.
        pycull(["inspect", &format!("{medium}:v2@{}", of(&index))]).refused("no image");
        let unknown = format!("{medium}@sha256:{}", "0".repeat(64));
        pycull(["inspect", &unknown]).refused("no image");
    }
    let reference = format!("oci:{}@{}", layout.display(), of(&roots[1]));
    let output = directory.path().join("out");
    pycull(["minimize", &reference, "--output", output.to_str().unwrap()]).success();
    assert_eq!(Layout::new(&output).images().len(), 1);
    let to = format!("oci:{}@{}", output.display(), of(&roots[1]));
    pycull(["minimize", &reference, "--output", &to]).refused("an output has a name");
}
