//! Finds where an image may have the interpreter of a standard library, by file names only. The file's content, and its
//! own answer, must then prove that it is an interpreter of the right version.

use super::InterpreterError;
use crate::path;
use crate::pyc::Runtime;
use crate::rootfs::{InodeId, NodeId, Rootfs};

/// Directories under a prefix that may contain the standard library. The interpreter may use another of these names
/// (`sys.platlibdir`) than the image: one may be a symlink to another.
pub(super) const LIBRARY_DIRECTORIES: [&str; 3] = ["lib", "lib64", "lib32"];

/// A file that may be the interpreter of a standard library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its path after following symlinks, without a leading slash.
    pub path: Vec<u8>,
    /// The inode of the file.
    pub inode: InodeId,
    pub(super) node: NodeId,
}

/// The place of a standard library, as its interpreter looks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardLibrary {
    /// The Python version of the library.
    pub version: Runtime,
    /// Path of its directory, without a leading slash.
    pub path: Vec<u8>,
    /// The last part of the path: `python3.11`, or `python3.13t` for a free-threaded build.
    pub(super) name: String,
    /// The part of the path before `lib/python3.11`.
    pub(super) prefix: Vec<u8>,
}

impl StandardLibrary {
    /// Splits the path of a standard library into its parts.
    ///
    /// # Errors
    /// [`InterpreterError::Place`] if the path does not end in `lib/pythonX.Y` with this version. CPython for Linux
    /// does not look anywhere else.
    pub fn at(version: Runtime, path: &[u8]) -> Result<Self, InterpreterError> {
        let directory = path::clean(path);
        let plain = format!("python{version}");
        let parent = path::parent(&directory);
        let name = [format!("{plain}t"), plain.clone()]
            .into_iter()
            .find(|name| path::file_name(&directory) == name.as_bytes());
        let is_library = LIBRARY_DIRECTORIES
            .iter()
            .any(|name| path::file_name(parent) == name.as_bytes());
        match name {
            Some(name) if is_library => Ok(Self {
                version,
                prefix: path::parent(parent).to_vec(),
                name,
                path: directory,
            }),
            _ => Err(InterpreterError::Place {
                path: String::from_utf8_lossy(&directory).into_owned(),
                version,
            }),
        }
    }
}

/// Returns the files that may be the interpreter of a standard library, each once, most likely first. Whether a file is
/// a program is only known after reading it.
pub fn candidates(rootfs: &Rootfs, library: &StandardLibrary) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for place in places(library) {
        let Some(node) = rootfs.follow(&place) else {
            continue;
        };
        let Some(inode) = rootfs.regular_file(node) else {
            continue;
        };
        if found.iter().all(|candidate| candidate.inode != inode) {
            found.push(Candidate {
                path: rootfs.path(node),
                inode,
                node,
            });
        }
    }
    found
}

fn places(library: &StandardLibrary) -> Vec<Vec<u8>> {
    let StandardLibrary {
        version,
        name,
        prefix,
        ..
    } = library;
    let inside = |directory: &[u8], rest: &str| path::join(directory, rest.as_bytes());
    let plain = format!("python{version}");
    let mut places = vec![
        inside(prefix, &format!("bin/{name}")),
        inside(prefix, &format!("bin/{plain}")),
        // Python 3.6 and 3.7 add this suffix for pymalloc.
        inside(prefix, &format!("bin/{plain}m")),
    ];
    for prefix in [b"usr".as_slice(), b"usr/local"] {
        places.push(inside(prefix, &format!("bin/{name}")));
    }
    // RHEL 8 and its derivatives.
    for prefix in [prefix.as_slice(), b"usr"] {
        for name in [&format!("platform-{plain}"), "platform-python"] {
            places.push(inside(prefix, &format!("libexec/{name}")));
        }
    }
    for prefix in [prefix.as_slice(), b"usr/local", b"usr"] {
        for name in ["python3", "python"] {
            places.push(inside(prefix, &format!("bin/{name}")));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::samples::{file, merged, symlink};
    use super::*;

    fn library(path: &str, minor: u8) -> StandardLibrary {
        StandardLibrary::at(Runtime::cpython(3, minor), path.as_bytes()).unwrap()
    }

    fn found(members: Vec<crate::tar::Member>, path: &str, minor: u8) -> Vec<String> {
        let rootfs = merged(&members);
        candidates(&rootfs, &library(path, minor))
            .into_iter()
            .map(|candidate| String::from_utf8(candidate.path).unwrap())
            .collect()
    }

    #[test]
    fn the_interpreter_lies_beside_its_library() {
        let members = vec![
            file("usr/bin/python3.13"),
            file("usr/local/bin/python3.13"),
            symlink("usr/local/bin/python3", "python3.13"),
            symlink("usr/bin/python3", "/etc/alternatives/python3"),
            symlink("etc/alternatives/python3", "/usr/bin/python3.12"),
            file("usr/bin/python3.12"),
        ];
        assert_eq!(
            found(members, "usr/local/lib/python3.13", 13),
            [
                "usr/local/bin/python3.13",
                "usr/bin/python3.13",
                "usr/bin/python3.12"
            ]
        );
    }

    #[test]
    fn symlinked_directories_are_followed() {
        let members = vec![
            symlink("bin", "usr/bin"),
            symlink("opt/x/bin", "../y/programs"),
            file("opt/y/programs/python3.12t"),
            file("usr/bin/python3"),
        ];
        assert_eq!(
            found(members, "opt/x/lib/python3.12t", 12),
            ["opt/y/programs/python3.12t", "usr/bin/python3"]
        );
    }

    #[test]
    fn the_platform_python_of_rhel_is_found() {
        let members = vec![
            file("usr/libexec/platform-python3.6"),
            symlink("usr/libexec/platform-python", "./platform-python3.6"),
            symlink("usr/bin/python3", "nowhere"),
        ];
        assert_eq!(
            found(members, "/usr/lib64/python3.6/", 6),
            ["usr/libexec/platform-python3.6"]
        );
    }

    #[test]
    fn directories_and_circles_are_no_candidates() {
        let members = vec![
            file("usr/bin/python3.9/x"),
            symlink("usr/bin/python3", "python3"),
        ];
        assert_eq!(found(members, "usr/lib/python3.9", 9), [""; 0]);
    }

    #[test]
    fn a_library_lies_where_its_interpreter_looks() {
        for (path, prefix, name) in [
            ("usr/lib64/python3.9", "usr", "python3.9"),
            ("lib/python3.9", "", "python3.9"),
            ("opt/x/lib/python3.9t", "opt/x", "python3.9t"),
        ] {
            let library = library(path, 9);
            assert_eq!(
                (&*library.prefix, &*library.name),
                (prefix.as_bytes(), name)
            );
        }
        for path in [
            "",
            "python3.9",
            "usr/lib/python3",
            "usr/lib/python3.10",
            "usr/share/python3.9",
            "usr/lib/python3.9d",
        ] {
            let error = StandardLibrary::at(Runtime::cpython(3, 9), path.as_bytes());
            let text = error.unwrap_err().to_string();
            assert!(text.contains("lib/python3.9"), "{text}");
        }
    }
}
