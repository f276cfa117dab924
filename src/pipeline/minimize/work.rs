//! Carrying a plan out: new blobs in the target's staging directory.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::MinimizeOptions;
use super::describe::Written;
use super::new_layer::{NewLayer, write_new_layer};
use super::planned::{Planned, plan_image};
use crate::oci::image::typed_descriptor;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::{
    BlobError, BlobLocation, BlobStore, Compression, Digest, Image, ImageError, load,
};
use crate::parallel::try_map;
use crate::pipeline::{Options, PipelineError};
use crate::plan::LayerPlan;
use crate::progress::Phase;
use crate::report::model::MinimizeImage;
use crate::rewrite::documents::{LayerOutcome, NewDocument, rewrite_documents};
use crate::scan::layer_error;
use crate::transport::{OutputBlob, Source};

/// The output while it grows: blobs in the staging directory, and which manifests they replace.
pub(super) struct Work<'a> {
    source: &'a Source,
    staging: &'a Path,
    staged: Vec<(Digest, PathBuf, u64)>,
    /// New descriptors by the digest of the manifest that they replace.
    pub(super) replaced: HashMap<String, Value>,
}

impl<'a> Work<'a> {
    pub(super) fn new(source: &'a Source, staging: &'a Path) -> Self {
        Self {
            source,
            staging,
            staged: Vec::new(),
            replaced: HashMap::new(),
        }
    }

    pub(super) fn image(
        &mut self,
        image: &Image,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<MinimizeImage, PipelineError> {
        let mut planned = plan_image(self.source, image, minimize, options)?;
        planned.compile(self.source, minimize, options, self.staging)?;
        planned.forget_kept_layers();
        if planned.plan.is_empty() {
            return Ok(planned.report(minimize, None));
        }
        let outcomes = self.write_layers(&planned, minimize, options)?;
        let appended = self.append_layer(&planned, minimize, options)?;
        for outcome in &outcomes {
            if let LayerOutcome::Rewritten(layer) = outcome {
                self.stage_layer(layer);
            }
        }
        if let Some(layer) = &appended {
            self.stage_layer(layer);
        }
        let documents = rewrite_documents(image, &outcomes, appended.as_ref());
        self.stage_document(&documents.config)?;
        self.stage_document(&documents.manifest)?;
        let descriptor = documents.manifest.descriptor.clone();
        self.replaced
            .insert(image.manifest_digest().to_owned(), descriptor.clone());
        let mut report = planned.report(
            minimize,
            Some(Written {
                outcomes: &outcomes,
                appended: appended.as_ref(),
                descriptor: &descriptor,
            }),
        );
        if documents.history_is_misaligned {
            report.warnings.push(
                "the config's history does not have one entry for each layer; entries stay with the layers that they are about".to_owned(),
            );
        }
        Ok(report)
    }

    fn stage_layer(&mut self, layer: &WrittenLayer) {
        self.staged.push((
            layer.digest.clone(),
            layer.path.clone(),
            layer.compressed_bytes,
        ));
    }

    /// Writes the layer above all others, compressed as the one below it, where the plan wants one.
    fn append_layer(
        &self,
        planned: &Planned<'_>,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<Option<WrittenLayer>, PipelineError> {
        if planned.plan.appended.is_empty() {
            return Ok(None);
        }
        let hardlink = minimize.profile.hardlink;
        let members = planned.members(&planned.plan.appended, hardlink, None);
        let below = planned.inventory.layers.last();
        let compression = below.map_or(Compression::Gzip, |scan| scan.compression);
        let encoding = minimize.compression.encoding(compression);
        options.observer.begin(Phase::Writing, 1, 0);
        let written = write_new_layer(
            members,
            planned.bodies(),
            encoding,
            self.staging,
            options.jobs,
        );
        options.observer.end();
        written.map(Some).map_err(|source| PipelineError::NewLayer {
            platform: planned.image.platform.to_string(),
            source: Box::new(source),
        })
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
        let at_a_time = options.jobs.min(sizes.len()).max(1);
        let threads_each = options.jobs.div_ceil(at_a_time);
        options
            .observer
            .begin(Phase::Writing, sizes.len(), sizes.iter().sum());
        let outcomes = try_map(options.jobs, scans, |index, scan| {
            let plan = &planned.plan.layers[index];
            if plan.becomes_empty {
                return Ok(LayerOutcome::Dropped);
            }
            if plan.is_empty() {
                return Ok(LayerOutcome::Kept);
            }
            let new_layer = NewLayer {
                store: &*self.source.store,
                scan,
                plan,
                added: planned.members(&plan.compiled, minimize.profile.hardlink, Some(index)),
                compiled: planned.bodies(),
                compression: minimize.compression,
                observer: options.observer,
                directory: self.staging,
                threads: threads_each,
            };
            let written = new_layer.write();
            options.observer.item_done();
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

    pub(super) fn stage_document(&mut self, document: &NewDocument) -> Result<(), PipelineError> {
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
    pub(super) fn output_blobs(
        &self,
        descriptor: &Value,
    ) -> Result<Vec<OutputBlob>, PipelineError> {
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
        let new_root = load(&store, descriptor, None)?;
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
    !plan.is_empty() && !plan.becomes_empty
}
