//! `bench`: how fast the image's own interpreters import, with caches and without.

use std::path::PathBuf;
use std::time::Instant;

use super::interpreters::{
    InterpreterOptions, Interpreters, NoInterpreter, Running, sees_files, temporary_directory,
};
use super::summary::{path_text, with_causes};
use super::{Options, PipelineError, open, survey};
use crate::bench::{BenchError, Sample, Sandbox, Task, Trees, Workspace};
use crate::compile::interpreter::InterpreterError;
use crate::compile::sandbox::Mode;
use crate::inventory::{Inventory, Tree, TreeKind};
use crate::progress::Phase;
use crate::pyc::Level;
use crate::report::model::{BenchImage, BenchImports, BenchReport, BenchRow, BenchTree};
use crate::rootfs::path;
use crate::transport::Source;

/// What `bench` is to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The module that is imported again and again.
    pub module: String,
    /// How often, in each run.
    pub repeats: u32,
    /// Modules whose import is measured from the start of the interpreter on; may be none.
    pub imports: Vec<String>,
    /// Runs for each row.
    pub rounds: u32,
    /// pycull's own binary, which confines the interpreter.
    pub helper: PathBuf,
    /// Whether the interpreter must be confined.
    pub sandbox: Mode,
}

/// Measures every standard library of every image that the source holds. `reference` is what the user wrote.
///
/// # Errors
/// [`PipelineError`] where an image cannot be read, or nothing in it can be measured. Where something can,
/// what cannot is a warning.
pub fn bench(
    source: &Source,
    reference: &str,
    bench: &BenchOptions,
    options: &Options<'_>,
) -> Result<BenchReport, PipelineError> {
    let root = open(source, options)?;
    let mut images = Vec::new();
    let (mut first_failure, mut has_figures) = (None, false);
    for image in root.images() {
        let inventory = survey(&*source.store, image, false, options)?;
        let work = Work {
            source,
            inventory: &inventory,
            bench,
            options,
        };
        let mut report = BenchImage {
            platform: image.platform.to_string(),
            trees: Vec::new(),
            imports: Vec::new(),
            warnings: Vec::new(),
        };
        match work.run(&mut report) {
            Ok(()) => has_figures = true,
            Err(failure) => {
                first_failure.get_or_insert(PipelineError::Bench {
                    platform: report.platform.clone(),
                    source: Box::new(failure),
                });
            }
        }
        images.push(report);
    }
    match first_failure.filter(|_| !has_figures) {
        Some(failure) => Err(failure),
        None => Ok(BenchReport {
            schema: "pycull.bench/1",
            reference: reference.to_owned(),
            images,
        }),
    }
}

/// Why nothing is measured of a standard library, or of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotMeasure {
    /// There is none.
    #[error("it has no Python standard library of a known version")]
    NoLibrary,
    /// Its interpreter cannot be had.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// Its interpreter does not do what it should.
    #[error(transparent)]
    Bench(#[from] BenchError),
}

impl CannotMeasure {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Interpreter(NoInterpreter::Unusable(InterpreterError::Foreign { .. })) => Some(
                "measure on a machine of that architecture, or choose an image with `--platform`"
                    .to_owned(),
            ),
            // There is no other interpreter to choose.
            Self::Interpreter(NoInterpreter::Start { .. }) => {
                Some("programs must be able to run from TMPDIR (no noexec)".to_owned())
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
                Some("`pycull inspect` lists the trees of modules that the image has".to_owned())
            }
            Self::Bench(BenchError::NoSource { .. }) => {
                Some("name another module with `--module`".to_owned())
            }
            Self::Bench(BenchError::Run { .. }) => Some(
                "it runs without network, home directory and the image's environment, and sees the modules alone"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What is measured, and how.
struct Work<'a> {
    source: &'a Source,
    inventory: &'a Inventory,
    bench: &'a BenchOptions,
    options: &'a Options<'a>,
}

impl Work<'_> {
    /// Measures each standard library of the image that `report` is about.
    fn run(&self, report: &mut BenchImage) -> Result<(), CannotMeasure> {
        let trees = self.inventory.trees.iter().enumerate();
        let mut first_failure = None;
        for (index, tree) in trees.filter(|(_, tree)| tree.kind == TreeKind::Stdlib) {
            if let Err(failure) = self.library(index, tree, report) {
                let path = path_text(&tree.path);
                let why = with_causes(&failure);
                report
                    .warnings
                    .push(format!("did not measure {path}: {why}"));
                first_failure.get_or_insert(failure);
            }
        }
        // What was asked for must have come of one of them at least.
        let is_lacking = !self.bench.imports.is_empty() && report.imports.is_empty();
        match report.trees.is_empty() || is_lacking {
            true => Err(first_failure.unwrap_or(CannotMeasure::NoLibrary)),
            false => Ok(()),
        }
    }

