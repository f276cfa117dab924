//! A hostile program, with files that it may read and files that it may not.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pycull::compile::sandbox::{Confinement, ENTER, Layer, Limits, Mode, Sandbox, command};
use tempfile::TempDir;

use super::super::support::tools::{run, tool, tool_command};

/// The user that runs pycull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Me,
    /// Root switches to this user. For another user this is the same as `Me`.
    Nobody,
}

/// How a program in the sandbox ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!((self.code, self.signal), (Some(code), None), "{self:?}");
        self
    }

    #[track_caller]
    pub fn signal(self, signal: i32) -> Self {
        assert_eq!((self.code, self.signal), (None, Some(signal)), "{self:?}");
        self
    }
}

/// A directory `readable` with the program `hostile` and a file, and a directory `outside` with the same files. The
/// program must not see `outside`.
pub struct Scene {
    directory: TempDir,
    pub readable: PathBuf,
    pub outside: PathBuf,
    pub mode: Mode,
    pub without: Vec<Layer>,
    pub user: User,
    pub confinement: Confinement,
}

impl Scene {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        open_to_all(directory.path());
        let (readable, outside) = (
            directory.path().join("readable"),
            directory.path().join("outside"),
        );
        for path in [&readable, &outside] {
            fs::create_dir(path).unwrap();
            open_to_all(path);
            fs::write(path.join("file"), "secret").unwrap();
            open_to_all(&path.join("file"));
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sandbox/hostile.c");
        let program = readable.join("hostile");
        let mut compiler = tool_command("cc");
        compiler.args(["-static", "-pthread", "-o"]);
        run(compiler.arg(&program).arg(source)).success();
        copy(&program, &outside.join("hostile"));
        // Copy the binary, because other users may not enter the build directory.
        let helper = Path::new(env!("CARGO_BIN_EXE_pycull"));
        copy(helper, &directory.path().join("pycull"));
        let confinement = Confinement {
            readable: vec![readable.clone()],
            directory: readable.clone(),
            limits: Limits::default(),
            threads: false,
            timed: false,
            forgiving: false,
        };
        Self {
            directory,
            readable,
            outside,
            mode: Mode::Required,
            without: Vec::new(),
            user: User::Me,
            confinement,
        }
    }

    /// Uses only this layer.
    pub fn only(&mut self, layer: Layer) -> &mut Self {
        self.without = Layer::ALL.into_iter().filter(|it| *it != layer).collect();
        self
    }

    /// Uses all layers except this.
    pub fn without(&mut self, layer: Layer) -> &mut Self {
        self.without = vec![layer];
        self
    }

    /// Uses all layers.
    pub fn with_all(&mut self) -> &mut Self {
        self.without.clear();
        self
    }

    pub fn helper(&self) -> PathBuf {
        self.directory.path().join("pycull")
    }

    pub fn program(&self) -> PathBuf {
        self.readable.join("hostile")
    }

    /// The command line for a program in the sandbox.
    pub fn line(&self, program: &Path, arguments: &[&str]) -> Vec<OsString> {
        let sandbox = Sandbox {
            helper: &self.helper(),
            mode: self.mode,
        };
        let command = command(sandbox, &self.confinement, program);
        let mut line = vec![self.helper().into_os_string()];
        line.extend(command.get_args().map(ToOwned::to_owned));
        let after_verb = line.iter().position(|it| it == ENTER).unwrap() + 1;
        let without = self.without.iter();
        let without = without.map(|layer| format!("without={}", layer.name()).into());
        line.splice(after_verb..after_verb, without);
        line.extend(arguments.iter().map(OsString::from));
        line
    }

    /// The same command for the user of the scene, with an empty environment.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut line = self.line(program, arguments);
        let mut command = if self.user == User::Nobody && rustix::process::geteuid().is_root() {
            let mut command = tool_command("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command
        } else {
            Command::new(line.remove(0))
        };
        command.args(line).env_clear();
        command
    }

    /// Runs the hostile program.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(&self.program(), arguments))
    }
}

/// Waits for a program. The test fails if the program does not end.
pub fn ended(command: &mut Command) -> Ended {
    let command = command.stdin(Stdio::null());
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        signal: output.status.signal(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Copies with another process. A program that is open for writing cannot be executed, and children of other tests'
/// threads could keep it open a moment longer.
fn copy(from: &Path, to: &Path) {
    tool("cp", [from, to]).success();
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}
