//! The recipes: what each command does, step by step, from a reference to a report. Only this room wires the other
//! rooms together.

mod bench;
mod compare;
mod entrypoint;
mod error;
mod image_pairs;
mod inspect;
mod minimize;
mod survey;
mod verify;

use crate::layers::Access;
use crate::limits::Limits;
use crate::oci::{BlobStore, Platform};
use crate::progress::Observer;
use crate::transport::Source;
use survey::{Stored, levels, open, survey, survey_for};

pub use bench::bench;
pub use compare::{CompareOptions, Compared, compare};
pub use error::PipelineError;
pub use inspect::{InspectOptions, inspect};
pub use minimize::{CompileOptions, MinimizeOptions, Output, minimize, plan_only};
pub use verify::verify;

/// Options that all commands have.
#[derive(Clone)]
pub struct Options<'a> {
    /// The platform to use; `None` for all platforms.
    pub platform: Option<Platform>,
    /// Number of parallel jobs.
    pub jobs: usize,
    /// Limits on what an image may ask for.
    pub limits: Limits,
    /// Receives progress reports.
    pub observer: &'a dyn Observer,
}

impl<'a> Options<'a> {
    fn access(&self, store: &'a dyn BlobStore) -> Access<'a> {
        Access {
            store,
            jobs: self.jobs,
            observer: self.observer,
        }
    }
}

/// The image that a command reads.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The source of the image.
    pub source: &'a Source,
    /// The reference that the user wrote.
    pub reference: &'a str,
}
