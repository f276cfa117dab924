//! Follows a command through wrappers, shells and scripts in the image to the Python that it starts.

use std::collections::BTreeSet;

use super::harmless::is_harmless;
use super::mentions::{MOST_PATHS, mentioned};
use super::python::{self, Options, is_python};
use super::shell::{Host, Input};
use super::variables::Variables;
use super::word::{MOST_WORDS, Word};
use super::wrapped::Wrapped;
use super::wrappers::wrapped;
use super::{MOST_SCRIPT_BYTES, Start, Text};
use crate::path;
use crate::rootfs::{InodeId, Rootfs};

/// Maximum number of programs that run one another in a chain, and of programs in total.
const MOST_DEEP: usize = 16;
const MOST: usize = 2000;

/// Maximum number of bytes of scripts, words and variables to process for one image. Scripts that are not made to
/// keep pycull busy take a hundredth.
const BUDGET: usize = 16 << 20;

/// Maximum number of directories in a `PATH`.
const MOST_DIRECTORIES: usize = 100;

/// Where engines search for programs if the config has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Reader<'a> {
    rootfs: &'a Rootfs,
    text: Text<'a>,
    pub(super) starts: Vec<Start>,
    pub(super) unclear: Vec<String>,
    pub(super) unread: BTreeSet<InodeId>,
    /// Paths of files in Python's arguments, and paths of bytecode that scripts mention.
    pub(super) named: BTreeSet<String>,
    /// Programs that are known not to be scripts.
    programs: BTreeSet<InodeId>,
    /// The scripts that are being read, with their arguments. A script that runs itself again adds nothing.
    pub(super) open: Vec<(InodeId, Vec<Word>)>,
    depth: usize,
    runs: usize,
    /// The remaining part of [`BUDGET`].
    pub(super) budget: usize,
    /// Whether a shell starts the program. Such a script needs no `#!`.
    pub(super) from_shell: bool,
    /// The standard input of the program. The engine's own input does not matter.
    pub(super) input: Input,
}

/// The call of a program.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The words after the program's name.
    pub(super) arguments: &'a [Word],
    pub(super) environment: &'a Variables,
    /// The directory in which it starts.
    pub(super) directory: &'a Word,
}

/// A file in the image.
pub(super) struct Found {
    inode: InodeId,
    /// The path after following symlinks.
    path: Vec<u8>,
}

/// A script in the image.
pub(super) struct Script {
    pub(super) inode: InodeId,
    pub(super) path: Vec<u8>,
    pub(super) text: String,
}

/// The kind of a program.
pub(super) enum Program {
    /// The file was not read yet.
    Unread,
    Binary,
    Script(Script),
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

    /// Follows the command that an engine starts, and the commands that it leads to.
    pub(super) fn follow(&mut self, words: &[Word], environment: &Variables, directory: &Word) {
        self.runs += 1;
        if !self.spend(words.iter().map(Word::size).sum()) {
            return;
        }
        if words.len() > MOST_WORDS {
            return self.note("it runs a program with too many arguments".to_owned());
        }
        if self.depth >= MOST_DEEP || self.runs > MOST {
            return self.note("its programs start each other too many times".to_owned());
        }
        self.depth += 1;
        self.program(words, environment, directory);
        self.depth -= 1;
    }

