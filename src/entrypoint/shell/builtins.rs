//! The shell builtins that affect the commands after them.

use super::{Flow, Host, Input, MOST, Place, RawWord, Shell, Sourced, is_name};
use crate::entrypoint::harmless::is_builtin;
use crate::entrypoint::variables::{Variables, assignment};
use crate::entrypoint::word::Word;

/// A simple command.
pub(super) struct Command<'a> {
    pub(super) words: &'a [Word],
    /// The variables, including those that are assigned only for this command, if there are any.
    pub(super) own: Option<&'a Variables>,
    /// The standard input.
    pub(super) input: &'a Input,
}

/// Whether a command never fails in a working image, so that `&&` after it decides nothing.
pub(super) fn succeeds(name: &str) -> bool {
    let names = [
        ":", "true", "cd", "export", "set", "unset", "mkdir", "chown", "chmod", "echo", "printf",
        "umask", "ulimit", ".", "source", "shift", "readonly", "rm", "ln", "cp", "mv", "touch",
    ];
    names.contains(&name) || assignment(name).is_some()
}

impl Shell {
    pub(super) fn simple(
        &mut self,
        command: &Command<'_>,
        place: &mut Place,
        host: &mut dyn Host,
    ) -> Flow {
        let words = within_command(command.words);
        let Some((name, rest)) = words.split_first() else {
            return Flow::Goes;
        };
        match name.known().unwrap_or_default() {
            "export" | "readonly" | "declare" | "typeset" | "local" => {
                self.declare(name.text(), rest, place);
            }
            "unset" => self.unset(rest, place),
            "cd" | "pushd" => self.change_directory(rest, place),
            "read" | "getopts" | "mapfile" | "readarray" => {
                for name in rest.iter().filter_map(Word::known).filter(|it| is_name(it)) {
                    self.variables.assign(name, Word::unknown());
                }
            }
            "." | "source" => self.source(rest, place, host),
            "eval" => return self.evaluate(rest, place, host),
            "trap" => self.trap(rest, host),
            "exec" => return self.exec(command, rest, place, host),
            "exit" | "return" if place.is_certain() => return Flow::Ends,
            "exit" | "return" => {}
            name => match self.functions.get(name).cloned() {
                Some(body) => return self.call(&body, rest, place, host),
                None if is_builtin(name) => {}
                None => self.run(words, command, host),
            },
        }
        Flow::Goes
    }

    fn run(&self, words: &[Word], command: &Command<'_>, host: &mut dyn Host) {
        let variables = command.own.unwrap_or(&self.variables);
        if host.spend(variables.size()) {
            let input = command.input.clone();
            host.run(words, variables.exported(), &self.directory, input);
        }
    }

    fn declare(&mut self, name: &str, words: &[Word], place: &mut Place) {
        let options: Vec<&str> = words
            .iter()
            .map(Word::text)
            .take_while(|text| text.starts_with('-'))
            .collect();
        let exports = name == "export" || options.iter().any(|it| it.contains('x'));
        let exported = exports && !options.contains(&"-n");
        for word in &words[options.len()..] {
            if assignment(word.text()).is_some() {
                self.assign(word, place, exported);
            } else if exports && is_name(word.text()) {
                let certain = place.is_certain();
                self.variables.set_exported(word.text(), exported, certain);
            }
        }
    }

    fn unset(&mut self, words: &[Word], place: &Place) {
        for name in words.iter().filter_map(Word::known) {
            match place.is_certain() {
                true => self.variables.remove(name),
                false if self.variables.get(name).is_some() => {
                    self.variables.assign(name, Word::unknown());
                }
                false => {}
            }
        }
    }

    /// Runs `set` for each list of positional parameters.
    pub(super) fn set(&mut self, raw: &[RawWord], place: &Place, host: &mut dyn Host) {
        let mut lists: Vec<Vec<Word>> = Vec::new();
        for arguments in std::mem::take(&mut self.arguments) {
            let words = self.expand(raw, &arguments);
            let words = within_command(&words);
            let (operands, exports) = set_operands(words.get(1..).unwrap_or_default());
            if let Some(exports) = exports {
                self.variables.set_export_all(exports, place.is_certain());
            }
            // If only some runs set the parameters, the old ones remain possible.
            if !place.is_certain() && operands.is_some() {
                lists.push(arguments.clone());
            }
            lists.push(operands.unwrap_or(arguments));
        }
        self.set_arguments(lists, host);
    }

    fn set_arguments(&mut self, lists: Vec<Vec<Word>>, host: &mut dyn Host) {
        host.spend(lists.iter().flatten().map(Word::size).sum());
        self.arguments.clear();
        for list in lists {
            if !self.arguments.contains(&list) {
                self.arguments.push(list);
            }
        }
        if self.arguments.len() > MOST {
            self.arguments = vec![vec![Word::unknown()]];
        }
    }

    /// Runs `shift`. In a loop, the number of shifts is unknown.
    pub(super) fn shift(&mut self, words: &[Word], place: &Place, host: &mut dyn Host) {
        let words = within_command(words);
        let count = match words.get(1) {
            _ if self.in_loop || place.is_in_loop() => None,
            Some(word) => word.known().and_then(|text| text.parse::<usize>().ok()),
            None => Some(1),
        };
        let mut lists: Vec<Vec<Word>> = Vec::new();
        for arguments in std::mem::take(&mut self.arguments) {
            lists.push(match count {
                Some(count) => arguments.get(count..).unwrap_or_default().to_vec(),
                None => vec![Word::unknown()],
            });
            if !place.is_certain() {
                lists.push(arguments);
            }
        }
        self.set_arguments(lists, host);
    }

