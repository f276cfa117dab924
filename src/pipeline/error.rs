//! What can go wrong in a recipe.

use crate::bench::CannotMeasure;
use crate::compile::CompileError;
use crate::layers::{LayerError, LayerErrorCause};
use crate::oci::image::ImageError;
use crate::oci::listing::listed;
use crate::rewrite::staging::StagingError;
use crate::rootfs::RootfsError;
use crate::transport::TransportError;

/// What can go wrong in a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// An index, manifest or config cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer cannot be used.
    #[error("image {platform}: {source}")]
    Layer {
        /// The image's platform.
        platform: String,
        /// What is wrong with it.
        source: LayerError,
    },
    /// The layers cannot be applied one upon the other.
    #[error("image {platform}: {source}")]
    Rootfs {
        /// The image's platform.
        platform: String,
        /// What is wrong.
        source: RootfsError,
    },
    /// The level that the image runs Python at cannot be told, or is one without caches of its own here.
    #[error("image {platform}: profile `auto` cannot tell which level the image uses: {reason}")]
    RuntimeLevel {
        /// The image's platform.
        platform: String,
        /// Why.
        reason: String,
    },
    /// The image's Python would not read what is to be compiled.
    #[error(
        "image {platform}: cannot compile: Python reads caches only below {prefix} (PYTHONPYCACHEPREFIX), and pycull writes none there"
    )]
    CachePrefix {
        /// The image's platform.
        platform: String,
        /// The directory.
        prefix: String,
    },
    /// The images have no platform in common.
    #[error(
        "the image before and {reference} have no platform in common: before {before}; after {after}"
    )]
    NothingToCompare {
        /// The image after, as it was given.
        reference: String,
        /// Platforms of the image before.
        before: String,
        /// Platforms of the image after.
        after: String,
    },
    /// One of two images cannot be used.
    #[error("{reference}: {source}")]
    OneOfTwo {
        /// The image, as the user wrote it.
        reference: String,
        /// Why.
        source: Box<PipelineError>,
    },
    /// Nothing in any image can be measured; this is the first.
    #[error("image {platform}: cannot measure: {source}")]
    Bench {
        /// The image's platform.
        platform: String,
        /// Why.
        source: Box<CannotMeasure>,
    },
    /// Nothing could be compiled.
    #[error("image {platform}: {source}")]
    Compile {
        /// The image's platform.
        platform: String,
        /// Why.
        source: Box<CompileError>,
    },
    /// Sources do not compile, and all were to.
    #[error("image {platform}: {sources} source(s) do not compile; the first is {path}: {reason}")]
    Strict {
        /// The image's platform.
        platform: String,
        /// Their number.
        sources: usize,
        /// The first.
        path: String,
        /// Why that does not compile.
        reason: String,
    },
    /// The layer with compiled bytecode could not be written.
    #[error("image {platform}: the layer with compiled bytecode")]
    NewLayer {
        /// The image's platform.
        platform: String,
        /// Why.
        source: Box<LayerErrorCause>,
    },
    /// The image would be replaced by one without some of its platforms.
    #[error(
        "cannot replace `{output}`: `--platform` would remove {} from it",
        listed(platforms)
    )]
    PlatformsLost {
        /// The output, as the user wrote it.
        output: String,
        /// The platforms.
        platforms: Vec<String>,
    },
    /// The output could not be written.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A document could not be written beside the output.
    #[error(transparent)]
    Stage(#[from] StagingError),
}

impl PipelineError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Transport(error) => error.hint(),
            Self::OneOfTwo { source, .. } => source.hint(),
            Self::Compile { source, .. } => source.hint(),
            Self::Bench { source, .. } => source.hint(),
            Self::Strict { .. } => Some(
                "leave out `--strict`, or exclude it with `--set 'exclude=[\"PATH\"]'`".to_owned(),
            ),
            Self::PlatformsLost { .. } => {
                Some("give the output another name, or leave out `--platform`".to_owned())
            }
            Self::CachePrefix { .. } => Some(
                "build the image without PYTHONPYCACHEPREFIX, or take out what Python does not read there: `--profile minimal`"
                    .to_owned(),
            ),
            Self::RuntimeLevel { .. } => {
                Some("name the levels to keep, for example `--set levels=[0]`, or use a profile that lists them (`--profile FILE`)".to_owned())
            }
            Self::Image(error) => error.hint(),
            Self::Layer { source, .. } => source.hint(),
            Self::Rootfs {
                source: RootfsError::Limit(error),
                ..
            } => error.hint(),
            _ => None,
        }
    }
}
