//! `inspect`: what bytecode is in an image, and what is wrong with it.

use super::{Input, Options, PipelineError, open, survey};
use crate::advice::advise;
use crate::describe::{self, Inspected};
use crate::inventory::missing_caches;
use crate::pyc::Level;
use crate::report::model::{InspectReport, MANY_MISSING};

/// What `inspect` is to say beside the facts.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectOptions {
    /// A map of the bytes.
    pub map: bool,
    /// Advice.
    pub advice: bool,
}

/// Reads every image that the source holds and reports on it.
///
/// # Errors
/// [`PipelineError`] where an image cannot be read. One without Python is a report.
pub fn inspect(
    input: Input<'_>,
    inspect: InspectOptions,
    options: &Options<'_>,
) -> Result<InspectReport, PipelineError> {
    let root = open(input.source, options)?;
    let mut images = Vec::new();
    for image in root.images() {
        let inventory = survey(&*input.source.store, image, false, options)?;
        // Above level 2 caches have names of their own, and nobody ships them: level 0 stands for all modules.
        let level = inventory.launch.assumed_level();
        let missing = missing_caches(&inventory, level.unwrap_or(Level::Zero));
        let told = level.map_or(&[][..], |_| &missing);
        let advice = || advise(image, &inventory, missing.len(), MANY_MISSING);
        images.push(describe::inspect(Inspected {
            image,
            inventory: &inventory,
            missing: told,
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
