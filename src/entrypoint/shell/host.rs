//! What a shell needs from whoever reads its script.

use crate::entrypoint::variables::Variables;
use crate::entrypoint::word::Word;

/// What runs the commands that are not the shell's own.
pub(in crate::entrypoint) trait Host {
    /// Runs a program.
    fn run(&mut self, words: &[Word], variables: Variables, directory: &Word, input: Input);
    /// Notes that the image does not tell what the script runs, and why.
    fn unclear(&mut self, reason: String);
    /// Counts work of so many bytes; false once the reading has cost too much and ends.
    fn spend(&mut self, bytes: usize) -> bool;
    /// The text of a file that the script reads commands from.
    fn sourced(&mut self, path: &Word, variables: &Variables, directory: &Word) -> Sourced;
}

/// What a program can read from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::entrypoint) enum Input {
    /// The same as who starts it.
    Same,
    /// A here-document of this text.
    Text(String),
    /// The image does not tell.
    Unknown,
}

/// A file that a script reads commands from.
pub(in crate::entrypoint) enum Sourced {
    Text(String),
    Missing,
    /// It was noted why it is of no use.
    Unusable,
}
