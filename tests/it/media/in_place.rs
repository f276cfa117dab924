//! Rewriting one image of an archive keeps the others (trap 27).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{archive_files, archive_json, archived, config, digest, file, hex, python, tagged};
use crate::support::builder::{write_index, write_nested_index};
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull, tool};

/// Two images with a shared layer, as docker before 25 saves them: with legacy files, and a symlink to the shared
/// layer.
fn old_archive(path: &Path) {
    let (base, mine, other) = (file("base").build(), python().build(), file("o").build());
    let configs = [config(&[&base, &mine]), config(&[&base, &other])];
    let names: Vec<String> = configs.iter().map(|it| hex(it) + ".json").collect();
    let manifest = json!([
        {"Config": names[0], "RepoTags": ["app:1", "app:latest"], "Layers": ["1/layer.tar", "2/layer.tar"]},
        {"Config": names[1], "RepoTags": ["other:1"], "Layers": ["3/layer.tar", "4/layer.tar"]},
    ]);
    let repositories = json!({"app": {"1": "2", "latest": "2"}, "other": {"1": "4"}});
    let tar = LayerBuilder::new()
        .file(&names[0], &configs[0])
        .file(&names[1], &configs[1])
        .file("1/layer.tar", &base)
        .file("2/VERSION", "1.0")
        .file("2/layer.tar", &mine)
        .symlink("3/layer.tar", "../1/layer.tar")
        .file("4/VERSION", "1.0")
        .file("4/json", "{}")
        .symlink("4/layer.tar", "../5.tar")
        .file("5.tar", &other)
        .file("note", "kept")
        .file("manifest.json", manifest.to_string())
        .file("repositories", repositories.to_string())
        .build();
    fs::write(path, tar).unwrap();
}

/// An archive of a layout with two images of the same tag. With `docker`, it is in the form that docker 25 and later
/// save.
fn oci_archive(path: &Path, docker: bool) {
    let layout = path.with_extension("layout");
    let images = [
        ("app", ImageBuilder::of([file("base"), python()])),
        ("other", ImageBuilder::of([file("base"), file("o")])),
    ];
    let mut entries = Vec::new();
    let roots = images.map(|(name, image)| {
        let root = image.write_blobs(&layout);
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            format!("blobs/{}", digest.replace(':', "/"))
        };
        let manifest: Value =
            serde_json::from_slice(&fs::read(layout.join(blob(&root))).unwrap()).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().map(blob);
        entries.push(json!({
            "Config": blob(&manifest["config"]), "RepoTags": [format!("{name}:1")],
            "Layers": layers.collect::<Vec<_>>(),
        }));
        if !docker {
            return tagged(root, name);
        }
        let mut root = tagged(root, "1");
        root["annotations"]["io.containerd.image.name"] =
            json!(format!("docker.io/library/{name}:1"));
        root
    });
    write_index(&layout, roots.to_vec());
    if docker {
        fs::write(layout.join("manifest.json"), json!(entries).to_string()).unwrap();
    }
    archived(&layout, path);
    fs::remove_dir_all(layout).unwrap();
}

struct Case {
    directory: tempfile::TempDir,
    archive: PathBuf,
}

impl Case {
    fn new(write: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("x.tar");
        write(&archive);
        Self { directory, archive }
    }

    fn refer(&self, transport: &str, name: &str) -> String {
        format!("{transport}:{}:{name}", self.archive.display())
    }

    /// Minimizes an image onto itself. Checks that the other images are unchanged and that skopeo can read the result.
    #[track_caller]
    fn minimize(&self, transport: &str, mine: &str, others: &[&str]) {
        let mine = self.refer(transport, mine);
        let others: Vec<String> = others.iter().map(|it| self.refer(transport, it)).collect();
        let before = digest(&mine);
        let kept: Vec<String> = others.iter().map(|it| digest(it)).collect();
        pycull(["minimize", &mine, "--output", &mine]).success();
        assert_ne!(digest(&mine), before);
        for (other, digest_before) in others.iter().zip(&kept) {
            assert_eq!(digest(other), *digest_before, "{other}");
        }
        // skopeo 1.9 cannot read layers that are links.
        let to = format!("dir:{}", self.directory.path().join("copy").display());
        tool("skopeo", ["--insecure-policy", "copy", &mine, &to]).success();
        let once = fs::read(&self.archive).unwrap();
        pycull(["minimize", &mine, "--output", &mine]).success();
        assert!(once == fs::read(&self.archive).unwrap(), "not idempotent");
    }
}

