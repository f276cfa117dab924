//! The report of `bench`.

use serde::Serialize;

/// Import times of the interpreters in an image, for all its platforms.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// `pycull.bench/1`.
    pub schema: &'static str,
    /// The image reference.
    pub reference: String,
    /// The images, one for each platform.
    pub images: Vec<BenchImage>,
}

/// Import times of the interpreters of one image.
#[derive(Debug, Clone, Serialize)]
pub struct BenchImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// Reload times of one module, for each standard library.
    pub trees: Vec<BenchTree>,
    /// Import times since the start of the interpreter, for each standard library.
    pub imports: Vec<BenchImports>,
    /// Anything that could not be measured.
    pub warnings: Vec<String>,
}

/// Reload times of one module.
#[derive(Debug, Clone, Serialize)]
pub struct BenchTree {
    /// Directory of the standard library.
    pub path: String,
    /// The Python version, for example `3.11`.
    pub python: String,
    /// Path of the interpreter in the image.
    pub interpreter: String,
    /// The sandbox layers around the interpreter.
    pub sandbox: String,
    /// The module that is reloaded.
    pub module: String,
    /// Number of reloads in each run.
    pub repeats: u32,
    /// Number of runs for each row.
    pub rounds: u32,
    /// The rows: every level with caches, then every level without.
    pub rows: Vec<BenchRow>,
    /// Time without caches divided by the time with caches, at level 0.
    pub ratio: f64,
}

/// Import times of several modules, measured from the start of the interpreter.
#[derive(Debug, Clone, Serialize)]
pub struct BenchImports {
    /// Directory of the standard library.
    pub path: String,
    /// The Python version, for example `3.11`.
    pub python: String,
    /// The modules that are imported.
    pub modules: Vec<String>,
    /// Number of runs for each row.
    pub rounds: u32,
    /// The rows: every level with caches, then every level without.
    pub rows: Vec<BenchRow>,
    /// Time without caches divided by the time with caches, at level 0.
    pub ratio: f64,
}

/// Times of several runs, in seconds. All are medians except `lowest_real_seconds` and `highest_real_seconds`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// The optimization level: 0, 1 or 2.
    pub level: u8,
    /// Whether the modules had caches.
    pub cached: bool,
    /// Wall-clock time.
    pub real_seconds: f64,
    /// CPU time in user mode.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub sys_seconds: f64,
    /// Wall-clock time of the fastest run.
    pub lowest_real_seconds: f64,
    /// Wall-clock time of the slowest run.
    pub highest_real_seconds: f64,
}
