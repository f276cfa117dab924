//! How an interpreter is started.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use crate::compile::sandbox::{self, Confinement, Limits, Sandbox};

/// How an interpreter is started, and what it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program: the interpreter, its loader, or an emulator.
    pub program: PathBuf,
    /// Arguments before the interpreter's own.
    pub arguments: Vec<OsString>,
    /// Trees and files that it needs to read.
    pub readable: Vec<PathBuf>,
    /// An empty directory beneath one of them, to start in.
    pub directory: PathBuf,
    /// Whether it must start threads, as emulators do.
    pub threads: bool,
    /// SHA-256 of what decides what it compiles to.
    pub identity: [u8; 32],
}

impl Launch {
    /// A command that runs a script in the sandbox, without any configuration of users or packages. With
    /// `debug_ranges` off, code objects of 3.11 and later know lines and no columns.
    ///
    /// Python's hash seed is fixed: in some versions it decides the order of constants. What else the
    /// caller adds to the environment, the script sees.
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

    /// What the interpreter needs so that it starts, and no more.
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

    /// A command that runs the interpreter in the sandbox, with the arguments that the caller adds.
    pub fn confined(&self, sandbox: Sandbox<'_>, confinement: Confinement) -> Command {
        let mut command = sandbox::command(sandbox, &confinement, &self.program);
        command.args(&self.arguments);
        command.env("PYTHONHASHSEED", "0");
        command
    }
}
