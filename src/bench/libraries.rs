//! Measures each standard library of an image with its own interpreter.

use std::path::PathBuf;
use std::time::Instant;

use super::{BenchError, Sample, Task, Trees, Workspace};
use crate::causes::with_causes;
use crate::compile::interpreter::InterpreterError;
use crate::compile::sandbox::{Mode, Sandbox};
use crate::compile::{
    Interpreter, InterpreterOptions, Interpreters, NoInterpreter, Running, temporary_directory,
};
use crate::inventory::{Inventory, Tree, TreeId, TreeKind};
use crate::layers::Access;
use crate::limits::TimeLimit;
use crate::path;
use crate::progress::Phase;
use crate::pyc::Level;
use crate::scratch;

/// Options of `bench`.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The module that is reloaded.
    pub module: String,
    /// Number of reloads in each run.
    pub repeats: u32,
    /// Modules whose import is measured from the start of the interpreter. May be empty.
    pub imports: Vec<String>,
    /// Number of runs for each row.
    pub rounds: u32,
    /// Path of pycull's own binary, which sets up the sandbox.
    pub helper: PathBuf,
    /// Whether the interpreter must be in a sandbox.
    pub sandbox: Mode,
}

/// Why a standard library or an image cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotMeasure {
    /// The image has no standard library of a known version.
    #[error("the image has no Python standard library of a known version")]
    NoLibrary,
    /// The interpreter is not available.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// A measurement failed.
    #[error(transparent)]
    Bench(#[from] BenchError),
}

impl CannotMeasure {
    /// How to solve the problem, if there is a way.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Interpreter(NoInterpreter::Unusable(InterpreterError::Foreign { .. })) => Some(
                "run `pycull bench` on a machine of that architecture, or choose another platform with `--platform`"
                    .to_owned(),
            ),
            // The user cannot choose another interpreter here.
            Self::Interpreter(NoInterpreter::Start { .. }) => {
                Some("set TMPDIR to a directory where programs can run (not mounted noexec)".to_owned())
            }
            Self::Interpreter(error @ (NoInterpreter::Undefended | NoInterpreter::Directory(_))) => {
                error.hint()
            }
            Self::Interpreter(NoInterpreter::Unusable(error))
            | Self::Bench(BenchError::Interpreter(error))
                if matches!(error, InterpreterError::Directory { .. } | InterpreterError::Write { .. }) =>
            {
                error.hint()
            }
            Self::Bench(BenchError::Run { failure, .. })
                if failure.stderr.contains("No module named") =>
            {
                Some("`pycull inspect IMAGE` lists the directories with modules that the image has".to_owned())
            }
            Self::Bench(BenchError::File { path, source }) => scratch::hint_at(path, source),
            Self::Bench(BenchError::NoSource { .. }) => {
                Some("choose another module, for example `--module json.decoder`".to_owned())
            }
            Self::Bench(BenchError::Run { .. }) => Some(
                "the sandbox has only the image's modules. It has no network, no home directory and none of the image's environment variables"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// All measurements of an image.
#[derive(Debug, Default)]
pub struct Measurements {
    /// The standard libraries that were measured.
    pub libraries: Vec<Measured>,
    /// What could not be measured, and other facts for the user.
    pub warnings: Vec<String>,
}

/// The measurements of one standard library.
#[derive(Debug)]
pub struct Measured {
    /// Directory of the standard library.
    pub path: Vec<u8>,
    /// The interpreter that ran.
    pub interpreter: Interpreter,
    /// Times of reloading one module.
    pub reload: Vec<Timing>,
    /// Times of importing modules from the start of the interpreter. Empty if none were requested, or if they failed.
    pub imports: Vec<Timing>,
}

/// The times of one row, for every run.
#[derive(Debug)]
pub struct Timing {
    /// The level at which the interpreter ran.
    pub level: Level,
    /// Whether the modules had caches.
    pub is_cached: bool,
    /// The times, one for each run.
    pub samples: Vec<Sample>,
}

/// An image whose standard libraries are to be measured.
pub struct Libraries<'a> {
    /// Access to the image's layers.
    pub access: Access<'a>,
    /// The contents of the image.
    pub inventory: &'a Inventory,
    /// The options of `bench`.
    pub bench: &'a BenchOptions,
    /// Limit on how long interpreters may run.
    pub time: TimeLimit,
}

