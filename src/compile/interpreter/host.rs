//! An interpreter of this machine. The user names it and so trusts it: pycull runs it unconfined to ask for its files.
//! The sources to compile are not trusted, so compiling happens in the sandbox.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::InterpreterError;
use super::command::Launch;
use super::emulator::system_libraries;
use super::unpack::write_error;

/// Asks an interpreter about itself. Python 2 understands this script too.
const QUESTIONS: &str = r"
import json, os, sys
program = getattr(sys, '_base_executable', None) or sys.executable
program = os.path.realpath(program)
maps = open('/proc/self/maps').read().splitlines()
files = sorted(set(line.split(None, 5)[5] for line in maps if len(line.split(None, 5)) == 6))
print(json.dumps({
    'program': program,
    'name': getattr(getattr(sys, 'implementation', None), 'name', ''),
    'version': sys.version,
    'path': [entry for entry in sys.path if entry],
    'mapped': [file for file in files if '.so' in os.path.basename(file) and file != program],
}))
";

/// The answer to [`QUESTIONS`].
#[derive(Debug, Deserialize)]
struct Answer {
    /// Path of the program, without symlinks. For a virtual environment, the program that it was made with.
    program: PathBuf,
    /// `cpython`.
    name: String,
    /// `sys.version`.
    version: String,
    /// `sys.path` without packages.
    path: Vec<PathBuf>,
    /// Libraries mapped into its memory.
    mapped: Vec<PathBuf>,
}

/// Returns how to start an interpreter of this machine. Runs it once to ask for its files. `directory` must be empty
/// and private. The interpreter will start in a subdirectory of it.
///
/// # Errors
/// [`InterpreterError::Host`] if the program is not CPython 3.
pub fn host(python: &Path, directory: &Path) -> Result<Launch, InterpreterError> {
    let answer = ask(python)?;
    let error = |reason: String| InterpreterError::Host {
        path: python.to_owned(),
        reason,
    };
    if answer.name != "cpython" || !answer.version.starts_with("3.") {
        let version = answer.version.lines().next().unwrap_or_default();
        let name = &answer.name;
        return Err(error(format!("it is {name} {version}, not CPython 3")));
    }
    let identity = identity(&answer).map_err(|source| error(source.to_string()))?;
    let directory = fs::canonicalize(directory).map_err(write_error(directory))?;
    let empty = directory.join("empty");
    DirBuilder::new()
        .mode(0o700)
        .create(&empty)
        .map_err(write_error(&empty))?;
    let mut readable = readable(&answer);
    readable.push(directory);
    Ok(Launch {
        program: answer.program,
        arguments: Vec::new(),
        readable,
        directory: empty,
        threads: false,
        identity,
    })
}

/// Runs the interpreter once, without configuration of users or packages.
fn ask(python: &Path) -> Result<Answer, InterpreterError> {
    let error = |reason: String| InterpreterError::Host {
        path: python.to_owned(),
        reason,
    };
    let output = Command::new(python)
        .args(["-I", "-S", "-B", "-c", QUESTIONS])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| error(source.to_string()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let message = String::from_utf8_lossy(&output.stderr);
        let last = message.trim().lines().last().unwrap_or_default();
        let last: String = last.chars().take(200).collect();
        error(format!(
            "cannot query its version and paths: {last} ({})",
            output.status
        ))
    })
}

/// The paths that the interpreter must read to start.
fn readable(answer: &Answer) -> Vec<PathBuf> {
    let mut readable: BTreeSet<PathBuf> = system_libraries().collect();
    readable.insert(answer.program.clone());
    readable.extend(answer.path.iter().cloned());
    // A virtual environment may contain a copy of the program instead of a link.
    let beside = answer.program.parent();
    let configuration = [beside, beside.and_then(Path::parent)];
    readable.extend(
        configuration
            .into_iter()
            .flatten()
            .map(|it| it.join("pyvenv.cfg")),
    );
    for file in &answer.mapped {
        let directory = file.parent().unwrap_or(file);
        let name = directory.file_name().unwrap_or_default().as_bytes();
        // A directory of libraries may have other names for the same library. Any other directory may hold anything, so
        // allow only the file.
        let is_for_libraries = name.starts_with(b"lib") || name.ends_with(b".libs");
        readable.insert(if is_for_libraries { directory } else { file }.to_owned());
    }
    let absolute = readable.into_iter().filter(|path| path.is_absolute());
    absolute
        .filter_map(|path| fs::canonicalize(&path).is_ok().then_some(path))
        .collect()
}

/// SHA-256 of the program, of its `libpython` if there is one, and of its version.
fn identity(answer: &Answer) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let is_python = |file: &&PathBuf| {
        let name = file.file_name().map(OsStr::as_bytes).unwrap_or_default();
        name.starts_with(b"libpython")
    };
    let files = [&answer.program].into_iter();
    for file in files.chain(answer.mapped.iter().filter(is_python)) {
        hasher.update(Sha256::digest(fs::read(file)?));
    }
    hasher.update(answer.version.as_bytes());
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_interpreter_is_told() {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("/nowhere/python3", "No such file"),
            ("/bin/true", "cannot query"),
            ("/bin/cat", "cannot query"),
            ("/etc/passwd", "denied"),
        ] {
            let error = host(Path::new(path), directory.path())
                .unwrap_err()
                .to_string();
            assert!(error.contains(path) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn another_interpreter_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("pypy3");
        let answer = r#"{"program":"/","name":"pypy","version":"3.10.13 (x)\n[PyPy 7.3.15]","path":[],"mapped":[]}"#;
        let text = format!("#!/bin/sh\necho '{}'\n", answer.replace("\\n", "\\\\n"));
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let error = host(&script, directory.path()).unwrap_err().to_string();
        assert!(
            error.contains("it is pypy 3.10.13 (x), not CPython 3"),
            "{error}"
        );
    }
}
