//! The exit codes of commands that did not fail. A failure exits with 2 (`error`).

use std::process::ExitCode;

/// How a command ended, unless it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Success. The exit code is 0.
    Done,
    /// A gate or check refused. The exit code is 1.
    Refused,
}

impl Outcome {
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Refused => ExitCode::from(1),
        }
    }
}
