//! The recipes: what each command does, step by step, from a reference to a report. The only
//! place where the other modules are wired together.

mod bench;
mod compare;
mod entrypoint;
mod error;
mod inspect;
mod minimize;
mod pairs;
mod survey;
mod verify;

use crate::layers::Access;
use crate::limits::Limits;
use crate::oci::{BlobStore, Platform};
use crate::progress::Observer;
use crate::transport::Source;
use survey::{levels, open, survey, survey_for};

pub use bench::bench;
pub use compare::{Compared, compare};
pub use error::PipelineError;
pub use inspect::{InspectOptions, inspect};
pub use minimize::{CompileOptions, MinimizeOptions, Output, minimize, plan_only};
pub use verify::verify;

/// What every recipe can be told.
#[derive(Clone)]
pub struct Options<'a> {
    /// The platform that is wanted; `None`: all of them.
    pub platform: Option<Platform>,
    /// Layers that are worked on at a time.
    pub jobs: usize,
    /// What an image may ask for.
    pub limits: Limits,
    /// Is told how far the work is.
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

/// An image that was found.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Where it is.
    pub source: &'a Source,
    /// What the user wrote.
    pub reference: &'a str,
}
