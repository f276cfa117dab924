//! The variables of a process or a shell.

use std::collections::BTreeMap;

use super::word::Word;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    value: Word,
    exported: bool,
}

/// Variables by name; those that are exported reach programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variables {
    variables: BTreeMap<String, Variable>,
    /// `set -a`.
    pub(super) export_all: bool,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Word> {
        self.variables.get(name).map(|variable| &variable.value)
    }

    /// Assigns as a shell does: a variable that came with the environment stays exported.
    pub(super) fn assign(&mut self, name: &str, value: Word) {
        let was_exported = self.variables.get(name).is_some_and(|it| it.exported);
        let exported = was_exported || self.export_all;
        let variable = Variable { value, exported };
        self.variables.insert(name.to_owned(), variable);
    }

    /// Assigns a variable that programs see.
    pub(super) fn assign_exported(&mut self, name: &str, value: Word) {
        let exported = true;
        let variable = Variable { value, exported };
        self.variables.insert(name.to_owned(), variable);
    }

    pub(super) fn set_exported(&mut self, name: &str, exported: bool) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.exported = exported;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.variables.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.variables.clear();
    }

    /// How many bytes a copy takes, about.
    pub(super) fn size(&self) -> usize {
        let variables = self.variables.iter();
        variables
            .map(|(name, it)| name.len() + it.value.size())
            .sum()
    }

    /// What a program gets.
    pub(super) fn exported(&self) -> Self {
        let variables = self.variables.iter().filter(|(_, it)| it.exported);
        Self {
            variables: variables
                .map(|(name, it)| (name.clone(), it.clone()))
                .collect(),
            export_all: false,
        }
    }
}

/// Splits `NAME=value`, if the name is one that a shell takes.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    is_name(name).then_some((name, value))
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
