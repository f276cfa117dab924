//! Compiles the sources that a plan lists, with the image's own interpreters.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::compiled_caches::CompiledCaches;
use super::protocol::Job;
use super::service::{Compiled, Failure, ServiceError};
use super::start::{Interpreter, InterpreterOptions, Interpreters, NoInterpreter, Running};
use crate::causes::with_causes;
use crate::inventory::{Inventory, SourceId};
use crate::layers::{Access, Contents, LayerError, read_members};
use crate::limits::{LimitError, TimeLimit};
use crate::parallel::lock;
use crate::plan::{CompileOutcome, Plan};
use crate::profile::Profile;
use crate::progress::Phase;
use crate::pyc::{Header, Level, Magic, Runtime, canonical_body, source_hash};
use crate::rootfs::MemberId;
use crate::scratch;

/// The result of compiling for an image.
pub struct CompileResult {
    /// The facts that the new plan needs.
    pub outcome: CompileOutcome,
    /// The new caches.
    pub caches: CompiledCaches,
    /// Why sources did not compile, by their index in the inventory.
    pub failures: BTreeMap<SourceId, Failure>,
    /// The interpreters that compiled.
    pub interpreters: Vec<Interpreter>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

/// Why compiling failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// There is no usable interpreter.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An interpreter ran longer than the time limit.
    #[error("cannot compile: {0}")]
    Time(#[source] LimitError),
    /// The interpreter does not work.
    #[error("cannot compile for Python {version}: {reason}")]
    Service {
        /// The version of Python.
        version: Runtime,
        /// The cause.
        reason: String,
    },
    /// The compiled bytecode could not be stored in the output's directory.
    #[error("cannot store compiled bytecode in `{}`", directory.display())]
    Spool {
        /// The directory.
        directory: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// For `map_err`: the error of storing bytecode in a directory.
fn spool_error(directory: &Path) -> impl FnOnce(io::Error) -> CompileError {
    move |source| CompileError::Spool {
        directory: directory.to_owned(),
        source,
    }
}

impl CompileError {
    /// What the user can do about the error, if pycull knows.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Interpreter(error) => error.hint(),
            Self::Layer(error) => error.hint(),
            Self::Time(error) => error.hint(),
            Self::Spool { directory, source } => scratch::hint_at(directory, source),
            Self::Service { .. } => None,
        }
    }
}

/// Compiles for one image.
pub struct Compiler<'a> {
    /// Access to the image's layers.
    pub access: Access<'a>,
    /// The content of the image.
    pub inventory: &'a Inventory,
    /// The profile: the invalidation mode of new caches, and whether code has column numbers.
    pub profile: &'a Profile,
    /// How to find and run interpreters.
    pub interpreter: &'a InterpreterOptions<'a>,
    /// How long each interpreter may run.
    pub time: TimeLimit,
}

/// The wanted levels of each source, by its index in the inventory.
type Wanted = BTreeMap<SourceId, Vec<Level>>;

