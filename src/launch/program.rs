//! Following a command to the Python that it starts: through wrappers, shells, and scripts in the image.

use std::collections::BTreeSet;

use super::harmless::is_harmless;
use super::mentions::{MOST_PATHS, mentioned};
use super::python::{self, Options, is_python};
use super::shell::{Host, Input, Shell, Sourced};
use super::variables::Variables;
use super::word::{MOST_WORDS, Word};
use super::wrappers::{Wrapped, wrapped};
use super::{MOST_SCRIPT_BYTES, Start, Text};
use crate::path;
use crate::rootfs::{InodeId, Rootfs};

/// Programs that may run one another, in a chain, and in all.
const MOST_DEEP: usize = 16;
const MOST: usize = 2000;

/// Most bytes of scripts, words and variables that a reading goes over. Scripts that are not made to keep a
/// reader busy cost a hundredth.
const BUDGET: usize = 16 << 20;

/// Most directories of a `PATH`.
const MOST_DIRECTORIES: usize = 100;

/// Where engines look for programs if the config does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Reader<'a> {
    rootfs: &'a Rootfs,
    text: Text<'a>,
    pub(super) starts: Vec<Start>,
    pub(super) unclear: Vec<String>,
    pub(super) unread: BTreeSet<InodeId>,
    /// Paths of files that Python is given as arguments.
    pub(super) named: BTreeSet<String>,
    /// Programs that proved to be no scripts.
    programs: BTreeSet<InodeId>,
    /// Scripts that are being read: one that runs itself again adds nothing.
    open: Vec<(InodeId, Vec<Word>)>,
    depth: usize,
    runs: usize,
    /// What is left of [`BUDGET`].
    budget: usize,
    /// Whether a shell starts the program, which then need not begin with `#!`.
    from_shell: bool,
    /// Where the program reads from; the engine's own input is of no interest.
    input: Input,
}

/// What a program is.
enum Program {
    /// It is yet to be read.
    Unread,
    Binary,
    Script(InodeId, String),
}

impl<'a> Reader<'a> {
    pub(super) fn new(rootfs: &'a Rootfs, text: Text<'a>) -> Self {
        Self {
            rootfs,
            text,
            starts: Vec::new(),
            unclear: Vec::new(),
            unread: BTreeSet::new(),
            named: BTreeSet::new(),
            programs: BTreeSet::new(),
            open: Vec::new(),
            depth: 0,
            runs: 0,
            budget: BUDGET,
            from_shell: false,
            input: Input::Same,
        }
    }

    /// Follows a command: the one that an engine starts, and those that it leads to.
    pub(super) fn follow(&mut self, words: &[Word], environment: &Variables, directory: &Word) {
        self.runs += 1;
        if !self.spend(words.iter().map(Word::size).sum()) {
            return;
        }
        if words.len() > MOST_WORDS {
            return self.note("it runs a program with too many words".to_owned());
        }
        if self.depth >= MOST_DEEP || self.runs > MOST {
            return self.note("its programs run one another too often".to_owned());
        }
        self.depth += 1;
        self.program(words, environment, directory);
        self.depth -= 1;
    }

    fn program(&mut self, words: &[Word], environment: &Variables, directory: &Word) {
        let Some((first, rest)) = words.split_first() else {
            return;
        };
        let Some(name) = first.file_name() else {
            return self.note(format!(
                "the name of a program (`{}`) is known only to a running container",
                first.shown()
            ));
        };
        if let Some(wrapped) = wrapped(name, rest, environment) {
            return self.wrapper(wrapped, directory);
        }
        if is_python(name) {
            return self.python(first, rest, environment, directory);
        }
        if is_shell(name) {
            return self.shell(rest, environment, directory);
        }
        if is_harmless(first.text(), rest) {
            return self.harmless(first, rest, environment, directory);
        }
        self.file(first, rest, environment, directory);
    }

    fn wrapper(&mut self, wrapped: Wrapped, before: &Word) {
        match wrapped {
            Wrapped::Program {
                words,
                variables,
                directory,
            } => self.follow(&words, &variables, directory.as_ref().unwrap_or(before)),
            Wrapped::Nothing => {}
            Wrapped::Unclear(reason) => self.note(reason),
        }
    }

    fn python(&mut self, name: &Word, rest: &[Word], environment: &Variables, directory: &Word) {
        let inode = self.find(name, environment, directory);
        if let Some((inode, path)) = &inode
            && let Program::Script(inode, text) = self.contents(*inode)
        {
            return self.script(inode, &text, path, rest, environment, directory);
        }
        for word in rest {
            self.name(word, directory);
        }
        match python::options(rest, environment) {
            Options::Level(level) => self.starts.push(Start {
                program: inode.map(|(_, path)| path),
                level,
            }),
            Options::Exits => {}
            Options::Unclear(reason) => self.note(reason),
        }
    }

    /// Notes an argument of Python that is a file of the image: a script to run, which may be a cache.
    fn name(&mut self, word: &Word, directory: &Word) {
        if let Some(path) = absolute_path(word, directory)
            && self.rootfs.file_at(path.as_bytes()).is_some()
        {
            self.named.insert(path);
        }
    }

