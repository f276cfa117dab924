//! Running a hostile program. What confines a process must be set up between `fork` and `exec`, where
//! hardly any code is safe to run; so pycull runs itself once more, with a hidden verb, and that
//! process, single-threaded and with nothing in it yet, confines itself and becomes the program.
//!
//! Three layers of defence stand one behind the other: Landlock, seccomp and namespaces. Each alone
//! keeps the program from writing files and from the network; seccomp alone does not keep it from
//! reading what its user can read. [`Mode::Required`] refuses where the kernel has none of them.
//! Whatever the mode, descriptors are closed, capabilities dropped and resources limited.
//!
//! What a layer alone does not keep the program from: with Landlock alone, changing modes, owners and
//! times of files that its user owns; without namespaces, learning of a path whether it is there.
//!
//! How the program's end looks to the caller is the same with namespaces (where the helper waits for the
//! program) and without (where it becomes it):
//!
//! * [`FAILURE`]: it was not run, and standard error says why. The program may say so too: no proof.
//! * SIGSYS: it made a system call that only an attacker makes.
//! * SIGXCPU, or SIGKILL where it caught that: it used its CPU time.

mod calls;
mod enter;
mod filesystem;
mod limits;
mod namespaces;
mod request;
mod seccomp;
mod supervisor;
mod system_calls;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::getpid;
use serde::{Deserialize, Serialize};

pub use enter::defences;
use request::Request;

/// The verb of the command line, hidden from users, that calls [`enter`].
pub const ENTER: &str = "sandbox-exec";
/// The one that prints [`defences`] as JSON.
pub const PROBE: &str = "sandbox-probe";
/// The environment variable that tells a program when it began, so that it can say how long it took, and the
/// sandbox does not count: three numbers of seconds with a space between, the monotonic clock's
/// and the CPU time that this process had used by then, in itself and in the kernel.
pub const STARTED: &str = "PYCULL_STARTED";
/// The helper's exit code where the program could not be run.
pub const FAILURE: u8 = 125;

/// What the program may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Trees or files that may be read and executed; absolute paths without `..`. All else is out of
    /// reach. A symlink is followed once, at the start.
    pub readable: Vec<PathBuf>,
    /// Where the program starts, beneath one of them. Python may search it for modules: let it be empty.
    pub directory: PathBuf,
    /// Most that it may use.
    pub limits: Limits,
    /// Whether it may start threads, as emulators do.
    pub threads: bool,
    /// Whether it is told in [`STARTED`] when it began.
    pub timed: bool,
    /// Whether system calls that a compiler has no use for fail, where else they end it: applications try for
    /// sockets and processes when they are imported, and do without.
    pub forgiving: bool,
}

/// Most that the program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// Seconds of CPU time, of all threads together.
    pub cpu_seconds: u64,
    /// Descriptors open at a time, the three standard ones included.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            cpu_seconds: 3600,
            open_files: 64,
        }
    }
}

/// How interpreters are confined.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// pycull's own binary, which confines them.
    pub helper: &'a Path,
    /// Whether there must be a layer of defence.
    pub mode: Mode,
}

/// Whether there must be a layer of defence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every layer that the machine offers is used, and where there is none, nothing is run.
    Required,
    /// None is used. Limits hold, descriptors are closed, capabilities are dropped: that is all.
    Off,
}

/// One layer of defence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Landlock: files, TCP, signals and abstract sockets.
    Landlock,
    /// seccomp: which system calls there are.
    Seccomp,
    /// User, mount, process, network, IPC and host name namespaces.
    Namespaces,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 3] = [Self::Landlock, Self::Seccomp, Self::Namespaces];

    /// The layer's name in arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Namespaces => "namespaces",
        }
    }
}

/// The layers of defence that a machine offers to this user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defences {
    /// The version of Landlock's interface.
    pub landlock: Option<u32>,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// Whether namespaces can be made, and a root file system in them.
    pub namespaces: bool,
}

impl Defences {
    /// Whether there is one that keeps files of the user out of reach; seccomp alone does not.
    pub fn hide_files(&self) -> bool {
        self.landlock.is_some() || self.namespaces
    }

