//! The interpreters of an image: found, unpacked and started, or in their place those of this machine.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::cache::CompileCache;
use super::interpreter::{
    Candidate, Closure, Emulator, Extension, ImageFiles, InterpreterError, Launch, StandardLibrary,
    candidates, host,
};
use super::process::ProcessFailure;
use super::sandbox::{self, Limits, Mode, Sandbox};
use super::service::{Memory, SCRIPT, Service};
use super::worker::TimeLimits;
use crate::inventory::{Inventory, TreeKind};
use crate::layers::{LayerError, read_members};
use crate::limits::TimeLimit;
use crate::oci::BlobStore;
use crate::path;
use crate::pyc::{Magic, Runtime};
use crate::rootfs::MemberId;
use crate::scratch::Scratch;

/// Why there is no interpreter for a version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoInterpreter {
    /// The image has no standard library of that version, or none with an executable.
    #[error("the image has no interpreter of Python {version}")]
    Missing {
        /// The version.
        version: Runtime,
    },
    /// It cannot be taken out of the image, or used.
    #[error(transparent)]
    Unusable(#[from] InterpreterError),
    /// It does not start.
    #[error("the interpreter {path} does not start: {failure}")]
    Start {
        /// Its path.
        path: String,
        /// How it failed.
        failure: ProcessFailure,
    },
    /// It is another than it should be.
    #[error(
        "the interpreter {path} is Python {found} with magic number {} and cache tag `{found_tag}`, not Python {version} as released",
        found_magic.0
    )]
    Other {
        /// Its path.
        path: String,
        /// Its version.
        found: Runtime,
        /// Its magic number.
        found_magic: Magic,
        /// What its caches are named by.
        found_tag: String,
        /// The version that is wanted.
        version: Runtime,
    },
    /// Nothing confines it.
    #[error(
        "this machine has neither Landlock nor seccomp nor namespaces to confine the interpreter with"
    )]
    Undefended,
    /// pycull itself cannot be run to confine it.
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
    /// There is no directory to unpack it to.
    #[error("cannot make a temporary directory to unpack the interpreter to")]
    Directory(#[source] std::io::Error),
}

impl NoInterpreter {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable(error) => error.hint(),
            Self::Missing { version } | Self::Other { version, .. } => Some(format!(
                "name one of this machine with `--python`, for example `--python /usr/bin/python{version}`"
            )),
            Self::Undefended => Some(
                "run pycull where the kernel or the container engine allows one of them, or trust the image with `--sandbox off`"
                    .to_owned(),
            ),
            Self::Directory(_) => Some("set TMPDIR to a directory that can be written to".to_owned()),
            Self::Start { .. } => Some(
                "programs must be able to run from TMPDIR (no noexec); or name an interpreter with `--python`"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether it is a property of the image, and not of the machine at this moment.
    pub fn is_about_image(&self) -> bool {
        self.is_about_candidate() || matches!(self, Self::Missing { .. })
    }

    /// Whether another candidate may do where this one does not.
    fn is_about_candidate(&self) -> bool {
        match self {
            Self::Unusable(error) => error.is_about_candidate(),
            Self::Start { .. } | Self::Other { .. } => true,
            _ => false,
        }
    }
}

/// Where interpreters come from, and how they are run.
#[derive(Debug, Clone)]
pub struct InterpreterOptions<'a> {
    /// pycull's own binary, which confines the interpreter.
    pub helper: PathBuf,
    /// Whether the interpreter must be confined.
    pub sandbox: Mode,
    /// An interpreter of this machine, to be used in place of the image's.
    pub python: Option<PathBuf>,
    /// A command that runs programs of the image's architecture: an absolute path, and its arguments.
    pub emulator: Vec<OsString>,
    /// What was compiled before.
    pub cache: Option<&'a CompileCache>,
}

/// The interpreters of an image.
pub struct Interpreters<'a> {
    /// The image's blobs.
    pub store: &'a dyn BlobStore,
    /// What is in it.
    pub inventory: &'a Inventory,
    /// Where interpreters come from.
    pub options: &'a InterpreterOptions<'a>,
    /// Whether code objects know columns.
    pub debug_ranges: bool,
    /// How long it may be at work.
    pub time: TimeLimit,
    /// The index of the only standard library whose interpreter will do.
    pub library: Option<usize>,
    /// Extension modules that it is to be able to import, beyond those that it starts with.
    pub extensions: &'a [Extension],
}

/// Which interpreter is used, and how it is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its version.
    pub version: Runtime,
    /// Its path, in the image or on this machine.
    pub path: String,
    /// Whether it is the image's own.
    pub from_image: bool,
    /// Whether it could read what this user can read.
    pub sees_files: bool,
    /// The layers of defence around it.
    pub sandbox: String,
}

impl Interpreter {
    /// The warning that it is not kept from this machine's files, if it is not.
    pub fn warning(&self) -> Option<String> {
        self.sees_files.then(|| {
            format!(
                "nothing kept {} from reading what this user can read: neither Landlock nor namespaces, or the sandbox was off",
                self.path
            )
        })
    }
}

/// An interpreter that runs. What was unpacked of it goes with it.
pub struct Running<'a> {
    /// Which one.
    pub interpreter: Interpreter,
    /// Its workers.
    pub service: Service<'a>,
    /// What was unpacked; none of an interpreter of this machine.
    pub closure: Option<Closure>,
    /// Where it was unpacked to. It goes last.
    _directory: Scratch,
}

