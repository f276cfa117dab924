//! Programs of this machine that run programs for another machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::InterpreterError;
use super::elf::{self, Architecture};

/// Where programs of this machine have their libraries, and the loader has its cache.
const SYSTEM: [&str; 7] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/etc/ld.so.cache",
];

/// A program of this machine that runs programs for another machine, such as `qemu-aarch64-static`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) readable: Vec<PathBuf>,
    pub(super) sha256: [u8; 32],
}

impl Emulator {
    /// Makes an emulator from its command line: an absolute path, and arguments to put before the path of the program.
    ///
    /// # Errors
    /// [`InterpreterError::Emulator`] if it is not a program for this machine.
    pub fn new(command: &[OsString]) -> Result<Self, InterpreterError> {
        let (path, arguments) = command.split_first().map_or_else(
            || (Path::new(""), &[][..]),
            |(path, arguments)| (Path::new(path), arguments),
        );
        let error = |reason: String| InterpreterError::Emulator {
            path: path.to_owned(),
            reason,
        };
        if !path.is_absolute() {
            return Err(error("its path is not absolute".to_owned()));
        }
        let io_error = |source: std::io::Error| error(source.to_string());
        let program = fs::canonicalize(path).map_err(io_error)?;
        if !program.is_file() {
            return Err(error("it is not a regular file".to_owned()));
        }
        let bytes = fs::read(&program).map_err(io_error)?;
        if !elf::is_elf(&bytes) {
            return Err(error(
                "it is not an ELF program (it may be a script)".to_owned(),
            ));
        }
        let needs = elf::parse(&bytes).map_err(&error)?;
        if needs.architecture != Architecture::host() {
            let architecture = needs.architecture;
            return Err(error(format!("it is itself a program for {architecture}")));
        }
        let mut readable = vec![program.clone()];
        if needs.loader.is_some() {
            readable.extend(system_libraries());
        }
        Ok(Self {
            program,
            arguments: arguments.to_vec(),
            readable,
            sha256: Sha256::digest(&bytes).into(),
        })
    }
}

/// The existing paths that programs of this machine read to start.
pub(super) fn system_libraries() -> impl Iterator<Item = PathBuf> {
    let paths = SYSTEM.into_iter().map(PathBuf::from);
    paths.filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulator(path: &Path) -> Result<Emulator, InterpreterError> {
        Emulator::new(&[path.into(), "-strace".into()])
    }

    #[test]
    fn a_program_of_this_machine_may_be_one() {
        let path = std::env::current_exe().unwrap();
        let found = emulator(&path).unwrap();
        assert_eq!(found.arguments, ["-strace"]);
        assert!(found.readable.contains(&found.program));
    }

    #[test]
    fn what_cannot_be_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        for (path, text) in [
            (Path::new("qemu-aarch64-static"), "not absolute"),
            (Path::new("/nowhere/qemu"), "No such file"),
            (&script, "a script"),
            (Path::new("/"), "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
        ] {
            let error = emulator(path).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(Emulator::new(&[]).is_err());
    }
}