#[test]
fn an_image_of_an_old_docker_archive_is_rewritten_and_the_others_stay() {
    let case = Case::new(old_archive);
    let before = archive_files(&case.archive);
    case.minimize("docker-archive", "app:1", &["app:latest", "other:1"]);
    let after = archive_files(&case.archive);
    for file in before {
        if !["manifest.json", "repositories"].contains(&file.0.as_str()) {
            assert!(after.contains(&file), "{}", file.0);
        }
    }
    let repositories = archive_json(&case.archive, "repositories");
    assert_eq!(
        repositories,
        json!({"app": {"latest": "2"}, "other": {"1": "4"}})
    );
}

#[test]
fn what_only_the_rewritten_image_was_made_of_goes() {
    let case = Case::new(old_archive);
    case.minimize("docker-archive", "app:1", &["other:1"]);
    case.minimize("docker-archive", "app:latest", &["other:1"]);
    let names: Vec<String> = archive_files(&case.archive)
        .into_iter()
        .map(|file| file.0)
        .collect();
    for (name, there) in [
        ("1/layer.tar", true),
        ("2/layer.tar", false),
        ("2/VERSION", false),
        ("4/VERSION", true),
        ("4/json", true),
        ("5.tar", true),
        ("note", true),
    ] {
        assert_eq!(
            names.iter().any(|it| it == name),
            there,
            "{name}: {names:?}"
        );
    }
}

#[test]
fn an_image_of_an_archive_that_docker_25_saved_is_rewritten_and_the_others_stay() {
    let case = Case::new(|path| oci_archive(path, true));
    case.minimize("docker-archive", "app:1", &["other:1"]);
    let index = archive_json(&case.archive, "index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let tags = archive_json(&case.archive, "manifest.json");
    assert_eq!(tags[0]["RepoTags"], json!(["app:1"]));
    assert_eq!(tags[1]["RepoTags"], json!(["other:1"]));
}

#[test]
fn an_image_of_an_oci_archive_is_rewritten_and_the_other_tags_stay() {
    let case = Case::new(|path| oci_archive(path, false));
    case.minimize("oci-archive", "app", &["other"]);
}

#[test]
fn a_rewritten_layer_that_another_image_needs_stays_as_it_was() {
    let case = Case::new(|path| {
        let layout = path.with_extension("layout");
        let images = [("app", file("app")), ("other", file("other"))];
        let roots = images.map(|(name, layer)| {
            tagged(
                ImageBuilder::of([python(), layer]).write_blobs(&layout),
                name,
            )
        });
        write_index(&layout, roots.to_vec());
        archived(&layout, path);
    });
    case.minimize("oci-archive", "app", &["other"]);
}

#[test]
fn a_new_name_in_the_same_archive_is_added() {
    for (docker, transport, names) in [
        (true, "docker-archive", ["app:1", "other:1", "app:small"]),
        (false, "oci-archive", ["app", "other", "small"]),
    ] {
        let case = Case::new(|path| oci_archive(path, docker));
        let [mine, other, small] = names.map(|name| case.refer(transport, name));
        let before = [digest(&mine), digest(&other)];
        pycull(["minimize", &mine, "--output", &small]).success();
        assert_eq!([digest(&mine), digest(&other)], before);
        assert_ne!(digest(&small), before[0]);
    }
}

#[test]
fn an_archive_of_several_images_is_not_replaced_by_another_image() {
    for (docker, transport) in [(true, "docker-archive"), (false, "oci-archive")] {
        let case = Case::new(|path| oci_archive(path, docker));
        let before = fs::read(&case.archive).unwrap();
        let layout = case.directory.path().join("layout");
        ImageBuilder::of([python()]).write(&layout);
        let input = layout.to_str().unwrap();
        for output in [
            case.archive.to_str().unwrap().to_owned(),
            case.refer(transport, "new:1"),
        ] {
            let refused = pycull(["minimize", input, "--output", &output]);
            assert!(
                refused
                    .refused("holds 2 images, which would be lost")
                    .stderr
                    .contains("hint: "),
                "{output}"
            );
            assert!(before == fs::read(&case.archive).unwrap(), "{output}");
        }
    }
}

#[test]
fn an_image_without_a_name_that_docker_25_saved_is_replaced_and_not_kept_beside() {
    let case = Case::new(|path| {
        let layout = path.with_extension("layout");
        let root = ImageBuilder::of([file("base"), python()]).write_blobs(&layout);
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            format!("blobs/{}", digest.replace(':', "/"))
        };
        let manifest = fs::read(layout.join(blob(&root))).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().map(blob);
        let entry = json!({
            "Config": blob(&manifest["config"]), "RepoTags": null,
            "Layers": layers.collect::<Vec<_>>(),
        });
        write_index(&layout, vec![root]);
        fs::write(layout.join("manifest.json"), json!([entry]).to_string()).unwrap();
        archived(&layout, path);
    });
    let mine = format!("docker-archive:{}", case.archive.display());
    for _ in 0..2 {
        pycull(["minimize", &mine, "--output", &mine]).success();
        let entries = archive_json(&case.archive, "manifest.json");
        assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
    }
}

