//! Carries out plans, image by image.

use std::collections::HashMap;

use serde_json::Value;

use super::planned::{NewFiles, Planned, plan_image};
use super::{MinimizeOptions, digest_of, left_out};
use crate::describe::Written;
use crate::layers::LayerScan;
use crate::oci::image::typed_descriptor;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::media_type::Family;
use crate::oci::{Compression, Image, ImageError, Node, read_document};
use crate::pipeline::{Options, PipelineError, Stored};
use crate::plan::may_change;
use crate::report::model::{LeftOut, MinimizeImage};
use crate::rewrite::documents::{LayerOutcome, NewDocuments, Texts, rewrite_documents};
use crate::rewrite::image_layers::send_kept;
use crate::rewrite::index::{NewManifest, Replacements, rebuild};
use crate::rewrite::layer_uses::LayerUses;
use crate::rewrite::media_types::is_of_family;
use crate::rewrite::staging::Staging;
use crate::transport::{DockerForm, EarlyBlobs, Medium, Source};

const OLD_ARCHIVE: Medium = Medium::DockerArchive(DockerForm::Old);

/// The unfinished output: new blobs, and the manifests that they replace.
pub(super) struct NewOutput<'a> {
    pub(super) source: &'a Source,
    /// Takes layers before the commit, if the sink can.
    pub(super) early: Option<&'a dyn EarlyBlobs>,
    /// The layers that are still needed.
    pub(super) uses: LayerUses,
    /// The family of media types for the output; `None` if images keep their own.
    pub(super) family: Option<Family>,
    pub(super) staging: Staging<'a>,
    pub(super) replaced: Replacements,
}

impl NewOutput<'_> {
    pub(super) fn image(
        &mut self,
        image: &Image,
        minimize: &MinimizeOptions<'_>,
        options: &Options<'_>,
    ) -> Result<MinimizeImage, PipelineError> {
        let directory = self.staging.directory();
        let needed_later = self.uses.needed_after(image);
        let sends = |scan: &LayerScan| {
            let packs = minimize.compression.packs(scan.compression);
            if !packs && !may_change(scan, minimize.profile) {
                send_kept(&*self.source.store, scan, self.early, &needed_later);
            }
        };
        let stored = Stored {
            read: &sends,
            ..Stored::of(self.source)
        };
        let mut planned = plan_image(stored, image, minimize, options)?;
        self.staging.note_read(image);
        planned.compile(self.source, minimize, options, directory)?;
        planned.forget_kept_layers();
        let new_types = self.family.filter(|family| !is_of_family(image, *family));
        let mut layers = planned.inventory.layers.iter();
        let packs = layers.any(|scan| minimize.compression.packs(scan.compression));
        if planned.plan.is_empty() && new_types.is_none() && !packs {
            self.keep_layers(image, |_| true);
            return planned.report(minimize, None);
        }
        let to = NewFiles {
            directory,
            early: self.early,
            needed_later: &needed_later,
        };
        let layers = planned.layers(options.access(&*self.source.store), minimize, to);
        let outcomes = layers.write().map_err(PipelineError::of_layer(image))?;
        self.keep_layers(image, |layer| matches!(outcomes[layer], LayerOutcome::Kept));
        let appended = layers.write_appended();
        let appended = appended.map_err(|source| PipelineError::NewLayer {
            platform: image.platform.to_string(),
            source: Box::new(source),
        })?;
        let documents = self.stage(image, &outcomes, appended.as_ref())?;
        self.replaced.manifests.insert(
            image.manifest_digest().to_owned(),
            NewManifest {
                descriptor: documents.manifest.descriptor.clone(),
                has_zstd: has_zstd(&planned, &outcomes, appended.as_ref()),
            },
        );
        let written = Written {
            outcomes: &outcomes,
            appended: appended.as_ref(),
            documents: &documents,
            // An old docker archive has no types, and no manifest whose digest could change.
            new_types: new_types.filter(|_| self.source.medium != OLD_ARCHIVE),
            compression: minimize.compression,
        };
        planned.report(minimize, Some(written))
    }

    /// Notes the layers that the output has as they are. A sink that takes layers early has them before the commit.
    fn keep_layers(&mut self, image: &Image, is_kept: impl Fn(usize) -> bool) {
        for (index, layer) in image.layers.iter().enumerate() {
            if is_kept(index) && self.early.is_none() {
                self.uses.keep(layer.descriptor.digest());
            }
        }
    }

    /// Stages the new indexes. Returns the descriptor of the new root, and what is about the old image only.
    pub(super) fn finish(&mut self, root: &Node) -> Result<(Value, Vec<LeftOut>), PipelineError> {
        let texts = index_texts(self.source, root)?;
        let (descriptor, rebuilt) = rebuild(root, &self.replaced, self.family, &texts);
        for index in &rebuilt.indexes {
            self.staging.add_document(index)?;
        }
        let mut left_out: Vec<LeftOut> = rebuilt.left_out.iter().map(left_out::artifact).collect();
        let mut gone: Vec<&str> = self.replaced.manifests.keys().map(String::as_str).collect();
        gone.sort_unstable();
        let old = digest_of(&self.source.root);
        if old != digest_of(&descriptor) && !gone.contains(&old) {
            gone.push(old);
        }
        left_out.extend(left_out::referrers(self.source, gone.into_iter())?);
        Ok((descriptor, left_out))
    }

    /// Stages the new layers of an image, and its new documents.
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
            self.staging.add_layer(layer);
        }
        let store = &*self.source.store;
        let manifest = typed_descriptor(&image.descriptor)?;
        let texts = Texts {
            config: read_document(store, &image.config_descriptor, "config")
                .map_err(ImageError::from)?,
            manifest: read_document(store, &manifest, "manifest").map_err(ImageError::from)?,
            name: self.source.registry_name().map(str::to_owned),
        };
        let mut documents = rewrite_documents(image, &texts, outcomes, appended, self.family);
        self.staging.add_document(&documents.config)?;
        self.staging.add_document(&documents.manifest)?;
        let renamed = std::mem::take(&mut documents.renamed);
        self.replaced.renamed.extend(renamed);
        Ok(documents)
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

/// The original texts of the indexes at and below a node, by digest.
fn index_texts(source: &Source, root: &Node) -> Result<HashMap<String, Vec<u8>>, ImageError> {
    let mut texts = HashMap::new();
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        if let Node::Index(index) = node {
            let descriptor = typed_descriptor(&index.descriptor)?;
            let text = read_document(&*source.store, &descriptor, "index")?;
            texts.insert(descriptor.digest().to_string(), text);
            pending.extend(&index.children);
        }
    }
    Ok(texts)
}
