//! Everything that a candidate needs to start: its loader, its libraries, and the first files of its standard library.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::elf::{self, Architecture, Needs};
use super::error::{InterpreterError, text};
use super::find::{Candidate, StandardLibrary};
use super::image_files::ImageFiles;
use super::libraries::{Extension, Object, Role, Walk};
use super::search::{self, Loader, entries};
use super::start_files::{StartFile, start_files};
use crate::path;
use crate::rootfs::{InodeId, Rootfs};

/// Number of rounds of reading. A chain of libraries that only reveal each other one by one needs as many rounds.
const MOST_ROUNDS: usize = 40;

/// Prefixes of the names of libraries that interpreters usually need, to read in the first round.
const LIKELY_LIBRARIES: [&str; 14] = [
    "libc.so",
    "libcrypt.so",
    "libdl.so",
    "libexpat.so",
    "libffi.so",
    "libgcc_s.so",
    "libintl.so",
    "libm.so",
    "libpthread.so",
    "libpython3",
    "librt.so",
    "libtinfo.so",
    "libutil.so",
    "libz.so",
];
/// Prefixes of the names of loaders.
const LIKELY_LOADERS: [&str; 4] = ["ld-linux", "ld-musl-", "ld.so", "ld64.so"];

/// The parts that an interpreter needs.
struct Parts<'a> {
    start: &'a [StartFile],
    loader: Option<(Loader, InodeId)>,
    /// The program comes first.
    objects: Vec<Object>,
}

/// An interpreter and everything that it needs to start, in memory.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The architecture that it is for.
    pub architecture: Architecture,
    /// The interpreter's path in the image, without a leading slash.
    pub path: Vec<u8>,
    pub(super) program: Arc<[u8]>,
    /// The loader. None if the program is static.
    pub(super) loader: Option<(Loader, Arc<[u8]>)>,
    /// Libraries by the name that the loader asks for.
    pub(super) libraries: BTreeMap<Vec<u8>, Arc<[u8]>>,
    /// Names of libraries with a DT_RPATH, which the loader would search first. The flag is for the program.
    pub(super) with_rpath: BTreeSet<Vec<u8>>,
    pub(super) program_has_rpath: bool,
    /// Name of the standard library's directory: `python3.11`.
    pub(super) library_name: String,
    /// Files by their path in the standard library.
    pub(super) library_files: BTreeMap<Vec<u8>, Arc<[u8]>>,
}

impl Closure {
    /// Finds what a candidate needs to start. Also finds the libraries for `extensions`. These are further extension
    /// modules that are not in the closure themselves.
    ///
    /// Reads files in rounds: first what most interpreters need, then what is still missing. A program for another
    /// machine is an error unless `may_be_foreign`, which means that there is an emulator.
    ///
    /// # Errors
    /// [`InterpreterError`]. [`is_about_candidate`](InterpreterError::is_about_candidate) tells whether to try the next
    /// candidate.
    pub fn of(
        files: &mut ImageFiles<'_>,
        library: &StandardLibrary,
        candidate: &Candidate,
        extensions: &[Extension],
        may_be_foreign: bool,
    ) -> Result<Self, InterpreterError> {
        let start = start_files(files.rootfs, library)?;
        let mut guesses = likely_files(files.rootfs, library);
        guesses.extend(extensions.iter().map(|extension| extension.inode));
        let extensions = &[extensions_to_start(library, &start), extensions.to_vec()].concat();
        let needed = start.iter().map(|file| file.inode);
        files.read(needed.chain([candidate.inode]), guesses)?;
        let program = held(files, candidate.inode);
        let needs = program_needs(candidate, &program, may_be_foreign)?;
        let loader = loader(files.rootfs, candidate, &needs)?;
        let mut parsed = HashMap::new();
        // The reader may refuse optional files, so ask for each only once.
        let mut asked_for = BTreeSet::new();
        for _ in 0..MOST_ROUNDS {
            let mut walk = Walk::new(files, &mut parsed, loader.as_ref().map(|it| &it.0));
            walk.run(candidate, &needs, extensions)?;
            let (mut unread, mut optional) = (walk.unread, walk.unread_optional);
            let objects = walk.objects;
            unread.extend(loader.as_ref().map(|it| it.1));
            unread.retain(|inode| files.get(*inode).is_none());
            optional.retain(|inode| asked_for.insert(*inode));
            if unread.is_empty() && optional.is_empty() {
                let parts = Parts {
                    start: &start,
                    loader,
                    objects,
                };
                return Ok(Self::collect(files, library, candidate, parts));
            }
            files.read(unread, optional)?;
        }
        Err(InterpreterError::TooMuch {
            path: text(&candidate.path),
            limit: format!("{MOST_ROUNDS} libraries in one chain of dependencies"),
        })
    }

