//! Container engines with stores of their own, and other tools that read images.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{Output, run, tool, tool_command};

/// Modules that the interpreter in a container can import, told by itself. Run with `-B`: it counts caches.
const IMPORTS: &str = include_str!("imports.py");

/// A directory in which an engine may leave mounts; they and it go when this is dropped.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        // A docker engine's socket lies in it, and a socket's path is short.
        Self(
            tempfile::Builder::new()
                .prefix("pycull-")
                .tempdir_in("/tmp")
                .unwrap(),
        )
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut below: Vec<PathBuf> = fs::File::open("/proc/mounts")
            .into_iter()
            .flat_map(|file| BufReader::new(file).lines().map_while(Result::ok))
            .filter_map(|line| line.split(' ').nth(1).map(PathBuf::from))
            .filter(|mount| mount.starts_with(self.path()))
            .collect();
        // Deepest first.
        below.sort();
        for mount in below.iter().rev() {
            run(Command::new("umount").arg("--lazy").arg(mount));
        }
    }
}

/// Podman with a store of its own. Every command that has its [`Podman::environment`] uses that
/// store, so that pipelines can be written as users write them.
pub struct Podman {
    scratch: Scratch,
}

impl Podman {
    pub fn new() -> Self {
        let podman = Self {
            scratch: Scratch::new(),
        };
        let directory = podman.scratch.path().display();
        // File locks: those in shared memory would be one set for all stores, and each new one clears it.
        let containers = format!("[engine]\nlock_type = \"file\"\ntmp_dir = \"{directory}/tmp\"\n");
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{directory}/root\"\nrunroot = \"{directory}/run\"\n"
        );
        fs::write(podman.scratch.path().join("containers.conf"), containers).unwrap();
        fs::write(podman.scratch.path().join("storage.conf"), storage).unwrap();
        podman
    }

    /// Makes a command use this store.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env(
                "CONTAINERS_CONF",
                self.scratch.path().join("containers.conf"),
            )
            .env(
                "CONTAINERS_STORAGE_CONF",
                self.scratch.path().join("storage.conf"),
            )
    }

    /// Runs podman itself.
    pub fn podman(&self, arguments: &[&str]) -> Output {
        run(self
            .environment(&mut tool_command("podman"))
            .args(arguments))
    }

    /// Puts the image of an OCI layout or archive into the store.
    pub fn take(&self, image: &Path, name: &str) {
        let to = format!("containers-storage:{name}");
        let form = if image.is_file() {
            "oci-archive"
        } else {
            "oci"
        };
        let from = format!("{form}:{}:latest", image.display());
        run(self
            .environment(&mut tool_command("skopeo"))
            .args(["copy", "--quiet", &from, &to]))
        .success();
    }

    /// Runs a pipeline of `podman` and `pycull`, any part of which may fail it.
    pub fn pipeline(&self, line: &str) -> Output {
        tool_command("podman");
        let directory = Path::new(env!("CARGO_BIN_EXE_pycull"))
            .parent()
            .unwrap()
            .to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(directory).chain(std::env::split_paths(&path)))
                .unwrap();
        run(self
            .environment(&mut tool_command("bash"))
            .env("PATH", path)
            .args(["-euo", "pipefail", "-c", line]))
    }

    /// Runs a command in a new container of an image.
    pub fn run(&self, image: &str, command: &[&str]) -> Output {
        self.run_with(&[], image, command)
    }

    /// The same with more options of `podman run`.
    pub fn run_with(&self, options: &[&str], image: &str, command: &[&str]) -> Output {
        // The limits are below those that a container on a build host may have set for itself.
        let arguments = ["run", "--rm", "--runtime", "runc", "--network", "none"];
        let limits = [
            "--ulimit",
            "nofile=20000:20000",
            "--ulimit",
            "nproc=10000:10000",
        ];
        self.podman(&[&arguments[..], &limits, options, &[image], command].concat())
    }

    /// Bytes that an image takes in the store.
    pub fn size(&self, image: &str) -> u64 {
        let text = self
            .podman(&["image", "inspect", "--format", "{{.Size}}", image])
            .success()
            .text();
        text.trim().parse().unwrap()
    }

    pub fn imports(&self, image: &str) -> Imports {
        Imports::parse(self.run(image, &["python3", "-B", "-c", IMPORTS]))
    }
}

/// A docker engine of its own, which `tests/images/dockerd` starts.
pub struct Docker {
    scratch: Scratch,
}

impl Docker {
    pub fn start() -> Self {
        tool_command("docker");
        tool_command("dockerd");
        let docker = Self {
            scratch: Scratch::new(),
        };
        docker.engine("start").success();
        docker
    }

    fn engine(&self, verb: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/dockerd");
        run(Command::new(script).arg(verb).arg(self.scratch.path()))
    }

    pub fn docker(&self, arguments: &[&str]) -> Output {
        let socket = format!("unix://{}/docker.sock", self.scratch.path().display());
        run(tool_command("docker")
            .env("DOCKER_HOST", socket)
            .args(arguments))
    }

    /// Loads an archive and says what docker said.
    pub fn load(&self, archive: &Path) -> String {
        self.docker(&["load", "--input", archive.to_str().unwrap()])
            .success()
            .text()
    }

    pub fn run(&self, image: &str, command: &[&str]) -> Output {
        self.docker(&[&["run", "--rm", "--network", "none", image], command].concat())
    }

    pub fn imports(&self, image: &str) -> Imports {
        Imports::parse(self.run(image, &["python3", "-B", "-c", IMPORTS]))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It also takes the engine's mounts away; what it does not, the scratch directory does.
        self.engine("stop");
    }
}

/// What an interpreter says about its modules.
#[derive(Debug, serde::Deserialize)]
pub struct Imports {
    /// Modules of the standard library that could be imported.
    pub stdlib: Vec<String>,
    /// Top-level modules from elsewhere that could be imported.
    pub packages: Vec<String>,
    /// Caches by level, of the standard library, before the first import.
    pub stdlib_caches: [u64; 3],
    /// Caches by level, of all else on the interpreter's path.
    pub package_caches: [u64; 3],
}

impl Imports {
    fn parse(output: Output) -> Self {
        let text = output.success().text();
        // Modules print what they like as they are imported; the answer is the last line.
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The same modules can be imported from both.
    #[track_caller]
    pub fn assert_same_modules(&self, other: &Self) {
        assert_eq!(self.stdlib, other.stdlib);
        assert_eq!(self.packages, other.packages);
    }
}

/// `skopeo copy`, with references as skopeo has them.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str) {
    tool("skopeo", ["copy", "--quiet", from, to]).success();
}