impl<'a> Interpreters<'a> {
    /// Starts the first interpreter of a version that does start and is the one that is meant.
    ///
    /// # Errors
    /// [`NoInterpreter`]: why the first of them cannot be used.
    pub fn start(&self, version: Runtime) -> Result<Running<'a>, NoInterpreter> {
        let defences = sandbox::probe(&self.options.helper)?;
        if self.options.sandbox == Mode::Required && !defences.any() {
            return Err(NoInterpreter::Undefended);
        }
        let interpreter = |path: String, from_image| Interpreter {
            version,
            path,
            from_image,
            sees_files: self.options.sandbox == Mode::Off || !defences.hide_files(),
            sandbox: match self.options.sandbox {
                Mode::Required => defences.to_string(),
                Mode::Off => "nothing: the sandbox is off".to_owned(),
            },
        };
        if let Some(python) = &self.options.python {
            let directory = temporary_directory()?;
            let launch = host(python, directory.path())?;
            let interpreter = interpreter(python.display().to_string(), false);
            let service = self.service(&interpreter, launch)?;
            return Ok(Running {
                interpreter,
                service,
                closure: None,
                _directory: directory,
            });
        }
        self.start_own(version, &interpreter)
    }

    /// Starts the first of the image's own.
    fn start_own(
        &self,
        version: Runtime,
        interpreter: &dyn Fn(String, bool) -> Interpreter,
    ) -> Result<Running<'a>, NoInterpreter> {
        let mut read = |members: &BTreeSet<MemberId>| self.read(members);
        let layers = self.inventory.layers.iter().map(|scan| &*scan.members);
        let mut files = ImageFiles::new(&self.inventory.rootfs, layers, &mut read)
            .with_library_path(self.inventory.launch.library_path.as_deref());
        let emulator = match &*self.options.emulator {
            [] => None,
            command => Some(Emulator::new(command)?),
        };
        let mut first_failure = None;
        for (library, candidate) in self.candidates(version)? {
            let may_be_foreign = emulator.is_some();
            let mut start = || {
                let extensions = self.extensions;
                let closure =
                    Closure::of(&mut files, &library, &candidate, extensions, may_be_foreign)?;
                let directory = temporary_directory()?;
                let launch = closure.unpack(directory.path(), emulator.as_ref())?;
                let interpreter = interpreter(path::text(&candidate.path), true);
                let service = self.service(&interpreter, launch)?;
                Ok(Running {
                    interpreter,
                    service,
                    closure: Some(closure),
                    _directory: directory,
                })
            };
            match start() {
                Err(failure) if NoInterpreter::is_about_candidate(&failure) => {
                    first_failure.get_or_insert(failure);
                }
                result => return result,
            }
        }
        Err(first_failure.unwrap_or(NoInterpreter::Missing { version }))
    }

    /// The files that may be the interpreter, the likeliest first.
    fn candidates(
        &self,
        version: Runtime,
    ) -> Result<Vec<(StandardLibrary, Candidate)>, NoInterpreter> {
        let trees = self.inventory.trees.iter().enumerate();
        let libraries = trees.filter(|(index, tree)| {
            let is_of_version = tree.kind == TreeKind::Stdlib && tree.version == Some(version);
            is_of_version && self.library.is_none_or(|library| library == *index)
        });
        let mut found = Vec::new();
        for (_, tree) in libraries {
            let library = StandardLibrary::at(version, &tree.path)?;
            let candidates = candidates(&self.inventory.rootfs, &library);
            found.extend(candidates.into_iter().map(|it| (library.clone(), it)));
        }
        Ok(found)
    }

    fn read(&self, members: &BTreeSet<MemberId>) -> Result<HashMap<MemberId, Vec<u8>>, LayerError> {
        let mut data = HashMap::new();
        let layers = &self.inventory.layers;
        read_members(self.store, layers, members, &mut |id, bytes| {
            data.insert(id, bytes);
            ControlFlow::Continue(())
        })?;
        Ok(data)
    }

    /// The workers of an interpreter, if it is the one that is meant.
    fn service(
        &self,
        interpreter: &Interpreter,
        launch: Launch,
    ) -> Result<Service<'a>, NoInterpreter> {
        let cache = self.options.cache;
        let sandbox = Sandbox {
            helper: &self.options.helper,
            mode: self.options.sandbox,
        };
        let debug_ranges = self.debug_ranges;
        let memory = cache.map(|cache| Memory::new(cache, &launch.identity, debug_ranges));
        let command = move || launch.command(sandbox, Limits::default(), debug_ranges, SCRIPT);
        let path = || interpreter.path.clone();
        let service = Service::start(Box::new(command), TimeLimits::of(self.time), memory);
        let service = service.map_err(|failure| NoInterpreter::Start {
            path: path(),
            failure,
        })?;
        let (ready, version) = (service.ready(), interpreter.version);
        let expected = Magic::final_for(version);
        let is_tagged = ready.cache_tag == version.cache_tag().as_bytes();
        if ready.version != version || Some(ready.magic) != expected || !is_tagged {
            return Err(NoInterpreter::Other {
                path: path(),
                found: ready.version,
                found_magic: ready.magic,
                found_tag: String::from_utf8_lossy(&ready.cache_tag).into_owned(),
                version,
            });
        }
        Ok(service)
    }
}

/// A directory of this process.
///
/// # Errors
/// [`NoInterpreter::Directory`].
pub fn temporary_directory() -> Result<Scratch, NoInterpreter> {
    Scratch::new().map_err(NoInterpreter::Directory)
}
