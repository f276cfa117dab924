//! Drops sourceless bytecode beside a source of the same name: Python imports the source.

use std::collections::HashSet;

use super::warning::Cause;
use super::{Drops, Reason, Warning};
use crate::inventory::Inventory;
use crate::profile::{Dead, Policy};

/// Adds the modules that the profile key `shadowed` drops. A module stays if something reads it by its path, or if
/// it covers another file.
pub(super) fn choose(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) {
    if policy.profile.dead.shadowed == Dead::Keep {
        return;
    }
    let covered = covered_bytecode(inventory);
    for module in &inventory.sourceless {
        if !module.shadowed || module.reader.is_some() || !policy.is_in_scope(&module.path) {
            continue;
        }
        match covered.contains(&module.path) {
            true => warnings.push(Warning::new(Cause::WouldUncover, &module.path)),
            false => {
                drops.insert(module.member, Reason::Shadowed);
            }
        }
    }
}

/// Paths of bytecode that a later member overwrites or deletes.
fn covered_bytecode(inventory: &Inventory) -> HashSet<Vec<u8>> {
    let hidden = inventory.hidden_members();
    let bytecode = hidden.filter(|(_, member)| member.path.ends_with(b".pyc"));
    bytecode.map(|(id, _)| inventory.path_of(id)).collect()
}
