//! A kill at any moment leaves what existed before. pycull's own output is whole or absent.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::support::tools::{pycull_command, real_image, run, tool_command};
use super::support::{ImageBuilder, LayerBuilder, Layout, pycull, tool};

/// System calls that change a file system. Each thread has its own counter for each of them.
const CHANGES: [&str; 16] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "rmdir",
    "ioctl",
];

#[test]
fn a_layout_survives_a_kill_at_any_moment_of_adding_an_image() {
    let small = Image::small();
    let rounds = 30;
    survives(&small, rounds);
}

#[test]
fn a_layout_of_a_real_image_survives_a_kill_at_any_moment_of_adding_another() {
    let real = Image::real("py3.11");
    survives(&real, 5);
}

#[test]
fn a_layout_survives_a_kill_at_every_call_that_changes_the_file_system() {
    let small = Image::small();
    let rounds: Vec<usize> = CHANGES
        .iter()
        .map(|call| kills_at_each(call, &small))
        .collect();
    assert!(
        rounds.iter().sum::<usize>() > 20,
        "killed at {rounds:?} of {CHANGES:?}"
    );
}

/// Kills a run at the first call of a kind, the next run at the second, until a run ends without a kill. Returns the
/// number of kills.
fn kills_at_each(call: &str, image: &Image) -> usize {
    for number in 1.. {
        let work = image.copy();
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let mut command = tool_command("strace");
        command.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &inject,
            env!("CARGO_BIN_EXE_pycull"),
        ]);
        let output = command
            .args(adding(work.path()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        image.assert_whole(work.path(), &format!("{call} {number}"));
        image.assert_swept(work.path(), &format!("{call} {number}"));
        if output.status.success() {
            assert!(tagged(work.path(), "new").is_some());
            return number - 1;
        }
        // strace ends by the same signal as the process that it traces.
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    unreachable!("a run has an end")
}

#[test]
fn a_new_layout_that_was_killed_is_not_there_or_whole() {
    new_output_is_whole_or_absent("oci", "new-layout");
}

#[test]
fn a_new_oci_archive_that_was_killed_is_not_there_or_whole() {
    new_output_is_whole_or_absent("oci-archive", "new.tar");
}

#[test]
fn a_new_docker_archive_that_was_killed_is_not_there_or_whole() {
    new_output_is_whole_or_absent("docker-archive", "new.tar");
}

/// A layout with the tag `old`. Tests write another image to it.
struct Image {
    directory: TempDir,
    manifest_digest: String,
}

impl Image {
    fn small() -> Self {
        let layers = (0..4).map(|layer| {
            (0..20).fold(
                LayerBuilder::new().stdlib("usr/lib/python3.9"),
                |layer_tar, module| {
                    layer_tar.module_of_three("usr/lib/python3.9", &format!("m{layer}_{module}"))
                },
            )
        });
        let image = ImageBuilder::of(layers).tag("old");
        Self::new(|layout| image.write(layout))
    }

    fn real(name: &str) -> Self {
        Self::new(|layout| {
            copy_tree(&real_image(name), layout);
            let index = fs::read_to_string(layout.join("index.json")).unwrap();
            fs::write(
                layout.join("index.json"),
                index.replace("\"latest\"", "\"old\""),
            )
            .unwrap();
        })
    }

    fn new(write: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let manifest_digest = tagged(directory.path(), "old").unwrap()["digest"]
            .as_str()
            .unwrap()
            .to_owned();
        Self {
            directory,
            manifest_digest,
        }
    }

    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(self.directory.path(), copy.path());
        copy
    }

    /// Checks that the next run removes everything that a kill left.
    #[track_caller]
    fn assert_swept(&self, layout: &Path, moment: &str) {
        run(pycull_command().args(adding(layout))).success();
        self.assert_whole(layout, &format!("the run after {moment}"));
        assert!(tagged(layout, "new").is_some());
        let mut used = BTreeSet::new();
        for tag in ["old", "new"] {
            let manifest = tagged(layout, tag).unwrap();
            let document = Layout::new(layout).document(&manifest);
            let layers = document["layers"].as_array().unwrap().iter();
            let all = [&manifest, &document["config"]].into_iter().chain(layers);
            used.extend(all.map(|it| it["digest"].as_str().unwrap()[7..].to_owned()));
        }
        assert_eq!(names(&layout.join("blobs/sha256")), used, "{moment}");
        let files = ["blobs", "index.json", "oci-layout"];
        assert_eq!(names(layout), files.map(str::to_owned).into(), "{moment}");
    }

    /// Whether the new image was written. Checks that it is whole or absent.
    #[track_caller]
    fn is_written(&self, output: &Path, transport: &str, moment: &str) -> bool {
        let reference = format!("{transport}:{}:new", output.display());
        if transport != "oci" || output.symlink_metadata().is_err() {
            let is_there = output.symlink_metadata().is_ok();
            if is_there {
                pycull(["inspect", &reference, "--format", "json"]).success();
            }
            return is_there;
        }
        let is_new = tagged(output, "new").is_some();
        if is_new {
            pycull(["inspect", &reference, "--format", "json"]).success();
        }
        let blobs = |layout: &Path| names(&layout.join("blobs/sha256")).len();
        // Without the tag, none of the new image's blobs exist either.
        assert!(
            is_new || blobs(output) == blobs(self.directory.path()),
            "{moment}"
        );
        assert_eq!(names(output).len(), 3, "{moment}: {:?}", names(output));
        is_new
    }

    /// Checks that the old image is whole and, if it exists, the new one too.
    #[track_caller]
    fn assert_whole(&self, layout: &Path, moment: &str) {
        let old = tagged(layout, "old").unwrap_or_else(|| panic!("{moment}: the old tag is gone"));
        assert_eq!(old["digest"], *self.manifest_digest, "{moment}");
        for tag in ["old", "new"] {
            let Some(descriptor) = tagged(layout, tag) else {
                continue;
            };
            blobs_are_whole(&Layout::new(layout), &descriptor);
            let image = format!("oci:{}:{tag}", layout.display());
            pycull(["inspect", &image, "--format", "json"]).success();
            tool("skopeo", ["inspect", &image]).success();
        }
    }
}

