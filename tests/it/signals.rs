//! A signal ends pycull at a random moment. The output is then complete or absent, and no temporary file stays. SIGKILL
//! may leave temporary files; the next run removes them. This must hold at every moment, so the result of these tests
//! does not depend on the speed of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::support::disk::snapshot;
use super::support::pyc::STDLIB;
use super::support::random::Random;
use super::support::tools::tool_command;
use super::support::{ImageBuilder, LayerBuilder, pycull};

/// Runs of one test. The four tests without compilation make 1,000 runs.
const RUNS: usize = 250;
/// Runs of the test with compilation, where each run starts an interpreter.
const COMPILING_RUNS: usize = 60;

const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL];

type Snapshot = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A command, and the directory that it writes to.
struct Scene {
    _directory: TempDir,
    input: String,
    /// Holds the output and the temporary directory, and nothing else.
    place: PathBuf,
    output: PathBuf,
    transport: &'static str,
    options: &'static [&'static str],
    /// What the place holds before and after a complete run.
    before: Snapshot,
    after: Snapshot,
    /// How long a complete run takes.
    duration: Duration,
}

impl Scene {
    fn new(
        image: &ImageBuilder,
        (transport, name): (&'static str, &str),
        options: &'static [&'static str],
        prepare: impl Fn(&Path),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        image.write(&directory.path().join("input"));
        let place = directory.path().join("place");
        fs::create_dir_all(place.join("temporary")).unwrap();
        let output = place.join(name);
        prepare(&output);
        let before = snapshot(&place);
        let mut scene = Self {
            input: directory.path().join("input").to_str().unwrap().to_owned(),
            _directory: directory,
            place,
            output,
            transport,
            options,
            after: before.clone(),
            before,
            duration: Duration::MAX,
        };
        for _ in 0..3 {
            scene.restore();
            let start = Instant::now();
            assert!(scene.start().wait().unwrap().success());
            scene.duration = scene.duration.min(start.elapsed());
        }
        pycull(["inspect", &scene.reference()]).success();
        scene.after = snapshot(&scene.place);
        scene.restore();
        scene
    }

    fn reference(&self) -> String {
        format!("{}:{}:new", self.transport, self.output.display())
    }

