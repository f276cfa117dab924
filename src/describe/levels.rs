//! The caches in each layer by level, as they will be after the plan.

use super::minimize::Minimized;
use crate::inventory::{Sizes, leveled_members};
use crate::plan::{Action, Compilation, Patch};
use crate::rootfs::MemberId;

impl Minimized<'_> {
    /// The sizes by level for each layer of the original image. Counts only those planned caches that were really
    /// compiled.
    pub(super) fn levels_after(&self) -> Vec<[Sizes; 3]> {
        let plans = self.plan.layers.iter();
        let mut layers: Vec<[Sizes; 3]> = plans
            .map(|plan| self.compiled_sizes(&plan.compiled))
            .collect();
        for (member, level) in leveled_members(self.inventory) {
            if let Some(bytes) = self.bytes_after(member) {
                layers[member.layer][level.index()].add(bytes);
            }
        }
        layers
    }

    /// Sizes of the compiled caches on a list, by level.
    pub(super) fn compiled_sizes(&self, list: &[Compilation]) -> [Sizes; 3] {
        self.compiled
            .map_or_else(Default::default, |it| it.caches.sizes(list))
    }

    /// The size of a member's data after the plan, in bytes. `None` if the member is removed.
    fn bytes_after(&self, id: MemberId) -> Option<u64> {
        let bytes = |index| {
            self.inventory
                .member(MemberId { index, ..id })
                .stored_bytes()
        };
        let step = self.plan.layers[id.layer].steps.get(&id.index);
        match step.map(|step| &step.action) {
            None => Some(bytes(id.index)),
            Some(Action::Patch(patches)) => Some(Patch::size_after(patches, bytes(id.index))),
            Some(Action::Promote { data, .. }) => Some(bytes(*data)),
            Some(Action::Link { .. }) => Some(0),
            Some(Action::Drop) => None,
        }
    }
}
