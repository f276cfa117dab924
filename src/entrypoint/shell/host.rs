//! The interface between a shell and the reader of its script.

use crate::entrypoint::variables::Variables;
use crate::entrypoint::word::Word;

/// Runs the commands that are not builtins.
pub(in crate::entrypoint) trait Host {
    /// Runs a program.
    fn run(&mut self, words: &[Word], variables: Variables, directory: &Word, input: Input);
    /// Records a reason why the image does not show what the script runs.
    fn unclear(&mut self, reason: String);
    /// Records work on this many bytes. Returns false once the budget is used up.
    fn spend(&mut self, bytes: usize) -> bool;
    /// Finds a file that the script reads commands from.
    fn sourced(&mut self, path: &Word, variables: &Variables, directory: &Word) -> Sourced;
}

/// The standard input of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::entrypoint) enum Input {
    /// The same as that of the parent.
    Same,
    /// A here-document with this text.
    Text(String),
    /// The image does not show it.
    Unknown,
}

/// A file that a script reads commands from.
pub(in crate::entrypoint) enum Sourced {
    Text(String),
    Missing,
    /// The file cannot be used, and the reason is recorded.
    Unusable,
}
