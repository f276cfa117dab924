//! The errors of commands.

use crate::bench::CannotMeasure;
use crate::compile::CompileError;
use crate::layers::{LayerError, LayerErrorCause};
use crate::oci::Image;
use crate::oci::image::ImageError;
use crate::oci::listing::listed;
use crate::rewrite::staging::StagingError;
use crate::rootfs::RootfsError;
use crate::transport::TransportError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// An index, manifest or config is invalid or cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer is invalid or cannot be read.
    #[error("image {platform}: {source}")]
    Layer {
        /// The platform of the image.
        platform: String,
        /// The cause.
        source: LayerError,
    },
    /// The layers cannot be merged.
    #[error("image {platform}: {source}")]
    Rootfs {
        /// The platform of the image.
        platform: String,
        /// The cause.
        source: RootfsError,
    },
    /// The profile `auto` cannot determine the level at which the image runs Python, or the level is above 2.
    #[error("image {platform}: profile `auto` cannot {reason}")]
    RuntimeLevel {
        /// The platform of the image.
        platform: String,
        /// What the profile cannot do, and why, as in "cannot …".
        reason: String,
    },
    /// The profile compiles, but the image's Python would not read the caches.
    #[error(
        "image {platform}: cannot compile: Python reads caches only below {prefix} (PYTHONPYCACHEPREFIX), and pycull does not write caches there"
    )]
    CachePrefix {
        /// The platform of the image.
        platform: String,
        /// The directory from which Python reads caches instead.
        prefix: String,
    },
    /// The images have no platform in common.
    #[error(
        "the images have no platform in common: the earlier image has {before}; `{reference}` has {after}"
    )]
    NothingToCompare {
        /// The second source, as the user wrote it.
        reference: String,
        /// The platforms of the first source.
        before: String,
        /// The platforms of the second source.
        after: String,
    },
    /// One of two images cannot be used.
    #[error("`{reference}`: {source}")]
    OneOfTwo {
        /// The image, as the user wrote it.
        reference: String,
        /// The cause.
        source: Box<PipelineError>,
    },
    /// Nothing in any image can be measured. This is the first failure.
    #[error("image {platform}: cannot measure: {source}")]
    Bench {
        /// The platform of the image.
        platform: String,
        /// The cause.
        source: Box<CannotMeasure>,
    },
    /// Compiling failed as a whole.
    #[error("image {platform}: {source}")]
    Compile {
        /// The platform of the image.
        platform: String,
        /// The cause.
        source: Box<CompileError>,
    },
    /// Some sources do not compile, and [`CompileOptions::strict`](super::CompileOptions::strict) is set.
    #[error(
        "image {platform}: sources that do not compile: {sources}; the first is `{path}`: {reason}"
    )]
    Strict {
        /// The platform of the image.
        platform: String,
        /// The number of these sources.
        sources: usize,
        /// The path of the first one.
        path: String,
        /// Why the first one does not compile.
        reason: String,
    },
    /// The new layer with compiled bytecode could not be written.
    #[error("image {platform}: cannot write the layer with compiled bytecode")]
    NewLayer {
        /// The platform of the image.
        platform: String,
        /// The cause.
        source: Box<LayerErrorCause>,
    },
    /// The output would replace the input, and lose platforms that were not chosen.
    #[error(
        "cannot replace `{output}`: `--platform` would remove {} from it",
        listed(platforms)
    )]
    PlatformsLost {
        /// The output, as the user wrote it.
        output: String,
        /// The platforms that would be lost.
        platforms: Vec<String>,
    },
    /// The image is signed, and the user wants to write no image whose signature is lost.
    #[error(
        "`{reference}` is signed (signature {signature}), and the new image would not be signed"
    )]
    Signed {
        /// The reference that the user wrote.
        reference: String,
        /// The digest of the signature's manifest.
        signature: String,
    },
    /// The output could not be written.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A new document could not be written beside the output.
    #[error(transparent)]
    Stage(#[from] StagingError),
}

impl PipelineError {
    /// For `map_err`: adds the platform of this image to the error of a layer.
    pub(super) fn of_layer(image: &Image) -> impl Fn(LayerError) -> Self + Copy {
        |source| Self::Layer {
            platform: image.platform.to_string(),
            source,
        }
    }

    /// What the user can do about the error, if pycull knows.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Transport(error) => error.hint(),
            Self::Stage(error) => error.hint(),
            Self::OneOfTwo { source, .. } => source.hint(),
            Self::Compile { source, .. } => source.hint(),
            Self::Bench { source, .. } => source.hint(),
            Self::Strict { path, .. } => Some(format!(
                "leave out `--strict`, or exclude the caches of this source with `--set 'exclude=[\"{}\"]'`",
                caches_of(path).unwrap_or_else(|| "GLOB".to_owned())
            )),
            Self::PlatformsLost { .. } => {
                Some("give the output another name, or leave out `--platform`".to_owned())
            }
            Self::Signed { .. } => Some(
                "leave out `--require-unsigned`, and sign the new image".to_owned(),
            ),
            Self::CachePrefix { .. } => Some(
                "build the image without PYTHONPYCACHEPREFIX, or remove the caches that Python does not read: `--profile minimal`"
                    .to_owned(),
            ),
            Self::RuntimeLevel { .. } => {
                Some("name the levels to keep, for example `--set 'levels=[0]'`, or use a profile that lists them (`--profile FILE`)".to_owned())
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

/// A glob for the caches of a source. `None` if the path, which comes from an image, cannot be part of a command that
/// the user pastes.
fn caches_of(source: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+/".contains(&byte);
    let (directory, name) = source.rsplit_once('/').unwrap_or(("", source));
    let stem = name.strip_suffix(".py")?;
    let separator = if directory.is_empty() { "" } else { "/" };
    let is_plain = source.bytes().all(is_plain);
    is_plain.then(|| format!("{directory}{separator}__pycache__/{stem}.*"))
}
