//! Carrying a plan out: new blobs in the target's staging directory.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::MinimizeOptions;
use super::describe::Written;
use super::new_layer::{NewLayer, keeps_zstd, nearest_zstd_level, write_new_layer};
use super::planned::{Planned, plan_image};
use super::warnings::{Done, warnings};
use crate::oci::image::typed_descriptor;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::media_type::Family;
use crate::oci::{
    BlobError, BlobFile, BlobLocation, BlobStore, Compression, Digest, Encoding, Image, ImageError,
    load, read_document,
};
use crate::parallel::try_map;
use crate::pipeline::{Options, PipelineError};
use crate::plan::LayerPlan;
use crate::progress::Phase;
use crate::report::model::MinimizeImage;
use crate::rewrite::documents::{
    LayerOutcome, NewDocument, NewDocuments, Texts, rewrite_documents,
};
use crate::rewrite::index::{NewManifest, Replacements};
use crate::rewrite::media_types::is_of_family;
use crate::scan::layer_error;
use crate::transport::{OutputBlob, Source};

/// The output while it grows: blobs in the staging directory, and which manifests they replace.
pub(super) struct Work<'a> {
    source: &'a Source,
    staging: &'a Path,
    /// The media types that the output's medium wants.
    family: Option<Family>,
    staged: Vec<(Digest, PathBuf, u64)>,
    /// Layers that were read, and held against their digests, as images were.
    read: HashSet<Digest>,
    /// What became of images and their parts.
    pub(super) replaced: Replacements,
}

impl<'a> Work<'a> {
    pub(super) fn new(source: &'a Source, staging: &'a Path, family: Option<Family>) -> Self {
        Self {
            source,
            staging,
            family,
            staged: Vec::new(),
            read: HashSet::new(),
            replaced: Replacements::default(),
        }
    }

    pub(super) fn image(
        &mut self,
        image: &Image,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<MinimizeImage, PipelineError> {
        let mut planned = plan_image(self.source, image, minimize, options)?;
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest());
        self.read.extend(layers.cloned());
        planned.compile(self.source, minimize, options, self.staging)?;
        planned.forget_kept_layers();
        let new_types = self.family.filter(|family| !is_of_family(image, *family));
        if planned.plan.is_empty() && new_types.is_none() {
            return Ok(planned.report(minimize, None));
        }
        let outcomes = self.write_layers(&planned, minimize, options)?;
        let appended = self.append_layer(&planned, minimize, options)?;
        let documents = self.stage(image, &outcomes, appended.as_ref())?;
        let descriptor = documents.manifest.descriptor.clone();
        self.replaced.manifests.insert(
            image.manifest_digest().to_owned(),
            NewManifest {
                descriptor: descriptor.clone(),
                has_zstd: has_zstd(&planned, &outcomes, appended.as_ref()),
            },
        );
        let written = Written {
            outcomes: &outcomes,
            appended: appended.as_ref(),
            descriptor: &descriptor,
        };
        let mut report = planned.report(minimize, Some(written));
        let done = Done {
            planned: &planned,
            outcomes: &outcomes,
            documents: &documents,
            new_types,
        };
        report
            .warnings
            .extend(warnings(&done, minimize.compression));
        Ok(report)
    }

    /// Stages what was written of an image, and its new documents.
    fn stage(
        &mut self,
        image: &Image,
        outcomes: &[LayerOutcome],
        appended: Option<&WrittenLayer>,
    ) -> Result<NewDocuments, PipelineError> {
        let rewritten = outcomes.iter().filter_map(|outcome| match outcome {
            LayerOutcome::Rewritten(layer) => Some(layer),
            LayerOutcome::Kept | LayerOutcome::Dropped => None,
        });
        for layer in rewritten.chain(appended) {
            self.stage_layer(layer);
        }
        let texts = self.texts(image)?;
        let mut documents = rewrite_documents(image, &texts, outcomes, appended, self.family);
        self.stage_document(&documents.config)?;
        self.stage_document(&documents.manifest)?;
        let renamed = std::mem::take(&mut documents.renamed);
        self.replaced.renamed.extend(renamed);
        Ok(documents)
    }

    fn texts(&self, image: &Image) -> Result<Texts, ImageError> {
        let store = &*self.source.store;
        let manifest = typed_descriptor(&image.descriptor)?;
        Ok(Texts {
            config: read_document(store, &image.config_descriptor, "config")?,
            manifest: read_document(store, &manifest, "manifest")?,
        })
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
        let encoding = match below {
            Some(scan) if keeps_zstd(minimize.compression, scan) => {
                Encoding::Zstd(nearest_zstd_level(&*self.source.store, scan))
            }
            Some(scan) => minimize.compression.encoding(scan.compression),
            None => minimize.compression.encoding(Compression::Gzip),
        };
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
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&document.bytes)?;
            file.sync_data()
        });
        written.map_err(|source| PipelineError::Stage {
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
            let staged = path.clone();
            let location = BlobLocation {
                file: BlobFile::on_demand(move || File::open(&staged)),
                path: Some(path.clone()),
                offset: 0,
                size: *size,
            };
            blobs.insert(
                digest.to_string(),
                OutputBlob {
                    digest: digest.clone(),
                    location,
                    is_checked: true,
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
            let key = digest.to_string();
            let is_checked = blobs.contains_key(&key) || self.read.contains(&digest);
            let blob = OutputBlob {
                digest,
                location,
                is_checked,
            };
            reached.insert(key, blob);
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

/// Whether any layer of the new image is compressed with Zstandard.
fn has_zstd(
    planned: &Planned<'_>,
    outcomes: &[LayerOutcome],
    appended: Option<&WrittenLayer>,
) -> bool {
    let layers = planned.inventory.layers.iter().zip(outcomes);
    let kept = layers.filter_map(|(scan, outcome)| match outcome {
        LayerOutcome::Kept => Some(scan.compression),
        LayerOutcome::Rewritten(written) => Some(written.compression),
        LayerOutcome::Dropped => None,
    });
    let new = appended.map(|layer| layer.compression);
    kept.chain(new).any(|it| it == Compression::Zstd)
}

fn must_be_written(plan: &LayerPlan) -> bool {
    !plan.is_empty() && !plan.becomes_empty
}
