//! The position of a shell in a script, and what is certain there.

use super::host::Input;
use crate::entrypoint::variables::Variables;
use crate::entrypoint::word::Word;

/// A compound command that is still open.
pub(super) enum Frame {
    Brace,
    Subshell(Box<(Variables, Word)>),
    Branch,
    /// A loop with its start, until it is read for the second time.
    Loop(Option<usize>),
    Case,
}

/// The position of a shell in a script.
#[derive(Default)]
pub(super) struct Place {
    /// Whether the whole script is inside a branch.
    pub(super) is_branch: bool,
    pub(super) frames: Vec<Frame>,
    /// Whether an earlier command of an `&&` or `||` list decides if the next one runs.
    pub(super) uncertain: bool,
    pub(super) after_or: bool,
    /// Whether the next command runs in a separate shell: in a pipe, or in the background.
    pub(super) is_aside: bool,
    /// Whether the next command reads from a pipe.
    pub(super) is_piped: bool,
    /// Whether a list or a pipe continues after a line break.
    pub(super) goes_on: bool,
    /// The input of the next command, if a redirection sets it.
    pub(super) input: Option<Input>,
    /// Whether the current list has changed the directory.
    pub(super) has_moved: bool,
    /// Variables that the current list has assigned.
    pub(super) assigned: Vec<String>,
}

impl Place {
    /// The input of the next command.
    pub(super) fn command_input(&self) -> Input {
        match &self.input {
            Some(input) => input.clone(),
            None if self.is_piped || self.is_branch || !self.frames.is_empty() => Input::Unknown,
            None => Input::Same,
        }
    }

    /// Whether each run of the script reaches this position.
    pub(super) fn is_certain(&self) -> bool {
        let is_plain = |frame: &Frame| matches!(frame, Frame::Brace);
        !self.is_branch
            && !self.uncertain
            && !self.after_or
            && !self.is_aside
            && self.frames.iter().all(is_plain)
    }

    pub(super) fn is_in_loop(&self) -> bool {
        let is_loop = |frame: &Frame| matches!(frame, Frame::Loop(_));
        self.frames.iter().any(is_loop)
    }

    /// Whether the position is in a branch that other runs of the script do not take.
    pub(super) fn is_in_branch(&self) -> bool {
        let is_branch = |frame: &Frame| !matches!(frame, Frame::Brace | Frame::Subshell(_));
        self.is_branch || self.after_or || self.is_aside || self.frames.iter().any(is_branch)
    }
}