    fn library(
        &self,
        index: usize,
        tree: &Tree,
        report: &mut BenchImage,
    ) -> Result<(), CannotMeasure> {
        let version = tree.version.ok_or(CannotMeasure::NoLibrary)?;
        let is_enough = self.bench.imports.is_empty() && self.has(tree, &self.bench.module);
        let trees = Trees::of(self.inventory, index, !is_enough)?;
        let interpreter = InterpreterOptions {
            helper: self.bench.helper.clone(),
            sandbox: self.bench.sandbox,
            python: None,
            emulator: Vec::new(),
            cache: None,
        };
        let interpreters = Interpreters {
            store: &*self.source.store,
            inventory: self.inventory,
            options: &interpreter,
            debug_ranges: true,
            time: self.options.limits.time(),
            library: Some(index),
            extensions: &trees.extensions,
        };
        let mut measured = Ok(());
        let mut use_it = |running: Running<'_>| {
            measured = self.measure(tree, &trees, &running, report);
            Ok(())
        };
        // What it is used for fails by itself.
        let _used = interpreters.with_first(version, &mut use_it)?;
        measured
    }

    /// Whether a module lies in a tree, by the names alone.
    fn has(&self, tree: &Tree, module: &str) -> bool {
        let first = module.split('.').next().unwrap_or(module);
        let place = path::join(&tree.path, first.as_bytes());
        let rootfs = &self.inventory.rootfs;
        let module = [&*place, b".py"].concat();
        rootfs.file_at(&module).is_some() || rootfs.follow(&place).is_some()
    }

    fn measure(
        &self,
        tree: &Tree,
        trees: &Trees,
        running: &Running<'_>,
        report: &mut BenchImage,
    ) -> Result<(), CannotMeasure> {
        // Only an interpreter of this machine has none.
        let closure = running.closure.ok_or(CannotMeasure::NoLibrary)?;
        if running.row.sees_files {
            report.warnings.push(sees_files(&running.row.path));
        }
        let directory = temporary_directory()?;
        let store = &*self.source.store;
        let workspace = Workspace::unpack(directory.path(), closure, trees, self.inventory, store)?;
        let BenchOptions {
            module,
            repeats,
            imports,
            rounds,
            ..
        } = self.bench;
        let reload = Task::Reload {
            module: module.clone(),
            count: *repeats,
        };
        let import = (!imports.is_empty()).then(|| Task::Import(imports.clone()));
        // A module that cannot be imported fails here, before measuring takes its time.
        for task in import.iter().chain([&reload]) {
            workspace.add_caches(self.sandbox(), task, running.service, self.options.jobs)?;
        }
        let (rows, ratio) = self.rows(&workspace, &reload)?;
        let path = path_text(&tree.path);
        report.trees.push(BenchTree {
            path: path.clone(),
            python: running.row.python.clone(),
            interpreter: running.row.path.clone(),
            sandbox: running.row.sandbox.clone(),
            module: module.clone(),
            repeats: *repeats,
            rounds: *rounds,
            rows,
            ratio,
        });
        let Some(import) = import else {
            return Ok(());
        };
        let (rows, ratio) = self.rows(&workspace, &import)?;
        report.imports.push(BenchImports {
            path,
            python: running.row.python.clone(),
            modules: imports.clone(),
            rounds: *rounds,
            rows,
            ratio,
        });
        Ok(())
    }

    fn sandbox(&self) -> Sandbox<'_> {
        Sandbox {
            helper: &self.bench.helper,
            mode: self.bench.sandbox,
        }
    }

    /// Every level with and without caches, and how many times as long level 0 takes without them. The rows
    /// take turns, so that a machine that becomes slower does so for all.
    fn rows(&self, workspace: &Workspace, task: &Task) -> Result<(Vec<BenchRow>, f64), BenchError> {
        let kinds: Vec<(Level, bool)> = [true, false]
            .into_iter()
            .flat_map(|is_cached| Level::ALL.map(|level| (level, is_cached)))
            .collect();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); kinds.len()];
        let runs = kinds.len() * self.bench.rounds as usize;
        let observer = self.options.observer;
        observer.begin(Phase::Measuring, runs, 0);
        let start = Instant::now();
        for _ in 0..self.bench.rounds {
            for ((level, is_cached), samples) in kinds.iter().zip(&mut samples) {
                self.options.limits.time().check(start)?;
                samples.push(workspace.measure(self.sandbox(), task, *level, *is_cached)?);
                observer.item_done();
            }
        }
        observer.end();
        let rows: Vec<BenchRow> = kinds.iter().zip(&samples).map(row).collect();
        let (cached, bare) = (rows[0].real_seconds, rows[Level::ALL.len()].real_seconds);
        Ok((rows, rounded(bare / cached.max(1e-9), 100.0)))
    }
}

fn row(((level, is_cached), samples): (&(Level, bool), &Vec<Sample>)) -> BenchRow {
    let sorted = |of: fn(&Sample) -> f64| {
        let mut times: Vec<f64> = samples.iter().map(of).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    };
    let (real, user, system) = (
        sorted(|it| it.real),
        sorted(|it| it.user),
        sorted(|it| it.system),
    );
    let microseconds = |time: f64| rounded(time, 1e6);
    BenchRow {
        level: level.index() as u8,
        cached: *is_cached,
        real_seconds: microseconds(median(&real)),
        user_seconds: microseconds(median(&user)),
        sys_seconds: microseconds(median(&system)),
        lowest_real_seconds: microseconds(real[0]),
        highest_real_seconds: microseconds(real[real.len() - 1]),
    }
}

/// Of sorted numbers, of which there is one at least.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_of_medians_and_extremes() {
        let sample = |real| Sample {
            real,
            user: real / 2.0,
            system: 0.125,
        };
        let samples = [5.0, 1.0, 2.0, 400.0].map(sample).to_vec();
        let row = row((&(Level::One, true), &samples));
        assert_eq!((row.level, row.cached), (1, true));
        assert_eq!((row.real_seconds, row.user_seconds), (3.5, 1.75));
        assert_eq!(row.sys_seconds, 0.125);
        assert_eq!(row.lowest_real_seconds, 1.0);
        assert_eq!(row.highest_real_seconds, 400.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    }
}
