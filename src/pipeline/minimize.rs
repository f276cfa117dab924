//! `minimize`: the plan, and an image with new layers by it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::summary::{self, path_text};
use super::{Options, PipelineError, open, survey};
use crate::inventory::Inventory;
use crate::oci::compression::CompressionSetting;
use crate::oci::image::typed_descriptor;
use crate::oci::layer_writer::{LayerWriter, WrittenLayer};
use crate::oci::{BlobError, BlobLocation, BlobStore, Digest, Image, ImageError};
use crate::parallel::try_map;
use crate::plan::{Action, LayerPlan, Plan, Policy, plan};
use crate::profile::{Levels, Profile, runtime_level};
use crate::progress::Phase;
use crate::pyc::Level;
use crate::report::model::{
    Compiled, Count, ImageSize, LayerAction, LayerSize, LeftOut, MinimizeImage, MinimizeLayer,
    MinimizeReport, StepRow,
};
use crate::rewrite::documents::{LayerOutcome, NewDocument, rewrite_documents};
use crate::rewrite::index::rebuild;
use crate::rewrite::layer::{apply, edits};
use crate::rootfs::MemberId;
use crate::scan::{LayerErrorCause, LayerScan, layer_error, read_layer};
use crate::tar::{Kind, TarError};
use crate::transport::{OutputBlob, OutputImage, Source, Target};

/// What `minimize` is to do.
#[derive(Debug, Clone, Copy)]
pub struct MinimizeOptions<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// How rewritten layers are compressed.
    pub compression: CompressionSetting,
    /// Whether the report lists every step of the plan.
    pub steps: bool,
}

/// Reports what [`minimize`] would do, and writes nothing.
///
/// # Errors
/// [`PipelineError`] where the image cannot be read.
pub fn plan_only(
    source: &Source,
    reference: &str,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<MinimizeReport, PipelineError> {
    let root = open(source, options)?;
    let mut images = Vec::new();
    for image in root.images() {
        let planned = plan_image(source, image, minimize, options)?;
        images.push(planned.report(minimize, None));
    }
    Ok(MinimizeReport {
        schema: "pycull.minimize/1",
        reference: reference.to_owned(),
        output: None,
        dry_run: true,
        images,
        left_out: Vec::new(),
    })
}

/// Writes the image that the profile asks for to `target`: to `stdout` where that is a stream.
/// `output_name` is the target as the user wrote it.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn minimize(
    source: &Source,
    reference: &str,
    target: Target,
    output_name: &str,
    stdout: &mut dyn Write,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<MinimizeReport, PipelineError> {
    let root = open(source, options)?;
    let mut work = Work {
        source,
        staging: target.staging(),
        staged: Vec::new(),
        replaced: HashMap::new(),
    };
    let mut images = Vec::new();
    for image in root.images() {
        images.push(work.image(image, minimize, options)?);
    }
    let (descriptor, rebuilt) = rebuild(&root, &work.replaced);
    for index in &rebuilt.indexes {
        work.stage_document(index)?;
    }
    let blobs = work.output_blobs(&descriptor)?;
    target.commit(
        OutputImage {
            root: descriptor,
            blobs,
        },
        stdout,
    )?;
    Ok(MinimizeReport {
        schema: "pycull.minimize/1",
        reference: reference.to_owned(),
        output: Some(output_name.to_owned()),
        dry_run: false,
        images,
        left_out: rebuilt.left_out.iter().map(left_out).collect(),
    })
}

/// An image with what is to be done to it.
struct Planned<'a> {
    image: &'a Image,
    inventory: Inventory,
    plan: Plan,
    levels: Vec<Level>,
}

fn plan_image<'a>(
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
    let inventory = survey(&*source.store, image, options)?;
    let policy = Policy {
        levels: &levels,
        stale: profile.stale,
        dead: profile.dead,
        hardlink: profile.hardlink,
        scope: Some(&profile.scope),
    };
    let plan = keep_one_layer(plan(&inventory, &policy));
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

