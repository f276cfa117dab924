//! Writes the layers of an image that a plan changes, in parallel.

use std::collections::HashSet;
use std::path::Path;

use super::additions::Additions;
use super::documents::LayerOutcome;
use super::new_layer::{NewLayer, keeps_zstd, nearest_zstd_level, write_new_layer};
use super::staging::staged_layer;
use crate::inventory::Inventory;
use crate::layers::{Access, LayerError, LayerErrorCause, LayerScan, layer_error};
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::{BlobStore, Compression, CompressionSetting, Digest, Encoding};
use crate::parallel::try_map;
use crate::plan::{LayerPlan, Plan};
use crate::progress::Phase;
use crate::transport::{EarlyBlobs, OutputBlob};

/// Hands over a layer that stays as it is, unless its blob is needed later. A blob that cannot be opened fails later.
pub(crate) fn send_kept(
    store: &dyn BlobStore,
    scan: &LayerScan,
    early: Option<&dyn EarlyBlobs>,
    needed_later: &HashSet<Digest>,
) {
    let digest = scan.layer.descriptor.digest();
    if let Some(early) = early
        && !needed_later.contains(digest)
        && let Ok(bytes) = store.open(digest)
    {
        early.take(OutputBlob {
            digest: digest.clone(),
            bytes,
            is_checked: true,
        });
    }
}

/// The layers of an image, and everything needed to write new ones.
pub(crate) struct ImageLayers<'a> {
    /// Access to the old layers.
    pub access: Access<'a>,
    /// The content of the image.
    pub inventory: &'a Inventory,
    /// The changes to the image.
    pub plan: &'a Plan,
    /// Members to add to layers.
    pub additions: Additions<'a>,
    /// The compression of new layers.
    pub compression: CompressionSetting,
    /// The directory for the files of new layers.
    pub directory: &'a Path,
    /// Takes each layer as soon as it is complete, if the output can.
    pub early: Option<&'a dyn EarlyBlobs>,
    /// The layers that something else still needs.
    pub needed_later: &'a HashSet<Digest>,
}

impl ImageLayers<'_> {
    /// Writes the layers that the plan changes. Returns the outcome of every layer.
    ///
    /// # Errors
    /// [`LayerError`] if a layer cannot be read or written.
    pub(crate) fn write(&self) -> Result<Vec<LayerOutcome>, LayerError> {
        let scans = &self.inventory.layers;
        let changed = scans.iter().zip(&self.plan.layers);
        let changed = changed.filter(|(scan, plan)| self.must_be_written(scan, plan));
        let sizes: Vec<u64> = changed
            .map(|(scan, _)| scan.layer.descriptor.size())
            .collect();
        let at_a_time = self.access.jobs.min(sizes.len()).max(1);
        let threads_each = self.access.jobs.div_ceil(at_a_time);
        self.access
            .observer
            .begin(Phase::Writing, sizes.len(), sizes.iter().sum());
        let outcomes = try_map(self.access.jobs, scans, |index, scan| {
            let plan = &self.plan.layers[index];
            if plan.becomes_empty {
                return Ok(LayerOutcome::Dropped);
            }
            if !self.must_be_written(scan, plan) {
                send_kept(self.access.store, scan, self.early, self.needed_later);
                return Ok(LayerOutcome::Kept);
            }
            let written = self.new_layer(index, threads_each).write();
            self.access.observer.item_done();
            let written = written.map_err(|cause| layer_error(index, &scan.layer, cause))?;
            Ok(LayerOutcome::Rewritten(written))
        });
        self.access.observer.end();
        outcomes
    }

    fn must_be_written(&self, scan: &LayerScan, plan: &LayerPlan) -> bool {
        let is_changed = !plan.is_empty() || self.compression.packs(scan.compression);
        is_changed && !plan.becomes_empty
    }

    /// Whether nothing needs the blob of a layer after the layer is written.
    fn is_last_use(&self, index: usize) -> bool {
        let scans = &self.inventory.layers;
        let shows_level = index + 1 == scans.len() && !self.plan.appended.is_empty();
        let digest = scans[index].layer.descriptor.digest();
        !shows_level && !self.needed_later.contains(digest)
    }

    fn new_layer(&self, index: usize, threads: usize) -> NewLayer<'_> {
        NewLayer {
            store: self.access.store,
            scan: &self.inventory.layers[index],
            plan: &self.plan.layers[index],
            added: self.additions.of_layer(index),
            spool: self.additions.spool(),
            compression: self.compression,
            observer: self.access.observer,
            directory: self.directory,
            threads,
            early: self.early,
            is_last_use: self.is_last_use(index),
        }
    }

    /// Writes a new layer above all others, if the plan has one. It is compressed like the layer below it.
    ///
    /// # Errors
    /// [`LayerErrorCause`] if it cannot be written.
    pub(crate) fn write_appended(&self) -> Result<Option<WrittenLayer>, LayerErrorCause> {
        if self.plan.appended.is_empty() {
            return Ok(None);
        }
        let encoding = match self.inventory.layers.last() {
            Some(scan) if keeps_zstd(self.compression, scan) => {
                Encoding::Zstd(nearest_zstd_level(self.access.store, scan))
            }
            Some(scan) => self.compression.encoding(scan.compression),
            None => self.compression.encoding(Compression::Gzip),
        };
        self.access.observer.begin(Phase::Writing, 1, 0);
        let written = write_new_layer(
            &self.additions.appended,
            self.additions.spool(),
            encoding,
            self.directory,
            self.access.jobs,
        );
        self.access.observer.end();
        let written = written?;
        if let Some(early) = self.early {
            early.take(staged_layer(&written));
        }
        Ok(Some(written))
    }
}
