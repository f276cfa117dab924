//! `inspect` shows the bytecode of an image, and what is wrong with it.

use super::{Input, Options, PipelineError, Stored, open, survey};
use crate::advice::advise;
use crate::describe::{self, Inspected};
use crate::inventory::missing_caches;
use crate::layers::SharedScans;
use crate::pyc::Level;
use crate::report::model::{InspectReport, MANY_MISSING};

/// What `inspect` reports in addition to facts.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectOptions {
    /// Whether to report a map of the image's bytes.
    pub map: bool,
    /// Whether to report advice.
    pub advice: bool,
}

/// Reports on every image in the source, including images without Python.
///
/// # Errors
/// [`PipelineError`] if an image cannot be read.
pub fn inspect(
    input: Input<'_>,
    inspect: InspectOptions,
    options: &Options<'_>,
) -> Result<InspectReport, PipelineError> {
    let root = open(input.source, options)?;
    let shared = SharedScans::of_images(root.images());
    let mut images = Vec::new();
    for image in root.images() {
        let inventory = survey(Stored::with(input.source, &shared), image, false, options)?;
        // Caches above level 2 have other names, and no image ships them. At such a level, the report lists no missing
        // caches, and the advice uses level 0.
        let level = inventory.launch.assumed_level();
        let missing = missing_caches(&inventory, level.unwrap_or(Level::Zero));
        let listed = level.map_or(&[][..], |_| &missing);
        let advice = || advise(image, &inventory, missing.len(), MANY_MISSING);
        images.push(describe::inspect(Inspected {
            image,
            inventory: &inventory,
            missing: listed,
            advice: inspect.advice.then(advice).flatten(),
            map: inspect.map,
        }));
    }
    Ok(InspectReport {
        schema: "pycull.inspect/1",
        reference: input.reference.to_owned(),
        images,
    })
}
