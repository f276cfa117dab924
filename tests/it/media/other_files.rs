//! Archives in the forms that other tools write.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{archive_json, archived, config, digest, file, hex, python, write_image};
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull};

/// Writes an image's layout as an archive, with docker's `manifest.json` in it. `edit` may change the layout.
fn docker_25(path: &Path, edit: impl FnOnce(&Path)) {
    let layout = path.with_extension("layout");
    write_image(&layout);
    let manifest = Layout::new(&layout).manifest();
    let blob = |descriptor: &serde_json::Value| {
        format!(
            "blobs/{}",
            descriptor["digest"].as_str().unwrap().replace(':', "/")
        )
    };
    let layers = manifest["layers"].as_array().unwrap().iter().map(blob);
    let entry = json!([{
        "Config": blob(&manifest["config"]), "RepoTags": ["foo/bar:v3"],
        "Layers": layers.collect::<Vec<_>>(),
    }]);
    fs::write(layout.join("manifest.json"), entry.to_string()).unwrap();
    edit(&layout);
    archived(&layout, path);
    fs::remove_dir_all(layout).unwrap();
}

fn in_directory(test: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    test(directory.path());
}

#[test]
fn where_the_oci_side_of_a_docker_archive_is_empty_or_damaged_manifest_json_counts() {
    let index = |text: &'static str| {
        move |layout: &Path| fs::write(layout.join("index.json"), text).unwrap()
    };
    let damage = |layout: &Path| {
        let digest = Layout::new(layout).manifest_digest().replace(':', "/");
        fs::write(layout.join("blobs").join(digest), "{}").unwrap();
    };
    let gone = |layout: &Path| {
        let digest = Layout::new(layout).manifest_digest().replace(':', "/");
        fs::remove_file(layout.join("blobs").join(digest)).unwrap();
    };
    type Edit = Box<dyn FnOnce(&Path)>;
    let cases: [(Edit, bool); 7] = [
        (
            Box::new(index(r#"{"schemaVersion":2,"manifests":null}"#)),
            false,
        ),
        (
            Box::new(index(r#"{"schemaVersion":2,"manifests":[]}"#)),
            false,
        ),
        (Box::new(index("{}")), false),
        (Box::new(index("{")), true),
        (
            Box::new(|layout: &Path| fs::write(layout.join("oci-layout"), "").unwrap()),
            true,
        ),
        (Box::new(damage), true),
        (Box::new(gone), false),
    ];
    for (number, (edit, warns)) in cases.into_iter().enumerate() {
        in_directory(|directory| {
            let (archive, output) = (directory.join("x.tar"), directory.join("out.tar"));
            docker_25(&archive, edit);
            let (input, to) = (archive.to_str().unwrap(), output.to_str().unwrap());
            let inspected = pycull(["inspect", input]).success();
            assert_eq!(
                inspected.stderr.contains("pycull reads manifest.json"),
                warns,
                "{number}"
            );
            pycull(["minimize", input, "--output", to]).success();
            assert_eq!(
                archive_json(&output, "manifest.json")[0]["RepoTags"],
                json!(["foo/bar:v3"])
            );
            pycull(["verify", input, to]).success();
        });
    }
}

#[test]
fn keys_of_any_case_are_read_in_every_document() {
    in_directory(|directory| {
        let layer = python().build();
        let text = String::from_utf8(config(&[&layer])).unwrap();
        let config = text.replace("rootfs", "rootfS").replace("\"os\"", "\"OS\"");
        let manifest = json!([{
            "config": "config.json", "repoTags": ["localhost:5000/jib:1"], "layers": ["layer.tar"],
        }]);
        let tar = LayerBuilder::new()
            .file("layer.tar", &layer)
            .file("config.json", &config)
            .file("./manifest.json", manifest.to_string());
        let (archive, output) = (directory.join("x.tar"), directory.join("out.tar"));
        fs::write(&archive, tar.build()).unwrap();
        let (input, to) = (archive.to_str().unwrap(), output.to_str().unwrap());
        let report = pycull(["inspect", input, "--format", "json"])
            .success()
            .json();
        assert_eq!(report["images"][0]["platform"], "linux/amd64");
        pycull(["minimize", input, "--output", to]).success();
        pycull(["verify", input, to]).success();
        let tags = &archive_json(&output, "manifest.json")[0]["RepoTags"];
        assert_eq!(*tags, json!(["localhost:5000/jib:1"]));
    });
    in_directory(|directory| {
        let layout = directory.join("layout");
        write_image(&layout);
        let expected = digest(layout.to_str().unwrap());
        for (name, from, to) in [
            ("index.json", "manifests", "Manifests"),
            ("index.json", "digest", "DIGEST"),
            ("oci-layout", "imageLayoutVersion", "ImageLayoutVersion"),
        ] {
            let text = fs::read_to_string(layout.join(name)).unwrap();
            fs::write(layout.join(name), text.replace(from, to)).unwrap();
        }
        assert_eq!(digest(layout.to_str().unwrap()), expected);
    });
}

#[test]
fn repo_tags_stay_as_they_are_written() {
    in_directory(|directory| {
        let archive = directory.join("x.tar");
        docker_25(&archive, |_| {});
        let input = archive.to_str().unwrap();
        let tags = |output: String| {
            let path = directory.join("out.tar");
            pycull(["minimize", input, "--output", &output]).success();
            archive_json(&path, "manifest.json")[0]["RepoTags"].clone()
        };
        let to = |name: &str| {
            format!(
                "docker-archive:{}{name}",
                directory.join("out.tar").display()
            )
        };
        assert_eq!(tags(to("")), json!(["foo/bar:v3"]));
        assert_eq!(tags(to(":foo/bar:v4")), json!(["foo/bar:v4"]));
        assert_eq!(tags(to(":app")), json!(["app:latest"]));
        assert_eq!(
            tags(to(":docker.io/library/app:1")),
            json!(["docker.io/library/app:1"])
        );
    });
}

#[test]
fn a_blob_that_is_not_named_by_its_digest_is_read_with_a_warning() {
    in_directory(|directory| {
        let layer = python().build();
        let name = format!("{}.json", hex(b"something else"));
        let manifest = json!([{"Config": name, "RepoTags": null, "Layers": ["l/layer.tar"]}]);
        let tar = LayerBuilder::new()
            .file("l/layer.tar", &layer)
            .file(&name, config(&[&layer]))
            .file("manifest.json", manifest.to_string());
        let archive = directory.join("x.tar");
        fs::write(&archive, tar.build()).unwrap();
        let inspected = pycull(["inspect", archive.to_str().unwrap()]).success();
        let said = "does not match its digest";
        assert!(inspected.stderr.contains(said), "{}", inspected.stderr);
        assert!(
            inspected.stderr.starts_with("warning: "),
            "{}",
            inspected.stderr
        );
    });
}

#[test]
fn members_that_come_twice_or_are_links_or_begin_with_a_point_are_read() {
    in_directory(|directory| {
        let layer = python().build();
        let manifest = json!([{"Config": "c.json", "Layers": ["a/layer.tar"]}]);
        let tar = LayerBuilder::new()
            .file("manifest.json", "[]")
            .file("./blob.tar", &layer)
            .hardlink("./hard.tar", "blob.tar")
            .symlink("./a/layer.tar", "../hard.tar")
            .file("/c.json", config(&[&layer]))
            .file("./manifest.json", manifest.to_string());
        let archive = directory.join("x.tar");
        fs::write(&archive, tar.build()).unwrap();
        pycull(["inspect", archive.to_str().unwrap()]).success();
    });
}

#[test]
fn a_directory_of_skopeo_is_read_with_one_platform_or_several() {
    in_directory(|directory| {
        let layout = directory.join("layout");
        let images = ["amd64", "arm64"].map(|architecture| {
            let image = ImageBuilder::of([file(architecture), python()]);
            image.platform("linux", architecture).write_blobs(&layout)
        });
        let index = crate::support::builder::write_nested_index(&layout, images.to_vec());
        crate::support::builder::write_index(&layout, vec![super::tagged(index, "v1")]);
        let from = format!("oci:{}:v1", layout.display());
        for (flags, platforms) in [(&["--all"][..], 2), (&["--override-arch", "arm64"], 1)] {
            let copy = directory.join(format!("copy{platforms}"));
            let to = format!("dir:{}", copy.display());
            let copied = match platforms {
                2 => vec!["--insecure-policy", "copy", flags[0], &from, &to],
                _ => vec!["--insecure-policy", flags[0], flags[1], "copy", &from, &to],
            };
            crate::support::tool("skopeo", copied).success();
            for reference in [&to, copy.to_str().unwrap()] {
                let report = pycull(["inspect", reference, "--format", "json"])
                    .success()
                    .json();
                assert_eq!(report["images"].as_array().unwrap().len(), platforms);
            }
            let output = directory.join(format!("out{platforms}"));
            let output = output.to_str().unwrap();
            pycull(["minimize", &to, "--output", output]).success();
            pycull(["verify", &to, output]).success();
        }
        let to = format!("dir:{}", directory.join("new").display());
        pycull(["minimize", &from, "--output", &to]).refused("does not write it");
    });
}
