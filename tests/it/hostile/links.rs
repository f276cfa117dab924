//! Symlinks, pipes and false blobs in place of an image's files. No data of the host gets into an output, nothing is
//! written outside the output, and nothing blocks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::builder::{write_blob, write_document, write_index, write_nested_index};
use crate::support::pyc::STDLIB;
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A layout with an image and an artifact in one index.
struct Scene {
    directory: TempDir,
    layout: PathBuf,
    /// Digest of the artifact's only blob.
    digest: String,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = directory.path().join("in");
        let python = LayerBuilder::new()
            .stdlib(STDLIB)
            .module_of_three(STDLIB, "m");
        let image = ImageBuilder::of([python]).write_blobs(&layout);
        let secret = b"what only the host has";
        fs::write(directory.path().join("secret"), secret).unwrap();
        let digest = write_blob(&layout, secret);
        let layer =
            json!({"mediaType": "application/x-note", "digest": digest, "size": secret.len()});
        let config =
            json!({"mediaType": "application/x-config", "digest": digest, "size": secret.len()});
        let artifact = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        let artifact = write_document(&layout, MANIFEST, &artifact);
        write_index(
            &layout,
            vec![write_nested_index(&layout, vec![image, artifact])],
        );
        Self {
            directory,
            layout,
            digest,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn blob(&self) -> PathBuf {
        self.layout.join("blobs/sha256").join(&self.digest[7..])
    }

    /// Minimizes the image into the layout `out`.
    #[track_caller]
    fn minimize(&self) {
        let [input, output] = [self.layout.clone(), self.path("out")];
        let [input, output] = [&input, &output].map(|path| path.to_str().unwrap());
        pycull(["minimize", input, "--output", output]).success();
    }

    /// Checks that minimize fails with this message and writes no output.
    #[track_caller]
    fn refused(&self, message: &str) {
        for output in [
            format!("oci:{}", self.path("out").display()),
            format!("oci-archive:{}", self.path("out").display()),
        ] {
            pycull([
                "minimize",
                self.layout.to_str().unwrap(),
                "--output",
                &output,
            ])
            .refused(message);
            assert!(self.path("out").symlink_metadata().is_err(), "{output}");
        }
    }
}

#[test]
fn an_artifact_goes_along_as_it_is() {
    let scene = Scene::new();
    scene.minimize();
    let out = Layout::new(scene.path("out"));
    assert_eq!(
        out.blob(&json!({"digest": scene.digest, "size": 22})),
        b"what only the host has"
    );
}

#[test]
fn a_blob_that_is_a_symlink_out_of_the_layout_is_not_read() {
    let scene = Scene::new();
    fs::remove_file(scene.blob()).unwrap();
    for target in [
        scene.path("secret"),
        "../../../secret".into(),
        "/proc/self/environ".into(),
    ] {
        symlink(&target, scene.blob()).unwrap();
        scene.refused("a symlink leads out of the image");
        fs::remove_file(scene.blob()).unwrap();
    }
}

#[test]
fn directories_and_documents_that_are_symlinks_out_of_the_layout_are_not_read() {
    for name in ["blobs", "blobs/sha256", "index.json", "oci-layout"] {
        let scene = Scene::new();
        let (inside, outside) = (scene.layout.join(name), scene.path("elsewhere"));
        fs::rename(&inside, &outside).unwrap();
        symlink(&outside, &inside).unwrap();
        scene.refused("a symlink leads out of the image");
        pycull(["inspect", scene.layout.to_str().unwrap()])
            .refused("a symlink leads out of the image");
    }
}

#[test]
fn symlinks_that_stay_in_the_layout_are_followed() {
    let scene = Scene::new();
    fs::rename(scene.layout.join("blobs"), scene.layout.join("store")).unwrap();
    symlink("store", scene.layout.join("blobs")).unwrap();
    scene.minimize();
}

#[test]
fn a_blob_of_an_artifact_that_is_not_what_its_digest_says_is_refused() {
    let scene = Scene::new();
    fs::write(scene.blob(), "what only the HOST has").unwrap();
    scene.refused("is damaged: its bytes hash to");
    fs::write(scene.blob(), "longer than its descriptor says").unwrap();
    scene.refused("has the wrong size");
}

#[test]
fn a_pipe_in_the_place_of_a_blob_is_not_waited_for() {
    let scene = Scene::new();
    fs::remove_file(scene.blob()).unwrap();
    make_pipe(&scene.blob());
    scene.refused("it is not a regular file");
}

#[test]
fn an_output_goes_nowhere_but_into_its_layout() {
    let scene = Scene::new();
    let (input, outside) = (scene.layout.to_str().unwrap(), scene.path("elsewhere"));
    for name in ["blobs", "blobs/sha256"] {
        let out = scene.path("out");
        scene.minimize();
        fs::remove_dir_all(out.join(name)).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, out.join(name)).unwrap();
        let to = format!("oci:{}:other", out.display());
        pycull(["minimize", input, "--output", &to]).refused("a symlink leads out of the image");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        fs::remove_dir_all(&out).unwrap();
        fs::remove_dir_all(&outside).unwrap();
    }
}

#[test]
fn a_pipe_in_an_output_is_not_waited_for() {
    let scene = Scene::new();
    let (input, out) = (scene.layout.to_str().unwrap(), scene.path("out"));
    scene.minimize();
    let root: Value = Layout::new(&out).index()["manifests"][0].clone();
    let blob = out
        .join("blobs/sha256")
        .join(&root["digest"].as_str().unwrap()[7..]);
    fs::remove_file(&blob).unwrap();
    make_pipe(&blob);
    let to = format!("oci:{}:other", out.display());
    pycull(["minimize", input, "--output", &to]).success();
    assert!(blob.symlink_metadata().unwrap().is_file());
    fs::remove_file(out.join("oci-layout")).unwrap();
    make_pipe(&out.join("oci-layout"));
    pycull(["minimize", input, "--output", &to]).refused("it is not a regular file");
}

fn make_pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}
