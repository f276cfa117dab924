//! References to no image or to several, and meaningless options.

use std::fs;

use super::{good, is_refused, reference_is_refused};
use crate::support::builder::write_index;
use crate::support::disk::{Disk, assert_same, snapshot};
use crate::support::tools::{pycull_command, run, tool_command};
use crate::support::{ImageBuilder, LayerBuilder, pycull};

#[test]
fn a_file_that_is_no_image_is_refused() {
    for content in [
        &b""[..],
        b"just text\n",
        &[0; 10240],
        b"\x1f\x8b\x08\0garbage",
    ] {
        is_refused(|path| fs::write(path, content).unwrap(), &["in`"]);
    }
    let tar = LayerBuilder::new()
        .file("etc/hello", "not an image")
        .build();
    is_refused(|path| fs::write(path, &tar).unwrap(), &["no image in"]);
}

#[test]
fn an_archive_cut_short_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, archive) = (
        directory.path().join("layout"),
        directory.path().join("a.tar"),
    );
    good().write(&layout);
    let to = format!("oci-archive:{}", archive.display());
    pycull(["minimize", layout.to_str().unwrap(), "--output", &to]).success();
    let bytes = fs::read(&archive).unwrap();
    for length in [bytes.len() / 2, bytes.len() / 10, 700, 512, 100] {
        is_refused(|path| fs::write(path, &bytes[..length]).unwrap(), &["in`"]);
    }
}

#[test]
fn an_empty_directory_is_no_image() {
    is_refused(
        |path| fs::create_dir(path).unwrap(),
        &["no image in", "oci-layout"],
    );
}

#[test]
fn an_empty_file_or_pipe_is_told_from_an_archive_without_an_image() {
    is_refused(|path| fs::write(path, "").unwrap(), &["it is empty"]);
    is_refused(
        |path| fs::write(path, [0; 1024]).unwrap(),
        &["neither index.json nor manifest.json"],
    );
    for stream in ["-", "/dev/null"] {
        let output = pycull(["inspect", stream]);
        assert_eq!(output.code, Some(2));
        for said in ["it is empty", "hint: ", "wrote nothing"] {
            assert!(output.stderr.contains(said), "{}", output.stderr);
        }
    }
}

#[test]
fn a_stream_without_end_is_not_read_to_it() {
    for (command, said) in [
        (
            "\"$0\" inspect /dev/zero",
            "neither index.json nor manifest.json",
        ),
        ("yes | \"$0\" inspect -", "no image in `-`"),
    ] {
        let disk = Disk::of(1024);
        let mut shell = tool_command("sh");
        shell.args(["-c", command, env!("CARGO_BIN_EXE_pycull")]);
        run(shell.env("TMPDIR", disk.path())).refused(said);
        assert_eq!(snapshot(disk.path()).len(), 1);
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    is_refused(|_| {}, &["cannot open", "in`"]);
}

#[test]
fn a_transport_that_pycull_does_not_speak_is_refused_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    for reference in ["ostree:app@/ostree/repo", "ftp://a/b"] {
        reference_is_refused(directory.path(), reference, &[reference, "skopeo copy"]);
    }
}

/// A mistyped transport neither names a file, nor runs as what it probably means.
#[test]
fn a_mistyped_transport_is_refused_with_the_one_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    good().write(&input);
    let before = snapshot(directory.path());
    for (reference, meant) in [
        ("dokcer://x", "docker://x"),
        ("docker:/x", "docker://x"),
        ("https://host/app", "docker://host/app"),
        ("container-storage:x", "containers-storage:x"),
        ("docker-deamon:x", "docker-daemon:x"),
        ("containers-storage://x", "containers-storage:x"),
        ("docker-daemon://x:v1", "docker-daemon:x:v1"),
        ("podman:x", "containers-storage:x"),
    ] {
        let hint = format!("did you mean `{meant}`");
        for arguments in [
            &["inspect", reference][..],
            &["minimize", "in", "--output", reference],
        ] {
            let mut command = pycull_command();
            command.args(arguments).current_dir(directory.path());
            run(&mut command).refused(&hint);
        }
        assert_same(&before, &snapshot(directory.path()), reference);
    }
}

