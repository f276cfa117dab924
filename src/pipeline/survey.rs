//! Reads a whole image and builds its inventory. Every command starts with this.

use std::collections::BTreeMap;

use super::entrypoint::read_entrypoint;
use super::{Options, PipelineError};
use crate::inventory::{self, ChosenVersions, Inventory, Known};
use crate::layers::{LayerScan, SharedScans, hash_sources, scan_shared};
use crate::limits::LayerAllowances;
use crate::oci::commands::named_paths;
use crate::oci::image::ImageError;
use crate::oci::{BlobError, BlobStore, Image, Node, load_within};
use crate::profile::{Levels, Profile};
use crate::pyc::Level;
use crate::rootfs::squash;
use crate::transport::Source;

/// What the layers of an image may ask for. A blob that several layers share counts once.
fn allowances(image: &Image, options: &Options<'_>) -> LayerAllowances {
    let blobs = image.layers.iter().map(|layer| &layer.descriptor);
    let sizes: BTreeMap<&str, u64> = blobs
        .map(|blob| (blob.digest().as_ref(), blob.size()))
        .collect();
    let bytes = sizes.into_values().fold(0, u64::saturating_add);
    options.limits.of_layers(bytes)
}

pub(super) fn open(source: &Source, options: &Options<'_>) -> Result<Node, ImageError> {
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

/// Checks for missing layers with URLs. Such layers are not distributed, so an image usually does not contain them.
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

/// The levels that a profile keeps in an image.
pub(super) fn levels(
    profile: &Profile,
    image: &Image,
    inventory: &Inventory,
) -> Result<Vec<Level>, PipelineError> {
    if let Levels::Listed(levels) = &profile.levels {
        return Ok(levels.clone());
    }
    let number = inventory
        .launch
        .level()
        .map_err(|reason| format!("determine the level at which the image runs Python: {reason}"));
    let level = number.and_then(|number| {
        let level = u8::try_from(number).ok().and_then(Level::from_number);
        level.ok_or_else(|| {
            format!(
                "keep the level at which the image runs Python: it is {number}, and a profile can list only levels 0, 1 and 2"
            )
        })
    });
    match level {
        Ok(level) => Ok(vec![level]),
        Err(reason) => Err(PipelineError::RuntimeLevel {
            platform: image.platform.to_string(),
            reason,
        }),
    }
}

/// The layers to survey.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) store: &'a dyn BlobStore,
    /// Layers that other images have too.
    pub(super) shared: Option<&'a SharedScans>,
    /// Gets each layer as soon as it is read.
    pub(super) read: &'a (dyn Fn(&LayerScan) + Sync),
}

impl<'a> Stored<'a> {
    /// The layers of an image in this source.
    pub(super) fn of(source: &'a Source) -> Self {
        Self {
            store: &*source.store,
            shared: None,
            read: &|_| (),
        }
    }

    /// The same, together with other images. Only layers in a registry are shared: it has one blob for a digest, and
    /// getting it takes time. Of files, each one is read and checked.
    pub(super) fn with(source: &'a Source, shared: &'a SharedScans) -> Self {
        Self {
            shared: source.is_remote().then_some(shared),
            ..Self::of(source)
        }
    }
}

/// Reads a whole image and builds its inventory. With `hash_all`, this hashes every source that has a cache.
pub(super) fn survey(
    stored: Stored<'_>,
    image: &Image,
    hash_all: bool,
    options: &Options<'_>,
) -> Result<Inventory, PipelineError> {
    survey_for(stored, image, None, hash_all, options)
}

/// Like [`survey`], with the Python versions that a profile chooses for trees.
pub(super) fn survey_for(
    stored: Stored<'_>,
    image: &Image,
    profile: Option<&Profile>,
    hash_all: bool,
    options: &Options<'_>,
) -> Result<Inventory, PipelineError> {
    let layer_error = PipelineError::of_layer(image);
    let allowances = allowances(image, options);
    let access = options.access(stored.store);
    let unshared = SharedScans::default();
    let shared = stored.shared.unwrap_or(&unshared);
    let scans = scan_shared(access, &image.layers, &allowances, shared, stored.read);
    let scans = scans.map_err(layer_error)?;
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
    let launch = read_entrypoint(stored.store, image, &scans, &rootfs).map_err(layer_error)?;
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
