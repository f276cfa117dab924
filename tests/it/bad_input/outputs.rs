//! Outputs that exist and are something else.

use std::fs;
use std::path::Path;

use super::good;
use crate::support::disk::{assert_same, snapshot};
use crate::support::tools::{pycull_command, run};
use crate::support::{Output, pycull};

/// Minimizes a good image to `reference`, after `make` put something at its path.
#[track_caller]
fn refused(
    make: impl FnOnce(&Path),
    reference: impl FnOnce(&str) -> String,
    needle: &str,
) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    good().write(&input);
    make(&output);
    let before = snapshot(directory.path());
    let reference = reference(output.to_str().unwrap());
    let refused =
        pycull(["minimize", input.to_str().unwrap(), "--output", &reference]).refused(needle);
    assert!(refused.stderr.contains("/out"), "{}", refused.stderr);
    assert_same(&before, &snapshot(directory.path()), &reference);
    refused
}

fn with_files(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::write(path.join("thesis.txt"), "ten years of work").unwrap();
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    refused(with_files, str::to_owned, "other files");
    refused(with_files, |path| format!("oci:{path}:new"), "other files");
    refused(
        with_files,
        |path| format!("oci-archive:{path}"),
        "a directory",
    );
    refused(
        with_files,
        |path| format!("docker-archive:{path}"),
        "a directory",
    );
}

#[test]
fn a_text_file_is_left_alone() {
    let text = |path: &Path| fs::write(path, "dear diary\n").unwrap();
    refused(text, str::to_owned, "not an image archive");
    refused(
        text,
        |path| format!("oci-archive:{path}"),
        "not an OCI archive",
    );
    refused(
        text,
        |path| format!("docker-archive:{path}"),
        "not a docker archive",
    );
    refused(
        text,
        |path| format!("oci:{path}:new"),
        "not an image layout",
    );
}

#[test]
fn a_layout_is_left_alone_where_an_archive_is_asked_for() {
    let layout = |path: &Path| good().tag("there").write(path);
    refused(layout, |path| format!("oci-archive:{path}"), "a directory");
    refused(
        layout,
        |path| format!("docker-archive:{path}"),
        "a directory",
    );
}

#[test]
fn a_damaged_layout_gets_no_image_added() {
    let damaged = |path: &Path| {
        good().tag("there").write(path);
        fs::write(path.join("index.json"), "{").unwrap();
    };
    refused(damaged, |path| format!("oci:{path}:new"), "index.json");
    let future = |path: &Path| {
        good().tag("there").write(path);
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion": "9"}"#).unwrap();
    };
    refused(future, |path| format!("oci:{path}:new"), "oci-layout");
}

#[test]
fn an_output_in_a_directory_that_does_not_exist_is_refused() {
    let nothing = |_: &Path| {};
    let refused_path = refused(nothing, |path| format!("{path}/deep/er"), "does not exist");
    let stderr = refused_path.stderr;
    assert!(
        stderr.contains("hint: create it first: `mkdir -p /"),
        "{stderr}"
    );
    refused(
        nothing,
        |path| format!("oci-archive:{path}/deep.tar"),
        "cannot write to directory",
    );
}

/// Otherwise, pycull would write a file or a layout under that name, and the image would not be where its user expects it.
#[test]
fn an_output_that_is_the_name_of_an_image_is_refused_with_the_ways_to_it() {
    let directory = tempfile::tempdir().unwrap();
    good().write(&directory.path().join("in"));
    fs::create_dir(directory.path().join("q.io")).unwrap();
    let minimize = |output: &str| {
        let mut command = pycull_command();
        command.args(["minimize", "in", "--output", output]);
        run(command.current_dir(directory.path()))
    };
    let before = snapshot(directory.path());
    for name in [
        "app:v1-small",
        "localhost:5000/app:v1",
        "ghcr.io/me/app",
        "q.io/app:v1",
    ] {
        let refused = minimize(name).refused("looks like the name of an image, not like a path");
        for way in [
            format!("for a registry, use `docker://{name}`"),
            format!("for podman's store `containers-storage:{name}`"),
            format!("for a file `./{name}`"),
        ] {
            assert!(refused.stderr.contains(&way), "{}", refused.stderr);
        }
        assert_same(&before, &snapshot(directory.path()), name);
    }
    minimize("in:small").refused("did you mean `oci:in:small`?");
    minimize("podman:x").refused("did you mean `containers-storage:x`, or the file `./podman:x`?");
    assert_same(&before, &snapshot(directory.path()), "in:small");
    for path in [
        "./app:v1",
        "q.io/app",
        "v1.tar",
        "out:v1.tar",
        "out",
        "new/",
    ] {
        minimize(path).success();
        assert!(directory.path().join(path).exists(), "{path}");
    }
    // What exists is replaced.
    fs::write(directory.path().join("there:v1"), "").unwrap();
    minimize("there:v1").success();
}

#[test]
fn an_output_below_a_file_is_refused() {
    let file = |path: &Path| fs::write(path, "text").unwrap();
    refused(file, |path| format!("{path}/image"), "Not a directory");
}
