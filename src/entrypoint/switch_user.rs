//! `sudo` and `su`: programs that run another one as another user.

use std::collections::VecDeque;

use super::variables::{Variables, assignment};
use super::word::Word;
use super::wrapped::{Wrapped, program, unclear_option};

/// Reads `sudo`, which clears the environment except for what its options keep.
pub(super) fn sudo(words: &[Word]) -> Wrapped {
    let mut own = Variables::default();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let text = word.text();
        if word.may_be_option() || text.starts_with("-E") || text.starts_with("--preserve-env") {
            return unclear_option("sudo", word);
        }
        if let Some((name, value)) = assignment(text) {
            own.assign_exported(name, Word::new(value));
        } else if !text.starts_with('-') {
            break;
        }
        rest = after;
        match text {
            "--" => break,
            "-u" | "-g" | "-h" | "-p" | "-C" | "-D" | "-R" | "-T" | "-r" | "-t" | "--user"
            | "--group" => {
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {}
        }
    }
    program(rest.to_vec(), &own)
}

/// The words after `su`.
#[derive(Default)]
struct Su {
    is_login: bool,
    /// Whether a program follows instead of a shell's arguments.
    is_program: bool,
    command: Option<Word>,
    shell: Option<Word>,
    /// The user and the words after it.
    operands: Vec<Word>,
}

impl Su {
    /// Reads the words. Options may come anywhere before `--`. A word that is not understood is the error.
    fn read(words: &[Word]) -> Result<Self, Word> {
        let mut su = Self::default();
        let mut rest: VecDeque<Word> = words.iter().cloned().collect();
        while let Some(word) = rest.pop_front() {
            if word.may_be_option() {
                return Err(word);
            }
            let text = word.text();
            if text == "--" {
                break;
            }
            let Some(option) = text.strip_prefix('-').filter(|it| !it.is_empty()) else {
                su.operands.push(word);
                continue;
            };
            let letters = match option.strip_prefix('-') {
                Some(long) => long_su_option(long),
                None => Some(option.to_owned()),
            };
            if !letters.is_some_and(|letters| su.options(&letters, &mut rest)) {
                return Err(word);
            }
        }
        if su.operands.first().is_some_and(|it| it.text() == "-") {
            su.is_login = true;
            su.operands.remove(0);
        }
        su.operands.extend(rest);
        Ok(su)
    }

    /// Reads letters of options. The last one may have its argument attached or in the next word. Returns false if
    /// `su` does not have the option.
    fn options(&mut self, letters: &str, rest: &mut VecDeque<Word>) -> bool {
        for (place, letter) in letters.char_indices() {
            let attached = &letters[place + letter.len_utf8()..];
            let mut argument = || match attached.is_empty() {
                true => rest.pop_front(),
                false => Some(Word::new(attached)),
            };
            match letter {
                'l' => self.is_login = true,
                'f' | 'm' | 'p' | 'P' | 'T' => continue,
                'c' => self.command = argument(),
                's' => self.shell = argument(),
                'g' | 'G' => drop(argument()),
                'u' => {
                    self.is_program = true;
                    drop(argument());
                }
                _ => return false,
            }
            if letter != 'l' {
                break;
            }
        }
        true
    }
}

/// Reads `su` and `runuser`, which keep the environment unless they start a login shell. The words after the user's
/// name go to the shell.
pub(super) fn su(words: &[Word], variables: &Variables) -> Wrapped {
    let su = match Su::read(words) {
        Ok(su) => su,
        Err(word) => return unclear_option("su", &word),
    };
    let mut own = variables.clone();
    if su.is_login {
        own.clear();
    }
    if su.is_program {
        return program(su.operands, &own);
    }
    let mut words = vec![su.shell.unwrap_or_else(|| Word::new("/bin/sh"))];
    words.extend(su.is_login.then(|| Word::new("-l")));
    words.extend(su.command.into_iter().flat_map(|it| [Word::new("-c"), it]));
    // The first operand is the user.
    words.extend(su.operands.into_iter().skip(1));
    program(words, &own)
}

/// The letter of a long option of `su`, with its attached argument if there is one.
fn long_su_option(long: &str) -> Option<String> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let letter = match (name, value) {
        ("login", None) => "l",
        ("fast", None) => "f",
        ("preserve-environment", None) => "p",
        ("pty", None) => "P",
        ("no-pty", None) => "T",
        ("command" | "session-command", _) => "c",
        ("shell", _) => "s",
        ("group", _) => "g",
        ("supp-group", _) => "G",
        ("user", _) => "u",
        _ => return None,
    };
    Some(format!("{letter}{}", value.unwrap_or_default()))
}
