//! Layers that several images have, scanned once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::scan::LayerScan;
use crate::oci::image::Layer;
use crate::oci::{Digest, Image};
use crate::parallel::lock;

/// A layer, by the digests of its blob and of its tar archive.
type Key = (Digest, Digest);

/// Scans of layers that more than one image has.
#[derive(Default)]
pub(crate) struct SharedScans {
    wanted: HashSet<Key>,
    kept: Mutex<HashMap<Key, Arc<LayerScan>>>,
}

impl SharedScans {
    /// Keeps the scans of layers that occur more than once in these images.
    pub(crate) fn of_images<'a>(images: impl IntoIterator<Item = &'a Image>) -> Self {
        let (mut once, mut wanted) = (HashSet::new(), HashSet::new());
        for layer in images.into_iter().flat_map(|image| &image.layers) {
            if !once.insert(key(layer)) {
                wanted.insert(key(layer));
            }
        }
        Self {
            wanted,
            kept: Mutex::default(),
        }
    }

    /// The scan of a layer, if it is kept.
    pub(super) fn get(&self, layer: &Layer) -> Option<Arc<LayerScan>> {
        let kept = lock(&self.kept).get(&key(layer)).cloned();
        // Another descriptor of the same blob may lie about its size.
        kept.filter(|scan| scan.layer.descriptor.size() == layer.descriptor.size())
    }

    /// Keeps the scan of a layer that occurs more than once.
    pub(super) fn keep(&self, scan: &Arc<LayerScan>) {
        let key = key(&scan.layer);
        if self.wanted.contains(&key) {
            lock(&self.kept).insert(key, Arc::clone(scan));
        }
    }
}

fn key(layer: &Layer) -> Key {
    (layer.descriptor.digest().clone(), layer.diff_id.clone())
}
