//! Runs a hostile program in a sandbox.
//!
//! A process must be confined between `fork` and `exec`, where hardly any code is safe to run. So pycull runs itself
//! again with a hidden command. That process is single-threaded and holds no data. It confines itself and then executes
//! the program.
//!
//! There are three sandbox layers: Landlock, seccomp and namespaces. Each alone prevents the program from writing files
//! and from using the network, as far as the kernel's version of it goes: Landlock knows TCP only. seccomp alone does not prevent it from reading the user's files. [`Mode::Required`]
//! refuses to run if the kernel has none of them. In every mode, descriptors are closed, capabilities dropped and
//! resources limited.
//!
//! Single layers have gaps. Landlock alone does not prevent changes to the mode, owner and times of the user's files.
//! Without namespaces the program can find out whether a path exists.
//!
//! With namespaces the helper waits for the program, and without them it becomes the program. The caller sees the same
//! result:
//!
//! * Exit code [`FAILURE`]: the program was not run, and standard error says why. This proves nothing, because the
//!   program itself can exit so.
//! * SIGSYS: the program made a system call that only an attacker makes.
//! * SIGXCPU, or SIGKILL if the program caught SIGXCPU: the program used up its CPU time.

mod enter;
mod filesystem;
mod namespaces;
mod request;
mod restrictions;
mod seccomp;
mod seccomp_lists;
mod supervisor;
mod unsafe_calls;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::getpid;
use serde::{Deserialize, Serialize};

pub use enter::defences;
use request::Request;

/// The hidden command that calls [`enter`].
pub const ENTER: &str = "sandbox-exec";
/// The hidden command that prints [`defences`] as JSON.
pub const PROBE: &str = "sandbox-probe";
/// The environment variable that tells a program when it started. The program can then measure its own time without
/// that of the sandbox.
///
/// The value is three numbers of seconds, separated by spaces: the monotonic clock, and the CPU time that the process
/// had used so far in user mode and in the kernel.
pub const STARTED: &str = "PYCULL_STARTED";
/// The helper's exit code if it could not run the program.
pub const FAILURE: u8 = 125;

/// What the program may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Directories or files that the program may read and execute, as absolute paths without `..`. Everything else is
    /// out of reach. Symlinks are followed once, at the start.
    pub readable: Vec<PathBuf>,
    /// The program's working directory, which must be in one of these. Python may search it for modules, so it should
    /// be empty.
    pub directory: PathBuf,
    /// Resource limits.
    pub limits: Limits,
    /// Whether the program may start threads, as emulators do.
    pub threads: bool,
    /// Whether the program gets [`STARTED`].
    pub timed: bool,
    /// Whether forbidden system calls fail instead of ending the program. Applications try to create sockets and
    /// processes when they are imported, and cope with the error.
    pub forgiving: bool,
}

/// Resource limits of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum address space in bytes.
    pub memory_bytes: u64,
    /// Maximum CPU time of all threads together, in seconds.
    pub cpu_seconds: u64,
    /// Maximum number of open descriptors, including the three standard ones.
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

/// How to confine interpreters.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// Path of pycull's own binary, which does the confining.
    pub helper: &'a Path,
    /// Whether a sandbox layer is required.
    pub mode: Mode,
}

/// Whether a sandbox layer is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Use every layer that the machine offers. If there is none, refuse to run anything.
    Required,
    /// Use no layer. Resource limits still apply, descriptors are closed and capabilities dropped.
    Off,
}

/// A sandbox layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Landlock restricts files, TCP, signals and abstract sockets.
    Landlock,
    /// seccomp restricts system calls.
    Seccomp,
    /// Namespaces for users, mounts, processes, network, IPC and host name.
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

/// The sandbox layers that a machine offers to this user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defences {
    /// The version of the Landlock interface. `None` if there is none.
    pub landlock: Option<u32>,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// Whether the user can create namespaces with a root file system in them.
    pub namespaces: bool,
}

impl Defences {
    /// Whether a layer hides the user's files. seccomp alone does not.
    pub fn hide_files(&self) -> bool {
        self.landlock.is_some() || self.namespaces
    }

    /// Whether there is at least one layer. [`Mode::Required`] refuses to run without one.
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

/// Why a program could not be confined or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The helper got an argument that [`command`] does not use.
    #[error("the sandbox does not know the argument `{argument}`")]
    Argument {
        /// The argument.
        argument: String,
    },
    /// A path is not the same inside and outside the sandbox.
    #[error("the sandbox cannot use `{path}`: the path must be absolute and must not contain `..`")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The machine offers no sandbox layer.
    #[error(
        "cannot confine `{program}`: this machine offers neither Landlock nor seccomp nor namespaces; \
         run pycull on a machine whose kernel and container engine allow one of them"
    )]
    Undefended {
        /// Path of the program.
        program: PathBuf,
    },
    /// The kernel offers a layer but refused to apply it.
    #[error("cannot confine the program: failed to {action}")]
    Apply {
        /// The action that failed, as in "cannot …".
        action: String,
        /// The kernel's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program could not be started.
    #[error("cannot run `{program}` in the sandbox")]
    Run {
        /// Path of the program.
        program: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The helper could not be started, or its output could not be read.
    #[error("cannot run `{helper}` (pycull itself) as the sandbox helper")]
    Helper {
        /// Path of pycull's own binary.
        helper: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The helper failed, or printed something else.
    #[error(
        "the sandbox helper `{helper}` did not report the available defences; its output: {answer}"
    )]
    Answer {
        /// Path of pycull's own binary.
        helper: PathBuf,
        /// The helper's output, or how it ended.
        answer: String,
    },
}

impl SandboxError {
    /// For `map_err`: makes the error of a failed `action`.
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

/// Makes a command that runs a program in the sandbox. The caller adds arguments and environment variables. The program
/// gets no other variables. `helper` is pycull's own binary.
///
/// The standard streams must be pipes, because the sandbox cannot write to files. Killing the command kills the
/// program. The program also dies if this process ends, or the thread that started it.
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

/// Asks the helper for the available sandbox layers. The helper tries them all, which takes some milliseconds.
///
/// # Errors
///
/// [`SandboxError`] if the helper cannot be run or is another program.
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

/// The helper's side of [`command`]: confines this process and executes the program. `arguments` are those after the
/// hidden command. Does not return on success.
///
/// The process must have a single thread, and must own no descriptors but the standard ones: all others are closed.
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
