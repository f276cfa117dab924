//! Turns a plan and its results into the report of `minimize`.

use std::collections::BTreeMap;

use super::notes::notes;
use super::summary;
use super::warnings::{Written, warnings};
use crate::compile::{CompileResult, Interpreter};
use crate::inventory::{Inventory, cache_from_source, layer_levels};
use crate::layers::{LayerError, LayerScan, layer_error};
use crate::oci::Image;
use crate::oci::layer_writer::WrittenLayer;
use crate::path;
use crate::plan::{Action, LayerPlan, Plan, Step, Warning, removed_caches};
use crate::profile::Policy;
use crate::pyc::Level;
use crate::report::model::{
    CompileFailure, Compiled, Count, ImageSize, InterpreterRow, LayerAction, LayerSize, Levels,
    MinimizeImage, MinimizeLayer, StepAction, StepRow,
};
use crate::rewrite::documents::LayerOutcome;
use crate::rewrite::edits::{edits, kept};
use crate::rootfs::MemberId;
use crate::tar::{Kind, TarError};

/// An image, its plan, and what was compiled for it.
#[derive(Clone, Copy)]
pub(crate) struct Minimized<'a> {
    /// The image.
    pub image: &'a Image,
    /// The contents of the image.
    pub inventory: &'a Inventory,
    /// The plan for the image.
    pub plan: &'a Plan,
    /// The compiled caches, if anything was compiled.
    pub compiled: Option<&'a CompileResult>,
    /// The profile that the plan follows, with its levels.
    pub policy: Policy<'a>,
    /// Whether the report lists every step of the plan.
    pub steps: bool,
}

