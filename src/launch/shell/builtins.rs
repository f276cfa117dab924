//! The shell's own commands that matter to what runs after them.

use super::{Flow, Host, Input, MOST, Place, RawWord, Shell, Sourced, is_name};
use crate::launch::harmless::is_builtin;
use crate::launch::variables::{Variables, assignment};
use crate::launch::word::Word;

/// A simple command.
pub(super) struct Command<'a> {
    pub(super) words: &'a [Word],
    /// Its words before they were expanded, with other positional parameters perhaps.
    pub(super) raw: &'a [RawWord],
    /// Variables with those that are assigned for this command alone, if there are any.
    pub(super) own: Option<&'a Variables>,
    /// Where it reads from.
    pub(super) input: &'a Input,
    /// Whether these are its words in every run of the script.
    pub(super) sole: bool,
    /// Whether it is the first of its variants.
    pub(super) first: bool,
}

/// Commands that do not fail in an image that works: `&&` after one decides nothing.
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
            "set" if command.first => self.set(command.raw, rest, place, host),
            "shift" if command.first => self.shift(rest, place, host),
            "set" | "shift" => {}
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
            let (input, sole) = (command.input.clone(), command.sole);
            host.run(words, variables.exported(), &self.directory, input, sole);
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

    fn set(&mut self, raw: &[RawWord], words: &[Word], place: &Place, host: &mut dyn Host) {
        for (index, word) in words.iter().enumerate() {
            match word.text() {
                "--" | "-" => break,
                "+a" => self.variables.export_all = false,
                "allexport" if index > 0 && words[index - 1].text().ends_with('o') => {
                    self.variables.export_all = words[index - 1].text().starts_with('-');
                }
                text if text.starts_with('-') && text.contains('a') => {
                    self.variables.export_all = true;
                }
                text if text.starts_with(['-', '+']) => {}
                _ => {}
            }
        }
        if !words.iter().any(|word| matches!(word.text(), "--" | "-")) {
            return;
        }
        let mut lists: Vec<Vec<Word>> = Vec::new();
        for arguments in &self.arguments {
            let words = self.expand(raw, arguments);
            let mut words = words.into_iter();
            let _ = words.by_ref().find(|it| matches!(it.text(), "--" | "-"));
            lists.push(words.collect());
        }
        self.set_arguments(lists, place, host);
    }

    fn set_arguments(&mut self, lists: Vec<Vec<Word>>, place: &Place, host: &mut dyn Host) {
        host.spend(lists.iter().flatten().map(Word::size).sum());
        let before = std::mem::take(&mut self.arguments);
        if !place.is_certain() {
            self.arguments = before;
        }
        for list in lists {
            if !self.arguments.contains(&list) {
                self.arguments.push(list);
            }
        }
        if self.arguments.len() > MOST {
            self.arguments = vec![vec![Word::unknown()]];
        }
    }

    fn shift(&mut self, words: &[Word], place: &Place, host: &mut dyn Host) {
        let count = words
            .first()
            .map_or(Some(1), |word| word.known()?.parse().ok());
        let lists = self.arguments.iter().map(|arguments| match count {
            Some(count) => arguments.get(count..).unwrap_or_default().to_vec(),
            None => vec![Word::unknown()],
        });
        let lists = lists.collect();
        self.set_arguments(lists, place, host);
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
            // A script that asks first whether the file is there goes on without it.
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
            Some(texts) => self.script(&texts.join(" "), !place.is_certain(), host),
            None => {
                host.unclear("`eval` runs what only a running container knows".to_owned());
                Flow::Goes
            }
        }
    }

    /// Keeps the command of a trap, which is read last.
    fn trap(&mut self, words: &[Word], host: &mut dyn Host) {
        let words = match words.split_first() {
            Some((first, rest)) if first.text() == "--" => rest,
            _ => words,
        };
        // Without a signal there is no command.
        let [command, _, ..] = words else {
            return;
        };
        match command.known() {
            Some(text) if text.starts_with('-') => {}
            Some(text) => drop(self.traps.insert(text.to_owned())),
            None => host.unclear("`trap` runs what only a running container knows".to_owned()),
        }
    }

    fn exec(
        &mut self,
        command: &Command<'_>,
        mut rest: &[Word],
        place: &Place,
        host: &mut dyn Host,
    ) -> Flow {
        // One of several lists of arguments may begin with an option: the script then puts a program before it.
        if !command.sole && rest.first().is_some_and(|it| it.text().starts_with('-')) {
            return Flow::Goes;
        }
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
        self.script(body, !place.is_certain(), host);
        self.arguments = before;
        Flow::Goes
    }
}

/// The words that `command` or `builtin` runs; none if it is only asked about them.
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

/// A path as it is meant in a directory.
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
