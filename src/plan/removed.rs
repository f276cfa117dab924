//! What a plan removes.

use super::{Action, LayerPlan, Plan, Reason, Step};
use crate::inventory::{Inventory, Sizes};
use crate::rootfs::MemberId;
use crate::tar::Kind;

/// The caches that a plan removes from each layer, and the bytes that go with them.
///
/// Data that a remaining link takes over does not count. A whiteout that has a cache's name does not count either.
pub(crate) fn removed_caches(inventory: &Inventory, plan: &Plan) -> Vec<Sizes> {
    let layers = plan.layers.iter().enumerate();
    layers
        .map(|(layer, plan)| removed_from_layer(inventory, layer, plan))
        .collect()
}

fn removed_from_layer(inventory: &Inventory, layer: usize, plan: &LayerPlan) -> Sizes {
    let member = |index| inventory.member(MemberId { layer, index });
    let is_cache = |step: &Step, index| {
        matches!(member(index).kind, Kind::File | Kind::Hardlink)
            && step.reason != Reason::UselessWhiteout
            && step.path.ends_with(b".pyc")
    };
    let mut removed = Sizes::default();
    let mut moved = 0;
    for (index, step) in &plan.steps {
        match step.action {
            Action::Drop if is_cache(step, *index) => removed.add(member(*index).stored_bytes()),
            Action::Promote { data, .. } => moved += member(data).stored_bytes(),
            _ => {}
        }
    }
    removed.bytes = removed.bytes.saturating_sub(moved);
    removed
}