/// The output while it grows: blobs in the staging directory, and which manifests they replace.
struct Work<'a> {
    source: &'a Source,
    staging: &'a Path,
    staged: Vec<(Digest, PathBuf, u64)>,
    /// New descriptors by the digest of the manifest that they replace.
    replaced: HashMap<String, Value>,
}

impl Work<'_> {
    fn image(
        &mut self,
        image: &Image,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<MinimizeImage, PipelineError> {
        let planned = plan_image(self.source, image, minimize, options)?;
        if planned.plan.is_empty() {
            return Ok(planned.report(minimize, None));
        }
        let outcomes = self.write_layers(&planned, minimize, options)?;
        for outcome in &outcomes {
            if let LayerOutcome::Rewritten(layer) = outcome {
                self.staged.push((
                    layer.digest.clone(),
                    layer.path.clone(),
                    layer.compressed_bytes,
                ));
            }
        }
        let documents = rewrite_documents(image, &outcomes);
        self.stage_document(&documents.config)?;
        self.stage_document(&documents.manifest)?;
        let descriptor = documents.manifest.descriptor.clone();
        self.replaced
            .insert(image.manifest_digest().to_owned(), descriptor.clone());
        let mut report = planned.report(
            minimize,
            Some(Written {
                outcomes: &outcomes,
                descriptor: &descriptor,
            }),
        );
        if documents.history_is_misaligned {
            report.warnings.push(
                "the config's history does not match its layers and was left as it is".to_owned(),
            );
        }
        Ok(report)
    }

    fn write_layers(
        &self,
        planned: &Planned<'_>,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<Vec<LayerOutcome>, PipelineError> {
        let scans = &planned.inventory.layers;
        let changed = scans
            .iter()
            .zip(&planned.plan.layers)
            .filter(|(_, plan)| must_be_written(plan))
            .map(|(scan, _)| scan);
        let sizes: Vec<u64> = changed.map(|scan| scan.layer.descriptor.size()).collect();
        options
            .observer
            .begin(Phase::Writing, sizes.len(), sizes.iter().sum());
        let outcomes = try_map(options.jobs, scans, |index, scan| {
            let plan = &planned.plan.layers[index];
            if plan.becomes_empty {
                return Ok(LayerOutcome::Dropped);
            }
            if plan.steps.is_empty() {
                return Ok(LayerOutcome::Kept);
            }
            let written = self.write_layer(scan, plan, minimize.compression, options);
            options.observer.layer_done();
            written
                .map(LayerOutcome::Rewritten)
                .map_err(|cause| layer_error(index, &scan.layer, cause))
        });
        options.observer.end();
        outcomes.map_err(|source| PipelineError::Layer {
            platform: planned.image.platform.to_string(),
            source,
        })
    }

    fn write_layer(
        &self,
        scan: &LayerScan,
        plan: &LayerPlan,
        compression: CompressionSetting,
        options: &Options<'_>,
    ) -> Result<WrittenLayer, LayerErrorCause> {
        let edits = edits(scan, plan)
            .map_err(|source| LayerErrorCause::Tar(TarError::Header { offset: 0, source }))?;
        let (file, path) = tempfile::NamedTempFile::new_in(self.staging)
            .and_then(|file| file.keep().map_err(|error| error.error))
            .map_err(LayerErrorCause::Write)?;
        let setting = compression.resolve(scan.compression);
        let mut writer = LayerWriter::new(file, &path, setting).map_err(LayerErrorCause::Write)?;
        let written = read_layer(
            &*self.source.store,
            &scan.layer,
            options.observer,
            |_, stream| {
                // What the output refuses is told apart from what the input lacks.
                Ok(apply(stream, &edits, &mut writer))
            },
        )?;
        written.map_err(LayerErrorCause::Write)?;
        writer.finish().map_err(LayerErrorCause::Write)
    }

    fn stage_document(&mut self, document: &NewDocument) -> Result<(), PipelineError> {
        let digest = typed_descriptor(&document.descriptor)?.digest().clone();
        let path = self.staging.join(digest.digest());
        std::fs::write(&path, &document.bytes).map_err(|source| PipelineError::Stage {
            path: path.display().to_string(),
            source,
        })?;
        self.staged
            .push((digest, path, document.bytes.len() as u64));
        Ok(())
    }

    /// Every blob that the new root reaches: staged ones, and those of the source.
    fn output_blobs(&self, descriptor: &Value) -> Result<Vec<OutputBlob>, PipelineError> {
        let mut blobs: BTreeMap<String, OutputBlob> = BTreeMap::new();
        for (digest, path, size) in &self.staged {
            let file = File::open(path).map_err(|source| PipelineError::Stage {
                path: path.display().to_string(),
                source,
            })?;
            let location = BlobLocation {
                file: Arc::new(file),
                path: Some(path.clone()),
                offset: 0,
                size: *size,
            };
            blobs.insert(
                digest.to_string(),
                OutputBlob {
                    digest: digest.clone(),
                    location,
                },
            );
        }
        let store = Overlay {
            staged: &blobs,
            source: &*self.source.store,
        };
        let new_root = crate::oci::image::load(&store, descriptor, None)?;
        let mut reached = BTreeMap::new();
        for digest in new_root.blobs()? {
            let location = store.locate(&digest).map_err(ImageError::from)?;
            reached.insert(digest.to_string(), OutputBlob { digest, location });
        }
        Ok(reached.into_values().collect())
    }
}

