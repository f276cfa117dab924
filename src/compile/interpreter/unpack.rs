//! Writes a closure to a private directory:
//!
//! ```text
//! loader                    the image's, which maps what follows
//! root/bin/python           the program
//! root/lib/libc.so.6 …      libraries, by the names that the loader asks for
//! root/lib/python3.11/…     the first files of the standard library
//! root/lib64, root/lib32    links to `lib`, because only the interpreter knows which name it uses
//! empty/                    the working directory
//! ```
//!
//! The original paths of the files do not matter. The interpreter finds its library by going up from its own path, or
//! since 3.14 from that of `libpython` (Modules/getpath.py). The directory has no files that would mislead it, such as
//! `pyvenv.cfg`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::InterpreterError;
use super::closure::Closure;
use super::command::Launch;
use super::elf::Architecture;
use super::emulator::Emulator;
use super::search::Loader;

const PROGRAM: &str = "root/bin/python";
const LIBRARIES: &str = "root/lib";
const LOADER: &str = "loader";
const EMPTY: &str = "empty";

/// Maximum length of a file name on Linux, in bytes (NAME_MAX).
const LONGEST_NAME: usize = 255;

impl Closure {
    /// Writes the closure to an empty directory that only this user can write to. Returns how to start it. If the
    /// closure is for another machine, that is through the emulator. All files are readable by this user only.
    ///
    /// # Errors
    /// * [`InterpreterError::File`] if a name is not a valid file name.
    /// * [`InterpreterError::Write`] if a file cannot be written.
    /// * [`InterpreterError::Foreign`] if the closure is for another machine and there is no emulator.
    /// * [`InterpreterError::Directory`] if the loader cannot handle the name of the directory.
    pub fn unpack(
        &self,
        directory: &Path,
        emulator: Option<&Emulator>,
    ) -> Result<Launch, InterpreterError> {
        let directory = fs::canonicalize(directory).map_err(write_error(directory))?;
        if directory
            .as_os_str()
            .as_bytes()
            .iter()
            .any(|byte| b":;$\n".contains(byte))
        {
            return Err(InterpreterError::Directory { path: directory });
        }
        let emulator = self.emulator(emulator)?;
        let files = self.files()?;
        self.write(&directory, &files)?;
        Ok(self.launch(&directory, &files, emulator))
    }

    /// The emulator to use, if one is needed.
    fn emulator<'a>(
        &self,
        emulator: Option<&'a Emulator>,
    ) -> Result<Option<&'a Emulator>, InterpreterError> {
        let host = Architecture::host();
        match emulator {
            _ if self.architecture == host => Ok(None),
            Some(emulator) => Ok(Some(emulator)),
            None => Err(InterpreterError::Foreign {
                path: String::from_utf8_lossy(&self.path).into_owned(),
                architecture: self.architecture,
                host,
            }),
        }
    }

    /// The files to write, by path relative to the directory.
    fn files(&self) -> Result<Files<'_>, InterpreterError> {
        let mut files = Files::new();
        files.insert(PROGRAM.into(), (&self.program, true));
        if let Some((_, loader)) = &self.loader {
            files.insert(LOADER.into(), (loader, true));
        }
        for (name, data) in &self.libraries {
            files.insert(Path::new(LIBRARIES).join(checked(name)?), (data, false));
        }
        let library = Path::new(LIBRARIES).join(&self.library_name);
        for (path, data) in &self.library_files {
            let mut place = library.clone();
            for name in path.split(|byte| *byte == b'/') {
                place.push(checked(name)?);
            }
            files.insert(place, (data, false));
        }
        Ok(files)
    }

    fn write(&self, directory: &Path, files: &Files<'_>) -> Result<(), InterpreterError> {
        let library = Path::new(LIBRARIES).join(&self.library_name);
        let mut directories: BTreeSet<PathBuf> = [EMPTY.into(), library.join("lib-dynload")].into();
        directories.extend(
            files
                .keys()
                .filter_map(|path| path.parent())
                .map(Path::to_owned),
        );
        let all: BTreeSet<&Path> = directories
            .iter()
            .flat_map(|path| path.ancestors())
            .collect();
        // In sorted order, a directory comes before its content.
        for path in all.into_iter().filter(|path| !path.as_os_str().is_empty()) {
            let path = directory.join(path);
            DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .map_err(write_error(&path))?;
        }
        for name in ["lib64", "lib32"] {
            let path = directory.join("root").join(name);
            symlink("lib", &path).map_err(write_error(&path))?;
        }
        write_files(directory, files)
    }

    fn launch(&self, directory: &Path, files: &Files<'_>, emulator: Option<&Emulator>) -> Launch {
        let mut command: Vec<OsString> = Vec::new();
        let mut readable = vec![directory.to_owned()];
        if let Some(emulator) = emulator {
            command.push(emulator.program.clone().into());
            command.extend_from_slice(&emulator.arguments);
            readable.extend_from_slice(&emulator.readable);
        }
        if let Some((kind, _)) = &self.loader {
            command.push(directory.join(LOADER).into());
            command.push("--library-path".into());
            command.push(directory.join(LIBRARIES).into());
            command.extend(self.without_rpath(kind, directory));
        }
        command.push(directory.join(PROGRAM).into());
        let program = command.remove(0).into();
        Launch {
            program,
            arguments: command,
            readable,
            directory: directory.join(EMPTY),
            threads: emulator.is_some(),
            identity: identity(files, emulator),
        }
    }

    /// Arguments that make glibc's loader ignore DT_RPATH.
    ///
    /// It would search DT_RPATH before `--library-path`, and these directories are now those of this machine. The
    /// loader matches files by the path from which it opened them, and the program by an empty path.
    fn without_rpath(&self, loader: &Loader, directory: &Path) -> Vec<OsString> {
        let is_needed = self.program_has_rpath || !self.with_rpath.is_empty();
        if *loader != Loader::Glibc || !is_needed {
            return Vec::new();
        }
        let program = directory.join(PROGRAM);
        let mut list = [b":", program.as_os_str().as_bytes()].concat();
        for name in &self.with_rpath {
            let path = directory.join(LIBRARIES).join(OsStr::from_bytes(name));
            list.push(b':');
            list.extend_from_slice(path.as_os_str().as_bytes());
        }
        vec!["--inhibit-rpath".into(), OsString::from_vec(list)]
    }
}

