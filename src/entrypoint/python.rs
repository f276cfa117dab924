//! Reads the options of `python` as CPython does (`Python/getopt.c`, `Python/initconfig.c`).

use super::variables::Variables;
use super::word::Word;

/// The effect of Python's options and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Options {
    /// Python runs at this level.
    Level(u32),
    /// Python prints a version or a help text and exits.
    Exits,
    /// The level is unknown, for this reason.
    Unclear(String),
}

/// Whether a program with this name is CPython, including debug builds, free-threaded builds and `pythonw`.
pub(super) fn is_python(name: &str) -> bool {
    let name = name.strip_prefix("platform-").unwrap_or(name);
    let Some(rest) = name.strip_prefix("python") else {
        return false;
    };
    let rest = rest.strip_prefix('w').unwrap_or(rest);
    let rest = rest.strip_suffix("-dbg").unwrap_or(rest);
    let rest = rest.trim_end_matches(['d', 'm', 't', 'u']);
    rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Reads the words after `python`.
pub(super) fn options(words: &[Word], environment: &Variables) -> Options {
    let mut flags = Flags::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.may_be_option() {
            let shown = word.shown();
            return Options::Unclear(format!(
                "an argument of Python (`{shown}`) is known only when the container runs and may be an option"
            ));
        }
        let text = word.text();
        let Some(letters) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            break;
        };
        if letters == "-" {
            break;
        }
        if letters.starts_with('-') {
            match letters {
                "-check-hash-based-pycs" => drop(words.next()),
                _ => return Options::Exits,
            }
        } else if word.known().is_none() && !takes_rest(letters) {
            return Options::Unclear(format!(
                "a part of the option `{}` is known only when the container runs",
                word.shown()
            ));
        } else if flags.read(letters, &mut words) {
            break;
        }
    }
    flags.result(environment)
}

/// Whether a group of options ends in one with an attached argument, which may be unknown.
fn takes_rest(letters: &str) -> bool {
    let argument = letters.find(['c', 'm', 'W', 'X']);
    let unknown = letters.find(|c: char| !c.is_ascii());
    argument.is_some_and(|argument| unknown.is_none_or(|unknown| argument < unknown))
}

#[derive(Default)]
struct Flags {
    optimize: u32,
    ignores_environment: bool,
    exits: bool,
}

impl Flags {
    /// Reads a group of one-letter options. Returns whether the options end there.
    fn read<'a>(&mut self, letters: &str, rest: &mut impl Iterator<Item = &'a Word>) -> bool {
        for (place, letter) in letters.char_indices() {
            match letter {
                'O' => self.optimize += 1,
                'E' | 'I' => self.ignores_environment = true,
                'V' | 'h' | '?' => self.exits = true,
                'c' | 'm' => return true,
                'W' | 'X' => {
                    if place + 1 == letters.len() {
                        rest.next();
                    }
                    return false;
                }
                'b' | 'B' | 'd' | 'i' | 'J' | 'P' | 'q' | 'R' | 's' | 'S' | 't' | 'u' | 'v'
                | 'x' => {}
                // CPython does not know this option, so it prints its usage and exits.
                _ => {
                    self.exits = true;
                    return true;
                }
            }
        }
        false
    }

    fn result(&self, environment: &Variables) -> Options {
        if self.exits {
            return Options::Exits;
        }
        if self.ignores_environment {
            return Options::Level(self.optimize);
        }
        match environment_level(environment) {
            Some(level) => Options::Level(level.max(self.optimize)),
            None => Options::Unclear(
                "the value of PYTHONOPTIMIZE is known only when the container runs".to_owned(),
            ),
        }
    }
}

/// The level that `PYTHONOPTIMIZE` sets; `None` if its value is not known.
pub(super) fn environment_level(environment: &Variables) -> Option<u32> {
    match environment.get("PYTHONOPTIMIZE") {
        None => Some(0),
        Some(value) => value.known().map(level_of_variable),
    }
}

/// An empty value counts as unset. A value that is not a positive number counts as 1 (`_Py_get_env_flag` in CPython).
fn level_of_variable(value: &str) -> u32 {
    if value.is_empty() {
        return 0;
    }
    let number = value.trim_start().parse::<i32>();
    number.map_or(1, |number| u32::try_from(number).unwrap_or(1))
}
