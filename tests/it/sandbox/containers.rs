//! The sandbox inside containers with an engine's default settings.

use std::fs;
use std::path::Path;

use pycull::compile::sandbox::Mode;

use super::super::support::engines::Podman;
use super::super::support::tools::{Output, real_image};
use super::scene::Scene;

const IMAGE: &str = "localhost/python:1";
const USERS: [&str; 2] = ["0:0", "65534:65534"];

/// System calls that Docker's seccomp profile denies to containers and podman's profile allows.
const LIKE_DOCKER: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["unshare", "setns", "mount", "umount2", "open_tree", "move_mount", "fsopen", "pivot_root"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 1
    }]
}"#;

struct Containers {
    podman: Podman,
    /// Additional options for `podman run`.
    options: Vec<String>,
}

impl Containers {
    fn new() -> Self {
        let podman = Podman::new();
        podman.take(&real_image("py3.11"), IMAGE);
        Self {
            podman,
            options: Vec::new(),
        }
    }

    /// Runs a program in the scene's sandbox, in a new container.
    fn run(&self, user: &str, scene: &Scene, program: &Path, arguments: &[&str]) -> Output {
        let directory = scene.helper().parent().unwrap().display().to_string();
        let volume = format!("{directory}:{directory}:rw");
        let line: Vec<String> = scene
            .line(program, arguments)
            .into_iter()
            .map(|argument| argument.into_string().unwrap())
            // The parent is the shell, not this process.
            .filter(|argument| !argument.starts_with("caller="))
            .collect();
        let mut options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        options.extend(["--user", user, "--volume", &volume]);
        // The first process of a container does not get signals, so the helper must not be the first.
        let mut command = vec!["sh", "-c", "\"$@\"; exit $?", "sh"];
        command.extend(line.iter().map(String::as_str));
        self.podman.run_with(&options, IMAGE, &command)
    }

    /// Checks how hostile programs end. A path outside the readable trees gives `outside_error`.
    fn stop_programs(&self, outside_error: i32) {
        let mut scene = Scene::new();
        scene.confinement.limits.cpu_seconds = 1;
        let (file, outside) = (scene.readable.join("file"), scene.outside.join("file"));
        let (file, outside) = (file.to_str().unwrap(), outside.to_str().unwrap());
        for user in USERS {
            for (arguments, code) in [
                (["read", file], 0),
                (["read", outside], outside_error),
                (["read", "/etc/shadow"], outside_error),
                (["write", file], libc::EPERM),
                (["connect", "1"], 128 + libc::SIGSYS),
                (["fork", "1000"], 128 + libc::SIGSYS),
                (["allocate", "64"], libc::ENOMEM),
                (["spin", ""], 128 + libc::SIGXCPU),
                (["exec", "/usr/bin/true"], outside_error),
            ] {
                let output = self.run(user, &scene, &scene.program(), &arguments);
                let message = output.stderr;
                assert_eq!(output.code, Some(code), "{user} {arguments:?} {message}");
            }
            // Without the sandbox the file can be read.
            scene.mode = Mode::Off;
            let read = self.run(user, &scene, &scene.program(), &["read", outside]);
            read.success();
            scene.mode = Mode::Required;
        }
    }
}

#[test]
fn in_a_container_programs_are_stopped() {
    Containers::new().stop_programs(libc::ENOENT);
}

#[test]
fn in_a_container_without_namespaces_programs_are_stopped() {
    let mut containers = Containers::new();
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("profile.json");
    fs::write(&profile, LIKE_DOCKER).unwrap();
    let option = format!("seccomp={}", profile.display());
    containers.options = vec!["--security-opt".to_owned(), option];
    containers.stop_programs(libc::EACCES);
}

#[test]
fn in_a_container_python_compiles() {
    let containers = Containers::new();
    let mut scene = Scene::new();
    for tree in ["/usr", "/lib", "/lib64"] {
        scene.confinement.readable.push(tree.into());
    }
    let program = Path::new("/usr/bin/python3.11");
    let script = "print(compile('1+1', 'x', 'eval').co_consts)";
    for user in USERS {
        let output = containers.run(user, &scene, program, &["-I", "-c", script]);
        assert_eq!(output.success().text(), "(2,)\n");
    }
}
