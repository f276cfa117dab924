//! Expanding words: parameters, and splitting what is not quoted.

use super::lexer::{Lexer, Part, RawWord, Token};
use crate::launch::variables::Variables;
use crate::launch::word::Word;

/// What words are expanded with.
#[derive(Clone, Copy)]
pub(super) struct Expansion<'a> {
    pub(super) variables: &'a Variables,
    pub(super) zero: &'a Word,
    pub(super) arguments: &'a [Word],
}

/// The value of a parameter.
enum Value {
    Unset,
    Words(Vec<Word>),
}

impl Expansion<'_> {
    /// The words that a word becomes.
    pub(super) fn words(&self, raw: &RawWord) -> Vec<Word> {
        let mut fields = Fields::default();
        for part in raw {
            match part {
                Part::Literal { text, quoted } => fields.add(&Word::new(text.clone()), *quoted),
                Part::Variable {
                    name,
                    operator,
                    operand,
                    quoted,
                } => self.variable(name, operator, operand, *quoted, &mut fields),
                Part::Command(_) | Part::Unknown => fields.add(&Word::unknown(), true),
            }
        }
        fields.finish()
    }

    /// The one word that a word becomes where nothing is split, as in an assignment.
    pub(super) fn word(&self, raw: &RawWord) -> Word {
        let quoted: RawWord = raw.iter().map(quote).collect();
        let mut whole = Word::default();
        for (place, word) in self.words(&quoted).iter().enumerate() {
            if place > 0 {
                whole.push_str(" ");
            }
            whole.push(word);
        }
        whole
    }

    fn variable(
        &self,
        name: &str,
        operator: &str,
        operand: &str,
        quoted: bool,
        fields: &mut Fields,
    ) {
        let value = self.value(name);
        let is_empty = match &value {
            Value::Unset => true,
            Value::Words(words) => {
                operator.starts_with(':') && words.iter().all(|word| word.text().is_empty())
            }
        };
        let words = match (operator.trim_start_matches(':'), value, is_empty) {
            ("-" | "=", _, true) => vec![self.operand(operand)],
            ("+", Value::Words(_), false) => vec![self.operand(operand)],
            ("+", Value::Words(_), true) => vec![Word::default()],
            // Whoever starts a container may set what the image does not.
            (_, Value::Unset, _) => vec![Word::unknown()],
            (_, Value::Words(words), _) => words,
        };
        let is_list = matches!(name, "@" | "*");
        if is_list && words.is_empty() && quoted {
            fields.nothing();
        }
        for (place, word) in words.iter().enumerate() {
            if place > 0 {
                fields.separate();
            }
            if quoted || !word.text().is_empty() {
                fields.add(word, quoted);
            }
        }
    }

    fn operand(&self, text: &str) -> Word {
        let mut whole = Word::default();
        let mut lexer = Lexer::new(text);
        while let Token::Word(raw) = lexer.next() {
            if !whole.text().is_empty() {
                whole.push_str(" ");
            }
            whole.push(&self.word(&raw));
        }
        whole
    }

    fn value(&self, name: &str) -> Value {
        match name {
            "@" | "*" => Value::Words(self.arguments.to_vec()),
            "0" => Value::Words(vec![self.zero.clone()]),
            "#" | "?" | "-" | "$" | "!" => Value::Words(vec![Word::unknown()]),
            _ => match name.parse::<usize>() {
                Ok(number) => self.argument(number),
                Err(_) => self
                    .variables
                    .get(name)
                    .map_or(Value::Unset, |word| Value::Words(vec![word.clone()])),
            },
        }
    }

    fn argument(&self, number: usize) -> Value {
        let before = &self.arguments[..number.min(self.arguments.len())];
        if before.iter().any(|word| *word == Word::unknown()) {
            return Value::Words(vec![Word::unknown()]);
        }
        match number.checked_sub(1).and_then(|place| before.get(place)) {
            Some(word) => Value::Words(vec![word.clone()]),
            // Arguments are those of the command, all of which are known.
            None => Value::Words(vec![Word::default()]),
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

/// Words while they are put together.
#[derive(Default)]
struct Fields {
    done: Vec<Word>,
    current: Option<Word>,
    nothing: bool,
}

impl Fields {
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
        self.done.extend(self.current.take());
    }

    /// `"$@"` without arguments is not even an empty word.
    fn nothing(&mut self) {
        self.nothing = true;
    }

    fn finish(mut self) -> Vec<Word> {
        self.current = self
            .current
            .filter(|word| !(self.nothing && word.text().is_empty()));
        self.separate();
        self.done
    }
}
