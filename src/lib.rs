//! pycull manages the CPython bytecode in the layers of a container image.
//!
//! [`transport`] opens an image and prepares its output. [`pipeline`] has one function for each command. Each
//! function returns a report ([`report::model`]), which [`report`] formats.
//!
//! ```no_run
//! use pycull::compile::{InterpreterOptions, sandbox::Mode};
//! use pycull::limits::Limits;
//! use pycull::oci::CompressionSetting;
//! use pycull::pipeline::{self, CompileOptions, Input, MinimizeOptions, Options, Output};
//! use pycull::progress::Unobserved;
//! use pycull::registry::RegistrySettings;
//! use pycull::transport::{Source, prepare};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options {
//!     platform: None,
//!     jobs: 2,
//!     limits: Limits::default(),
//!     observer: &Unobserved,
//! };
//! let registries = RegistrySettings::default();
//! let source = Source::open(&"app.tar".parse()?, std::io::stdin())?;
//! let output = Output {
//!     sink: prepare(&"oci:small:v1".parse()?, &source, &registries, std::io::stdout())?,
//!     reference: "oci:small:v1",
//! };
//! let compile = CompileOptions {
//!     interpreter: InterpreterOptions {
//!         helper: "pycull".into(),
//!         sandbox: Mode::Required,
//!         python: None,
//!         emulator: Vec::new(),
//!         cache: None,
//!     },
//!     strict: false,
//! };
//! let minimize = MinimizeOptions {
//!     profile: &pycull::profile::load("default", &[])?,
//!     compression: CompressionSetting::Keep,
//!     steps: false,
//!     require_unsigned: false,
//!     compile: &compile,
//! };
//! let input = Input { source: &source, reference: "app.tar" };
//! let report = pipeline::minimize(input, output, &minimize, &options)?;
//! assert!(report.images[0].removed.files > 0);
//! # Ok(())
//! # }
//! ```

mod advice;
pub mod bench;
mod causes;
pub mod compare;
pub mod compile;
pub mod deflate;
mod describe;
pub mod entrypoint;
mod inventory;
pub mod layers;
pub mod limits;
pub mod oci;
mod parallel;
pub mod path;
pub mod pipeline;
mod plan;
pub mod profile;
pub mod progress;
pub mod pyc;
mod quoting;
pub mod read_at;
pub mod registry;
pub mod report;
mod rewrite;
pub mod rootfs;
pub mod scratch;
mod size;
pub mod tar;
pub mod transport;
mod verify;