    /// Whether there is one at all, without which [`Mode::Required`] refuses.
    pub fn any(&self) -> bool {
        self.landlock.is_some() || self.seccomp || self.namespaces
    }
}

impl fmt::Display for Defences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Vec::new();
        if let Some(abi) = self.landlock {
            names.push(format!("Landlock (ABI {abi})"));
        }
        if self.seccomp {
            names.push("seccomp".to_owned());
        }
        if self.namespaces {
            names.push("user/mount/pid/net namespaces".to_owned());
        }
        if names.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&names.join(", "))
    }
}

/// Why a program could not be confined, or not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The helper was called with other arguments than [`command`] gives it.
    #[error("`{argument}` is not an argument of the sandbox")]
    Argument {
        /// The argument.
        argument: String,
    },
    /// A path that cannot be the same inside and outside.
    #[error("`{path}` is not an absolute path without `..`, which the sandbox needs")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The machine has no layer of defence.
    #[error(
        "this machine has neither Landlock nor seccomp nor namespaces to confine `{program}` with; \
         run pycull where the kernel or the container engine allows one of them"
    )]
    Undefended {
        /// The program.
        program: PathBuf,
    },
    /// The kernel offers a layer, and refused to apply it.
    #[error("cannot confine the program: {action}")]
    Apply {
        /// What was to be done.
        action: String,
        /// What the kernel said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program could not be started.
    #[error("cannot run `{program}` in the sandbox")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper could not be started, or read.
    #[error("cannot run pycull itself, `{helper}`, as a helper")]
    Helper {
        /// pycull's own binary.
        helper: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper ended, or said something else.
    #[error("the helper `{helper}` did not say what defences there are: {answer}")]
    Answer {
        /// pycull's own binary.
        helper: PathBuf,
        /// What it said.
        answer: String,
    },
}

impl SandboxError {
    /// For `map_err`: what was to be done when a call failed.
    fn apply<E>(action: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let action = action.into();
        move |source| Self::Apply {
            action,
            source: source.into(),
        }
    }
}

/// A command that runs a program confined; its arguments are those that the caller adds. The
/// environment is empty but for what the caller adds. `helper` is pycull's own binary.
///
/// Its standard streams are to be pipes: to a file, nothing can be written in the sandbox. Kill it,
/// and the program is gone too; so it is once this process ends, or the thread that started it.
pub fn command(sandbox: Sandbox<'_>, confinement: &Confinement, program: &Path) -> Command {
    let Sandbox { helper, mode } = sandbox;
    let request = Request {
        caller: Some(getpid().as_raw_pid()),
        ..Request::new(mode, confinement.clone(), program.to_owned())
    };
    let mut command = Command::new(helper);
    command.arg(ENTER).args(request.to_arguments()).env_clear();
    command
}

/// Asks the helper which layers of defence there are: it tries them all. Takes some milliseconds.
///
/// # Errors
///
/// The helper cannot be run, or is another program.
pub fn probe(helper: &Path) -> Result<Defences, SandboxError> {
    let mut command = Command::new(helper);
    command.arg(PROBE).env_clear().stdin(Stdio::null());
    let output = command.output().map_err(|source| SandboxError::Helper {
        helper: helper.to_owned(),
        source,
    })?;
    serde_json::from_slice(&output.stdout).map_err(|_| SandboxError::Answer {
        helper: helper.to_owned(),
        answer: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    })
}

/// The helper's side of [`command`]: confines this process and becomes the program, with the
/// arguments that follow the verb. Does not return if it succeeds.
///
/// To be called by a process with one thread, which owns no descriptor but the standard ones: all
/// others are closed.
pub fn enter(arguments: Vec<OsString>) -> SandboxError {
    match Request::parse(arguments) {
        Ok(request) => enter::enter(request),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defences_are_named() {
        let all = Defences {
            landlock: Some(7),
            seccomp: true,
            namespaces: true,
        };
        assert_eq!(
            all.to_string(),
            "Landlock (ABI 7), seccomp, user/mount/pid/net namespaces"
        );
        assert!(all.any());
        assert_eq!(Defences::default().to_string(), "none");
        assert!(!Defences::default().any());
    }
}
