//! The files of a standard library that an interpreter opens when it starts with `-S -s -B -c` and compiles sources of
//! any encoding. Found with strace on CPython 3.6 to 3.14.

use super::InterpreterError;
use super::find::StandardLibrary;
use super::search::entries;
use crate::path;
use crate::rootfs::{InodeId, Rootfs};

/// The file by which an interpreter recognizes its library (Modules/getpath.c and getpath.py). It is never read.
const LANDMARK: &str = "os";

/// Modules that some version imports at start, unless they are frozen. Python 3.6 has all of them as files. Python 3.13
/// and later keep the source of `-c` in `linecache`. (The encoding `idna` would also need `re` and its imports, but no
/// source is written in it.)
const MODULES: [&str; 12] = [
    "_bootlocale",
    "_collections_abc",
    "_py_abc",
    "_weakrefset",
    "abc",
    "codecs",
    "genericpath",
    "io",
    "linecache",
    "ntpath",
    "posixpath",
    "stat",
];

/// Extension modules: East Asian encodings, and the names of characters, which `\N{…}` and non-ASCII identifiers need.
/// If they are built into the interpreter, there are no files.
const EXTENSIONS: [&str; 3] = ["_codecs_", "_multibytecodec.", "unicodedata."];

/// A file of the standard library to unpack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartFile {
    /// Its path relative to the standard library.
    pub(super) path: Vec<u8>,
    pub(super) inode: InodeId,
    /// Whether it is an extension module, which may need libraries.
    pub(super) is_extension: bool,
}

/// The files of a standard library that its interpreter needs, sorted by path.
pub(super) fn start_files(
    rootfs: &Rootfs,
    library: &StandardLibrary,
) -> Result<Vec<StartFile>, InterpreterError> {
    let incomplete = |name| InterpreterError::Incomplete {
        path: String::from_utf8_lossy(&library.path).into_owned(),
        name,
    };
    let mut files = vec![module(rootfs, library, LANDMARK).ok_or(incomplete("os.py"))?];
    files.extend(
        MODULES
            .iter()
            .filter_map(|name| module(rootfs, library, name)),
    );
    let encodings: Vec<StartFile> = encodings(rootfs, library).collect();
    let begins = |file: &StartFile| file.path.starts_with(b"encodings/__init__.");
    if !encodings.iter().any(begins) {
        return Err(incomplete("encodings/__init__.py"));
    }
    files.extend(encodings);
    let directory = path::join(&library.path, b"lib-dynload");
    let extensions = entries(rootfs, &directory).filter(|(name, _)| {
        let is_wanted = |start: &str| name.starts_with(start.as_bytes());
        EXTENSIONS.iter().any(|start| is_wanted(start)) && name.ends_with(b".so")
    });
    files.extend(extensions.filter_map(|(name, _)| {
        Some(StartFile {
            is_extension: true,
            ..start_file(rootfs, library, path::join(b"lib-dynload", name))?
        })
    }));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The module's source. If the standard library has no sources, its bytecode.
fn module(rootfs: &Rootfs, library: &StandardLibrary, name: &str) -> Option<StartFile> {
    ["py", "pyc"]
        .into_iter()
        .find_map(|suffix| start_file(rootfs, library, format!("{name}.{suffix}").into_bytes()))
}

/// All encodings, because a source may use any of them. Leaves out caches, which may contain anything.
fn encodings<'a>(
    rootfs: &'a Rootfs,
    library: &'a StandardLibrary,
) -> impl Iterator<Item = StartFile> + 'a {
    let directory = path::join(&library.path, b"encodings");
    let has_source = |name: &[u8]| {
        let source = &name[..name.len() - 1];
        rootfs.file_at(&path::join(&directory, source)).is_some()
    };
    let names: Vec<Vec<u8>> = entries(rootfs, &directory)
        .map(|(name, _)| name)
        .filter(|name| name.ends_with(b".py") || (name.ends_with(b".pyc") && !has_source(name)))
        .map(|name| path::join(b"encodings", name))
        .collect();
    names
        .into_iter()
        .filter_map(|name| start_file(rootfs, library, name))
}

fn start_file(rootfs: &Rootfs, library: &StandardLibrary, path: Vec<u8>) -> Option<StartFile> {
    let inode = rootfs.file_at(&path::join(&library.path, &path))?;
    Some(StartFile {
        path,
        inode,
        is_extension: false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{file, merged, symlink};
    use super::*;
    use crate::pyc::Runtime;
    use crate::tar::Member;

    fn found(members: &[Member]) -> Result<Vec<String>, InterpreterError> {
        let library = StandardLibrary::at(Runtime::cpython(3, 9), b"usr/lib64/python3.9").unwrap();
        let files = start_files(&merged(members), &library)?;
        Ok(files
            .into_iter()
            .map(|file| {
                let mark = if file.is_extension {
                    " (extension)"
                } else {
                    ""
                };
                format!("{}{mark}", String::from_utf8(file.path).unwrap())
            })
            .collect())
    }

    fn library(paths: &[&str]) -> Vec<Member> {
        paths
            .iter()
            .map(|path| file(&format!("usr/lib64/python3.9/{path}")))
            .collect()
    }

    #[test]
    fn what_starts_an_interpreter_is_found_and_no_more() {
        let mut members = library(&[
            "os.py",
            "os.pyc",
            "codecs.py",
            "re.py",
            "encodings/__init__.py",
            "encodings/__init__.pyc",
            "encodings/cp1252.py",
            "encodings/__pycache__/cp1252.cpython-39.pyc",
            "encodings/readme.txt",
            "lib-dynload/_codecs_jp.cpython-39-x86_64-linux-gnu.so",
            "lib-dynload/unicodedata.so",
            "lib-dynload/_ssl.so",
        ]);
        members.push(symlink("usr/lib64/python3.9/abc.py", "/opt/abc.py"));
        members.push(file("opt/abc.py"));
        assert_eq!(
            found(&members).unwrap(),
            [
                "abc.py",
                "codecs.py",
                "encodings/__init__.py",
                "encodings/cp1252.py",
                "lib-dynload/_codecs_jp.cpython-39-x86_64-linux-gnu.so (extension)",
                "lib-dynload/unicodedata.so (extension)",
                "os.py",
            ]
        );
    }

    #[test]
    fn a_library_without_sources_is_taken_as_bytecode() {
        let members = library(&[
            "os.pyc",
            "abc.pyc",
            "encodings/__init__.pyc",
            "encodings/utf_8.pyc",
        ]);
        assert_eq!(
            found(&members).unwrap(),
            [
                "abc.pyc",
                "encodings/__init__.pyc",
                "encodings/utf_8.pyc",
                "os.pyc"
            ]
        );
    }

    #[test]
    fn a_library_without_its_landmarks_is_an_error() {
        let only_caches = library(&["__pycache__/os.cpython-39.pyc"]);
        for (members, name) in [
            (vec![], "os.py"),
            (only_caches, "os.py"),
            (
                library(&["os.py", "encodings/x.py"]),
                "encodings/__init__.py",
            ),
        ] {
            let error = found(&members).unwrap_err().to_string();
            assert!(error.contains(&format!("no `{name}`")), "{error}");
        }
    }
}
