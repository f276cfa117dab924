//! Bad input. pycull refuses it with a clear error and exit code 2. It leaves nothing behind, and an existing output
//! stays exactly as it was.

mod blobs;
mod disks;
mod documents;
mod layers;
mod outputs;
mod profiles;
mod references;

use std::path::Path;

use crate::support::disk::{assert_same, snapshot};
use crate::support::pyc::STDLIB;
use crate::support::{ImageBuilder, LayerBuilder, Layout, pycull};

/// A layer with something to strip.
fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

fn good() -> ImageBuilder {
    ImageBuilder::of([LayerBuilder::new().file("etc/first", "1"), python()])
}

/// Checks that every command that reads the image refuses it, with any output. The error must contain all `needles`,
/// and the disk must not change.
#[track_caller]
fn is_refused(write: impl FnOnce(&Path), needles: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    write(&input);
    reference_is_refused(directory.path(), input.to_str().unwrap(), needles);
}

/// As [`is_refused`], for an image that a reference names. `directory` contains everything that could change.
#[track_caller]
fn reference_is_refused(directory: &Path, reference: &str, needles: &[&str]) {
    let other = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let existing = ImageBuilder::of([LayerBuilder::new().file("etc/there", "before")]).tag("there");
    existing.write(&directory.join("layout"));
    let (layout, archive) = (other("layout"), other("archive.tar"));
    let to_archive = format!("oci-archive:{archive}");
    pycull(["minimize", &layout, "--output", &to_archive]).success();
    let before = snapshot(directory);
    let refused = |arguments: &[&str]| {
        let output = pycull(arguments).refused("");
        assert_eq!(output.text(), "", "{arguments:?} wrote to standard output");
        for needle in needles {
            let error = &output.stderr;
            assert!(
                error.contains(needle),
                "{arguments:?}: no `{needle}` in: {error}"
            );
        }
        assert_same(&before, &snapshot(directory), &format!("{arguments:?}"));
    };
    refused(&["inspect", reference]);
    refused(&["compare", &layout, reference]);
    refused(&["minimize", reference, "--dry-run"]);
    for output in [
        other("new"),
        other("new.tar"),
        format!("oci:{layout}:new"),
        archive,
        "-".to_owned(),
    ] {
        refused(&["minimize", reference, "--output", &output]);
    }
}

/// Changes the file of a blob in a layout. `pointer` is the blob's place in the only manifest.
fn damage(layout: &Path, pointer: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let index = Layout::new(layout).index();
    let descriptor = match pointer {
        "" => index["manifests"][0].clone(),
        _ => Layout::new(layout)
            .manifest()
            .pointer(pointer)
            .unwrap()
            .clone(),
    };
    let digest = descriptor["digest"].as_str().unwrap().to_owned();
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    digest
}