    fn program(&mut self, words: &[Word], environment: &Variables, directory: &Word) {
        let Some((first, arguments)) = words.split_first() else {
            return;
        };
        let Some(name) = first.file_name() else {
            return self.note(format!(
                "the name of a program (`{}`) is known only when the container runs",
                first.shown()
            ));
        };
        let call = Call {
            arguments,
            environment,
            directory,
        };
        if let Some(wrapped) = wrapped(name, arguments, environment) {
            return self.wrapper(wrapped, directory);
        }
        if is_python(name) {
            return self.python(first, call);
        }
        if is_shell(name) {
            return self.shell(call);
        }
        if is_harmless(first.text(), arguments) {
            return self.harmless(first, call);
        }
        self.file(first, call);
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

    fn python(&mut self, name: &Word, call: Call<'_>) {
        let mut program = None;
        if let Some(found) = self.find(name, call.environment, call.directory) {
            program = Some(found.path.clone());
            if let Program::Script(script) = self.contents(found) {
                return self.script(&script, call);
            }
        }
        for word in call.arguments {
            self.name(word, call.directory);
        }
        match python::options(call.arguments, call.environment) {
            Options::Level(level) => self.starts.push(Start { program, level }),
            Options::Exits => {}
            Options::Unclear(reason) => self.note(reason),
        }
    }

    /// Records an argument of Python that is a file in the image. It is a script to run, or a cache.
    fn name(&mut self, word: &Word, directory: &Word) {
        if let Some(path) = absolute_path(word, directory)
            && self.rootfs.file_at(path.as_bytes()).is_some()
        {
            self.named.insert(path);
        }
    }

    /// Records the bytecode that a script mentions. It may be in the script's own directory.
    pub(super) fn mention(&mut self, text: &str, script: Option<&[u8]>, directory: &Word) {
        let own = script.map(|script| absolute(path::parent(script)));
        let directories = [directory.known(), own.as_deref()];
        let directories: Vec<&str> = directories.into_iter().flatten().collect();
        let room = MOST_PATHS.saturating_sub(self.named.len());
        let paths = mentioned(text, &directories).into_iter();
        self.named.extend(paths.take(room));
    }

    /// Follows a program in the image. It is a script, or a binary that pycull cannot read.
    fn file(&mut self, name: &Word, call: Call<'_>) {
        let Some(found) = self.find(name, call.environment, call.directory) else {
            return self.missing(name);
        };
        match self.contents(found) {
            Program::Unread => {}
            Program::Binary => self.note(format!(
                "`{}` may start Python, and the image does not show with which options",
                name.shown()
            )),
            Program::Script(script) => self.script(&script, call),
        }
    }

    /// Follows a program with a harmless name. It starts nothing unless it is a script or Python.
    fn harmless(&mut self, name: &Word, call: Call<'_>) {
        let usual = || self.find(name, &Variables::default(), call.directory);
        let found = self.find(name, call.environment, call.directory);
        let Some(found) = found.or_else(usual) else {
            return;
        };
        let real = Word::new(absolute(&found.path));
        if real.file_name().is_some_and(is_python) {
            return self.note(format!("`{}` is Python under another name", name.shown()));
        }
        // In some distributions, some of these are scripts in other languages.
        if let Program::Script(script) = self.contents(found)
            && script.text.contains("python")
        {
            self.script(&script, call);
        }
    }

    /// Follows a script. The kernel passes it to the program after `#!` with at most one argument.
    fn script(&mut self, script: &Script, call: Call<'_>) {
        self.mention(&script.text, Some(&script.path), call.directory);
        let path = absolute(&script.path);
        let Some(line) = script.text.strip_prefix("#!") else {
            return match self.from_shell {
                true => self.shell_script(script, call),
                false => self.note(format!("`{path}` does not begin with `#!`")),
            };
        };
        let line = line.lines().next().unwrap_or_default().trim();
        let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let is_python_word = |word: &Word| word.file_name().is_some_and(is_python);
        if line.contains("python") && call.arguments.iter().any(is_python_word) {
            return self.note(format!(
                "`{path}` gets Python as an argument and may start it"
            ));
        }
        let mut command = vec![Word::new(program)];
        command.extend(
            Some(argument.trim())
                .filter(|it| !it.is_empty())
                .map(Word::new),
        );
        command.push(Word::new(path));
        command.extend_from_slice(call.arguments);
        self.follow(&command, call.environment, call.directory);
    }

    pub(super) fn missing(&mut self, name: &Word) {
        self.note(format!("`{}` is not in the image", name.shown()));
    }

    pub(super) fn note(&mut self, reason: String) {
        if !self.unclear.contains(&reason) {
            self.unclear.push(reason);
        }
    }

    /// Finds the file of a command's first word, and its path after following symlinks.
    pub(super) fn find(
        &self,
        name: &Word,
        environment: &Variables,
        directory: &Word,
    ) -> Option<Found> {
        let text = name.known()?;
        if text.contains('/') {
            return self.at(name, directory);
        }
        let path = environment.get("PATH").cloned();
        let path = path.unwrap_or_else(|| Word::new(DEFAULT_PATH));
        for part in path.text().split(':').take(MOST_DIRECTORIES) {
            // If a part of `PATH` is unknown, it may have another program of this name.
            let directory = Word::new(part).known()?.to_owned();
            if let Some(found) = self.at(&Word::new(format!("{directory}/{text}")), &Word::new("/"))
            {
                return Some(found);
            }
        }
        None
    }

    pub(super) fn at(&self, name: &Word, directory: &Word) -> Option<Found> {
        let path = absolute_path(name, directory)?;
        let node = self.rootfs.follow(path.as_bytes())?;
        Some(Found {
            inode: self.rootfs.regular_file(node)?,
            path: self.rootfs.path(node),
        })
    }

    pub(super) fn contents(&mut self, Found { inode, path }: Found) -> Program {
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
        if !is_text {
            self.programs.insert(inode);
            return Program::Binary;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Program::Script(Script { inode, path, text })
    }
}

/// The absolute path of a word, without following symlinks; `None` if it is unknown.
fn absolute_path(word: &Word, directory: &Word) -> Option<String> {
    let word = word.known()?;
    match word.starts_with('/') {
        true => Some(word.to_owned()),
        false => Some(format!("{}/{word}", directory.known()?)),
    }
}

pub(super) fn absolute(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// Whether a program with this name is a shell.
fn is_shell(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "rbash"
    )
}