    /// Notes the bytecode that a script mentions. It may lie in the directory of the script itself.
    fn mention(&mut self, text: &str, script: Option<&[u8]>, directory: &Word) {
        let own = script.map(|script| absolute(path::parent(script)));
        let directories = [directory.known(), own.as_deref()];
        let directories: Vec<&str> = directories.into_iter().flatten().collect();
        let room = MOST_PATHS.saturating_sub(self.named.len());
        let paths = mentioned(text, &directories).into_iter();
        self.named.extend(paths.take(room));
    }

    /// `sh -c 'command' name argument…`, or `sh script argument…`.
    fn shell(&mut self, words: &[Word], environment: &Variables, directory: &Word) {
        let (mut rest, mut has_command, mut is_login) = (words, false, false);
        let mut reads_input = false;
        let mut export_all = false;
        while let Some((word, after)) = rest.split_first() {
            let text = word.text();
            if word.may_be_option() {
                return self.note(format!(
                    "an argument of a shell (`{}`) is not known",
                    word.shown()
                ));
            }
            if !text.starts_with(['-', '+']) || text == "-" {
                break;
            }
            rest = after;
            match text {
                "--" => break,
                "--login" => is_login = true,
                "--rcfile" | "--init-file" => rest = rest.get(1..).unwrap_or_default(),
                _ if text.starts_with("--") => {}
                _ => {
                    let is_set = text.starts_with('-');
                    has_command |= is_set && text.contains('c');
                    is_login |= is_set && text.contains('l');
                    reads_input |= is_set && text.contains('s');
                    export_all |= is_set && text.contains('a');
                    if text.ends_with(['o', 'O']) {
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
            }
        }
        let mut variables = environment.clone();
        variables.set_export_all(export_all, true);
        if is_login {
            // A login shell's profile may set it anew.
            variables.assign_exported("PATH", Word::unknown());
        }
        if !has_command && (reads_input || rest.is_empty()) {
            return self.shell_input(rest, variables, directory);
        }
        let Some((first, arguments)) = rest.split_first() else {
            return;
        };
        if !has_command {
            return self.shell_file(first, arguments, &variables, directory);
        }
        let Some(script) = first.known() else {
            return self
                .note("the command of a shell is known only to a running container".to_owned());
        };
        self.mention(script, None, directory);
        let (zero, arguments) = match arguments.split_first() {
            Some((zero, arguments)) => (zero.clone(), arguments.to_vec()),
            None => (Word::new("sh"), Vec::new()),
        };
        Shell::new(variables, directory.clone(), zero, arguments).read(script, self);
    }

    /// A shell that reads commands from its standard input. What an engine starts has a terminal there.
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

    fn shell_file(
        &mut self,
        file: &Word,
        arguments: &[Word],
        variables: &Variables,
        directory: &Word,
    ) {
        // A shell takes the name for a path first.
        let in_directory = self.at(file, directory);
        let found = in_directory.or_else(|| self.find(file, variables, directory));
        let Some((inode, path)) = found else {
            return self.missing(file);
        };
        match self.contents(inode) {
            Program::Script(inode, text) => {
                self.shell_text(inode, &text, &path, arguments, variables, directory);
            }
            Program::Unread => {}
            _ => self.note(format!("`{}` is not a script", file.shown())),
        }
    }

    fn shell_text(
        &mut self,
        inode: InodeId,
        text: &str,
        path: &[u8],
        arguments: &[Word],
        variables: &Variables,
        directory: &Word,
    ) {
        self.mention(text, Some(path), directory);
        let opened = (inode, arguments.to_vec());
        // A script that runs itself again with the same words adds nothing.
        if self.open.contains(&opened) {
            return;
        }
        self.open.push(opened);
        let zero = Word::new(absolute(path));
        Shell::new(
            variables.clone(),
            directory.clone(),
            zero,
            arguments.to_vec(),
        )
        .read(text, self);
        self.open.pop();
    }

    /// A program of the image: a script, or what nobody can read.
    fn file(&mut self, name: &Word, rest: &[Word], environment: &Variables, directory: &Word) {
        let Some((inode, path)) = self.find(name, environment, directory) else {
            return self.missing(name);
        };
        match self.contents(inode) {
            Program::Unread => {}
            Program::Binary => self.note(format!(
                "`{}` is a program that may start Python in ways that the image does not tell",
                name.shown()
            )),
            Program::Script(inode, text) => {
                self.script(inode, &text, &path, rest, environment, directory);
            }
        }
    }

    /// A program whose name is one of those that start no Python: nothing starts if it is not a script.
    fn harmless(&mut self, name: &Word, rest: &[Word], environment: &Variables, directory: &Word) {
        let usual = || self.find(name, &Variables::default(), directory);
        let found = self.find(name, environment, directory).or_else(usual);
        let Some((inode, path)) = found else {
            return;
        };
        if Word::new(absolute(&path))
            .file_name()
            .is_some_and(is_python)
        {
            return self.note(format!("`{}` is Python by another name", name.shown()));
        }
        // Distributions have some of these as scripts in other languages.
        if let Program::Script(inode, text) = self.contents(inode)
            && text.contains("python")
        {
            self.script(inode, &text, &path, rest, environment, directory);
        }
    }

    /// A script, which the kernel hands to the program after `#!` with one argument at most.
    fn script(
        &mut self,
        inode: InodeId,
        text: &str,
        path: &[u8],
        rest: &[Word],
        environment: &Variables,
        directory: &Word,
    ) {
        self.mention(text, Some(path), directory);
        let Some(line) = text.strip_prefix("#!") else {
            return match self.from_shell {
                true => self.shell_text(inode, text, path, rest, environment, directory),
                false => self.note(format!("`{}` does not begin with `#!`", absolute(path))),
            };
        };
        let line = line.lines().next().unwrap_or_default().trim();
        let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let is_python_word = |word: &Word| word.file_name().is_some_and(is_python);
        if line.contains("python") && rest.iter().any(is_python_word) {
            return self.note(format!(
                "`{}` is given Python as an argument and may start it",
                absolute(path)
            ));
        }
        let mut command = vec![Word::new(program)];
        command.extend(
            Some(argument.trim())
                .filter(|it| !it.is_empty())
                .map(Word::new),
        );
        command.push(Word::new(absolute(path)));
        command.extend_from_slice(rest);
        self.follow(&command, environment, directory);
    }

    fn missing(&mut self, name: &Word) {
        self.note(format!("`{}` is not in the image", name.shown()));
    }

    fn note(&mut self, reason: String) {
        if !self.unclear.contains(&reason) {
            self.unclear.push(reason);
        }
    }

    /// The file that a command's first word stands for, and its path with symlinks followed.
    fn find(
        &self,
        name: &Word,
        environment: &Variables,
        directory: &Word,
    ) -> Option<(InodeId, Vec<u8>)> {
        let text = name.known()?;
        if text.contains('/') {
            return self.at(name, directory);
        }
        let path = environment.get("PATH").cloned();
        let path = path.unwrap_or_else(|| Word::new(DEFAULT_PATH));
        for part in path.text().split(':').take(MOST_DIRECTORIES) {
            // What comes before may be of another name where a part is not known.
            let directory = Word::new(part).known()?.to_owned();
            if let Some(found) = self.at(&Word::new(format!("{directory}/{text}")), &Word::new("/"))
            {
                return Some(found);
            }
        }
        None
    }

    fn at(&self, name: &Word, directory: &Word) -> Option<(InodeId, Vec<u8>)> {
        let node = self
            .rootfs
            .follow(absolute_path(name, directory)?.as_bytes())?;
        let inode = self.rootfs.regular_file(node)?;
        Some((inode, self.rootfs.path(node)))
    }

    fn contents(&mut self, inode: InodeId) -> Program {
        if self.rootfs.inode(inode).size > MOST_SCRIPT_BYTES {
            return Program::Binary;
        }
        if self.programs.contains(&inode) {
            return Program::Binary;
        }
        let Some(bytes) = (self.text)(inode) else {
            self.unread.insert(inode);
            return Program::Unread;
        };
        self.spend(bytes.len());
        let is_text = !bytes.starts_with(b"\x7fELF") && !bytes.contains(&0);
        match is_text {
            true => Program::Script(inode, String::from_utf8_lossy(&bytes).into_owned()),
            false => {
                self.programs.insert(inode);
                Program::Binary
            }
        }
    }
}

impl Host for Reader<'_> {
    fn run(&mut self, words: &[Word], variables: Variables, directory: &Word, input: Input) {
        let before = (self.from_shell, self.input.clone());
        self.from_shell = true;
        self.input = match (input, &before.1) {
            (Input::Same, Input::Same) => Input::Same,
            // Another program may have read from it before.
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
                self.note("its scripts are too much to read".to_owned());
            }
        }
        self.budget > 0
    }

    fn sourced(&mut self, path: &Word, variables: &Variables, directory: &Word) -> Sourced {
        if path.known().is_none() {
            self.note(format!("a shell reads commands from `{}`", path.shown()));
            return Sourced::Unusable;
        }
        let Some((inode, file)) = self.find(path, variables, directory) else {
            return Sourced::Missing;
        };
        match self.contents(inode) {
            Program::Script(_, text) => {
                self.mention(&text, Some(&file), directory);
                Sourced::Text(text)
            }
            Program::Binary => {
                self.note(format!("a shell reads commands from `{}`", path.shown()));
                Sourced::Unusable
            }
            Program::Unread => Sourced::Unusable,
        }
    }
}

/// The path that a word stands for, symlinks not followed; `None` if it is not known.
fn absolute_path(word: &Word, directory: &Word) -> Option<String> {
    let word = word.known()?;
    match word.starts_with('/') {
        true => Some(word.to_owned()),
        false => Some(format!("{}/{word}", directory.known()?)),
    }
}

fn is_shell(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "rbash"
    )
}

fn absolute(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}