/// The data of each file and whether it is a program, by path.
type Files<'a> = BTreeMap<PathBuf, (&'a [u8], bool)>;

/// Hashes every path with its content, and the emulator with its arguments. Each part follows its length.
fn identity(files: &Files<'_>, emulator: Option<&Emulator>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    for (path, (data, _)) in files {
        add(path.as_os_str().as_bytes());
        add(data);
    }
    if let Some(emulator) = emulator {
        add(&emulator.sha256);
        for argument in &emulator.arguments {
            add(argument.as_bytes());
        }
    }
    hasher.finalize().into()
}

/// Checks that a name from the image is a valid name of a single file.
fn checked(name: &[u8]) -> Result<&OsStr, InterpreterError> {
    let is_fit = !matches!(name, b"" | b"." | b"..")
        && name.len() <= LONGEST_NAME
        && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    if is_fit {
        return Ok(OsStr::from_bytes(name));
    }
    Err(InterpreterError::File {
        path: String::from_utf8_lossy(name).into_owned(),
        reason: "its name is not a valid file name".to_owned(),
    })
}

/// Writes the files. Two names of one file become hardlinks, so that the loader maps it once.
fn write_files(directory: &Path, files: &Files<'_>) -> Result<(), InterpreterError> {
    let mut written: HashMap<*const u8, PathBuf> = HashMap::new();
    for (path, (data, is_program)) in files {
        let path = directory.join(path);
        let same = written.get(&data.as_ptr()).filter(|_| !data.is_empty());
        let result = match same {
            Some(same) => fs::hard_link(same, &path),
            None => write_file(&path, data, *is_program),
        };
        result.map_err(write_error(&path))?;
        written.entry(data.as_ptr()).or_insert(path);
    }
    Ok(())
}

fn write_file(path: &Path, data: &[u8], is_program: bool) -> io::Result<()> {
    let mode = if is_program { 0o700 } else { 0o600 };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(data)
}