impl Minimized<'_> {
    /// Makes the report. `written` is `None` in a dry run.
    ///
    /// # Errors
    /// [`LayerError`] in a dry run, for a layer that pycull could not write.
    pub(crate) fn report(&self, written: Option<Written<'_>>) -> Result<MinimizeImage, LayerError> {
        let layers = self.layers(written)?;
        let before = ImageSize {
            manifest_digest: Some(self.image.manifest_digest().to_owned()),
            compressed_bytes: Some(summary::compressed_bytes(self.image)),
            uncompressed_bytes: summary::uncompressed_bytes(self.inventory),
        };
        Ok(MinimizeImage {
            platform: self.image.platform.to_string(),
            profile: self.policy.profile.name.clone(),
            levels: self
                .policy
                .levels
                .iter()
                .map(|level| level.index() as u8)
                .collect(),
            after: self.size_after(&before, &layers, written),
            before,
            layers,
            removed: self.removed(),
            compiled: self.compiled_caches(),
            relinked: self.relinked(),
            reasons: self.reasons(),
            steps: self.steps.then(|| self.steps()),
            warnings: self.warnings(written),
            kept: self
                .plan
                .warnings
                .iter()
                .map(Warning::kept_against_profile)
                .sum(),
        })
    }

    fn size_after(
        &self,
        before: &ImageSize,
        layers: &[MinimizeLayer],
        written: Option<Written<'_>>,
    ) -> ImageSize {
        if self.plan.is_empty() && written.is_none() {
            return before.clone();
        }
        let after = || layers.iter().filter_map(|layer| layer.after.as_ref());
        ImageSize {
            manifest_digest: written.and_then(|written| {
                written
                    .documents
                    .manifest
                    .descriptor
                    .get("digest")?
                    .as_str()
                    .map(str::to_owned)
            }),
            compressed_bytes: after().map(|layer| layer.compressed_bytes).sum(),
            uncompressed_bytes: after().map(|layer| layer.uncompressed_bytes).sum(),
        }
    }

    fn layers(&self, written: Option<Written<'_>>) -> Result<Vec<MinimizeLayer>, LayerError> {
        let outcome = |index: usize| written.map(|written| &written.outcomes[index]);
        let before = layer_levels(self.inventory);
        let levels = before.into_iter().zip(self.levels_after());
        let levels = levels.map(|(before, after)| [before, after].map(summary::levels));
        let layers = self.inventory.layers.iter().zip(&self.plan.layers);
        let mut rows = layers
            .zip(levels)
            .enumerate()
            .map(|(index, ((scan, plan), levels))| {
                let row = layer_row(scan, plan, levels, outcome(index));
                row.map_err(|cause| layer_error(index, &scan.layer, cause.into()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !self.plan.appended.is_empty() {
            let layer = written.and_then(|written| written.appended);
            let levels = summary::levels(self.compiled_sizes(&self.plan.appended));
            rows.push(MinimizeLayer {
                before: None,
                after: layer.map(|layer| written_size(layer, levels)),
                action: LayerAction::Appended,
            });
        }
        Ok(rows)
    }

    fn warnings(&self, written: Option<Written<'_>>) -> Vec<String> {
        let scope = &self.policy.profile.scope;
        let globs = scope.unmatched(self.paths_in_question()).into_iter();
        let globs = globs.map(|glob| format!("the glob `{glob}` matches no cache of the image"));
        let plan = self.plan.warnings.iter().map(ToString::to_string);
        let compiling = self.compiled.iter().flat_map(|it| it.warnings.clone());
        let notes = notes(self.inventory).into_iter();
        let own = written
            .into_iter()
            .flat_map(|it| warnings(self.image, self.inventory, it));
        plan.chain(compiling)
            .chain(globs)
            .chain(notes)
            .chain(own)
            .collect()
    }

    /// The paths that the globs of a profile may match: those of caches, and those of caches that sources may get.
    fn paths_in_question(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let inventory = self.inventory;
        let caches = inventory.caches.iter().map(|cache| cache.path.clone());
        let hidden = inventory.hidden.iter().map(|cache| cache.path.clone());
        let sourceless = inventory.sourceless.iter().map(|it| it.path.clone());
        let missing = inventory.sources.iter().flat_map(move |source| {
            let runtime = inventory.tree_of(source).version;
            let path = inventory.source_path(source);
            let of_level = move |level: &Level| Some(cache_from_source(&path, runtime?, *level));
            self.policy.levels.iter().filter_map(of_level)
        });
        caches.chain(hidden).chain(sourceless).chain(missing)
    }

    /// The caches that were compiled, or that a dry run would compile.
    fn compiled_caches(&self) -> Compiled {
        let result = self.compiled;
        let layers = self.plan.layers.iter().map(|layer| &layer.compiled);
        let lists = layers.chain([&self.plan.appended]);
        let sizes = lists.flat_map(|list| self.compiled_sizes(list));
        let bytes = sizes.map(|sizes| sizes.bytes).sum();
        let failures: Vec<CompileFailure> = result
            .into_iter()
            .flat_map(|result| &result.failures)
            .map(|(source, failure)| CompileFailure {
                path: path::text(&self.inventory.source_path(self.inventory.source(*source))),
                detail: failure.to_string(),
            })
            .collect();
        Compiled {
            files: self.plan.compilations().count() as u64,
            bytes,
            failed: failures.len() as u64,
            failures,
            interpreters: result
                .map_or_else(Vec::new, |it| it.interpreters.iter().map(row).collect()),
        }
    }

    fn each_step(&self) -> impl Iterator<Item = (MemberId, &Step)> {
        self.plan
            .layers
            .iter()
            .enumerate()
            .flat_map(|(layer, plan)| {
                plan.steps.iter().map(move |(index, step)| {
                    (
                        MemberId {
                            layer,
                            index: *index,
                        },
                        step,
                    )
                })
            })
    }

    fn removed(&self) -> Count {
        let mut count = Count::default();
        for removed in removed_caches(self.inventory, self.plan) {
            count.files += removed.files;
            count.bytes += removed.bytes;
        }
        count
    }

    /// Counts files that become links to an identical cache of another level.
    fn relinked(&self) -> Count {
        let mut count = Count::default();
        for (id, step) in self.each_step() {
            let member = self.inventory.member(id);
            if matches!(step.action, Action::Link { .. }) && member.kind == Kind::File {
                count.files += 1;
                count.bytes += member.stored_bytes();
            }
        }
        count
    }

    fn reasons(&self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for reason in self.each_step().flat_map(|(_, step)| step.reasons()) {
            *reasons.entry(reason.kind().to_owned()).or_default() += 1;
        }
        reasons
    }

    fn steps(&self) -> Vec<StepRow> {
        let row = |(id, step): (MemberId, &Step)| StepRow {
            layer: id.layer + 1,
            path: path::text(&step.path),
            action: match step.action {
                Action::Drop => StepAction::Drop,
                Action::Promote { .. } => StepAction::Promote,
                Action::Link { .. } => StepAction::Link,
                Action::Patch(_) => StepAction::Header,
            },
            reason: step
                .reasons()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        };
        self.each_step().map(row).collect()
    }
}

fn row(interpreter: &Interpreter) -> InterpreterRow {
    InterpreterRow {
        python: interpreter.version.to_string(),
        path: interpreter.path.clone(),
        from_image: interpreter.from_image,
        sees_files: interpreter.sees_files,
        sandbox: interpreter.sandbox.clone(),
    }
}

fn written_size(layer: &WrittenLayer, levels: Levels) -> LayerSize {
    LayerSize {
        digest: Some(layer.digest.to_string()),
        compressed_bytes: Some(layer.compressed_bytes),
        uncompressed_bytes: layer.uncompressed_bytes,
        levels,
    }
}

fn layer_row(
    scan: &LayerScan,
    plan: &LayerPlan,
    [levels, levels_after]: [Levels; 2],
    outcome: Option<&LayerOutcome>,
) -> Result<MinimizeLayer, TarError> {
    let before = LayerSize {
        digest: Some(scan.layer.descriptor.digest().to_string()),
        compressed_bytes: Some(scan.layer.descriptor.size()),
        uncompressed_bytes: scan.uncompressed_bytes,
        levels,
    };
    let (action, after) = match outcome {
        _ if plan.becomes_empty => (LayerAction::Dropped, None),
        // A layer that the plan does not change may be compressed on the way.
        Some(LayerOutcome::Rewritten(layer)) => (
            LayerAction::Rewritten,
            Some(written_size(layer, levels_after)),
        ),
        _ if plan.is_empty() => (LayerAction::Kept, Some(before.clone())),
        _ => {
            let uncompressed_bytes = planned_bytes(scan, plan)?;
            (
                LayerAction::Rewritten,
                Some(LayerSize {
                    digest: None,
                    compressed_bytes: None,
                    uncompressed_bytes,
                    levels: levels_after,
                }),
            )
        }
    };
    Ok(MinimizeLayer {
        before: Some(before),
        after,
        action,
    })
}

/// Size in bytes of a layer's tar archive after the plan.
fn planned_bytes(scan: &LayerScan, plan: &LayerPlan) -> Result<u64, TarError> {
    let edits = edits(scan, plan, &[])?;
    Ok(kept(&edits, scan.uncompressed_bytes).1)
}