    fn collect(
        files: &ImageFiles<'_>,
        library: &StandardLibrary,
        candidate: &Candidate,
        parts: Parts<'_>,
    ) -> Self {
        let Parts {
            start,
            loader,
            objects,
        } = parts;
        let mut closure = Self {
            architecture: objects[0].needs.architecture,
            path: candidate.path.clone(),
            program: held(files, candidate.inode),
            loader: loader.map(|(kind, inode)| (kind, held(files, inode))),
            libraries: BTreeMap::new(),
            with_rpath: BTreeSet::new(),
            program_has_rpath: objects[0].rpath().is_some(),
            library_name: library.name.clone(),
            library_files: BTreeMap::new(),
        };
        for object in objects {
            if let Role::Library(name) = &object.role {
                if object.rpath().is_some() {
                    closure.with_rpath.insert(name.clone());
                }
                closure
                    .libraries
                    .insert(name.clone(), held(files, object.inode));
            }
        }
        for file in start {
            closure
                .library_files
                .insert(file.path.clone(), held(files, file.inode));
        }
        closure
    }
}

fn extensions_to_start(library: &StandardLibrary, start: &[StartFile]) -> Vec<Extension> {
    let extensions = start.iter().filter(|file| file.is_extension);
    extensions
        .map(|file| Extension {
            path: path::join(&library.path, &file.path),
            inode: file.inode,
        })
        .collect()
}

/// A file that was read. After a round, all requested files are in memory.
fn held(files: &ImageFiles<'_>, inode: InodeId) -> Arc<[u8]> {
    files.get(inode).cloned().unwrap_or_default()
}

fn program_needs(
    candidate: &Candidate,
    program: &[u8],
    may_be_foreign: bool,
) -> Result<Needs, InterpreterError> {
    let path = text(&candidate.path);
    if !elf::is_elf(program) {
        return Err(InterpreterError::NoProgram { path });
    }
    let needs = elf::parse(program).map_err(|reason| InterpreterError::Elf {
        path: path.clone(),
        reason,
    })?;
    let host = Architecture::host();
    if needs.architecture != host && !may_be_foreign {
        return Err(InterpreterError::Foreign {
            path,
            architecture: needs.architecture,
            host,
        });
    }
    Ok(needs)
}

fn loader(
    rootfs: &Rootfs,
    candidate: &Candidate,
    needs: &Needs,
) -> Result<Option<(Loader, InodeId)>, InterpreterError> {
    let Some(path) = &needs.loader else {
        return Ok(None);
    };
    let inode = rootfs
        .file_at(path)
        .ok_or_else(|| InterpreterError::Loader {
            path: text(&candidate.path),
            loader: text(path),
        })?;
    Ok(Some((Loader::of(path), inode)))
}

/// Files that most interpreters need, for any architecture.
fn likely_files(rootfs: &Rootfs, library: &StandardLibrary) -> Vec<InodeId> {
    let mut directories = search::default_directories(rootfs);
    directories.push(b"usr/local/lib".to_vec());
    directories.push(path::join(&library.prefix, b"lib"));
    directories.push(path::join(&library.prefix, b"lib64"));
    let mut found = search::likely_configuration(rootfs);
    for directory in directories {
        let names = entries(rootfs, &directory)
            .map(|(name, _)| name)
            .filter(|name| {
                let begins = |start: &str| name.starts_with(start.as_bytes());
                LIKELY_LIBRARIES
                    .iter()
                    .chain(&LIKELY_LOADERS)
                    .any(|start| begins(start))
            });
        found.extend(names.filter_map(|name| rootfs.file_at(&path::join(&directory, name))));
    }
    found
}
