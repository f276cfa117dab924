//! The bytecode in each layer, including what a later layer hides.

use super::{Inventory, Sizes};
use crate::pyc::Level;
use crate::rootfs::MemberId;

/// Every cache with a level, visible or hidden.
pub(crate) fn leveled_members(inventory: &Inventory) -> impl Iterator<Item = (MemberId, Level)> {
    let visible = inventory.caches.iter();
    let visible = visible.map(|cache| (cache.member, cache.level));
    let hidden = inventory.hidden.iter();
    let hidden = hidden.map(|cache| (cache.member, cache.level));
    let all = visible.chain(hidden);
    all.filter_map(|(member, level)| Some((member, level?)))
}

/// The caches of each layer by level, visible or hidden. A hardlink counts as a file without bytes.
pub(crate) fn layer_levels(inventory: &Inventory) -> Vec<[Sizes; 3]> {
    let mut layers = vec![[Sizes::default(); 3]; inventory.layers.len()];
    for (member, level) in leveled_members(inventory) {
        layers[member.layer][level.index()].add(inventory.member(member).stored_bytes());
    }
    layers
}
