//! The result of `inspect --advise`.

use serde::Serialize;

/// Which profile fits an image, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The reasons for the recommended profile.
    pub reasons: Vec<String>,
    /// The profiles to choose from.
    pub choices: Vec<AdviceChoice>,
    /// Facts that the image does not reveal.
    pub unknown: Vec<String>,
}

/// A profile, and its effect on the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdviceChoice {
    /// The profile's name, with the settings to add.
    pub profile: String,
    /// Whether the settings include `missing=compile`.
    pub compiles: bool,
    /// Whether the settings include `stale=compile`.
    pub recompiles: bool,
    /// Whether this is the recommended choice.
    pub recommended: bool,
    /// Bytes of the files that the profile removes from layers.
    pub removed_bytes: u64,
    /// Estimate of the removed bytes when compressed, from the compression ratio of each layer.
    pub saved_compressed_bytes: u64,
    /// Number of modules that Python would then compile itself when they are imported.
    pub compiled_at_start: u64,
}