    fn start(&self) -> Child {
        // The process that runs the tests may ignore signals: a shell without job control starts background processes
        // with INT ignored.
        let mut command = tool_command("env");
        command
            .args([
                "--default-signal=INT,TERM,HUP",
                env!("CARGO_BIN_EXE_pycull"),
            ])
            .args(["minimize", &self.input, "--output", &self.reference()])
            .args(self.options)
            .env("TMPDIR", self.place.join("temporary"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Restores the place as it was before.
    fn restore(&self) {
        fs::remove_dir_all(&self.place).unwrap();
        // Directories come before what is in them.
        for (path, content) in &self.before {
            match content {
                None => fs::create_dir(path).unwrap(),
                Some(bytes) => fs::write(path, bytes).unwrap(),
            }
        }
    }

    /// Sends a signal to a run after that time.
    fn interrupted(&self, signal: Signal, time: Duration) -> ExitStatus {
        let mut child = self.start();
        // The test is about this moment, so nothing is waited for.
        std::thread::sleep(time);
        let process = Pid::from_raw(child.id().cast_signed()).unwrap();
        // Even if the process has ended, its number is still taken: nobody waited for it yet.
        kill_process(process, signal).unwrap();
        let status = child.wait().unwrap();
        let is_signal = status.signal() == Some(signal.as_raw());
        assert!(status.success() || is_signal, "{status}");
        self.assert_no_process();
        status
    }

    /// Neither pycull nor a process that it started is left.
    #[track_caller]
    fn assert_no_process(&self) {
        let marker = self.place.display().to_string();
        // One second. On a busy machine a hundred looks take longer, and so may the processes.
        for _ in 0..100 {
            if processes(&marker).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", processes(&marker));
    }

    /// The place holds the complete output or none, and nothing else. Returns whether the output is there.
    #[track_caller]
    fn assert_clean(&self, moment: &str) -> bool {
        let now = snapshot(&self.place);
        let is_written = now == self.after;
        let differs = |path: &&PathBuf| now.get(*path) != self.before.get(*path);
        let paths: BTreeSet<&PathBuf> = now.keys().chain(self.before.keys()).collect();
        let changed: Vec<&PathBuf> = paths.into_iter().filter(differs).collect();
        assert!(is_written || changed.is_empty(), "{moment}: {changed:?}");
        is_written
    }

    /// The same, except for what SIGKILL leaves: staging directories, temporary files, and blobs without a name.
    #[track_caller]
    fn assert_whole(&self, moment: &str) -> bool {
        let now = snapshot(&self.place);
        let is_written = match self.last_name() {
            Some(name) => now.get(&name) == self.after.get(&name),
            None => now.contains_key(&self.output),
        };
        let expected = if is_written {
            &self.after
        } else {
            &self.before
        };
        for (path, content) in expected {
            assert!(
                now.get(path) == Some(content),
                "{moment}: {}",
                path.display()
            );
        }
        let may_be_left = |path: &&PathBuf| {
            let name = path.strip_prefix(&self.place).unwrap().to_str().unwrap();
            let is_blob = self.last_name().is_some() && name.contains("/blobs/sha256/");
            is_blob || name.contains(".pycull-staging-") || name.starts_with("temporary/")
        };
        let more = now.keys().filter(|path| !expected.contains_key(*path));
        let odd: Vec<&PathBuf> = more.filter(|path| !may_be_left(path)).collect();
        assert!(odd.is_empty(), "{moment}: {odd:?}");
        is_written
    }

    /// If the output was there before: the file that names the new image.
    fn last_name(&self) -> Option<PathBuf> {
        let is_old = self.before.contains_key(&self.output);
        is_old.then(|| self.output.join("index.json"))
    }

    /// Interrupts a number of runs at random moments.
    #[track_caller]
    fn survives(&self, name: &str, runs: usize) {
        let mut random = Random::new(name);
        let (mut interrupted, mut written) = (0, 0);
        for run in 0..runs {
            let signal = *random.pick(&SIGNALS);
            // A tenth longer than a run, to hit its end, too.
            let most = self.duration.as_micros() as usize * 11 / 10;
            let time = Duration::from_micros(random.below(most) as u64);
            let moment = format!(
                "{name}, run {run}: {signal:?} after {time:?} of {:?}",
                self.duration
            );
            let status = self.interrupted(signal, time);
            interrupted += usize::from(!status.success());
            let is_written = if status.signal() == Some(Signal::KILL.as_raw()) {
                let is_written = self.assert_whole(&moment);
                // The next run removes what SIGKILL left.
                assert!(self.start().wait().unwrap().success(), "{moment}");
                assert!(
                    self.assert_clean(&format!("the run after {moment}")),
                    "{moment}"
                );
                is_written
            } else {
                self.assert_clean(&moment)
            };
            assert!(is_written || !status.success(), "{moment}");
            written += usize::from(is_written);
            self.restore();
        }
        assert!(interrupted > 0, "{name}: no run of {runs} was interrupted");
        assert!(written < runs, "{name}: all runs wrote their output");
    }
}

/// Processes with this in their command lines, environments or working directories. A running interpreter has it only
/// in its working directory.
fn processes(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap();
    let text = |process: &Path, name: &str| {
        // Some processes end meanwhile.
        let bytes = fs::read(process.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    entries
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let directory = fs::read_link(process.join("cwd")).unwrap_or_default();
            let texts = text(&process, "cmdline") + &text(&process, "environ");
            Some(format!("{texts} in {}", directory.display()))
        })
        .filter(|text| text.contains(marker))
        .collect()
}

/// Three layers that pycull rewrites, and one that it keeps.
fn image() -> ImageBuilder {
    let stripped = (0..3).map(|layer| {
        let start = LayerBuilder::new().stdlib(STDLIB);
        (0..10).fold(start, |it, module| {
            it.module_of_three(STDLIB, &format!("m{layer}_{module}"))
        })
    });
    let kept = LayerBuilder::new().file("etc/kept", "as it is");
    ImageBuilder::of(stripped.chain([kept]))
}

const MINIMAL: &[&str] = &["--profile", "minimal"];

fn survives(transport: &'static str, name: &str, prepare: impl Fn(&Path)) {
    let scene = Scene::new(&image(), (transport, name), MINIMAL, prepare);
    scene.survives(&format!("{transport} {name}"), RUNS);
}

#[test]
fn a_new_layout_is_whole_or_not_there() {
    survives("oci", "new", |_| {});
}

#[test]
fn a_layout_that_was_there_has_its_old_image_and_all_or_nothing_of_the_new_one() {
    survives("oci", "old", |output| {
        let other = LayerBuilder::new().file("etc/other", "");
        ImageBuilder::of([other]).tag("old").write(output);
    });
}

#[test]
fn an_oci_archive_is_whole_or_not_there() {
    survives("oci-archive", "new.tar", |_| {});
}

#[test]
fn a_docker_archive_is_whole_or_not_there() {
    survives("docker-archive", "new.tar", |_| {});
}

#[test]
fn a_run_that_compiles_leaves_no_process_and_no_half_of_an_image() {
    const LIBRARY: &str = "usr/lib/python3.11";
    const COMPILING: &[&str] = &[
        "--python",
        "/usr/bin/python3.11",
        "--no-cache",
        "--set",
        "missing=compile",
    ];
    let library = (0..20).fold(LayerBuilder::new().stdlib(LIBRARY), |layer, module| {
        layer.file(
            &format!("{LIBRARY}/m{module}.py"),
            "def f():\n    return 1\n",
        )
    });
    let image = ImageBuilder::of([library]);
    let scene = Scene::new(&image, ("oci", "new"), COMPILING, |_| {});
    scene.survives("compiling", COMPILING_RUNS);
}
