//! How to start an interpreter.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use crate::compile::sandbox::{self, Confinement, Limits, Sandbox};

/// How to start an interpreter, and what it may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program to execute: the interpreter, its loader, or an emulator.
    pub program: PathBuf,
    /// Arguments before the interpreter's own.
    pub arguments: Vec<OsString>,
    /// Directories and files that it must be able to read.
    pub readable: Vec<PathBuf>,
    /// An empty directory inside one of these, to start in.
    pub directory: PathBuf,
    /// Whether it must be able to start threads, as emulators do.
    pub threads: bool,
    /// SHA-256 of everything that affects its results.
    pub identity: [u8; 32],
}

impl Launch {
    /// Makes a command that runs a script in the sandbox, without configuration of users or packages. Without
    /// `debug_ranges`, code objects of Python 3.11 and later have line numbers but no columns.
    ///
    /// Python's hash seed is fixed, because it decides the order of constants in some versions. The script sees all
    /// variables that the caller adds to the environment.
    pub fn command(
        &self,
        sandbox: Sandbox<'_>,
        limits: Limits,
        debug_ranges: bool,
        script: &str,
    ) -> Command {
        let mut command = self.confined(sandbox, self.confinement(limits));
        command.args(["-S", "-s", "-B"]);
        if !debug_ranges {
            command.args(["-X", "no_debug_ranges"]);
        }
        command.args([OsStr::new("-c"), OsStr::new(script)]);
        command
    }

    /// The least that the interpreter needs to start.
    pub fn confinement(&self, limits: Limits) -> Confinement {
        Confinement {
            readable: self.readable.clone(),
            directory: self.directory.clone(),
            limits,
            threads: self.threads,
            timed: false,
            forgiving: false,
        }
    }

    /// Makes a command that runs the interpreter in the sandbox. The caller adds arguments.
    pub fn confined(&self, sandbox: Sandbox<'_>, confinement: Confinement) -> Command {
        let mut command = sandbox::command(sandbox, &confinement, &self.program);
        command.args(&self.arguments);
        command.env("PYTHONHASHSEED", "0");
        command
    }
}
