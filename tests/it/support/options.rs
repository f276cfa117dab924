//! Options for calls of the library. The helper is the binary under test, and the sandbox is required.

use pycull::compile::InterpreterOptions;
use pycull::compile::sandbox::Mode;
use pycull::limits::Limits;
use pycull::pipeline::{CompileOptions, Options};
use pycull::progress::Unobserved;

/// Compiles with the image's own interpreter.
pub fn compile_options() -> CompileOptions<'static> {
    CompileOptions {
        interpreter: InterpreterOptions {
            helper: env!("CARGO_BIN_EXE_pycull").into(),
            sandbox: Mode::Required,
            python: None,
            emulator: Vec::new(),
            cache: None,
        },
        strict: false,
    }
}

/// All platforms, with the default limits.
pub fn options() -> Options<'static> {
    Options {
        platform: None,
        jobs: 2,
        limits: Limits::default(),
        observer: &Unobserved,
    }
}