/// Images of two platforms that differ in one file. The platforms are not in order.
fn two_platforms(layout: &Path) -> Vec<Value> {
    let image = |architecture: &str| {
        let image = ImageBuilder::of([file(architecture), python()]);
        image.platform("linux", architecture).write_blobs(layout)
    };
    vec![image("arm64"), image("amd64")]
}

const AMD64: [&str; 2] = ["--platform", "linux/amd64"];

/// Replacing an index by one of its platforms would lose the others.
#[test]
fn an_index_is_not_replaced_by_one_of_its_platforms() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let index = write_nested_index(&layout, two_platforms(&layout));
    let tags = ["app", "latest"].map(|tag| tagged(index.clone(), tag));
    write_index(&layout, tags.to_vec());
    let archive = directory.path().join("x.tar");
    archived(&layout, &archive);
    for (transport, path) in [("oci", &layout), ("oci-archive", &archive)] {
        let bare = &*format!("{transport}:{}", path.display());
        let own = &*format!("{bare}:app");
        // Replacing the same index under another name would lose them as well.
        let same = &*format!("{bare}:latest");
        let before = manifests(path);
        for (input, output) in [
            (own, own),
            (own, bare),
            (bare, own),
            (bare, bare),
            (own, same),
        ] {
            let run = pycull([&["minimize", input, "--output", output][..], &AMD64].concat());
            run.refused("would remove linux/arm64 from it")
                .refused("leave out `--platform`");
        }
        assert_eq!(manifests(path), before);
        let other = &*format!("{bare}:amd64");
        pycull([&["minimize", own, "--output", other][..], &AMD64].concat()).success();
        let after = manifests(path);
        assert_eq!(after[..2], before);
        assert_eq!(after.len(), 3);
        pycull(["minimize", own, "--output", own]).success();
        assert_ne!(manifests(path)[0], before[0]);
    }
}

/// If an index has blobs for only one platform, nothing can be lost. This is so in a sparse layout, and in the index
/// that docker saves.
#[test]
fn an_index_of_which_only_one_platform_is_there_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let roots = two_platforms(&layout);
    let index = write_nested_index(&layout, roots.clone());
    write_index(&layout, vec![tagged(index, "app")]);
    let manifest = roots[0]["digest"].as_str().unwrap().replace(':', "/");
    fs::remove_file(layout.join("blobs").join(manifest)).unwrap();
    let own = format!("oci:{}:app", layout.display());
    pycull([&["minimize", &own, "--output", &own][..], &AMD64].concat()).success();
    pycull(["inspect", &own]).success();
}

