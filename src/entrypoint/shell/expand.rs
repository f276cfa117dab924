//! Expands words: replaces parameters and splits what is not quoted.

use std::borrow::Cow;

use super::token::{Part, RawWord};
use super::{COMMAND_COST, Shell};
use crate::entrypoint::variables::Variables;
use crate::entrypoint::word::{MOST_WORDS, Word};

/// Maximum number of bytes in an expanded list of words.
const MOST_LIST: usize = 1 << 20;

/// The values for an expansion.
#[derive(Clone, Copy)]
pub(super) struct Expansion<'a> {
    pub(super) variables: &'a Variables,
    pub(super) zero: &'a Word,
    pub(super) arguments: &'a [Word],
}

/// The value of a parameter.
enum Value<'a> {
    Unset,
    Word(Word),
    Words(&'a [Word]),
}

impl<'a> Expansion<'a> {
    /// Expands words to a list of words.
    pub(super) fn list(&self, raw: &[RawWord]) -> Vec<Word> {
        let mut fields = Fields::default();
        for word in raw {
            self.words(word, &mut fields);
        }
        fields.done
    }

    /// Expands one word to any number of words.
    fn words(&self, raw: &RawWord, fields: &mut Fields) {
        for part in raw {
            if fields.is_full {
                break;
            }
            match part {
                Part::Literal { text, quoted } => fields.add(&Word::new(text.clone()), *quoted),
                Part::Variable {
                    name,
                    operator,
                    operand,
                    quoted,
                } => {
                    let words = self.parameter(name, operator, operand);
                    let is_list = matches!(&**name, "@" | "*");
                    if is_list && words.is_empty() && *quoted {
                        fields.nothing();
                    }
                    fields.add_all(&words, *quoted);
                }
                Part::Command(_) | Part::Unknown | Part::TooDeep => {
                    fields.add(&Word::unknown(), true)
                }
            }
        }
        fields.finish();
    }

    /// Expands a word to one word without splitting, as in an assignment.
    pub(super) fn word(&self, raw: &RawWord) -> Word {
        let quoted: RawWord = raw.iter().map(quote).collect();
        let mut whole = Word::default();
        for (place, word) in self.list(&[quoted]).iter().enumerate() {
            if place > 0 {
                whole.push_str(" ");
            }
            whole.push(word);
        }
        whole
    }

    /// The value of `${NAME OPERATOR OPERAND}` before splitting.
    fn parameter(&self, name: &str, operator: &str, operand: &RawWord) -> Cow<'a, [Word]> {
        let value = self.value(name);
        let is_empty = match &value {
            Value::Unset => true,
            Value::Word(word) => operator.starts_with(':') && word.text().is_empty(),
            Value::Words(words) => {
                operator.starts_with(':') && words.iter().all(|word| word.text().is_empty())
            }
        };
        let is_set = !matches!(value, Value::Unset);
        let word = match (operator.trim_start_matches(':'), value) {
            ("-" | "=", _) if is_empty => self.word(operand),
            ("+", _) if is_set && is_empty => Word::default(),
            ("+", _) if is_set => self.word(operand),
            // Whoever starts the container may set a variable that the image does not.
            (_, Value::Unset) => Word::unknown(),
            (_, Value::Word(word)) => word,
            (_, Value::Words(words)) => return Cow::Borrowed(words),
        };
        Cow::Owned(vec![word])
    }

    fn value(&self, name: &str) -> Value<'a> {
        match name {
            "@" | "*" => Value::Words(self.arguments),
            "0" => Value::Word(self.zero.clone()),
            "#" | "?" | "-" | "$" | "!" => Value::Word(Word::unknown()),
            _ => match name.parse::<usize>() {
                Ok(number) => self.argument(number),
                Err(_) => self
                    .variables
                    .get(name)
                    .map_or(Value::Unset, |word| Value::Word(word.clone())),
            },
        }
    }

    fn argument(&self, number: usize) -> Value<'a> {
        let before = &self.arguments[..number.min(self.arguments.len())];
        if before.iter().any(|word| *word == Word::unknown()) {
            return Value::Word(Word::unknown());
        }
        match number.checked_sub(1).and_then(|place| before.get(place)) {
            Some(word) => Value::Word(word.clone()),
            // The arguments come from the command, so all of them are known.
            None => Value::Word(Word::default()),
        }
    }
}

fn quote(part: &Part) -> Part {
    let mut part = part.clone();
    if let Part::Literal { quoted, .. } | Part::Variable { quoted, .. } = &mut part {
        *quoted = true;
    }
    part
}

/// Words under construction.
#[derive(Default)]
struct Fields {
    done: Vec<Word>,
    current: Option<Word>,
    nothing: bool,
    bytes: usize,
    /// Whether there is no room for more.
    is_full: bool,
}

impl Fields {
    /// Adds words. Each word after the first begins a new field.
    fn add_all(&mut self, words: &[Word], quoted: bool) {
        for (place, word) in words.iter().enumerate() {
            if self.is_full {
                break;
            }
            if place > 0 {
                self.separate();
            }
            if quoted || !word.text().is_empty() {
                self.add(word, quoted);
            }
        }
    }

    fn add(&mut self, word: &Word, quoted: bool) {
        if quoted {
            self.current.get_or_insert_default().push(word);
            return;
        }
        let mut rest = word.text();
        while let Some(space) = rest.find([' ', '\t', '\n']) {
            if space > 0 {
                self.current
                    .get_or_insert_default()
                    .push_str(&rest[..space]);
            }
            self.separate();
            rest = &rest[space + 1..];
        }
        if !rest.is_empty() {
            self.current.get_or_insert_default().push_str(rest);
        }
    }

    fn separate(&mut self) {
        let Some(word) = self.current.take().filter(|_| !self.is_full) else {
            return;
        };
        self.bytes += word.size();
        self.is_full = self.done.len() + 1 >= MOST_WORDS || self.bytes > MOST_LIST;
        self.done
            .push(if self.is_full { Word::unknown() } else { word });
    }

    /// Drops an empty field: `"$@"` without arguments is not even an empty word.
    fn nothing(&mut self) {
        self.nothing = true;
    }

    fn finish(&mut self) {
        let nothing = std::mem::take(&mut self.nothing);
        self.current
            .take_if(|word| nothing && word.text().is_empty());
        self.separate();
    }
}

impl Shell {
    /// The possible expansions of words, one for each list of positional parameters.
    pub(super) fn variants(&self, raw: &[RawWord]) -> Vec<Vec<Word>> {
        let mut variants: Vec<Vec<Word>> = Vec::new();
        for arguments in &self.arguments {
            let words = self.expand(raw, arguments);
            if !variants.contains(&words) {
                variants.push(words);
            }
        }
        variants
    }

    /// The cost of expanding words. Each of their parts may go over all positional parameters.
    pub(super) fn cost(&self, raw: &[RawWord]) -> usize {
        let parts: usize = raw.iter().map(Vec::len).sum();
        let arguments: usize = self.arguments.iter().map(Vec::len).sum();
        COMMAND_COST + parts * arguments
    }

    pub(super) fn expansion<'a>(&'a self, arguments: &'a [Word]) -> Expansion<'a> {
        Expansion {
            variables: &self.variables,
            zero: &self.zero,
            arguments,
        }
    }

    pub(super) fn expand(&self, raw: &[RawWord], arguments: &[Word]) -> Vec<Word> {
        let expansion = self.expansion(arguments);
        expansion.list(raw)
    }
}
