//! Compiles sources to bytecode with an image's own interpreter, which pycull does not trust.

mod cache_members;
pub mod compile_cache;
mod compiled_caches;
pub mod interpreter;
mod process;
mod protocol;
pub mod sandbox;
mod service;
mod sources;
mod start;
mod timed_pipe;
mod worker;

pub use process::{ProcessEnd, ProcessFailure, output};
pub use protocol::{Job, Ready};
pub use service::{Body, Compiled, Failure, Memory, SCRIPT, Service, ServiceError};
pub use sources::{CompileError, CompileResult, Compiler};
pub use start::{
    Interpreter, InterpreterOptions, Interpreters, NoInterpreter, Running, temporary_directory,
};
pub use worker::TimeLimits;