/// The entries in the `index.json` of a layout or archive.
fn manifests(path: &Path) -> Vec<Value> {
    let index = match path.is_dir() {
        true => Layout::new(path).index(),
        false => archive_json(path, "index.json"),
    };
    index["manifests"].as_array().unwrap().clone()
}

/// `--platform` chooses among images with the same tag or with no tag. The others stay in the layout.
#[test]
fn an_image_of_another_platform_under_the_same_tag_stays() {
    let directory = tempfile::tempdir().unwrap();
    for tag in [Some("app"), None] {
        let layout = directory.path().join(tag.unwrap_or("bare"));
        let roots = two_platforms(&layout).into_iter();
        let roots: Vec<Value> = roots
            .map(|root| tag.map_or(root.clone(), |tag| tagged(root, tag)))
            .collect();
        write_index(&layout, roots.clone());
        let archive = layout.with_extension("tar");
        archived(&layout, &archive);
        for (transport, path) in [("oci", &layout), ("oci-archive", &archive)] {
            let tag = tag.map_or(String::new(), |tag| format!(":{tag}"));
            let own = format!("{transport}:{}{tag}", path.display());
            for _ in 0..2 {
                pycull([&["minimize", &own, "--output", &own][..], &AMD64].concat()).success();
                let after = manifests(path);
                assert_eq!(after.len(), 2, "{own}");
                assert_eq!(after[0], roots[0], "{own}");
                assert_ne!(after[1]["digest"], roots[1]["digest"], "{own}");
            }
        }
    }
}

/// The same for a docker archive in which two entries have the same tag.
#[test]
fn an_image_of_another_platform_under_the_same_repo_tag_stays() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("x.tar");
    let layer = python().build();
    let amd64 = config(&[&layer]);
    let arm64 = String::from_utf8(amd64.clone()).unwrap();
    let arm64 = arm64.replace("amd64", "arm64").into_bytes();
    let names = [&arm64, &amd64].map(|config| hex(config) + ".json");
    let entry =
        |name| json!({"Config": name, "RepoTags": ["app:1", "app:2"], "Layers": ["layer.tar"]});
    let tar = LayerBuilder::new()
        .file(&names[0], &arm64)
        .file(&names[1], &amd64)
        .file("layer.tar", &layer)
        .file(
            "manifest.json",
            json!(names.each_ref().map(entry)).to_string(),
        )
        .build();
    fs::write(&archive, tar).unwrap();
    let [chosen, own] =
        ["@1", "app:1"].map(|it| format!("docker-archive:{}:{it}", archive.display()));
    pycull(["minimize", &chosen, "--output", &own]).success();
    let entries = archive_json(&archive, "manifest.json");
    let entries = entries.as_array().unwrap();
    assert_eq!(entries[0], entry(&names[0]));
    assert!(!names.contains(&entries[2]["Config"].as_str().unwrap().to_owned()));
    assert_eq!(entries[1]["RepoTags"], json!(["app:2"]));
    assert_eq!(entries[2]["RepoTags"], json!(["app:1"]));
}

#[test]
fn an_oci_archive_keeps_no_blob_that_none_of_its_images_needs() {
    for (transport, is_docker, mine) in [
        ("oci-archive", false, "app"),
        ("docker-archive", true, "app:1"),
    ] {
        let case = Case::new(|path| oci_archive(path, is_docker));
        let blobs = || {
            let files = archive_files(&case.archive);
            let names = files.into_iter().map(|(name, _)| name);
            names
                .filter(|name| name.starts_with("blobs/"))
                .collect::<BTreeSet<_>>()
        };
        let before = blobs();
        let mine = case.refer(transport, mine);
        pycull(["minimize", &mine, "--output", &mine]).success();
        let after = blobs();
        // The manifest, the config and one of two layers are replaced.
        assert_eq!(after.difference(&before).count(), 3, "{transport}");
        assert_eq!(before.difference(&after).count(), 3, "{transport}");
    }
}
