//! A word of a command line, of which a part may be known to a running container alone.

/// Stands for the part that is not known.
const UNKNOWN: char = '\u{fffc}';

/// A word of a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word(String);

impl Word {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A word, or any number of words, that the image does not tell.
    pub(super) fn unknown() -> Self {
        Self(UNKNOWN.to_string())
    }

    /// The whole word, if all of it is known.
    pub(super) fn known(&self) -> Option<&str> {
        (!self.0.contains(UNKNOWN)).then_some(&*self.0)
    }

    /// What follows the last slash, if that is known.
    pub(super) fn file_name(&self) -> Option<&str> {
        let name = self.0.rsplit('/').next().unwrap_or(&self.0);
        (!name.contains(UNKNOWN)).then_some(name)
    }

    /// Whether the image leaves open if this word is an option. A path is not one, whatever its directory.
    pub(super) fn may_be_option(&self) -> bool {
        self.0.starts_with(UNKNOWN) && !self.0.contains('/')
    }

    /// The word with its unknown parts as they can be.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn push(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// How messages show the word.
    pub(super) fn shown(&self) -> String {
        self.0.replace(UNKNOWN, "…")
    }
}

/// Words that are all known.
pub(super) fn words(texts: &[&str]) -> Vec<Word> {
    texts.iter().map(|text| Word::new(*text)).collect()
}
