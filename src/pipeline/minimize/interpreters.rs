//! The interpreters that compile: unpacked, or found on this machine, and ready to be started.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::CompileOptions;
use crate::compile::interpreter::{
    Closure, Emulator, ImageFiles, InterpreterError, Launch, StandardLibrary, candidates, host,
};
use crate::compile::sandbox::{self, Defences, Limits, Mode};
use crate::compile::{Memory, SCRIPT, Service, TimeLimits, WorkerFailure};
use crate::inventory::{Inventory, TreeKind};
use crate::member_data::read_members;
use crate::oci::BlobStore;
use crate::pipeline::summary::path_text;
use crate::pyc::{CpythonVersion, Magic};
use crate::report::model::InterpreterRow;
use crate::rootfs::MemberId;
use crate::scan::LayerError;

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
        failure: WorkerFailure,
    },
    /// It is another than it should be.
    #[error(
        "the interpreter {path} is Python {found} with magic number {}, not Python {version} as released",
        found_magic.0
    )]
    Other {
        /// Its path.
        path: String,
        /// Its version.
        found: CpythonVersion,
        /// Its magic number.
        found_magic: Magic,
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
            _ => None,
        }
    }
}

/// An interpreter, and how it is started.
pub(super) struct Interpreter {
    version: CpythonVersion,
    path: String,
    from_image: bool,
    mode: Mode,
    defences: Defences,
    identity: [u8; 32],
    debug_ranges: bool,
    command: Box<dyn Fn() -> Command + Sync>,
    /// Gone when this is dropped.
    _directory: TempDir,
}

impl Interpreter {
    /// Starts the interpreter once, and returns what compiles with it.
    pub(super) fn service<'a>(
        &'a self,
        options: &'a CompileOptions,
    ) -> Result<Service<'a>, NoInterpreter> {
        let memory = options.cache.as_deref().map(|cache| Memory {
            cache,
            interpreter: self.identity,
            debug_ranges: self.debug_ranges,
        });
        let service =
            Service::start(&*self.command, TimeLimits::default(), memory).map_err(|failure| {
                NoInterpreter::Start {
                    path: self.path.clone(),
                    failure,
                }
            })?;
        let ready = service.ready();
        let expected = Magic::final_for(self.version.major, self.version.minor);
        if ready.version != self.version || Some(ready.magic) != expected {
            return Err(NoInterpreter::Other {
                path: self.path.clone(),
                found: ready.version,
                found_magic: ready.magic,
                version: self.version,
            });
        }
        Ok(service)
    }

    pub(super) fn row(&self) -> InterpreterRow {
        InterpreterRow {
            python: self.version.to_string(),
            path: self.path.clone(),
            from_image: self.from_image,
            sandbox: match self.mode {
                Mode::Required => self.defences.to_string(),
                Mode::Off => "nothing: the sandbox is off".to_owned(),
            },
        }
    }
}

/// Where interpreters come from.
pub(super) struct Interpreters<'a> {
    pub(super) store: &'a dyn BlobStore,
    pub(super) inventory: &'a Inventory,
    pub(super) options: &'a CompileOptions,
    pub(super) debug_ranges: bool,
}

impl Interpreters<'_> {
    /// Those that may be the one for a version, the likeliest first. Each is to be started to find out.
    pub(super) fn find(&self, version: CpythonVersion) -> Result<Vec<Interpreter>, NoInterpreter> {
        let defences = sandbox::probe(&self.options.helper)?;
        if self.options.sandbox == Mode::Required && !defences.any() {
            return Err(NoInterpreter::Undefended);
        }
        if let Some(python) = &self.options.python {
            let directory = temporary_directory()?;
            let launch = host(python, directory.path())?;
            let path = python.display().to_string();
            return Ok(vec![
                self.ready(version, path, launch, defences, directory, false),
            ]);
        }
        let mut unusable = None;
        let mut found = Vec::new();
        let mut read = |members: &BTreeSet<MemberId>| self.read(members);
        let layers = self.inventory.layers.iter().map(|scan| &*scan.members);
        let mut files = ImageFiles::new(&self.inventory.rootfs, layers, &mut read);
        let emulator = match &*self.options.emulator {
            [] => None,
            command => Some(Emulator::new(command)?),
        };
        for library in self.libraries(version)? {
            for candidate in candidates(&self.inventory.rootfs, &library) {
                let closure = Closure::of(&mut files, &library, &candidate, emulator.is_some());
                let directory = temporary_directory()?;
                let launch =
                    closure.and_then(|closure| closure.unpack(directory.path(), emulator.as_ref()));
                match launch {
                    Ok(launch) => {
                        let path = path_text(&candidate.path);
                        found.push(self.ready(version, path, launch, defences, directory, true));
                    }
                    Err(error) if error.is_about_candidate() => {
                        unusable.get_or_insert(error);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match unusable {
            Some(error) if found.is_empty() => Err(error.into()),
            _ if found.is_empty() => Err(NoInterpreter::Missing { version }),
            _ => Ok(found),
        }
    }

    fn libraries(&self, version: CpythonVersion) -> Result<Vec<StandardLibrary>, NoInterpreter> {
        let trees = self.inventory.trees.iter();
        let of_version =
            trees.filter(|tree| tree.kind == TreeKind::Stdlib && tree.version == Some(version));
        of_version
            .map(|tree| StandardLibrary::at(version, &tree.path).map_err(NoInterpreter::from))
            .collect()
    }

    fn read(&self, members: &BTreeSet<MemberId>) -> Result<HashMap<MemberId, Vec<u8>>, LayerError> {
        let mut data = HashMap::new();
        read_members(
            self.store,
            &self.inventory.layers,
            members,
            &mut |id, bytes| {
                data.insert(id, bytes);
                ControlFlow::Continue(())
            },
        )?;
        Ok(data)
    }

    fn ready(
        &self,
        version: CpythonVersion,
        path: String,
        launch: Launch,
        defences: Defences,
        directory: TempDir,
        from_image: bool,
    ) -> Interpreter {
        let (helper, mode) = (self.options.helper.clone(), self.options.sandbox);
        let debug_ranges = self.debug_ranges;
        let identity = launch.identity;
        let command = move || command(&launch, &helper, mode, debug_ranges);
        Interpreter {
            version,
            path,
            from_image,
            mode,
            defences,
            identity,
            debug_ranges,
            command: Box::new(command),
            _directory: directory,
        }
    }
}

fn command(launch: &Launch, helper: &Path, mode: Mode, debug_ranges: bool) -> Command {
    launch.command(helper, mode, Limits::default(), debug_ranges, SCRIPT)
}

fn temporary_directory() -> Result<TempDir, NoInterpreter> {
    tempfile::Builder::new()
        .prefix("pycull-")
        .tempdir()
        .map_err(NoInterpreter::Directory)
}
