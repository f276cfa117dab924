//! The recipes: what each command does, step by step, from a reference to a report. The only
//! place where the other modules are wired together.

mod bench;
mod compare;
mod inspect;
mod launching;
mod minimize;
mod pairs;
mod verify;

use std::collections::BTreeMap;

use crate::bench::CannotMeasure;
use crate::compile::NoInterpreter;
use crate::inventory::{self, ChosenVersions, Inventory, Known};
use crate::layers::{Access, LayerError, LayerErrorCause, hash_sources, scan_layers};
use crate::limits::{LayerAllowances, LimitError, Limits};
use crate::oci::commands::named_paths;
use crate::oci::image::ImageError;
use crate::oci::listing::listed;
use crate::oci::{BlobError, BlobStore, Image, Node, Platform, load_within};
use crate::profile::{Levels, Profile};
use crate::progress::Observer;
use crate::pyc::{CpythonVersion, Level};
use crate::rewrite::staging::StagingError;
use crate::rootfs::{RootfsError, squash};
use crate::transport::{Source, TransportError};
use launching::launch;

pub use bench::bench;
pub use compare::{Compared, compare};
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
    /// An interpreter for sources that are to be compiled cannot be had.
    #[error("image {platform}: {source}")]
    Interpreter {
        /// The image's platform.
        platform: String,
        /// Why.
        source: Box<NoInterpreter>,
    },
    /// Nothing in any image can be measured; this is the first.
    #[error("image {platform}: cannot measure: {source}")]
    Bench {
        /// The image's platform.
        platform: String,
        /// Why.
        source: Box<CannotMeasure>,
    },
    /// Compiling failed as a whole.
    #[error("image {platform}: cannot compile for Python {version}: {reason}")]
    Compile {
        /// The image's platform.
        platform: String,
        /// The Python.
        version: CpythonVersion,
        /// Why.
        reason: String,
    },
    /// Its interpreter was at work for too long.
    #[error("image {platform}: cannot compile: {source}")]
    TooLong {
        /// The image's platform.
        platform: String,
        /// How long it may be.
        source: LimitError,
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
    /// What was compiled could not be put aside.
    #[error("cannot put compiled bytecode aside in the output's directory")]
    Spool {
        /// The cause.
        source: std::io::Error,
    },
    /// The image would be replaced by one without some of its platforms.
    #[error(
        "`{output}` is the image that is read, and `--platform` would leave it without {}",
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
            Self::Interpreter { source, .. } => source.hint(),
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
            Self::Layer { source, .. } => limit(&source.cause).and_then(LimitError::hint),
            Self::Rootfs {
                source: RootfsError::Limit(error),
                ..
            }
            | Self::TooLong { source: error, .. } => error.hint(),
            _ => None,
        }
    }
}

fn limit(cause: &LayerErrorCause) -> Option<&LimitError> {
    match cause {
        LayerErrorCause::Limit(error) => Some(error),
        _ => None,
    }
}

/// What the layers of an image may ask for. A blob that several of them are counts once.
fn allowances(image: &Image, options: &Options<'_>) -> LayerAllowances {
    let blobs = image.layers.iter().map(|layer| &layer.descriptor);
    let sizes: BTreeMap<&str, u64> = blobs
        .map(|blob| (blob.digest().as_ref(), blob.size()))
        .collect();
    let bytes = sizes.into_values().fold(0, u64::saturating_add);
    options.limits.of_layers(bytes)
}

fn open(source: &Source, options: &Options<'_>) -> Result<Node, ImageError> {
    let node = load_within(
        &*source.store,
        &source.root,
        options.platform.as_ref(),
        &options.limits,
    )?;
    for image in node.images() {
        check_foreign_layers(&*source.store, image)?;
    }
    Ok(node)
}

/// Layers that are not distributed with their image are not in it either, as a rule.
fn check_foreign_layers(store: &dyn BlobStore, image: &Image) -> Result<(), ImageError> {
    for (index, layer) in image.layers.iter().enumerate() {
        let urls = layer.descriptor.urls().clone().unwrap_or_default();
        let digest = layer.descriptor.digest();
        let is_missing = || matches!(store.open(digest), Err(BlobError::Missing { .. }));
        if !urls.is_empty() && is_missing() {
            return Err(ImageError::Foreign {
                layer: index + 1,
                digest: digest.clone(),
                urls,
            });
        }
    }
    Ok(())
}

/// The levels that a profile keeps of an image.
fn levels(
    profile: &Profile,
    image: &Image,
    inventory: &Inventory,
) -> Result<Vec<Level>, PipelineError> {
    if let Levels::Listed(levels) = &profile.levels {
        return Ok(levels.clone());
    }
    let number = inventory.launch.level();
    let level = number.and_then(|number| {
        let level = u8::try_from(number).ok().and_then(Level::from_number);
        level.ok_or_else(|| format!("it runs Python at level {number}, and caches of levels above 2 are kept by no profile"))
    });
    match level {
        Ok(level) => Ok(vec![level]),
        Err(reason) => Err(PipelineError::RuntimeLevel {
            platform: image.platform.to_string(),
            reason,
        }),
    }
}

/// Reads an image whole and takes stock of it. `hash_all`: with the hash of every source that has a cache.
fn survey(
    store: &dyn BlobStore,
    image: &Image,
    hash_all: bool,
    options: &Options<'_>,
) -> Result<Inventory, PipelineError> {
    survey_for(store, image, None, hash_all, options)
}

/// The same, with the versions of trees that a profile chooses.
fn survey_for(
    store: &dyn BlobStore,
    image: &Image,
    profile: Option<&Profile>,
    hash_all: bool,
    options: &Options<'_>,
) -> Result<Inventory, PipelineError> {
    let layer_error = |source| PipelineError::Layer {
        platform: image.platform.to_string(),
        source,
    };
    let allowances = allowances(image, options);
    let access = options.access(store);
    let scans = scan_layers(access, &image.layers, &allowances).map_err(layer_error)?;
    let members = scans.iter().map(|scan| &*scan.members);
    let rootfs = squash(members, &allowances).map_err(|source| PipelineError::Rootfs {
        platform: image.platform.to_string(),
        source,
    })?;
    let wanted = inventory::wanted_hashes(&scans, &rootfs, hash_all);
    let hashes = match wanted.is_empty() {
        true => Default::default(),
        false => hash_sources(access, &image.layers, &wanted).map_err(layer_error)?,
    };
    let launch = launch(store, image, &scans, &rootfs).map_err(layer_error)?;
    let mut named = named_paths(&image.config);
    named.extend(launch.named.iter().cloned());
    let chosen = ChosenVersions {
        of_tree: &|path| profile?.python.of_tree(path),
        otherwise: profile.and_then(|profile| profile.python.otherwise),
    };
    let known = Known {
        layers: scans,
        rootfs,
        hashes,
        named,
        launch,
    };
    Ok(inventory::build(known, chosen))
}
