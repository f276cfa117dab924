//! Follows the shells that a command starts with a command, a script or their standard input.

use super::program::{Call, Program, Reader, Script, absolute};
use super::shell::{Host, Input, Shell, Sourced};
use super::variables::Variables;
use super::word::Word;

/// The options of a shell.
#[derive(Default)]
struct ShellOptions {
    has_command: bool,
    is_login: bool,
    reads_input: bool,
    export_all: bool,
}

impl ShellOptions {
    /// Reads the options and returns the words after them. An unknown word that may be an option is the error.
    fn read(words: &[Word]) -> Result<(Self, &[Word]), &Word> {
        let mut options = Self::default();
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            let text = word.text();
            if word.may_be_option() {
                return Err(word);
            }
            if !text.starts_with(['-', '+']) || text == "-" {
                break;
            }
            rest = after;
            match text {
                "--" => break,
                "--login" => options.is_login = true,
                "--rcfile" | "--init-file" => rest = rest.get(1..).unwrap_or_default(),
                _ if text.starts_with("--") => {}
                _ => {
                    let is_set = text.starts_with('-');
                    options.has_command |= is_set && text.contains('c');
                    options.is_login |= is_set && text.contains('l');
                    options.reads_input |= is_set && text.contains('s');
                    options.export_all |= is_set && text.contains('a');
                    if text.ends_with(['o', 'O']) {
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
            }
        }
        Ok((options, rest))
    }
}

impl Reader<'_> {
    /// Follows `sh -c 'command' name argument…` or `sh script argument…`.
    pub(super) fn shell(&mut self, call: Call<'_>) {
        let (options, rest) = match ShellOptions::read(call.arguments) {
            Ok(read) => read,
            Err(word) => {
                return self.note(format!(
                    "an argument of a shell (`{}`) is known only when the container runs",
                    word.shown()
                ));
            }
        };
        let mut variables = call.environment.clone();
        variables.set_export_all(options.export_all, true);
        if options.is_login {
            // The profile of a login shell may change it.
            variables.assign_exported("PATH", Word::unknown());
        }
        if !options.has_command && (options.reads_input || rest.is_empty()) {
            return self.shell_input(rest, variables, call.directory);
        }
        let Some((first, arguments)) = rest.split_first() else {
            return;
        };
        if !options.has_command {
            let call = Call {
                arguments,
                environment: &variables,
                ..call
            };
            return self.shell_file(first, call);
        }
        let Some(script) = first.known() else {
            return self
                .note("the command of a shell is known only when the container runs".to_owned());
        };
        self.mention(script, None, call.directory);
        let (zero, arguments) = match arguments.split_first() {
            Some((zero, arguments)) => (zero.clone(), arguments.to_vec()),
            None => (Word::new("sh"), Vec::new()),
        };
        Shell::new(variables, call.directory.clone(), zero, arguments).read(script, self);
    }

    /// Follows a shell that reads commands from its standard input. A shell started by the engine has a terminal
    /// there.
    fn shell_input(&mut self, arguments: &[Word], variables: Variables, directory: &Word) {
        match std::mem::replace(&mut self.input, Input::Unknown) {
            Input::Same => self.input = Input::Same,
            Input::Text(text) => {
                let zero = Word::new("sh");
                Shell::new(variables, directory.clone(), zero, arguments.to_vec())
                    .read(&text, self);
            }
            Input::Unknown => self.note(
                "a shell reads commands from a pipe or a file that pycull cannot read".to_owned(),
            ),
        }
    }

    fn shell_file(&mut self, file: &Word, call: Call<'_>) {
        // A shell takes the name for a path first.
        let in_directory = self.at(file, call.directory);
        let found = in_directory.or_else(|| self.find(file, call.environment, call.directory));
        let Some(found) = found else {
            return self.missing(file);
        };
        match self.contents(found) {
            Program::Script(script) => self.shell_script(&script, call),
            Program::Unread => {}
            Program::Binary => self.note(format!("`{}` is not a script", file.shown())),
        }
    }

    /// Follows a script in the language of the shell.
    pub(super) fn shell_script(&mut self, script: &Script, call: Call<'_>) {
        self.mention(&script.text, Some(&script.path), call.directory);
        let opened = (script.inode, call.arguments.to_vec());
        // A script that runs itself again with the same arguments adds nothing.
        if self.open.contains(&opened) {
            return;
        }
        self.open.push(opened);
        let (variables, directory) = (call.environment.clone(), call.directory.clone());
        let zero = Word::new(absolute(&script.path));
        Shell::new(variables, directory, zero, call.arguments.to_vec()).read(&script.text, self);
        self.open.pop();
    }
}

impl Host for Reader<'_> {
    fn run(&mut self, words: &[Word], variables: Variables, directory: &Word, input: Input) {
        let before = (self.from_shell, self.input.clone());
        self.from_shell = true;
        self.input = match (input, &before.1) {
            (Input::Same, Input::Same) => Input::Same,
            // Another program may have read from this input before.
            (Input::Same, _) => Input::Unknown,
            (input, _) => input,
        };
        self.follow(words, &variables, directory);
        (self.from_shell, self.input) = before;
    }

    fn unclear(&mut self, reason: String) {
        self.note(reason);
    }

    fn spend(&mut self, bytes: usize) -> bool {
        match self.budget.checked_sub(bytes) {
            Some(left) => self.budget = left,
            None => {
                self.budget = 0;
                self.note("its scripts are too long".to_owned());
            }
        }
        self.budget > 0
    }

    fn sourced(&mut self, path: &Word, variables: &Variables, directory: &Word) -> Sourced {
        if path.known().is_none() {
            self.note(format!("a shell reads commands from `{}`", path.shown()));
            return Sourced::Unusable;
        }
        let Some(found) = self.find(path, variables, directory) else {
            return Sourced::Missing;
        };
        match self.contents(found) {
            Program::Script(script) => {
                self.mention(&script.text, Some(&script.path), directory);
                Sourced::Text(script.text)
            }
            Program::Binary => {
                self.note(format!("a shell reads commands from `{}`", path.shown()));
                Sourced::Unusable
            }
            Program::Unread => Sourced::Unusable,
        }
    }
}
