//! What `inspect --advise` says.

use serde::Serialize;

/// What profile fits an image, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What speaks for it.
    pub reasons: Vec<String>,
    /// What may be chosen.
    pub choices: Vec<AdviceChoice>,
    /// What cannot be told from the image.
    pub unknown: Vec<String>,
}

/// A profile, and what it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdviceChoice {
    /// Its name, with the settings that it needs besides.
    pub profile: String,
    /// Whether with `missing=compile`.
    pub compiles: bool,
    /// Whether with `stale=compile`.
    pub recompiles: bool,
    /// Whether it is the one to take.
    pub recommended: bool,
    /// Bytes of files that it takes out of layers.
    pub removed_bytes: u64,
    /// About what that is compressed, by the ratio of each layer.
    pub saved_compressed_bytes: u64,
    /// Modules that Python would then have to compile itself, if they are imported.
    pub compiled_at_start: u64,
}