impl Compiler<'_> {
    /// Compiles all caches in a plan. Stores their bodies in `directory`, in a file without a name.
    ///
    /// # Errors
    /// [`CompileError`]. A source that does not compile is not an error, but a result. If the image lacks some of its
    /// interpreters, that is a warning.
    pub fn run(&self, plan: &Plan, directory: &Path) -> Result<CompileResult, CompileError> {
        let caches = CompiledCaches::new(directory).map_err(spool_error(directory))?;
        let mut result = CompileResult {
            outcome: CompileOutcome::default(),
            caches,
            failures: BTreeMap::new(),
            interpreters: Vec::new(),
            warnings: Vec::new(),
        };
        let mut lacking = None;
        for (version, wanted) in self.by_version(plan) {
            match self.compile_version(version, &wanted, &mut result) {
                Err(error) if is_about_image(&error) => {
                    result.warnings.push(format!(
                        "did not compile {} sources for Python {version}: {}",
                        wanted.len(),
                        with_causes(&error)
                    ));
                    result.outcome.failed.extend(pairs(&wanted));
                    lacking.get_or_insert(error);
                }
                other => other?,
            }
        }
        // If other versions compiled, the caches of this version stay missing, as before.
        if let Some(error) = lacking.filter(|_| result.interpreters.is_empty()) {
            return Err(error);
        }
        self.find_current(plan, &mut result)?;
        Ok(result)
    }

    fn by_version(&self, plan: &Plan) -> BTreeMap<Runtime, Wanted> {
        let mut versions: BTreeMap<Runtime, Wanted> = BTreeMap::new();
        for cache in plan.compilations() {
            let source = self.inventory.source(cache.source);
            if let Some(version) = self.inventory.tree_of(source).version {
                let wanted = versions.entry(version).or_default();
                wanted.entry(cache.source).or_default().push(cache.level);
            }
        }
        versions
    }

    fn compile_version(
        &self,
        version: Runtime,
        wanted: &Wanted,
        result: &mut CompileResult,
    ) -> Result<(), CompileError> {
        let interpreters = Interpreters {
            store: self.access.store,
            inventory: self.inventory,
            options: self.interpreter,
            debug_ranges: self.profile.debug_ranges,
            time: self.time,
            library: None,
            extensions: &[],
        };
        let running = interpreters.start(version)?;
        result.warnings.extend(running.interpreter.warning());
        if version < Runtime::cpython(3, 7) && self.profile.invalidation.is_by_hash() {
            result.warnings.push(format!(
                "used timestamps in the caches for Python {version}, because it does not support hashes (PEP 552)"
            ));
        }
        let compiled = self.compile(&running, wanted, result);
        result.interpreters.push(running.interpreter);
        compiled
    }

    fn compile(
        &self,
        running: &Running<'_>,
        wanted: &Wanted,
        result: &mut CompileResult,
    ) -> Result<(), CompileError> {
        let service = &running.service;
        let magic = service.ready().magic;
        let size = |source: &SourceId| {
            let inode = self.inventory.source(*source).inode;
            self.inventory.rootfs.inode(inode).size
        };
        let bytes = wanted.keys().map(size).sum();
        self.access
            .observer
            .begin(Phase::Compiling, wanted.len(), bytes);
        let hashes = Mutex::new(BTreeMap::new());
        let compiled = service.run(
            self.access.jobs,
            |hand_over| Ok(self.feed(wanted, magic, &hashes, hand_over)?),
            &mut |compiled| {
                let source = SourceId(compiled.index);
                self.access.observer.advance(size(&source));
                self.access.observer.item_done();
                let hash = lock(&hashes).remove(&source);
                let header = self.header(magic, source, hash);
                keep(compiled, header, result)
            },
        );
        self.access.observer.end();
        compiled.map_err(|error| service_error(running.interpreter.version, error))
    }

    /// Reads the sources again, and passes them on as jobs.
    fn feed(
        &self,
        wanted: &Wanted,
        magic: Magic,
        hashes: &Mutex<BTreeMap<SourceId, [u8; 8]>>,
        hand_over: &mut dyn FnMut(Job) -> ControlFlow<()>,
    ) -> Result<(), LayerError> {
        // A file may have several names. Each is a source with its own bytecode.
        let mut names: BTreeMap<MemberId, Vec<SourceId>> = BTreeMap::new();
        for source in wanted.keys() {
            let inode = self.inventory.source(*source).inode;
            let data = self.inventory.rootfs.inode(inode).data();
            names.entry(data).or_default().push(*source);
        }
        let members: BTreeSet<MemberId> = names.keys().copied().collect();
        let wants_hashes = self.profile.invalidation.is_by_hash();
        let layers = &self.inventory.layers;
        // A break is not an error: the service knows why it takes no more jobs.
        let _: ControlFlow<()> =
            read_members(self.access.store, layers, &members, &mut |member, data| {
                for index in names.get(&member).into_iter().flatten() {
                    if wants_hashes {
                        lock(hashes).insert(*index, source_hash(magic, &data));
                    }
                    hand_over(Job {
                        index: index.0,
                        path: [
                            &b"/"[..],
                            &self.inventory.source_path(self.inventory.source(*index)),
                        ]
                        .concat(),
                        source: data.clone(),
                        levels: wanted[index].clone(),
                    })?;
                }
                ControlFlow::Continue(())
            })?;
        Ok(())
    }

    /// The header for the caches of a source (PEP 552). If the interpreter does not know the profile's invalidation
    /// mode, the header has a timestamp.
    fn header(&self, magic: Magic, source: SourceId, hash: Option<[u8; 8]>) -> Vec<u8> {
        let inode = self.inventory.source(source).inode;
        let described_by = self.inventory.rootfs.described_by(inode);
        let inode = self.inventory.rootfs.inode(inode);
        let mtime = self.inventory.member(described_by).mtime();
        let mtime = (mtime.seconds, mtime.nanoseconds);
        let mode = self.profile.invalidation;
        let header = mode
            .header(magic, mtime, inode.size, hash)
            .unwrap_or_else(|| Header::by_time(magic, mtime, inode.size));
        header.to_bytes()
    }

    /// Finds stale caches that contain what their source compiles to. They can stay.
    fn find_current(&self, plan: &Plan, result: &mut CompileResult) -> Result<(), CompileError> {
        let mut stale: BTreeMap<MemberId, Vec<(SourceId, Level)>> = BTreeMap::new();
        for cache in plan.compilations() {
            if let Some(member) = cache.stale {
                stale
                    .entry(member)
                    .or_default()
                    .push((cache.source, cache.level));
            }
        }
        let members: BTreeSet<MemberId> = stale
            .iter()
            .filter(|(_, names)| !names.iter().any(|it| result.outcome.failed.contains(it)))
            .map(|(member, _)| *member)
            .collect();
        let CompileResult {
            caches, outcome, ..
        } = result;
        let layers = &self.inventory.layers;
        let stopped = read_members(self.access.store, layers, &members, &mut |member, data| {
            match are_compiled_to(caches, &stale[&member], canonical(&data).as_deref()) {
                Ok(true) => drop(outcome.current.insert(member)),
                Ok(false) => {}
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        })?;
        match stopped {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(spool_error(&caches.directory)(error)),
        }
    }
}

