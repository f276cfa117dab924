//! Container engines with their own stores, and other tools that read images.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{Output, run, tool, tool_command};

/// Prints the modules that the interpreter in a container can import. Run it with `-B`, because it counts caches.
const IMPORTS: &str = include_str!("imports.py");

/// A directory in which an engine may leave mounts. Dropping it removes the mounts and the directory.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        // The socket of a docker engine lies in this directory, and the path of a socket must be short.
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
        // The deepest mounts come first.
        below.sort();
        for mount in below.iter().rev() {
            run(Command::new("umount").arg("--lazy").arg(mount));
        }
    }
}

/// Podman with its own store. Every command with its [`Podman::environment`] uses that store, so tests can write
/// pipelines as users do.
pub struct Podman {
    scratch: Scratch,
}

impl Podman {
    pub fn new() -> Self {
        let podman = Self {
            scratch: Scratch::new(),
        };
        let directory = podman.scratch.path().display();
        // Use file locks. Locks in shared memory are common to all stores, and each new store clears them.
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

    /// Copies the image of an OCI layout or archive into the store.
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

    /// Runs a pipeline of `podman` and `pycull`. It fails if any part fails.
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

    /// The same with additional options for `podman run`.
    pub fn run_with(&self, options: &[&str], image: &str, command: &[&str]) -> Output {
        // These limits are below those that a container on a build host may have.
        let arguments = ["run", "--rm", "--runtime", "runc", "--network", "none"];
        let limits = [
            "--ulimit",
            "nofile=20000:20000",
            "--ulimit",
            "nproc=10000:10000",
        ];
        self.podman(&[&arguments[..], &limits, options, &[image], command].concat())
    }

    /// Size of an image in the store, in bytes.
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

/// A private docker engine, which `tests/images/dockerd` starts.
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

    /// Loads an archive. Returns docker's output.
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
        // This also removes the engine's mounts. The scratch directory removes any others.
        self.engine("stop");
    }
}

/// The answer of an interpreter about its modules.
#[derive(Debug, serde::Deserialize)]
pub struct Imports {
    /// Modules of the standard library that can be imported.
    pub stdlib: Vec<String>,
    /// Other top-level modules that can be imported.
    pub packages: Vec<String>,
    /// Number of caches by level in the standard library, before the first import.
    pub stdlib_caches: [u64; 3],
    /// Number of caches by level in the rest of the interpreter's path.
    pub package_caches: [u64; 3],
}

impl Imports {
    fn parse(output: Output) -> Self {
        let text = output.success().text();
        // Modules may print when they are imported. The answer is the last line.
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Checks that both can import the same modules.
    #[track_caller]
    pub fn assert_same_modules(&self, other: &Self) {
        assert_eq!(self.stdlib, other.stdlib);
        assert_eq!(self.packages, other.packages);
    }
}

/// Runs `skopeo copy` with references in skopeo's form.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str) {
    tool("skopeo", ["copy", "--quiet", from, to]).success();
}
