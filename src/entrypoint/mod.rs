//! Finds what an image runs: the Python that its entrypoint, command and health check start, and the level.
//!
//! This reads the config's words, the shell language and the scripts in the image, and runs nothing. The caller reads
//! the files: [`Reading::unread`] lists the files that [`read`] needs, and the caller calls it again with them.

mod harmless;
mod mentions;
mod program;
mod python;
mod shell;
mod shell_start;
mod switch_user;
mod variables;
mod word;
mod wrapped;
mod wrappers;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pyc::Level;
use crate::rootfs::{InodeId, Rootfs};
use program::Reader;
use variables::Variables;
use word::Word;

/// Largest entry script in bytes. Larger files are programs.
pub const MOST_SCRIPT_BYTES: u64 = 64 << 10;

/// Returns the bytes of a file, or `None` if it was not read yet.
pub type Text<'a> = &'a dyn Fn(InodeId) -> Option<Vec<u8>>;

/// A start of CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The interpreter's path in the image after following symlinks, if it exists.
    pub program: Option<Vec<u8>>,
    /// The optimization level.
    pub level: u32,
}

/// What an image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// All ways in which the image may start Python, without duplicates.
    pub starts: Vec<Start>,
    /// Reasons why the image does not show everything that it runs.
    pub unclear: Vec<String>,
    /// The level from the environment, for Python that somebody starts by hand.
    environment_level: u32,
    /// Where the loader searches for libraries first: `LD_LIBRARY_PATH` in the environment.
    pub library_path: Option<String>,
    /// The directory of Python's caches instead of `__pycache__`: `PYTHONPYCACHEPREFIX` in the environment.
    pub pycache_prefix: Option<String>,
    /// Paths of files in Python's arguments, without following symlinks, and paths that bytecode in the image's
    /// scripts may have, with shell wildcards.
    pub named: BTreeSet<String>,
    /// Files to read before the result is valid.
    pub unread: BTreeSet<InodeId>,
}

impl Reading {
    /// The level at which the image runs Python. If it does not start Python, the level from its environment.
    ///
    /// # Errors
    /// The reason why the image does not show the level.
    pub fn level(&self) -> Result<u32, String> {
        if let Some(reason) = self.unclear.first() {
            return Err(reason.clone());
        }
        let levels: BTreeSet<u32> = self.starts.iter().map(|start| start.level).collect();
        match levels.iter().copied().collect::<Vec<_>>()[..] {
            [] => Ok(self.environment_level),
            [level] => Ok(level),
            _ => {
                let texts: Vec<String> = levels.iter().map(u32::to_string).collect();
                Err(format!(
                    "it starts Python at more than one level: {}",
                    texts.join(" and ")
                ))
            }
        }
    }

    /// The interpreters that the image starts and contains.
    pub fn programs(&self) -> Vec<&[u8]> {
        let programs = self.starts.iter().map(|start| start.program.as_deref());
        programs.flatten().collect()
    }

    /// The level at which the image runs Python, or the level from its environment if the image does not show one.
    /// `None` above 2.
    pub fn assumed_level(&self) -> Option<Level> {
        let number = self.level().unwrap_or(self.environment_level);
        u8::try_from(number).ok().and_then(Level::from_number)
    }
}

/// Finds what a config runs.
pub fn read(config: &Value, rootfs: &Rootfs, text: Text<'_>) -> Reading {
    let mut environment = Variables::default();
    for (name, value) in environment_of(config) {
        environment.assign_exported(name, Word::new(value));
    }
    let directory = config.pointer("/config/WorkingDir").and_then(Value::as_str);
    let directory = Word::new(directory.filter(|it| !it.is_empty()).unwrap_or("/"));
    let mut reader = Reader::new(rootfs, text);
    let command = [
        list(config, "/config/Entrypoint"),
        list(config, "/config/Cmd"),
    ];
    reader.follow(&command.concat(), &environment, &directory);
    let mut health = Reader::new(rootfs, text);
    health.follow(&health_check(config), &environment, &directory);
    let mut starts = reader.starts;
    // The reasons of a health check do not count: most health checks are small programs of another kind.
    starts.extend(health.starts);
    let mut each: Vec<Start> = Vec::new();
    for start in starts {
        if !each.contains(&start) {
            each.push(start);
        }
    }
    Reading {
        starts: each,
        unclear: reader.unclear,
        environment_level: python::environment_level(&environment).unwrap_or(0),
        library_path: variable(config, "LD_LIBRARY_PATH").filter(|it| !it.is_empty()),
        pycache_prefix: variable(config, "PYTHONPYCACHEPREFIX").filter(|it| !it.is_empty()),
        named: &reader.named | &health.named,
        unread: &reader.unread | &health.unread,
    }
}

/// The value of a variable in the config's environment. If there are several values, the last one.
pub fn variable(config: &Value, name: &str) -> Option<String> {
    let values = environment_of(config).filter(|(key, _)| *key == name);
    values.last().map(|(_, value)| value.to_owned())
}

fn environment_of(config: &Value) -> impl Iterator<Item = (&str, &str)> {
    let variables = config.pointer("/config/Env").and_then(Value::as_array);
    let variables = variables.into_iter().flatten().filter_map(Value::as_str);
    variables.filter_map(|variable| variable.split_once('='))
}

fn list(config: &Value, pointer: &str) -> Vec<Word> {
    let list = config.pointer(pointer).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(Word::new).collect()
}

fn health_check(config: &Value) -> Vec<Word> {
    let test = list(config, "/config/Healthcheck/Test");
    match test.split_first() {
        Some((kind, rest)) if kind.text() == "CMD" => rest.to_vec(),
        Some((kind, rest)) if kind.text() == "CMD-SHELL" => {
            [word::words(&["/bin/sh", "-c"]), rest.to_vec()].concat()
        }
        _ => Vec::new(),
    }
}