/// Staged blobs before those of the source.
struct Overlay<'a> {
    staged: &'a BTreeMap<String, OutputBlob>,
    source: &'a dyn BlobStore,
}

impl BlobStore for Overlay<'_> {
    fn locate(&self, digest: &Digest) -> Result<BlobLocation, BlobError> {
        match self.staged.get(digest.as_ref()) {
            Some(blob) => Ok(blob.location.clone()),
            None => self.source.locate(digest),
        }
    }
}

fn must_be_written(plan: &LayerPlan) -> bool {
    !plan.steps.is_empty() && !plan.becomes_empty
}

/// What was written for an image.
#[derive(Clone, Copy)]
struct Written<'a> {
    outcomes: &'a [LayerOutcome],
    /// Of the new manifest.
    descriptor: &'a Value,
}

impl Planned<'_> {
    /// The report on a plan that was carried out, or was not.
    fn report(
        &self,
        minimize: &MinimizeOptions<'_>,
        written: Option<Written<'_>>,
    ) -> MinimizeImage {
        let layers = self.layers(written);
        let before = ImageSize {
            manifest_digest: Some(self.image.manifest_digest().to_owned()),
            compressed_bytes: Some(summary::compressed_bytes(self.image)),
            uncompressed_bytes: summary::uncompressed_bytes(&self.inventory),
        };
        MinimizeImage {
            platform: self.image.platform.to_string(),
            profile: minimize.profile.name.clone(),
            levels: self
                .levels
                .iter()
                .map(|level| level.index() as u8)
                .collect(),
            after: self.size_after(&before, &layers, written),
            before,
            layers,
            removed: self.removed(),
            compiled: Compiled::default(),
            relinked: self.relinked(),
            reasons: self.reasons(),
            steps: minimize.steps.then(|| self.steps()),
            warnings: self.plan.warnings.iter().map(ToString::to_string).collect(),
        }
    }

    fn size_after(
        &self,
        before: &ImageSize,
        layers: &[MinimizeLayer],
        written: Option<Written<'_>>,
    ) -> ImageSize {
        if self.plan.is_empty() {
            return before.clone();
        }
        let after = || layers.iter().filter_map(|layer| layer.after.as_ref());
        ImageSize {
            manifest_digest: written.and_then(|written| {
                written
                    .descriptor
                    .get("digest")?
                    .as_str()
                    .map(str::to_owned)
            }),
            compressed_bytes: after().map(|layer| layer.compressed_bytes).sum(),
            uncompressed_bytes: after().map(|layer| layer.uncompressed_bytes).sum(),
        }
    }

    fn layers(&self, written: Option<Written<'_>>) -> Vec<MinimizeLayer> {
        let outcome = |index: usize| written.map(|written| &written.outcomes[index]);
        let layers = self
            .inventory
            .layers
            .iter()
            .zip(&self.plan.layers)
            .enumerate();
        layers
            .map(|(index, (scan, plan))| layer_row(scan, plan, outcome(index)))
            .collect()
    }

    fn each_step(&self) -> impl Iterator<Item = (MemberId, &crate::plan::Step)> {
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

    /// Caches that go, and the data that goes with them: not what a surviving link takes over.
    fn removed(&self) -> Count {
        let mut count = Count::default();
        let mut moved = 0;
        for (id, step) in self.each_step() {
            let member = self.inventory.member(id);
            match step.action {
                Action::Drop
                    if matches!(member.kind, Kind::File | Kind::Hardlink)
                        && step.path.ends_with(b".pyc") =>
                {
                    count.files += 1;
                    count.bytes += member.stored_bytes;
                }
                Action::Promote { data } => {
                    moved += self
                        .inventory
                        .member(MemberId { index: data, ..id })
                        .stored_bytes
                }
                _ => {}
            }
        }
        count.bytes = count.bytes.saturating_sub(moved);
        count
    }

    /// Files that become links to an identical level.
    fn relinked(&self) -> Count {
        let mut count = Count::default();
        for (id, step) in self.each_step() {
            let member = self.inventory.member(id);
            if matches!(step.action, Action::Link { .. }) && member.kind == Kind::File {
                count.files += 1;
                count.bytes += member.stored_bytes;
            }
        }
        count
    }

    fn reasons(&self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for (_, step) in self.each_step() {
            *reasons.entry(step.reason.kind().to_owned()).or_default() += 1;
        }
        reasons
    }

    fn steps(&self) -> Vec<StepRow> {
        let row = |(id, step): (MemberId, &crate::plan::Step)| StepRow {
            layer: id.layer + 1,
            path: path_text(&step.path),
            action: match step.action {
                Action::Drop => "drop",
                Action::Promote { .. } => "promote",
                Action::Link { .. } => "link",
            },
            reason: step.reason.to_string(),
        };
        self.each_step().map(row).collect()
    }
}

