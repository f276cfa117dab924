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

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, cache_path, inventory};
    use super::*;
    use crate::plan::{CompileOutcome, plan};
    use crate::profile::{Policy, Profile};
    use crate::pyc::Level;

    /// What is removed from the only layer if level 0 stays.
    fn removed(layer: LayerMembers) -> (u64, u64) {
        let levels = &[Level::Zero];
        let profile = &Profile::keeping(levels);
        let inventory = inventory([layer]);
        let policy = Policy { profile, levels };
        let plan = plan(&inventory, &policy, &CompileOutcome::default());
        let sizes = removed_caches(&inventory, &plan)[0];
        (sizes.files, sizes.bytes)
    }

    #[test]
    fn data_that_a_link_takes_over_does_not_go() {
        let one = || LayerMembers::source("m").cache("m", 1, "code");
        assert_eq!(removed(one()), (1, 100));
        let linked = one().hardlink(&cache_path("m", 0), &cache_path("m", 1));
        assert_eq!(removed(linked), (1, 0));
        let emptied = one().member(Kind::Directory, "lib/python3.9/__pycache__", "");
        assert_eq!(removed(emptied), (1, 100));
    }
}
