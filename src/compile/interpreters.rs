//! The interpreters of an image: found, unpacked and started, or in their place those of this machine.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::summary::path_text;
use crate::compile::cache::CompileCache;
use crate::compile::interpreter::{
    Candidate, Closure, Emulator, Extension, ImageFiles, InterpreterError, Launch, StandardLibrary,
    candidates, host,
};
use crate::compile::sandbox::{self, Limits, Mode};
use crate::compile::{Memory, ProcessFailure, SCRIPT, Service, TimeLimits};
use crate::inventory::{Inventory, TreeKind};
use crate::limits::TimeLimit;
use crate::member_data::read_members;
use crate::oci::BlobStore;
use crate::pipeline::PipelineError;
use crate::pyc::{CpythonVersion, Magic};
use crate::report::model::InterpreterRow;
use crate::rootfs::MemberId;
use crate::scan::LayerError;
use crate::scratch::Scratch;

/// Why there is no interpreter for a version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoInterpreter {
    /// The image has no standard library of that version, or none with an executable.
    #[error("the image has no interpreter of Python {version}")]
    Missing {
        /// The version.
        version: CpythonVersion,
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
        found: CpythonVersion,
        /// Its magic number.
        found_magic: Magic,
        /// What its caches are named by.
        found_tag: String,
        /// The version that is wanted.
        version: CpythonVersion,
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
    pub(super) fn is_about_image(&self) -> bool {
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
pub(super) struct Interpreters<'a> {
    pub(super) store: &'a dyn BlobStore,
    pub(super) inventory: &'a Inventory,
    pub(super) options: &'a InterpreterOptions<'a>,
    pub(super) debug_ranges: bool,
    /// How long it may be at work.
    pub(super) time: TimeLimit,
    /// The index of the only standard library whose interpreter will do.
    pub(super) library: Option<usize>,
    /// Extension modules that it is to be able to import, beyond those that it starts with.
    pub(super) extensions: &'a [Extension],
}

/// An interpreter that runs.
pub(super) struct Running<'a> {
    pub(super) row: InterpreterRow,
    pub(super) service: &'a Service<'a>,
    /// What was unpacked; none of an interpreter of this machine.
    pub(super) closure: Option<&'a Closure>,
}

/// What is done with an interpreter that runs.
pub(super) type Use<'a> = dyn FnMut(Running<'_>) -> Result<(), PipelineError> + 'a;

impl Interpreters<'_> {
    /// Hands the first interpreter of a version that starts to `use_it`, whose result is the inner one.
    pub(super) fn with_first(
        &self,
        version: CpythonVersion,
        use_it: &mut Use<'_>,
    ) -> Result<Result<(), PipelineError>, NoInterpreter> {
        let defences = sandbox::probe(&self.options.helper)?;
        if self.options.sandbox == Mode::Required && !defences.any() {
            return Err(NoInterpreter::Undefended);
        }
        let row = |path: String, from_image| InterpreterRow {
            python: version.to_string(),
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
            let row = row(python.display().to_string(), false);
            return self.start(version, row, None, &launch, use_it);
        }
        self.with_first_of_image(version, &row, use_it)
    }

    fn with_first_of_image(
        &self,
        version: CpythonVersion,
        row: &dyn Fn(String, bool) -> InterpreterRow,
        use_it: &mut Use<'_>,
    ) -> Result<Result<(), PipelineError>, NoInterpreter> {
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
            let closure = Closure::of(
                &mut files,
                &library,
                &candidate,
                self.extensions,
                may_be_foreign,
            );
            let row = row(path_text(&candidate.path), true);
            let run = |closure: Closure| {
                let directory = temporary_directory()?;
                let launch = closure.unpack(directory.path(), emulator.as_ref())?;
                self.start(version, row, Some(&closure), &launch, use_it)
            };
            match closure.map_err(NoInterpreter::from).and_then(run) {
                Err(failure) if failure.is_about_candidate() => {
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
        version: CpythonVersion,
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

    /// Starts an interpreter, and has it used if it is the one that is meant.
    fn start(
        &self,
        version: CpythonVersion,
        row: InterpreterRow,
        closure: Option<&Closure>,
        launch: &Launch,
        use_it: &mut Use<'_>,
    ) -> Result<Result<(), PipelineError>, NoInterpreter> {
        let InterpreterOptions {
            helper, sandbox, ..
        } = self.options;
        let (limits, debug_ranges) = (Limits::default(), self.debug_ranges);
        let command = || launch.command(helper, *sandbox, limits, debug_ranges, SCRIPT);
        let cache = self.options.cache;
        let memory = cache.map(|cache| Memory::new(cache, &launch.identity, debug_ranges));
        let path = row.path.clone();
        let service = match Service::start(&command, TimeLimits::of(self.time), memory) {
            Ok(service) => service,
            Err(failure) => return Err(NoInterpreter::Start { path, failure }),
        };
        let ready = service.ready();
        let expected = Magic::final_for(version.major, version.minor);
        let is_tagged = ready.cache_tag == version.tag().to_string().as_bytes();
        if ready.version != version || Some(ready.magic) != expected || !is_tagged {
            return Err(NoInterpreter::Other {
                path,
                found: ready.version,
                found_magic: ready.magic,
                found_tag: String::from_utf8_lossy(&ready.cache_tag).into_owned(),
                version,
            });
        }
        let service = &service;
        Ok(use_it(Running {
            row,
            service,
            closure,
        }))
    }
}

/// The warning that an interpreter is not kept from this machine's files.
pub(super) fn sees_files(path: &str) -> String {
    format!(
        "nothing kept {path} from reading what this user can read: neither Landlock nor namespaces, or the sandbox was off"
    )
}

pub(super) fn temporary_directory() -> Result<Scratch, NoInterpreter> {
    Scratch::new().map_err(NoInterpreter::Directory)
}
