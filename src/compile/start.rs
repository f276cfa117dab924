//! Finds, unpacks and starts the interpreters of an image, or uses one of this machine instead.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::compile_cache::CompileCache;
use super::interpreter::{
    Candidate, Closure, Emulator, Extension, ImageFiles, InterpreterError, Launch, StandardLibrary,
    candidates, host,
};
use super::process::ProcessFailure;
use super::sandbox::{self, Limits, Mode, Sandbox};
use super::service::{Memory, SCRIPT, Service};
use super::worker::TimeLimits;
use crate::inventory::{Inventory, TreeId, TreeKind};
use crate::layers::{LayerError, read_members};
use crate::limits::TimeLimit;
use crate::oci::BlobStore;
use crate::path;
use crate::pyc::{Magic, Runtime};
use crate::rootfs::MemberId;
use crate::scratch::{Scratch, TemporaryError};

/// Why there is no interpreter for a version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoInterpreter {
    /// The image has no standard library of this version, or no executable for it.
    #[error("the image has no interpreter for Python {version}")]
    Missing {
        /// The wanted version.
        version: Runtime,
    },
    /// The interpreter cannot be unpacked or used.
    #[error(transparent)]
    Unusable(#[from] InterpreterError),
    /// The interpreter does not start.
    #[error("the interpreter `{path}` does not start: {failure}")]
    Start {
        /// The path of the interpreter.
        path: String,
        /// How it failed.
        failure: ProcessFailure,
    },
    /// The interpreter is not the wanted one.
    #[error(
        "the interpreter `{path}` is Python {found} with magic number {} and cache tag `{found_tag}`, not a released Python {version}",
        found_magic.0
    )]
    Other {
        /// The path of the interpreter.
        path: String,
        /// The version that it reports.
        found: Runtime,
        /// The magic number that it reports.
        found_magic: Magic,
        /// The cache tag that it reports.
        found_tag: String,
        /// The wanted version.
        version: Runtime,
    },
    /// This machine allows no sandbox layer to confine the interpreter.
    #[error(
        "cannot confine the interpreter: this machine offers neither Landlock nor seccomp nor namespaces"
    )]
    Undefended,
    /// pycull cannot run itself to confine the interpreter.
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
    /// The temporary directory for the interpreter could not be created.
    #[error("cannot create a temporary directory for the interpreter")]
    Directory(#[from] TemporaryError),
}

impl NoInterpreter {
    /// What the user can do about the error, if pycull knows.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable(error) => error.hint(),
            Self::Missing { version } | Self::Other { version, .. } => Some(format!(
                "use an interpreter on this machine, for example `--python /usr/bin/python{version}`"
            )),
            Self::Undefended => Some(
                "run pycull on a machine whose kernel and container engine allow one of them, or trust the image with `--sandbox off`"
                    .to_owned(),
            ),
            Self::Directory(error) => Some(error.hint()),
            Self::Start { .. } => Some(
                "set TMPDIR to a directory where programs can run (not mounted noexec), or use an interpreter on this machine with `--python`"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the image causes the error, and not the current state of the machine.
    pub fn is_about_image(&self) -> bool {
        self.is_about_candidate() || matches!(self, Self::Missing { .. })
    }

    /// Whether another candidate may work.
    fn is_about_candidate(&self) -> bool {
        match self {
            Self::Unusable(error) => error.is_about_candidate(),
            Self::Start { .. } | Self::Other { .. } => true,
            _ => false,
        }
    }
}

/// How to find and run interpreters.
#[derive(Debug, Clone)]
pub struct InterpreterOptions<'a> {
    /// The path of pycull's own binary, which confines the interpreter.
    pub helper: PathBuf,
    /// Whether the interpreter must be confined.
    pub sandbox: Mode,
    /// An interpreter of this machine to use instead of the image's own.
    pub python: Option<PathBuf>,
    /// A command that runs programs of the image's architecture: an absolute path, and its arguments. Empty without an
    /// emulator.
    pub emulator: Vec<OsString>,
    /// The compile cache, if there is one.
    pub cache: Option<&'a CompileCache>,
}

/// Starts the interpreters of an image.
pub struct Interpreters<'a> {
    /// The store with the image's blobs.
    pub store: &'a dyn BlobStore,
    /// The content of the image.
    pub inventory: &'a Inventory,
    /// How to find and run interpreters.
    pub options: &'a InterpreterOptions<'a>,
    /// Whether code objects have column numbers.
    pub debug_ranges: bool,
    /// How long the interpreter may run.
    pub time: TimeLimit,
    /// The tree of the only standard library to use; `None` for any.
    pub library: Option<TreeId>,
    /// Extension modules that the interpreter must be able to import, in addition to those that it needs to start.
    pub extensions: &'a [Extension],
}

/// The interpreter that is used, and how it is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The version of the interpreter.
    pub version: Runtime,
    /// The path of the interpreter, in the image or on this machine.
    pub path: String,
    /// Whether the interpreter comes from the image.
    pub from_image: bool,
    /// Whether the interpreter can read the user's files.
    pub sees_files: bool,
    /// Description of the sandbox layers around the interpreter.
    pub sandbox: String,
}

impl Interpreter {
    /// A warning if the interpreter can read this machine's files.
    pub fn warning(&self) -> Option<String> {
        self.sees_files.then(|| {
            format!(
                "{} could read every file that this user can read: the sandbox was off, or this machine offers neither Landlock nor namespaces",
                self.path
            )
        })
    }
}

/// A running interpreter. Dropping it removes the unpacked files.
pub struct Running<'a> {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The workers of the interpreter.
    pub service: Service<'a>,
    /// The unpacked files; `None` for an interpreter of this machine.
    pub closure: Option<Closure>,
    /// The directory of the unpacked files. It is the last field, so that it is dropped after the processes that use
    /// it.
    _directory: Scratch,
}

impl<'a> Interpreters<'a> {
    /// Starts the first working interpreter of a version.
    ///
    /// # Errors
    /// [`NoInterpreter`]. If there are several candidates, this is why the first cannot be used.
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

    /// Starts the first working interpreter of the image.
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

    /// The files that may be the interpreter, the most likely first.
    fn candidates(
        &self,
        version: Runtime,
    ) -> Result<Vec<(StandardLibrary, Candidate)>, NoInterpreter> {
        let trees = self.inventory.numbered_trees();
        let libraries = trees.filter(|(id, tree)| {
            let is_of_version = tree.kind == TreeKind::Stdlib && tree.version == Some(version);
            is_of_version && self.library.is_none_or(|library| library == *id)
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
        let _: ControlFlow<Infallible> =
            read_members(self.store, layers, members, &mut |id, bytes| {
                data.insert(id, bytes);
                ControlFlow::Continue(())
            })?;
        Ok(data)
    }

    /// Starts the workers of an interpreter, and checks that it is the wanted one.
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

/// Creates a temporary directory that is removed at the end.
///
/// # Errors
/// [`NoInterpreter::Directory`] if it cannot be created.
pub fn temporary_directory() -> Result<Scratch, NoInterpreter> {
    Ok(Scratch::new()?)
}
