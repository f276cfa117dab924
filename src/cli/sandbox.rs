//! The hidden commands with which pycull runs itself as a process to confine. They are not in [`super::args`], because
//! shell completions would offer them.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use pycull::compile::sandbox::{self, ENTER, FAILURE, PROBE, SandboxError};

use super::error::Failure;

/// Runs the hidden command that the first argument names. Returns `None` if it names another command.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let verb = arguments.next()?;
    if verb == ENTER {
        Some(report(sandbox::enter(arguments.collect())))
    } else if verb == PROBE {
        Some(probe())
    } else {
        None
    }
}

/// Prints the available sandbox layers as JSON.
fn probe() -> ExitCode {
    let answer = serde_json::to_vec(&sandbox::defences()).unwrap_or_default();
    match io::stdout().write_all(&answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILURE),
    }
}

fn report(error: SandboxError) -> ExitCode {
    let Failure {
        message, causes, ..
    } = Failure::new(&error.into());
    let mut lines = format!("error: {message}\n");
    for cause in causes {
        lines.push_str(&format!("  caused by: {cause}\n"));
    }
    // If nothing reads standard error, the exit code still tells.
    let _ = io::stderr().write_all(lines.as_bytes());
    ExitCode::from(FAILURE)
}