pub(super) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> InterpreterError {
    let path = path.to_owned();
    move |source| InterpreterError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn closure() -> Closure {
        Closure {
            architecture: Architecture::host(),
            path: b"usr/bin/python3.9".to_vec(),
            program: b"program".as_slice().into(),
            loader: Some((Loader::Glibc, b"loader".as_slice().into())),
            libraries: [(b"libc.so.6".to_vec(), b"libc".as_slice().into())].into(),
            with_rpath: BTreeSet::new(),
            program_has_rpath: false,
            library_name: "python3.9".to_owned(),
            library_files: [(b"os.py".to_vec(), b"os".as_slice().into())].into(),
        }
    }

    fn unpacked(closure: &Closure) -> (tempfile::TempDir, Result<Launch, InterpreterError>) {
        let directory = tempfile::tempdir().unwrap();
        let launch = closure.unpack(directory.path(), None);
        (directory, launch)
    }

    #[test]
    fn all_is_written_for_this_user_alone() {
        let (directory, launch) = unpacked(&closure());
        let launch = launch.unwrap();
        let place = |path: &str| directory.path().canonicalize().unwrap().join(path);
        let mode = |path: &str| fs::metadata(place(path)).unwrap().permissions().mode() & 0o7777;
        for path in [
            "root",
            "root/lib64",
            "root/lib/python3.9/lib-dynload",
            "empty",
        ] {
            assert_eq!(mode(path), 0o700, "{path}");
        }
        for (path, expected, text) in [
            ("loader", 0o700, "loader"),
            ("root/bin/python", 0o700, "program"),
            ("root/lib32/libc.so.6", 0o600, "libc"),
            ("root/lib/python3.9/os.py", 0o600, "os"),
        ] {
            assert_eq!(mode(path), expected, "{path}");
            assert_eq!(fs::read_to_string(place(path)).unwrap(), text);
        }
        assert_eq!(launch.program, place("loader"));
        let arguments = [
            OsString::from("--library-path"),
            place("root/lib").into(),
            place("root/bin/python").into(),
        ];
        assert_eq!(launch.arguments, arguments);
        assert_eq!(launch.readable, [place("")]);
        assert_eq!(launch.directory, place("empty"));
        // Existing files are not overwritten.
        let again = closure().unpack(directory.path(), None).unwrap_err();
        assert!(matches!(again, InterpreterError::Write { .. }), "{again}");
    }

    #[test]
    fn the_identity_is_that_of_paths_and_contents() {
        let identity = |closure: &Closure| unpacked(closure).1.unwrap().identity;
        let first = identity(&closure());
        assert_eq!(identity(&closure()), first);
        let mut other = closure();
        other.program = b"Program".as_slice().into();
        assert_ne!(identity(&other), first);
        let mut other = closure();
        other.library_files = [(b"so.py".to_vec(), b"os".as_slice().into())].into();
        assert_ne!(identity(&other), first);
        // The path in the image does not matter.
        let mut other = closure();
        other.path = b"opt/bin/python3".to_vec();
        assert_eq!(identity(&other), first);
    }

    #[test]
    fn names_that_lead_elsewhere_are_errors() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            let mut bad = closure();
            bad.libraries = [(name.to_vec(), b"".as_slice().into())].into();
            let (directory, launch) = unpacked(&bad);
            assert!(launch.unwrap_err().to_string().contains("its name"));
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
        let mut bad = closure();
        bad.library_files = [(b"encodings/../../x".to_vec(), b"".as_slice().into())].into();
        assert!(unpacked(&bad).1.is_err());
        // A library that has the name of the standard library.
        let mut bad = closure();
        bad.libraries = [(b"python3.9".to_vec(), b"".as_slice().into())].into();
        assert!(matches!(
            unpacked(&bad).1,
            Err(InterpreterError::Write { .. })
        ));
    }

    #[test]
    fn a_library_with_two_names_is_one_file() {
        use std::os::unix::fs::MetadataExt;
        let mut two = closure();
        let data = two.libraries[&b"libc.so.6"[..]].clone();
        two.libraries.insert(b"libc.so".to_vec(), data);
        let (directory, launch) = unpacked(&two);
        launch.unwrap();
        let inode = |name| {
            fs::metadata(directory.path().join(LIBRARIES).join(name))
                .unwrap()
                .ino()
        };
        assert_eq!(inode("libc.so"), inode("libc.so.6"));
    }

    #[test]
    fn a_static_program_is_run_by_itself() {
        let mut fixed = closure();
        fixed.loader = None;
        let (directory, launch) = unpacked(&fixed);
        let launch = launch.unwrap();
        assert_eq!(
            launch.program,
            directory.path().canonicalize().unwrap().join(PROGRAM)
        );
        assert_eq!(launch.arguments, [""; 0]);
    }

    #[test]
    fn directories_of_this_machine_are_not_searched_first() {
        let mut with = closure();
        with.program_has_rpath = true;
        with.with_rpath.insert(b"libc.so.6".to_vec());
        let (directory, launch) = unpacked(&with);
        let place = directory.path().canonicalize().unwrap();
        let launch = launch.unwrap();
        let place = place.display();
        assert_eq!(launch.arguments[2], "--inhibit-rpath");
        let expected = format!(":{place}/root/bin/python:{place}/root/lib/libc.so.6");
        assert_eq!(launch.arguments[3], *expected);
    }

    #[test]
    fn a_program_for_another_machine_needs_an_emulator() {
        let mut foreign = closure();
        foreign.architecture.machine ^= 1;
        let error = unpacked(&foreign).1.unwrap_err();
        assert!(matches!(error, InterpreterError::Foreign { .. }));
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("--python") && hint.contains("--emulator"),
            "{hint}"
        );
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let emulator = Emulator::new(&[program.into_os_string(), "-cpu".into()]).unwrap();
        let launch = foreign.unpack(directory.path(), Some(&emulator)).unwrap();
        assert_eq!(launch.program, emulator.program);
        assert_eq!(launch.arguments[0], "-cpu");
        assert!(launch.arguments[1].as_bytes().ends_with(b"/loader"));
        assert!(launch.threads);
        assert!(launch.readable.contains(&emulator.program));
    }

    #[test]
    fn directories_that_no_loader_understands_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a:b");
        fs::create_dir(&odd).unwrap();
        let error = closure().unpack(&odd, None).unwrap_err();
        assert!(error.hint().unwrap().contains("TMPDIR"), "{error}");
    }
}