impl Libraries<'_> {
    /// Measures each standard library. Returns an error if nothing was measured, or if the requested imports failed for
    /// every library.
    pub fn measure(&self) -> (Measurements, Result<(), CannotMeasure>) {
        let mut measurements = Measurements::default();
        let trees = self.inventory.numbered_trees();
        let mut first_failure = None;
        for (id, tree) in trees.filter(|(_, tree)| tree.kind == TreeKind::Stdlib) {
            if let Err(failure) = self.library(id, tree, &mut measurements) {
                let path = path::text(&tree.path);
                let why = with_causes(&failure);
                measurements
                    .warnings
                    .push(format!("did not measure {path}: {why}"));
                first_failure.get_or_insert(failure);
            }
        }
        let mut imports = measurements.libraries.iter().map(|it| &it.imports);
        let is_lacking = !self.bench.imports.is_empty() && imports.all(Vec::is_empty);
        let result = match measurements.libraries.is_empty() || is_lacking {
            true => Err(first_failure.unwrap_or(CannotMeasure::NoLibrary)),
            false => Ok(()),
        };
        (measurements, result)
    }

    fn library(
        &self,
        id: TreeId,
        tree: &Tree,
        measurements: &mut Measurements,
    ) -> Result<(), CannotMeasure> {
        let version = tree.version.ok_or(CannotMeasure::NoLibrary)?;
        let is_enough = self.bench.imports.is_empty() && self.has(tree, &self.bench.module);
        let trees = Trees::of(self.inventory, id, !is_enough)?;
        let interpreter = InterpreterOptions {
            helper: self.bench.helper.clone(),
            sandbox: self.bench.sandbox,
            python: None,
            emulator: Vec::new(),
            cache: None,
        };
        let interpreters = Interpreters {
            store: self.access.store,
            inventory: self.inventory,
            options: &interpreter,
            debug_ranges: true,
            time: self.time,
            library: Some(id),
            extensions: &trees.extensions,
        };
        let running = interpreters.start(version)?;
        measurements.warnings.extend(running.interpreter.warning());
        self.measure_one(tree, &trees, &running, measurements)
    }

    /// Whether a module is in a tree. Decides by file names only.
    fn has(&self, tree: &Tree, module: &str) -> bool {
        let first = module.split('.').next().unwrap_or(module);
        let place = path::join(&tree.path, first.as_bytes());
        let rootfs = &self.inventory.rootfs;
        let module = [&*place, b".py"].concat();
        rootfs.file_at(&module).is_some() || rootfs.follow(&place).is_some()
    }

    fn measure_one(
        &self,
        tree: &Tree,
        trees: &Trees,
        running: &Running<'_>,
        measurements: &mut Measurements,
    ) -> Result<(), CannotMeasure> {
        // Only an interpreter of this machine has no closure.
        let closure = running.closure.as_ref().ok_or(CannotMeasure::NoLibrary)?;
        let directory = temporary_directory()?;
        let workspace = Workspace::unpack(
            directory.path(),
            closure,
            trees,
            self.inventory,
            self.access.store,
        )?;
        let BenchOptions {
            module,
            repeats,
            imports,
            ..
        } = self.bench;
        let reload = Task::Reload {
            module: module.clone(),
            count: *repeats,
        };
        let import = (!imports.is_empty()).then(|| Task::Import(imports.clone()));
        // A module that cannot be imported fails here, before the slow measurements.
        for task in import.iter().chain([&reload]) {
            workspace.add_caches(self.sandbox(), task, &running.service, self.access.jobs)?;
        }
        let mut measured = Measured {
            path: tree.path.to_vec(),
            interpreter: running.interpreter.clone(),
            reload: self.timings(&workspace, &reload)?,
            imports: Vec::new(),
        };
        let imported = import.map_or(Ok(Vec::new()), |task| self.timings(&workspace, &task));
        // Keep what was measured so far, even if the imports failed.
        let result = imported.map(|timings| measured.imports = timings);
        measurements.libraries.push(measured);
        Ok(result?)
    }

    fn sandbox(&self) -> Sandbox<'_> {
        Sandbox {
            helper: &self.bench.helper,
            mode: self.bench.sandbox,
        }
    }

    /// Measures every level with caches, then every level without. Each round takes one run of every row, so that a
    /// machine that slows down affects all rows alike.
    fn timings(&self, workspace: &Workspace, task: &Task) -> Result<Vec<Timing>, BenchError> {
        let mut timings: Vec<Timing> = [true, false]
            .into_iter()
            .flat_map(|is_cached| Level::ALL.map(|level| (level, is_cached)))
            .map(|(level, is_cached)| Timing {
                level,
                is_cached,
                samples: Vec::new(),
            })
            .collect();
        let runs = timings.len() * self.bench.rounds as usize;
        self.access.observer.begin(Phase::Measuring, runs, 0);
        let start = Instant::now();
        for _ in 0..self.bench.rounds {
            for timing in &mut timings {
                self.time.check(start)?;
                let sample =
                    workspace.measure(self.sandbox(), task, timing.level, timing.is_cached)?;
                timing.samples.push(sample);
                self.access.observer.item_done();
            }
        }
        self.access.observer.end();
        Ok(timings)
    }
}
