//! An image with what is to be done to it.

use super::MinimizeOptions;
use crate::deflate::BlockIndex;
use crate::inventory::Inventory;
use crate::oci::Image;
use crate::pipeline::{Options, PipelineError, survey};
use crate::plan::{Plan, Policy, plan};
use crate::profile::{InvalidationMode, Levels, runtime_level};
use crate::pyc::Level;
use crate::transport::Source;

/// An image with what is to be done to it.
pub(super) struct Planned<'a> {
    pub(super) image: &'a Image,
    pub(super) inventory: Inventory,
    pub(super) plan: Plan,
    pub(super) levels: Vec<Level>,
}

pub(super) fn plan_image<'a>(
    source: &Source,
    image: &'a Image,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<Planned<'a>, PipelineError> {
    let profile = minimize.profile;
    let levels = match &profile.levels {
        Levels::Listed(levels) => levels.clone(),
        Levels::Auto => match runtime_level(&image.config) {
            Some(level) => vec![level],
            None => {
                return Err(PipelineError::RuntimeLevel {
                    platform: image.platform.to_string(),
                });
            }
        },
    };
    let needs_hashes = matches!(
        profile.invalidation,
        InvalidationMode::CheckedHash | InvalidationMode::UncheckedHash
    );
    let mut inventory = survey(&*source.store, image, needs_hashes, options)?;
    let policy = Policy {
        levels: &levels,
        stale: profile.stale,
        dead: profile.dead,
        hardlink: profile.hardlink,
        invalidation: profile.invalidation,
        scope: Some(&profile.scope),
    };
    let plan = keep_one_layer(plan(&inventory, &policy));
    for (scan, plan) in inventory.layers.iter_mut().zip(&plan.layers) {
        if plan.steps.is_empty() {
            // Nothing will be taken over from it.
            scan.blocks = BlockIndex::default();
        }
    }
    Ok(Planned {
        image,
        inventory,
        plan,
        levels,
    })
}

/// An image has at least one layer, empty if need be: not every engine runs one without.
fn keep_one_layer(mut plan: Plan) -> Plan {
    if plan.layers.iter().all(|layer| layer.becomes_empty)
        && let Some(first) = plan.layers.first_mut()
    {
        first.becomes_empty = false;
    }
    plan
}
