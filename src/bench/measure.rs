//! One start of the interpreter, and the time that it takes.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::BenchError;
use crate::compile::interpreter::Launch;
use crate::compile::sandbox::{Confinement, Limits, Sandbox};
use crate::compile::{ProcessEnd, ProcessFailure, output};
use crate::pyc::Level;

/// The Python program that does the measuring, for `python -c`.
const SCRIPT: &str = include_str!("bench.py");
/// Time limit for starting the interpreter.
const START_UP: Duration = Duration::from_secs(120);
/// Additional time for each reload.
const RELOAD: Duration = Duration::from_secs(5);
/// Maximum size of an answer in bytes. The largest is the list of the paths of all modules.
const LARGEST_ANSWER: u64 = 16 << 20;

/// The task of one start of the interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Imports a module, then imports it `count` more times. Measures the reloads only.
    Reload {
        /// The name of the module.
        module: String,
        /// Number of reloads.
        count: u32,
    },
    /// Starts and imports modules. Measures from the start of the interpreter.
    Import(Vec<String>),
}

impl Task {
    /// The modules that the task imports by name.
    pub fn modules(&self) -> &[String] {
        match self {
            Self::Reload { module, .. } => std::slice::from_ref(module),
            Self::Import(modules) => modules,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload { module, .. } => write!(f, "reload {module}"),
            Self::Import(modules) => write!(f, "import {}", modules.join(", ")),
        }
    }
}

/// The times of one task, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Wall-clock time.
    pub real: f64,
    /// CPU time in user mode.
    pub user: f64,
    /// CPU time in the kernel.
    pub system: f64,
}

/// An unpacked interpreter with its modules.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The directory of all the files.
    pub(super) directory: PathBuf,
    pub(super) launch: Launch,
    /// Directories with packages, relative to `directory`.
    pub(super) packages: Vec<PathBuf>,
}

impl Unpacked {
    /// Runs a task at a level and returns its times.
    pub(super) fn measure(
        &self,
        sandbox: Sandbox<'_>,
        task: &Task,
        level: Level,
    ) -> Result<Sample, BenchError> {
        let verb = match task {
            Task::Reload { .. } => "reload",
            Task::Import(_) => "import",
        };
        let answer = self.run(sandbox, verb, task, level)?;
        sample(&answer).ok_or_else(|| BenchError::Run {
            task: task.to_string(),
            failure: ProcessFailure {
                end: ProcessEnd::Forged("its output has no times".to_owned()),
                stderr: String::new(),
            },
        })
    }

    /// Runs a task and returns the paths of all sources that it imports, as the interpreter reports them.
    pub(super) fn imported(
        &self,
        sandbox: Sandbox<'_>,
        task: &Task,
    ) -> Result<Vec<PathBuf>, BenchError> {
        let answer = self.run(sandbox, "list", task, Level::Zero)?;
        let paths = answer.split(|byte| *byte == 0);
        Ok(paths
            .map(|path| OsString::from_vec(path.to_vec()).into())
            .collect())
    }

    fn run(
        &self,
        sandbox: Sandbox<'_>,
        verb: &str,
        task: &Task,
        level: Level,
    ) -> Result<Vec<u8>, BenchError> {
        let confinement = Confinement {
            // Numeric libraries start threads when they are imported.
            threads: true,
            timed: true,
            forgiving: true,
            ..self.launch.confinement(Limits::default())
        };
        let count = match task {
            Task::Reload { count, .. } => *count,
            Task::Import(_) => 0,
        };
        let mut packages = OsString::new();
        for place in &self.packages {
            packages.push(self.directory.join(place));
            packages.push("\n");
        }
        let mut command = self.launch.confined(sandbox, confinement);
        command.args(["-s", "-B"]);
        command.args(match level {
            Level::Zero => None,
            Level::One => Some("-O"),
            Level::Two => Some("-OO"),
        });
        command.args(["-c", SCRIPT, verb]).arg(count.to_string());
        command.arg(packages).args(task.modules());
        let time = START_UP + RELOAD.saturating_mul(count);
        output(command, time, LARGEST_ANSWER).map_err(|failure| BenchError::Run {
            task: task.to_string(),
            failure,
        })
    }
}

/// Parses the three times that the program prints.
fn sample(answer: &[u8]) -> Option<Sample> {
    let text = std::str::from_utf8(answer).ok()?;
    let times: Option<Vec<f64>> = text
        .split(' ')
        .map(|word| {
            word.parse()
                .ok()
                .filter(|time: &f64| (0.0..1e6).contains(time))
        })
        .collect();
    match *times? {
        [real, user, system] => Some(Sample { real, user, system }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_three_sane_numbers() {
        let expected = Sample {
            real: 1.5,
            user: 0.25,
            system: 0.0,
        };
        assert_eq!(sample(b"1.5 0.25 0.0"), Some(expected));
        for bad in [
            "", "1 2", "1 2 3 4", "1 2 -3", "1 2 nan", "1 2 inf", "a b c", "1 2 1e9",
        ] {
            assert_eq!(sample(bad.as_bytes()), None, "{bad}");
        }
    }
}