#[test]
fn a_url_of_a_file_is_refused_with_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    good().write(&layout);
    let path = layout.to_str().unwrap();
    for form in ["file://", "file://localhost", "file:"] {
        let url = format!("{form}{path}");
        let hint = format!("write the path alone: `{path}`");
        pycull(["inspect", &url]).refused(&hint);
    }
    pycull(["inspect", path]).success();
}

#[test]
fn a_missing_layout_or_archive_is_said_with_names_that_resemble_it() {
    let directory = tempfile::tempdir().unwrap();
    good().tag("v1").write(&directory.path().join("layout"));
    let inspect = |reference: &str| {
        let mut command = pycull_command();
        command.args(["inspect", reference]);
        run(command.current_dir(directory.path()))
    };
    inspect("-").refused("no image in `-`");
    let archive = "oci-archive:archive.tar:v1";
    let mut minimize = pycull_command();
    minimize.args(["minimize", "oci:layout:v1", "--output", archive]);
    run(minimize.current_dir(directory.path())).success();
    for (wrong, kind, right) in [
        ("oci:layuot:v1", "image layout", "oci:layout:v1"),
        ("oci-archive:archiv.tar:v1", "file", archive),
        ("dir:layot", "directory", "dir:layout"),
    ] {
        let refused = inspect(wrong).refused(&format!("there is no such {kind}"));
        let hint = format!("hint: did you mean `{right}`?");
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
    inspect("archive.tra").refused("hint: did you mean `archive.tar`?");
    let nothing =
        inspect("oci:nodir").refused("cannot open `nodir`: there is no such image layout");
    assert!(!nothing.stderr.contains("hint"), "{}", nothing.stderr);
}

#[test]
fn several_platforms_in_one_are_refused_with_what_works() {
    let refused = pycull(["inspect", "x", "--platform", "linux/amd64,linux/arm64"]);
    refused.refused("it takes one platform; run pycull once for each");
}

#[test]
fn an_image_that_an_option_takes_for_its_value_is_told() {
    let refused = pycull(["compare", "--require-shrink", "a.tar", "b.tar"]);
    refused.refused("If `a.tar` is an image, put `--require-shrink` after the images");
}

#[test]
fn an_ambiguous_image_is_refused_with_the_choices() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let roots = ["one", "two"].map(|tag| {
        let image = ImageBuilder::of([LayerBuilder::new().file("etc/tag", tag)]);
        let mut root = image.write_blobs(&layout);
        root["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
        root
    });
    write_index(&layout, roots.to_vec());
    let path = layout.to_str().unwrap();
    reference_is_refused(
        directory.path(),
        path,
        &["more than one image", "one, two", ":one`"],
    );
    let missing = format!("oci:{path}:three");
    reference_is_refused(directory.path(), &missing, &["`three`", "one, two"]);
}

#[test]
fn an_unknown_platform_is_refused_with_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    good().write(&layout);
    let (input, output) = (layout.to_str().unwrap(), directory.path().join("out"));
    let before = snapshot(directory.path());
    let output = output.to_str().unwrap();
    for (platform, needle) in [
        ("linux/s390x", "available: linux/amd64"),
        ("linux/amd64/v9", "available: linux/amd64"),
        ("windows", "os/architecture"),
        ("linux//v7", "os/architecture"),
    ] {
        pycull(["inspect", input, "--platform", platform]).refused(needle);
        let minimize = [
            "minimize",
            input,
            "--output",
            output,
            "--platform",
            platform,
        ];
        pycull(minimize).refused(needle);
        assert_same(&before, &snapshot(directory.path()), platform);
    }
}

#[test]
fn options_that_mean_nothing_are_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    good().write(&layout);
    let (input, output) = (layout.to_str().unwrap(), directory.path().join("out"));
    let output = output.to_str().unwrap();
    let before = snapshot(directory.path());
    for (option, value, needle) in [
        ("--profile", "smallest", "`smallest`"),
        ("--profile", "no/such/file.toml", "no/such/file.toml"),
        ("--set", "levels=[3]", "levels"),
        ("--set", "levls=[0]", "levels"),
        ("--set", "levels", "levels"),
        ("--compression", "xz", "xz"),
        ("--compression", "gzip:10", "gzip:10"),
        ("--jobs", "0", "0"),
        ("--format", "yaml", "yaml"),
    ] {
        pycull(["minimize", input, "--output", output, option, value]).refused(needle);
        assert_same(&before, &snapshot(directory.path()), value);
    }
}
