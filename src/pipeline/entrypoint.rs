//! Reads what an image runs, including the scripts that it starts.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::entrypoint::{self, Reading};
use crate::layers::{LayerError, LayerScan, read_members};
use crate::oci::{BlobStore, Image};
use crate::rootfs::{InodeId, MemberId, Rootfs};

/// Largest number of rounds of reading. A chain of scripts can be as long, if each script is named only by the one
/// before.
const MOST_ROUNDS: usize = 16;

/// Returns what an image runs.
pub(super) fn read_entrypoint(
    store: &dyn BlobStore,
    image: &Image,
    scans: &[Arc<LayerScan>],
    rootfs: &Rootfs,
) -> Result<Reading, LayerError> {
    let mut texts: HashMap<InodeId, Vec<u8>> = HashMap::new();
    for _ in 0..MOST_ROUNDS {
        let reading = entrypoint::read(&image.config, rootfs, &|inode| texts.get(&inode).cloned());
        if reading.unread.is_empty() {
            return Ok(reading);
        }
        let mut members: BTreeSet<MemberId> = BTreeSet::new();
        for inode in &reading.unread {
            // A file that cannot be read counts as a program, not as a script.
            texts.insert(*inode, vec![0]);
            let data = rootfs.inode(*inode).data();
            if !scans[data.layer].members[data.index].is_sparse() {
                members.insert(data);
            }
        }
        let by_member: HashMap<MemberId, InodeId> = reading
            .unread
            .iter()
            .map(|inode| (rootfs.inode(*inode).data(), *inode))
            .collect();
        let _: ControlFlow<Infallible> =
            read_members(store, scans, &members, &mut |member, bytes| {
                texts.extend(by_member.get(&member).map(|inode| (*inode, bytes)));
                ControlFlow::Continue(())
            })?;
    }
    Ok(entrypoint::read(&image.config, rootfs, &|_| Some(vec![0])))
}