fn layer_row(scan: &LayerScan, plan: &LayerPlan, outcome: Option<&LayerOutcome>) -> MinimizeLayer {
    let before = LayerSize {
        digest: Some(scan.layer.descriptor.digest().to_string()),
        compressed_bytes: Some(scan.layer.descriptor.size()),
        uncompressed_bytes: scan.uncompressed_bytes,
    };
    let (action, after) = match outcome {
        _ if plan.becomes_empty => (LayerAction::Dropped, None),
        _ if plan.steps.is_empty() => (LayerAction::Kept, Some(before.clone())),
        Some(LayerOutcome::Rewritten(layer)) => (
            LayerAction::Rewritten,
            Some(LayerSize {
                digest: Some(layer.digest.to_string()),
                compressed_bytes: Some(layer.compressed_bytes),
                uncompressed_bytes: layer.uncompressed_bytes,
            }),
        ),
        _ => {
            let uncompressed_bytes = planned_bytes(scan, plan);
            (
                LayerAction::Rewritten,
                Some(LayerSize {
                    digest: None,
                    compressed_bytes: None,
                    uncompressed_bytes,
                }),
            )
        }
    };
    MinimizeLayer {
        before: Some(before),
        after,
        action,
    }
}

/// Bytes that a layer's tar archive will have.
fn planned_bytes(scan: &LayerScan, plan: &LayerPlan) -> u64 {
    let edits = edits(scan, plan).unwrap_or_default();
    edits.iter().fold(scan.uncompressed_bytes, |bytes, edit| {
        bytes + edit.added_bytes() - (edit.range.end - edit.range.start)
    })
}

fn left_out(descriptor: &Value) -> LeftOut {
    let text = |pointer: &str| {
        descriptor
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let is_attestation = text("/annotations/vnd.docker.reference.type").is_some();
    LeftOut {
        manifest_digest: text("/digest").unwrap_or_default(),
        subject: text("/annotations/vnd.docker.reference.digest"),
        kind: if is_attestation {
            "attestation"
        } else {
            "artifact"
        }
        .to_owned(),
    }
}
