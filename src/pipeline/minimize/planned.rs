//! An image and the changes to it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::MinimizeOptions;
use crate::compile::{CompileResult, Compiler};
use crate::deflate::BlockIndex;
use crate::describe::{Minimized, Written};
use crate::inventory::Inventory;
use crate::layers::Access;
use crate::oci::{Digest, Image};
use crate::path;
use crate::pipeline::{Options, PipelineError, Stored, levels, survey_for};
use crate::plan::{CompileOutcome, Plan, plan};
use crate::profile::Policy;
use crate::pyc::Level;
use crate::report::model::MinimizeImage;
use crate::rewrite::additions::Additions;
use crate::rewrite::image_layers::ImageLayers;
use crate::transport::{EarlyBlobs, Source};

/// An image and the changes to it.
pub(super) struct Planned<'a> {
    pub(super) image: &'a Image,
    pub(super) inventory: Inventory,
    pub(super) plan: Plan,
    pub(super) levels: Vec<Level>,
    /// The compiled caches, if there are any.
    pub(super) compiled: Option<CompileResult>,
}

/// Reads an image and plans the changes to it. Caches to compile are planned, but not compiled yet.
pub(super) fn plan_image<'a>(
    stored: Stored<'_>,
    image: &'a Image,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<Planned<'a>, PipelineError> {
    let profile = minimize.profile;
    let needs_hashes = profile.invalidation.is_by_hash();
    let inventory = survey_for(stored, image, Some(profile), needs_hashes, options)?;
    let levels = levels(profile, image, &inventory)?;
    if let Some(prefix) = inventory.launch.pycache_prefix.clone()
        && profile.compiles()
    {
        let platform = image.platform.to_string();
        return Err(PipelineError::CachePrefix { platform, prefix });
    }
    let mut planned = Planned {
        image,
        inventory,
        plan: Plan::default(),
        levels,
        compiled: None,
    };
    planned.plan_anew(minimize, &CompileOutcome::default());
    Ok(planned)
}

impl Planned<'_> {
    fn plan_anew(&mut self, minimize: &MinimizeOptions<'_>, outcome: &CompileOutcome) {
        let policy = self.policy(minimize);
        self.plan = keep_one_layer(plan(&self.inventory, &policy, outcome));
    }

    fn policy<'b>(&'b self, minimize: &MinimizeOptions<'b>) -> Policy<'b> {
        Policy {
            profile: minimize.profile,
            levels: &self.levels,
        }
    }

    /// Compiles the caches in the plan, and plans again with the result.
    pub(super) fn compile(
        &mut self,
        source: &Source,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
        directory: &Path,
    ) -> Result<(), PipelineError> {
        if self.plan.compilations().next().is_none() {
            return Ok(());
        }
        let compiler = Compiler {
            access: options.access(&*source.store),
            inventory: &self.inventory,
            profile: minimize.profile,
            interpreter: &minimize.compile.interpreter,
            time: options.limits.time(),
        };
        let result = compiler.run(&self.plan, directory);
        let result = result.map_err(|source| PipelineError::Compile {
            platform: self.image.platform.to_string(),
            source: Box::new(source),
        })?;
        if minimize.compile.strict
            && let Some((first, failure)) = result.failures.first_key_value()
        {
            return Err(PipelineError::Strict {
                platform: self.image.platform.to_string(),
                sources: result.failures.len(),
                path: path::text(&self.inventory.source_path(self.inventory.source(*first))),
                reason: failure.to_string(),
            });
        }
        self.plan_anew(minimize, &result.outcome);
        self.compiled = Some(result);
        Ok(())
    }

    /// Frees the block indexes of unchanged layers, because nothing is copied out of their blobs.
    pub(super) fn forget_kept_layers(&mut self) {
        for (scan, plan) in self.inventory.layers.iter_mut().zip(&self.plan.layers) {
            if plan.is_empty()
                && let Some(scan) = Arc::get_mut(scan)
            {
                scan.blocks = BlockIndex::default();
            }
        }
    }

    /// The report on the plan, and on the new image if there is one.
    pub(super) fn report(
        &self,
        minimize: &MinimizeOptions<'_>,
        written: Option<Written<'_>>,
    ) -> Result<MinimizeImage, PipelineError> {
        let minimized = Minimized {
            image: self.image,
            inventory: &self.inventory,
            plan: &self.plan,
            compiled: self.compiled.as_ref(),
            policy: self.policy(minimize),
            steps: minimize.steps,
        };
        let report = minimized.report(written);
        report.map_err(PipelineError::of_layer(self.image))
    }

    fn additions(&self) -> Additions<'_> {
        let compiled = self.compiled.as_ref();
        compiled.map_or_else(Additions::default, |compiled| {
            compiled.caches.additions(&self.inventory, &self.plan)
        })
    }

    /// The layers to write. `access` reads the old ones.
    pub(super) fn layers<'b>(
        &'b self,
        access: Access<'b>,
        minimize: &MinimizeOptions<'_>,
        to: NewFiles<'b>,
    ) -> ImageLayers<'b> {
        ImageLayers {
            access,
            inventory: &self.inventory,
            plan: &self.plan,
            additions: self.additions(),
            compression: minimize.compression,
            directory: to.directory,
            early: to.early,
            needed_later: to.needed_later,
        }
    }
}

/// Where new layers go.
#[derive(Clone, Copy)]
pub(super) struct NewFiles<'a> {
    /// The directory for their files.
    pub(super) directory: &'a Path,
    /// Takes each layer as soon as it is complete, if the output can.
    pub(super) early: Option<&'a dyn EarlyBlobs>,
    /// The layers that something else still needs.
    pub(super) needed_later: &'a HashSet<Digest>,
}

/// Keeps one layer, even if it is empty, because not every engine runs an image without layers.
fn keep_one_layer(mut plan: Plan) -> Plan {
    if plan.layers.iter().all(|layer| layer.becomes_empty)
        && let Some(first) = plan.layers.first_mut()
    {
        first.becomes_empty = false;
    }
    plan
}
