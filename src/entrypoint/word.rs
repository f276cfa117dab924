//! A word of a command line. Only a running container may know some parts of it.

/// Marks an unknown part of a word.
const UNKNOWN: char = '\u{fffc}';

/// Maximum number of bytes in a word. The rest of a longer word is unknown.
const MOST_BYTES: usize = 64 << 10;

/// Maximum number of characters of a word in a message.
const MOST_SHOWN: usize = 200;

/// Maximum number of words in a list. The words after them are unknown.
pub(super) const MOST_WORDS: usize = 4096;

/// A word of a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word(String);

impl Word {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let mut word = Self(text.into());
        word.cut();
        word
    }

    /// A word, or any number of words, that the image does not show.
    pub(super) fn unknown() -> Self {
        Self(UNKNOWN.to_string())
    }

    /// The whole word, if all of it is known.
    pub(super) fn known(&self) -> Option<&str> {
        (!self.0.contains(UNKNOWN)).then_some(&*self.0)
    }

    /// The part after the last slash, if it is known.
    pub(super) fn file_name(&self) -> Option<&str> {
        let name = self.0.rsplit('/').next().unwrap_or(&self.0);
        (!name.contains(UNKNOWN)).then_some(name)
    }

    /// Whether this word may be an option because its start is unknown. A path is never an option.
    pub(super) fn may_be_option(&self) -> bool {
        self.0.starts_with(UNKNOWN) && !self.0.contains('/')
    }

    /// The text of the word, with a marker for each unknown part.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn push(&mut self, other: &Self) {
        self.push_str(&other.0);
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if self.0.len() <= MOST_BYTES {
            self.0.push_str(text);
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.0.len() > MOST_BYTES {
            let end = (0..=MOST_BYTES).rfind(|it| self.0.is_char_boundary(*it));
            self.0.truncate(end.unwrap_or(0));
            self.0.push(UNKNOWN);
        }
    }

    /// The approximate size of a copy in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }

    /// The word for a message.
    pub(super) fn shown(&self) -> String {
        let text = self.0.replace(UNKNOWN, "…");
        match text.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// Words without unknown parts.
pub(super) fn words(texts: &[&str]) -> Vec<Word> {
    texts.iter().map(|text| Word::new(*text)).collect()
}