    fn change_directory(&mut self, words: &[Word], place: &mut Place) {
        place.has_moved = true;
        let target = words.iter().find(|word| !word.text().starts_with('-'));
        self.directory = match target.map(Word::text) {
            Some(text) if !place.is_in_branch() => within(&self.directory, text),
            _ => Word::unknown(),
        };
    }

    fn source(&mut self, words: &[Word], place: &Place, host: &mut dyn Host) {
        let Some(file) = words.first() else {
            return;
        };
        match host.sourced(file, &self.variables, &self.directory) {
            Sourced::Text(text) => {
                host.spend(self.arguments.iter().flatten().map(Word::size).sum());
                let arguments = self.arguments.clone();
                self.script(&text, !place.is_certain(), host);
                self.arguments = arguments;
            }
            // A script that tests for the file first continues without it.
            Sourced::Missing if place.is_certain() => host.unclear(format!(
                "it reads commands from `{}`, which is not in the image",
                file.shown()
            )),
            Sourced::Missing | Sourced::Unusable => {}
        }
    }

    fn evaluate(&mut self, words: &[Word], place: &Place, host: &mut dyn Host) -> Flow {
        let known: Option<Vec<&str>> = words.iter().map(Word::known).collect();
        match known {
            Some(texts) => {
                let in_loop = self.in_loop || place.is_in_loop();
                let before = std::mem::replace(&mut self.in_loop, in_loop);
                let flow = self.script(&texts.join(" "), !place.is_certain(), host);
                self.in_loop = before;
                flow
            }
            None => {
                host.unclear(
                    "`eval` runs a command that is known only when the container runs".to_owned(),
                );
                Flow::Goes
            }
        }
    }

    /// Keeps the command of a trap, which is read at the end.
    fn trap(&mut self, words: &[Word], host: &mut dyn Host) {
        let words = match words.split_first() {
            Some((first, rest)) if first.text() == "--" => rest,
            _ => words,
        };
        // Without a signal, `trap` sets no command.
        let [command, _, ..] = words else {
            return;
        };
        match command.known() {
            Some(text) if text.starts_with('-') => {}
            Some(text) => drop(self.traps.insert(text.to_owned())),
            None => host.unclear(
                "`trap` runs a command that is known only when the container runs".to_owned(),
            ),
        }
    }

    fn exec(
        &mut self,
        command: &Command<'_>,
        mut rest: &[Word],
        place: &Place,
        host: &mut dyn Host,
    ) -> Flow {
        let mut clears = false;
        while let Some(word) = rest.first().filter(|it| it.text().starts_with('-')) {
            let text = word.text();
            clears |= text.contains('c');
            let words = if text.ends_with('a') { 2 } else { 1 };
            rest = rest.get(words..).unwrap_or_default();
            if text == "--" {
                break;
            }
        }
        if rest.is_empty() {
            return Flow::Goes;
        }
        let empty = Variables::default();
        let own = if clears { Some(&empty) } else { command.own };
        let command = Command { own, ..*command };
        self.run(rest, &command, host);
        match place.is_certain() {
            true => Flow::Ends,
            false => Flow::Goes,
        }
    }

    fn call(&mut self, body: &str, arguments: &[Word], place: &Place, host: &mut dyn Host) -> Flow {
        let before = std::mem::replace(&mut self.arguments, vec![arguments.to_vec()]);
        let in_loop = std::mem::replace(&mut self.in_loop, false);
        self.script(body, !place.is_certain(), host);
        (self.arguments, self.in_loop) = (before, in_loop);
        Flow::Goes
    }
}

/// The positional parameters that `set` sets, and whether it exports all variables, if its words determine these.
fn set_operands(mut words: &[Word]) -> (Option<Vec<Word>>, Option<bool>) {
    let mut exports = None;
    while let Some((word, after)) = words.split_first() {
        let text = word.text();
        if word.may_be_option() {
            return (Some(vec![Word::unknown()]), exports);
        }
        if text == "--" || (text == "-" && !after.is_empty()) {
            return (Some(after.to_vec()), exports);
        }
        if !text.starts_with(['-', '+']) {
            return (Some(words.to_vec()), exports);
        }
        let is_set = text.starts_with('-');
        let names = text.ends_with('o').then(|| after.first()).flatten();
        if text.contains('a') || names.is_some_and(|it| it.text() == "allexport") {
            exports = Some(is_set);
        }
        words = &after[usize::from(names.is_some())..];
    }
    (None, exports)
}

/// The name of a command, if it is known.
pub(super) fn name(words: &[Word]) -> Option<&str> {
    within_command(words).first()?.known()
}

/// Whether a command begins with an option. The script then inserts a program before it.
pub(super) fn begins_with_option(words: &[Word]) -> bool {
    let mut words = words.iter().skip_while(|it| it.text() == "exec");
    words.next().is_some_and(|it| it.text().starts_with('-'))
}

/// The words that `command` or `builtin` runs; none if they only ask about a command.
fn within_command(mut words: &[Word]) -> &[Word] {
    while let Some((first, rest)) = words.split_first()
        && matches!(first.text(), "command" | "builtin")
    {
        let options = rest.iter().take_while(|it| it.text().starts_with('-'));
        if options.clone().any(|it| it.text().contains(['v', 'V'])) {
            return &[];
        }
        words = &rest[options.count()..];
    }
    words
}

/// A path relative to a directory.
fn within(directory: &Word, path: &str) -> Word {
    let path_word = Word::new(path);
    if path.starts_with('/') || path_word.known().is_none() {
        return path_word;
    }
    let mut whole = directory.clone();
    whole.push_str("/");
    whole.push_str(path);
    whole
}
