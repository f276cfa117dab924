//! The variables of a process or a shell.

use std::collections::BTreeMap;

use super::word::Word;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    /// `None` if the variable is only marked for export.
    value: Option<Word>,
    exported: Exported,
}

/// Whether programs see a variable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Exported {
    #[default]
    No,
    Yes,
    /// Only some runs of the script export it.
    Perhaps,
}

/// Variables by name. Programs see those that are exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variables {
    variables: BTreeMap<String, Variable>,
    /// The state of `set -a`.
    export_all: Exported,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Word> {
        self.variables.get(name)?.value.as_ref()
    }

    /// Assigns like a shell: a variable from the environment stays exported.
    pub(super) fn assign(&mut self, name: &str, value: Word) {
        let exported = match (self.export_all, self.exportedness(name)) {
            (Exported::No, exported) | (_, exported @ Exported::Yes) => exported,
            (exported, _) => exported,
        };
        let value = Some(value);
        let variable = Variable { value, exported };
        self.variables.insert(name.to_owned(), variable);
    }

    /// Assigns a variable that programs see.
    pub(super) fn assign_exported(&mut self, name: &str, value: Word) {
        let (value, exported) = (Some(value), Exported::Yes);
        let variable = Variable { value, exported };
        self.variables.insert(name.to_owned(), variable);
    }

    fn exportedness(&self, name: &str) -> Exported {
        let variable = self.variables.get(name);
        variable.map_or(Exported::No, |it| it.exported)
    }

    /// Runs `set -a` or `set +a`. `certain` says whether all runs do it.
    pub(super) fn set_export_all(&mut self, exports: bool, certain: bool) {
        self.export_all = wanted(self.export_all, exports, certain);
    }

    /// Marks a variable for export, even if it has no value yet. `certain` says whether all runs do it.
    pub(super) fn set_exported(&mut self, name: &str, exported: bool, certain: bool) {
        let exported = wanted(self.exportedness(name), exported, certain);
        let value = self.get(name).cloned();
        let variable = Variable { value, exported };
        self.variables.insert(name.to_owned(), variable);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.variables.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.variables.clear();
    }

    /// The approximate size of a copy in bytes.
    pub(super) fn size(&self) -> usize {
        let variables = self.variables.iter();
        variables
            .map(|(name, it)| name.len() + it.value.as_ref().map_or(0, Word::size))
            .sum()
    }

    /// The environment of a program that the shell starts.
    pub(super) fn exported(&self) -> Self {
        let mut variables = self.variables.clone();
        variables.retain(|_, it| it.value.is_some() && it.exported != Exported::No);
        for variable in variables.values_mut() {
            if variable.exported == Exported::Perhaps {
                variable.value = Some(Word::unknown());
            }
            variable.exported = Exported::Yes;
        }
        Self {
            variables,
            export_all: Exported::No,
        }
    }
}

/// The state of an export after all runs, or only some, set or clear it.
fn wanted(before: Exported, exports: bool, certain: bool) -> Exported {
    let wanted = if exports { Exported::Yes } else { Exported::No };
    match certain || before == wanted {
        true => wanted,
        false => Exported::Perhaps,
    }
}

/// Splits `NAME=value` if a shell accepts the name.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    is_name(name).then_some((name, value))
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
