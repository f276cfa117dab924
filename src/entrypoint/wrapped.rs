//! What a wrapper runs.

use super::variables::Variables;
use super::word::Word;

/// The program that a wrapper runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// A program with these words and variables, in another directory if there is one.
    Program {
        words: Vec<Word>,
        variables: Variables,
        directory: Option<Word>,
    },
    /// The wrapper starts nothing.
    Nothing,
    /// The image does not show it, for this reason.
    Unclear(String),
}

pub(super) fn program(words: Vec<Word>, variables: &Variables) -> Wrapped {
    match words.is_empty() {
        true => Wrapped::Nothing,
        false => Wrapped::Program {
            words,
            variables: variables.clone(),
            directory: None,
        },
    }
}

pub(super) fn unclear_option(program: &str, word: &Word) -> Wrapped {
    Wrapped::Unclear(format!(
        "pycull cannot tell whether `{}` is an option of `{program}`",
        word.shown()
    ))
}