/// Whether all these caches were compiled to this body.
fn are_compiled_to(
    caches: &CompiledCaches,
    names: &[(SourceId, Level)],
    body: Option<&[u8]>,
) -> io::Result<bool> {
    let Some(body) = body else { return Ok(false) };
    for (source, level) in names {
        if caches.body(*source, *level)?.as_deref() != Some(body) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn service_error(version: Runtime, error: ServiceError<CompileError>) -> CompileError {
    match error {
        ServiceError::Caller(error) => error,
        ServiceError::Time(source) => CompileError::Time(source),
        error => CompileError::Service {
            version,
            reason: error.to_string(),
        },
    }
}

/// Whether the image is the reason why an interpreter is missing. It is then missing on every machine.
fn is_about_image(error: &CompileError) -> bool {
    matches!(error, CompileError::Interpreter(error) if error.is_about_image())
}

/// The body of a bytecode file in canonical form.
fn canonical(file: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(file).ok()?;
    canonical_body(header.magic.version()?, file.get(header.length..)?).ok()
}

/// Stores the result for a source.
fn keep(
    compiled: Compiled,
    header: Vec<u8>,
    result: &mut CompileResult,
) -> Result<(), CompileError> {
    let source = SourceId(compiled.index);
    let mut bodies: Vec<(Level, Arc<[u8]>)> = Vec::new();
    for (level, body) in compiled.levels {
        match body {
            Ok(body) => {
                let contents = Contents {
                    header: header.clone().into(),
                    body_sha256: Sha256::digest(&body).into(),
                };
                result.outcome.contents.insert((source, level), contents);
                bodies.push((level, body));
            }
            Err(failure) => {
                result.outcome.failed.insert((source, level));
                result.failures.entry(source).or_insert(failure);
            }
        }
    }
    let caches = &mut result.caches;
    let added = caches.add(source, header, &bodies);
    added.map_err(spool_error(&caches.directory))
}

fn pairs(wanted: &Wanted) -> impl Iterator<Item = (SourceId, Level)> + '_ {
    let levels = wanted.iter();
    levels.flat_map(|(source, levels)| levels.iter().map(|level| (*source, *level)))
}
