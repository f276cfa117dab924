//! The variables that a command assigns.

use super::Shell;
use super::place::Place;
use super::token::{Part, RawWord};
use crate::entrypoint::variables::{Variables, assignment, is_name};
use crate::entrypoint::word::Word;

impl Shell {
    /// The variables with those that a command sets for itself, if it sets any.
    pub(super) fn own(&self, assigned: &[RawWord]) -> Option<Variables> {
        if assigned.is_empty() {
            return None;
        }
        let mut own = self.variables.clone();
        for word in assigned {
            let word = self.expansion(&self.arguments[0]).word(word);
            if let Some((name, value)) = assignment(word.text()) {
                own.assign_exported(name, Word::new(value));
            }
        }
        Some(own)
    }

    /// Assigns `NAME=value`. If only some runs assign it, the value is unknown.
    pub(super) fn assign(&mut self, word: &Word, place: &mut Place, export: bool) {
        let Some((name, value)) = assignment(word.text()) else {
            return;
        };
        let value = Word::new(value);
        let is_same = self.variables.get(name) == Some(&value);
        let value = match place.is_in_branch() && !is_same {
            true => Word::unknown(),
            false => value,
        };
        place.assigned.extend((!is_same).then(|| name.to_owned()));
        match export {
            true => self.variables.assign_exported(name, value),
            false => self.variables.assign(name, value),
        }
    }

    /// Performs the assignment of `${NAME:=value}`.
    pub(super) fn defaults(&mut self, raw: &RawWord, place: &mut Place) {
        for part in raw {
            let Part::Variable {
                name,
                operator,
                operand,
                ..
            } = part
            else {
                continue;
            };
            self.defaults(operand, place);
            let value = self.variables.get(name).map(Word::text);
            let assigns = match &**operator {
                "=" => value.is_none(),
                ":=" => value.is_none_or(str::is_empty),
                _ => false,
            };
            if assigns && is_name(name) {
                let mut word = Word::new(format!("{name}="));
                word.push(&self.expansion(&self.arguments[0]).word(operand));
                self.assign(&word, place, false);
            }
        }
    }
}
