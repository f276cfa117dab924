//! Full and read-only disks: the previous content stays, and nothing is added.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::python;
use crate::support::disk::{Disk, assert_same, snapshot};
use crate::support::tools::{pycull_command, real_image, run};
use crate::support::{ImageBuilder, LayerBuilder, Layered, pycull};

/// An image whose layers do not fit on the disk. One has random bytes beside the bytecode, and one is not rewritten.
fn large() -> (TempDir, PathBuf) {
    let mut noise = vec![0; 400 << 10];
    fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut noise)
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in");
    let image = ImageBuilder::new()
        .layer_as(
            LayerBuilder::new().file("var/noise", &noise),
            Layered::Plain,
        )
        .layer(python().file("var/noise2", &noise));
    image.write(&path);
    (directory, path)
}

#[track_caller]
fn refused(input: &Path, output: &str, disk: &Disk, needle: &str) {
    let before = snapshot(disk.path());
    pycull(["minimize", input.to_str().unwrap(), "--output", output]).refused(needle);
    assert_same(&before, &snapshot(disk.path()), output);
}

const FULL: &str = "No space left";

#[test]
fn a_full_disk_gets_no_half_of_a_layout_or_archive() {
    let (_directory, input) = large();
    // The first disk is too small for the new layer. The second has room for that layer but not for the rest.
    for kibibytes in [128, 600] {
        let disk = Disk::of(kibibytes);
        let path = disk.path().join("out");
        let path = path.to_str().unwrap();
        refused(&input, path, &disk, FULL);
        // The error names the disk, because the staging directory may be on a disk that the user does not expect.
        refused(&input, path, &disk, disk.path().to_str().unwrap());
        refused(&input, &format!("oci-archive:{path}.tar"), &disk, FULL);
        refused(&input, &format!("docker-archive:{path}.tar"), &disk, FULL);
        assert_eq!(snapshot(disk.path()).len(), 1, "{kibibytes}");
    }
}

/// The whole archive fits into a buffer, so only the last flush fails.
#[test]
fn an_archive_to_a_device_that_is_full_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    ImageBuilder::of([python()]).write(&input);
    let input = input.to_str().unwrap();
    for output in ["oci-archive:/dev/full", "docker-archive:/dev/full"] {
        let refused = pycull(["minimize", input, "--output", output]).refused(FULL);
        assert!(refused.stderr.contains("`/dev/full`"), "{}", refused.stderr);
    }
    for output in ["oci-archive:-", "docker-archive:-"] {
        let mut command = pycull_command();
        command.args(["minimize", input, "--output", output]);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(FULL) && stderr.contains("`-`"), "{stderr}");
    }
}

#[test]
fn what_is_on_a_full_disk_stays_as_it_was() {
    let (_directory, input) = large();
    for kibibytes in [128, 600] {
        let disk = Disk::of(kibibytes);
        let (layout, archive) = (disk.path().join("layout"), disk.path().join("archive.tar"));
        let small = ImageBuilder::of([LayerBuilder::new().file("etc/there", "before")]);
        small.tag("there").write(&layout);
        let (layout, archive) = (layout.to_str().unwrap(), archive.to_str().unwrap());
        let to_archive = format!("oci-archive:{archive}");
        pycull(["minimize", layout, "--output", &to_archive]).success();
        refused(&input, &format!("oci:{layout}:new"), &disk, FULL);
        refused(&input, &to_archive, &disk, FULL);
    }
}

#[test]
fn a_full_temporary_directory_stops_a_stream_before_its_first_byte() {
    let (_directory, input) = large();
    let disk = Disk::of(128);
    let mut command = pycull_command();
    command.args(["minimize", input.to_str().unwrap(), "--output", "-"]);
    let output = run(command.env("TMPDIR", disk.path())).refused(FULL);
    assert!(output.stdout.is_empty());
    names_temporary(&output.stderr, disk.path());
    assert_eq!(snapshot(disk.path()).len(), 1);
}

#[test]
fn a_full_temporary_directory_stops_reading_from_a_stream() {
    let (directory, input) = large();
    let archive = directory.path().join("in.tar");
    let to = format!("oci-archive:{}", archive.display());
    pycull(["minimize", input.to_str().unwrap(), "--output", &to]).success();
    let disk = Disk::of(128);
    let mut command = pycull_command();
    command.args(["inspect", "-"]).env("TMPDIR", disk.path());
    let output = command
        .stdin(fs::File::open(&archive).unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(FULL),
        "{stderr}"
    );
    names_temporary(&stderr, disk.path());
    assert_eq!(snapshot(disk.path()).len(), 1);
}

#[test]
fn a_read_only_directory_is_refused_before_anything_is_read() {
    let (_directory, input) = large();
    let disk = Disk::of(2048);
    let (layout, archive) = (disk.path().join("layout"), disk.path().join("archive.tar"));
    let small = ImageBuilder::of([LayerBuilder::new().file("etc/there", "before")]);
    small.tag("there").write(&layout);
    let (layout, archive) = (layout.to_str().unwrap(), archive.to_str().unwrap());
    let to_archive = format!("oci-archive:{archive}");
    pycull(["minimize", layout, "--output", &to_archive]).success();
    let disk = disk.read_only();
    let new = disk.path().join("new");
    let new = new.to_str().unwrap();
    for output in [
        new,
        &format!("oci-archive:{new}"),
        &format!("oci:{layout}:new"),
        &to_archive,
    ] {
        refused(&input, output, &disk, "read-only filesystem");
    }
    // An image on a read-only disk can still be read.
    pycull(["inspect", layout]).success();
}

#[test]
fn a_read_only_temporary_directory_is_refused() {
    let (_directory, input) = large();
    let disk = Disk::of(128).read_only();
    let mut command = pycull_command();
    command.args(["minimize", input.to_str().unwrap(), "--output", "-"]);
    let output = run(command.env("TMPDIR", disk.path())).refused("Read-only file system");
    names_temporary(&output.stderr, disk.path());
}

#[test]
fn a_temporary_directory_that_does_not_exist_is_named() {
    let (directory, input) = large();
    let missing = directory.path().join("no tmp");
    let input = input.to_str().unwrap();
    let real = format!("oci:{}", real_image("py3.11").display());
    for arguments in [
        &["minimize", input, "--output", "-"][..],
        &["inspect", "-"],
        &["bench", &real],
    ] {
        let mut command = pycull_command();
        command.args(arguments).env("TMPDIR", &missing);
        let output = run(&mut command).refused("No such file or directory");
        names_temporary(&output.stderr, &missing);
    }
}

/// Whether an error names the temporary directory, and the hint says how to use another.
#[track_caller]
fn names_temporary(stderr: &str, directory: &Path) {
    let directory = directory.to_str().unwrap();
    assert!(stderr.contains(directory), "{stderr}");
    let hint = stderr.lines().find(|line| line.starts_with("hint: "));
    let hint = hint.unwrap_or_else(|| panic!("no hint: {stderr}"));
    assert!(hint.contains("`TMPDIR=/path pycull …`"), "{hint}");
}
