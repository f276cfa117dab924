//! Selects the sources to hash for judging hash-based caches (PEP 552).

use std::sync::Arc;

use super::files::SourceIndex;
use crate::layers::{LayerScan, WantedHashes};
use crate::pyc::{Header, Invalidation};
use crate::rootfs::Rootfs;

/// The sources whose hash decides about a cache, by the member with their data. With `all`, every source that has a
/// cache.
///
/// Without `all` the result is empty for nearly every image, because most caches use timestamps.
pub(crate) fn wanted_hashes(layers: &[Arc<LayerScan>], rootfs: &Rootfs, all: bool) -> WantedHashes {
    let mut wanted = WantedHashes::new();
    let mut headers = layers
        .iter()
        .flat_map(|layer| layer.bytecode.values())
        .filter_map(|bytecode| bytecode.header.as_ref().ok());
    if !all && !headers.any(has_source_hash) {
        return wanted;
    }
    for file in SourceIndex::new(rootfs).cache_files() {
        let bytecode = layers[file.data.layer].bytecode.get(&file.data.index);
        let Some(Ok(header)) = bytecode.map(|bytecode| &bytecode.header) else {
            continue;
        };
        let (true, Some(source)) = (all || has_source_hash(header), file.source_inode) else {
            continue;
        };
        let data = rootfs.inode(source).data();
        // The archive has only fragments of a sparse file.
        if layers[data.layer].members[data.index].is_sparse() {
            continue;
        }
        let magics = wanted.entry(data).or_default();
        if !magics.contains(&header.magic) {
            magics.push(header.magic);
        }
    }
    wanted
}

/// Whether a cache has a source hash. Python compares only checked hashes, but an outdated unchecked one matters too.
fn has_source_hash(header: &Header) -> bool {
    matches!(
        header.invalidation,
        Invalidation::CheckedHash(_) | Invalidation::UncheckedHash(_)
    )
}