/// Kills runs at equally spaced moments of a whole run.
fn survives(image: &Image, rounds: u32) {
    let duration = whole_run(|| {
        let work = image.copy();
        (adding(work.path()), work)
    });
    let mut killed = 0;
    for round in 0..rounds {
        let work = image.copy();
        killed += u32::from(killed_after(
            &adding(work.path()),
            duration * round / rounds,
        ));
        image.assert_whole(
            work.path(),
            &format!("round {round} of {rounds}, {duration:?}"),
        );
        // The layout can still be written to.
        image.assert_swept(work.path(), &format!("round {round}"));
    }
    assert!(
        killed >= rounds / 3,
        "{killed} of {rounds} runs were killed before their end"
    );
}

fn new_output_is_whole_or_absent(transport: &str, name: &str) {
    let image = Image::small();
    let input = format!("oci:{}:old", image.directory.path().display());
    let arguments = |directory: &Path| {
        let output = directory.join(name);
        let output = format!("{transport}:{}:localhost/new:1", output.display());
        [
            "minimize",
            &input,
            "--output",
            &output,
            "--profile",
            "minimal",
            "--format",
            "json",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let duration = whole_run(|| {
        let work = tempfile::tempdir().unwrap();
        (arguments(work.path()), work)
    });
    let (rounds, mut absent) = (25, 0);
    for round in 0..rounds {
        let work = tempfile::tempdir().unwrap();
        killed_after(&arguments(work.path()), duration * round / rounds);
        let output = work.path().join(name);
        if output.symlink_metadata().is_err() {
            absent += 1;
            continue;
        }
        let reference = format!("{transport}:{}", output.display());
        pycull(["inspect", &reference, "--format", "json"]).success();
        tool(
            "skopeo",
            ["inspect", &format!("{reference}:localhost/new:1")],
        )
        .success();
    }
    assert!(
        absent >= rounds / 3,
        "{absent} of {rounds} runs were killed before there was an output"
    );
}

/// The arguments that add a minimized image to a layout.
fn adding(layout: &Path) -> Vec<String> {
    let (from, to) = (
        format!("oci:{}:old", layout.display()),
        format!("oci:{}:new", layout.display()),
    );
    [
        "minimize",
        &from,
        "--output",
        &to,
        "--profile",
        "minimal",
        "--jobs",
        "1",
        "--format",
        "json",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The duration of a run without a kill: the shortest of three.
fn whole_run(mut prepare: impl FnMut() -> (Vec<String>, TempDir)) -> Duration {
    let mut one = || {
        let (arguments, _work) = prepare();
        let start = Instant::now();
        run(pycull_command().args(arguments)).success();
        start.elapsed()
    };
    [one(), one(), one()].into_iter().min().unwrap()
}

/// Starts pycull and kills it after `time`. Returns whether it was still running.
fn killed_after(arguments: &[String], time: Duration) -> bool {
    let mut command = pycull_command();
    let mut child = silent(command.args(arguments)).spawn().unwrap();
    // The moment matters here, so the test does not wait for anything else.
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

fn silent(command: &mut Command) -> &mut Command {
    let no_input = command.stdin(Stdio::null());
    no_input.stdout(Stdio::null()).stderr(Stdio::null())
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The root descriptor of a tag.
fn tagged(layout: &Path, tag: &str) -> Option<Value> {
    let index = Layout::new(layout).index();
    let mut roots = index["manifests"].as_array().unwrap().iter();
    roots
        .find(|root| root["annotations"]["org.opencontainers.image.ref.name"] == tag)
        .cloned()
}

/// Checks every blob of an image against its digest and size.
fn blobs_are_whole(layout: &Layout, descriptor: &Value) {
    let manifest = layout.document(descriptor);
    layout.blob(&manifest["config"]);
    for layer in manifest["layers"].as_array().unwrap() {
        layout.blob(layer);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    let from: PathBuf = from.join(".");
    tool("cp", ["-R".as_ref(), from.as_os_str(), to.as_os_str()]).success();
}

/// Sends a signal to a run that compiles, after it has unpacked the interpreter. Returns how it ended, and the numbers
/// of temporary directories and outputs that it left.
fn told_to_end(disposition: &str, signal: &str) -> (ExitStatus, usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let [temporary, outputs] = ["temporary", "outputs"].map(|name| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    });
    let entries = |path: &Path| fs::read_dir(path).unwrap().count();
    // The process that runs the tests may ignore signals: a shell without job control starts background processes with
    // INT ignored.
    let mut pycull = tool_command("env")
        .args([disposition, env!("CARGO_BIN_EXE_pycull")])
        .args(["minimize", "--profile", "all", "--no-cache", "--output"])
        .args([&outputs.join("out.tar"), &real_image("py3.9")])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while entries(&temporary) == 0 {
        assert!(Instant::now() < deadline && pycull.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    tool("kill", ["-s", signal, &pycull.id().to_string()]).success();
    let status = pycull.wait().unwrap();
    (status, entries(&temporary), entries(&outputs))
}

/// After a signal other than KILL, pycull removes its temporary directories.
#[test]
fn what_is_told_to_end_leaves_nothing() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let (status, temporary, outputs) = told_to_end("--default-signal=TERM,INT,HUP", signal);
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!((temporary, outputs), (0, 0), "{signal}");
    }
}

/// As `nohup` does.
#[test]
fn a_signal_that_was_ignored_before_is_ignored() {
    let (status, temporary, outputs) = told_to_end("--ignore-signal=HUP", "HUP");
    assert!(status.success(), "{status}");
    assert_eq!((temporary, outputs), (0, 1));
}

/// Number of calls of a kind at which to send a signal. The first calls belong to different steps.
const MOST_CALLS: usize = 12;

/// Sends a signal at each call that changes the file system. The output must be whole or absent, and nothing else may
/// remain.
#[test]
fn a_signal_at_every_call_leaves_all_of_the_output_or_nothing() {
    let image = Image::small();
    let (mut told, mut finished) = (0, 0);
    for (transport, name) in [("oci", "old"), ("oci", "new"), ("oci-archive", "new.tar")] {
        for call in CHANGES {
            for number in 1..=MOST_CALLS {
                let work = tempfile::tempdir().unwrap();
                let output = work.path().join(name);
                if name == "old" {
                    copy_tree(image.directory.path(), &output);
                }
                let at = told_at(&image, (call, number), transport, &output);
                told += usize::from(at.is_told);
                let moment = format!("{transport} {name} {call} {number}");
                finished += usize::from(image.is_written(&output, transport, &moment));
                assert!(names(work.path()).len() <= 1, "{moment}");
                if !at.is_reached {
                    break;
                }
            }
        }
    }
    assert!(
        told > 20 && finished > 20,
        "{told} told, {finished} finished"
    );
}

/// The result of a run.
struct Told {
    /// Whether the signal ended it.
    is_told: bool,
    /// Whether the run made that call.
    is_reached: bool,
}

/// Runs pycull, and sends it SIGTERM at the call of this kind with this number.
fn told_at(image: &Image, (call, number): (&str, usize), transport: &str, output: &Path) -> Told {
    let inject = format!("inject={call}:signal=TERM:when={number}");
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut command = tool_command("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace.path());
    command.args(["-e", &inject, env!("CARGO_BIN_EXE_pycull")]);
    let input = format!("oci:{}:old", image.directory.path().display());
    let output = format!("{transport}:{}:new", output.display());
    command.args([
        "minimize",
        &input,
        "--output",
        &output,
        "--profile",
        "minimal",
        "--jobs",
        "1",
    ]);
    let status = silent(&mut command).status().unwrap();
    assert!(
        status.success() || status.signal() == Some(15),
        "{call} {number}: {status}"
    );
    Told {
        is_told: status.signal() == Some(15),
        is_reached: fs::read_to_string(trace.path())
            .unwrap()
            .contains("SIGTERM"),
    }
}
