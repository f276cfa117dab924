//! What `bench` says.

use serde::Serialize;

/// How fast the interpreters of images import.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// `pycull.bench/1`.
    pub schema: &'static str,
    /// The image.
    pub reference: String,
    /// One for each platform.
    pub images: Vec<BenchImage>,
}

/// How fast the interpreters of one image import.
#[derive(Debug, Clone, Serialize)]
pub struct BenchImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// Reloads of one module, for each standard library.
    pub trees: Vec<BenchTree>,
    /// Imports from the start of the interpreter on, for each standard library.
    pub imports: Vec<BenchImports>,
    /// What could not be measured.
    pub warnings: Vec<String>,
}

/// How long a module takes to reload.
#[derive(Debug, Clone, Serialize)]
pub struct BenchTree {
    /// The standard library.
    pub path: String,
    /// Its version, for example `3.11`.
    pub python: String,
    /// The interpreter's path in the image.
    pub interpreter: String,
    /// The layers of defence around it.
    pub sandbox: String,
    /// The module.
    pub module: String,
    /// Reloads in each run.
    pub repeats: u32,
    /// Runs for each row.
    pub rounds: u32,
    /// Each level with caches, and then without.
    pub rows: Vec<BenchRow>,
    /// How many times as long it takes without caches, at level 0.
    pub ratio: f64,
}

/// How long modules take to import, from the start of the interpreter on.
#[derive(Debug, Clone, Serialize)]
pub struct BenchImports {
    /// The standard library.
    pub path: String,
    /// Its version.
    pub python: String,
    /// The modules.
    pub modules: Vec<String>,
    /// Runs for each row.
    pub rounds: u32,
    /// Each level with caches, and then without.
    pub rows: Vec<BenchRow>,
    /// How many times as long it takes without caches, at level 0.
    pub ratio: f64,
}

/// How long something took: the medians of several runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// 0, 1 or 2.
    pub level: u8,
    /// Whether there were caches.
    pub cached: bool,
    /// By the clock.
    pub real_seconds: f64,
    /// CPU time in the interpreter.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub sys_seconds: f64,
    /// The quickest run, by the clock.
    pub lowest_real_seconds: f64,
    /// The slowest run, by the clock.
    pub highest_real_seconds: f64,
}
