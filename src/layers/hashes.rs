//! Hashes the data of members. Reads their layers again in parallel and checks them again.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::access::Access;
use super::error::{LayerError, layer_error};
use super::read::reread_layer;
use super::scan::LayerScan;
use crate::oci::image::Layer;
use crate::parallel::try_map;
use crate::progress::Phase;
use crate::pyc::{Magic, SourceHasher};
use crate::rootfs::MemberId;
use crate::tar::{Member, Reader, TarError};

/// The sources to hash, each with the magic numbers of the interpreters that will use the hash.
pub type WantedHashes = BTreeMap<MemberId, Vec<Magic>>;

/// The hashes of sources, by member and magic number.
pub type SourceHashes = HashMap<(MemberId, Magic), [u8; 8]>;

/// Reads the layers with the wanted sources again, and hashes these sources (PEP 552). Only images with hash-based
/// caches need this.
///
/// # Errors
/// The same as [`scan_layers`](super::scan_layers), except for its limits.
pub fn hash_sources(
    access: Access<'_>,
    layers: &[Layer],
    wanted: &WantedHashes,
) -> Result<SourceHashes, LayerError> {
    let second_pass = SecondPass {
        access,
        layers: layers.iter().collect(),
    };
    let wanted = wanted.iter().map(|(id, magics)| (*id, &**magics));
    let hashes = second_pass.hash_each(Phase::HashingSources, wanted, |reader, _, magics| {
        Ok(hash_source(reader, magics)?)
    })?;
    let hashes = hashes.into_iter().flat_map(|(id, hashes)| {
        let hashes = hashes.into_iter();
        hashes.map(move |(magic, hash)| ((id, magic), hash))
    });
    Ok(hashes.collect())
}

fn hash_source(source: &mut impl Read, magics: &[Magic]) -> io::Result<Vec<(Magic, [u8; 8])>> {
    let mut hashers: Vec<_> = magics
        .iter()
        .map(|magic| (*magic, SourceHasher::new(*magic)))
        .collect();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(hashers
                .into_iter()
                .map(|(magic, hasher)| (magic, hasher.finish()))
                .collect());
        }
        for (_, hasher) in &mut hashers {
            hasher.update(&buffer[..count]);
        }
    }
}

/// Hashes the data of each wanted member with SHA-256, layers in parallel. `wanted` must be in the order of layers
/// and members; the hashes are too.
///
/// The archive has only the fragments of a sparse file, and its headers state their places. So the hash covers both.
///
/// # Errors
/// [`LayerError`] if a layer cannot be read or has changed.
pub fn hash_members(
    access: Access<'_>,
    layers: &[Arc<LayerScan>],
    wanted: &[MemberId],
) -> Result<Vec<(MemberId, [u8; 32])>, LayerError> {
    let second_pass = SecondPass {
        access,
        layers: layers.iter().map(|scan| &scan.layer).collect(),
    };
    debug_assert!(wanted.is_sorted());
    let wanted = wanted.iter().map(|id| (*id, ()));
    second_pass.hash_each(Phase::HashingContent, wanted, |reader, member, ()| {
        let mut hasher = Sha256::new();
        if member.is_sparse() {
            hasher.update(reader.raw_headers());
        }
        let mut buffer = [0; 16 << 10];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().into()),
                count => hasher.update(&buffer[..count]),
            }
        }
    })
}

/// Layers to read again.
struct SecondPass<'a> {
    access: Access<'a>,
    layers: Vec<&'a Layer>,
}

/// The stream of a layer's members.
type Members<'a> = Reader<&'a mut dyn Read>;

impl SecondPass<'_> {
    /// Calls `hash` with each wanted member and its value in `wanted`. Input and output are in the order of layers
    /// and members.
    fn hash_each<W: Copy + Sync, T: Send>(
        &self,
        phase: Phase,
        wanted: impl Iterator<Item = (MemberId, W)>,
        hash: impl Fn(&mut Members<'_>, &Member, W) -> Result<T, TarError> + Sync,
    ) -> Result<Vec<(MemberId, T)>, LayerError> {
        let Access {
            store,
            jobs,
            observer,
        } = self.access;
        let mut by_layer: BTreeMap<usize, Vec<(usize, W)>> = BTreeMap::new();
        for (id, what) in wanted {
            by_layer.entry(id.layer).or_default().push((id.index, what));
        }
        let work: Vec<_> = by_layer.into_iter().collect();
        let sizes = work
            .iter()
            .map(|(layer, _)| self.layers[*layer].descriptor.size());
        observer.begin(phase, work.len(), sizes.sum());
        let hashes = try_map(jobs, &work, |_, (layer, wanted)| {
            let hashes = reread_layer(store, self.layers[*layer], observer, |stream| {
                let mut reader = Reader::new(stream);
                let mut hashes = Vec::with_capacity(wanted.len());
                let mut wanted = wanted.iter().peekable();
                let mut index = 0;
                while let Some(member) = reader.next_member()? {
                    if let Some((_, what)) = wanted.next_if(|(place, _)| *place == index) {
                        let id = MemberId {
                            layer: *layer,
                            index,
                        };
                        hashes.push((id, hash(&mut reader, &member, *what)?));
                    }
                    index += 1;
                }
                // The blob is only checked at its end.
                reader.drain()?;
                Ok(hashes)
            });
            observer.item_done();
            hashes.map_err(|cause| layer_error(*layer, self.layers[*layer], cause))
        });
        observer.end();
        let mut all = Vec::new();
        for mut hashes in hashes? {
            all.append(&mut hashes);
        }
        Ok(all)
    }
}
