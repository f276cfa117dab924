//! Directories that have no member of their own, and exist only in the paths of members that go.
//!
//! Engines create such directories. Without these members, the directory would disappear, or a file of a lower layer
//! would come back in its place.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Drops;
use crate::inventory::Inventory;
use crate::path;
use crate::rootfs::{MemberId, NodeId};
use crate::tar::Kind;

/// For members that go, the directories to write in their place. Each comes after its parent.
pub(super) fn directories(
    inventory: &Inventory,
    drops: &Drops,
) -> BTreeMap<MemberId, Vec<Vec<u8>>> {
    let mut lost = lost(inventory, drops);
    // A `__pycache__` is useless without caches, unless a symlink or the config names it. It must also stay if
    // something else would come back in its place.
    let may_go = |directory: &[u8]| {
        path::file_name(directory) == b"__pycache__"
            && !inventory.named_directories.contains(directory)
    };
    if lost.keys().any(|directory| may_go(directory)) {
        let covered = covered_files(inventory, drops, &lost);
        lost.retain(|directory, _| !may_go(directory) || covered.contains(directory));
    }
    let mut by_member: BTreeMap<MemberId, Vec<Vec<u8>>> = BTreeMap::new();
    for (directory, member) in lost {
        by_member.entry(member).or_default().push(directory);
    }
    by_member
}

/// The directories of the merged view that only members to drop imply. Each comes with the first of these members in
/// the highest layer that has one.
fn lost(inventory: &Inventory, drops: &Drops) -> BTreeMap<Vec<u8>, MemberId> {
    let mut parents: BTreeMap<Vec<u8>, MemberId> = BTreeMap::new();
    for id in drops.keys() {
        let path = inventory.path_of(*id);
        note(&mut parents, path::parent(&path), *id);
    }
    let mut directories = BTreeMap::new();
    for (parent, id) in &parents {
        for directory in path::ancestors(parent).filter(|path| !path.is_empty()) {
            // If the entry did not change, those of the ancestors do not change either.
            if !note(&mut directories, directory, *id) {
                break;
            }
        }
    }
    let implied = implied_by_others(inventory, drops);
    directories.retain(|directory, _| {
        let node = inventory.rootfs.lookup(directory);
        node.is_some_and(|node| {
            let is_implied = inventory.rootfs.origin(node).is_none();
            is_implied && inventory.rootfs.is_directory(node) && !implied.contains(&node)
        })
    });
    directories
}

/// Records that `id` implies `directory`. Members of higher layers win, and in one layer the first. Returns whether the
/// entry changed.
fn note(places: &mut BTreeMap<Vec<u8>, MemberId>, directory: &[u8], id: MemberId) -> bool {
    let is_better = |known: &MemberId| (id.layer, known.index) > (known.layer, id.index);
    match places.get_mut(directory) {
        Some(known) if is_better(known) => *known = id,
        Some(_) => return false,
        None => drop(places.insert(directory.to_vec(), id)),
    }
    true
}

/// The directories that something remaining implies, at any depth.
fn implied_by_others(inventory: &Inventory, drops: &Drops) -> HashSet<NodeId> {
    let rootfs = &inventory.rootfs;
    let mut implied = HashSet::new();
    for node in rootfs.nodes() {
        let origin = rootfs.origin(node);
        if origin.is_some_and(|origin| !drops.contains_key(&origin)) {
            for parent in std::iter::successors(rootfs.parent(node), |it| rootfs.parent(*it)) {
                if !implied.insert(parent) {
                    break;
                }
            }
        }
    }
    implied
}

/// The `directories` in whose place a lower layer has something else that stays.
fn covered_files(
    inventory: &Inventory,
    drops: &Drops,
    directories: &BTreeMap<Vec<u8>, MemberId>,
) -> BTreeSet<Vec<u8>> {
    let mut covered = BTreeSet::new();
    for (id, member) in inventory.hidden_members() {
        if member.kind == Kind::Directory || drops.contains_key(&id) {
            continue;
        }
        let path = inventory.path_of(id);
        if directories.contains_key(&path) {
            covered.insert(path);
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, planned};
    use crate::profile::Profile;
    use crate::tar::Kind;

    #[test]
    fn the_first_member_that_goes_makes_way_for_the_directories_that_others_imply_too() {
        for [first, second] in [["opt/c", "opt/b"], ["opt/b", "opt/c"]] {
            let cache = |directory: &str| format!("{directory}/__pycache__/m.cpython-39.pyc");
            let layer = LayerMembers::source("m")
                .file(&cache(first))
                .file(&cache(second));
            let plan = planned([layer], &Profile::keeping(&[]));
            let implied = plan.layers[0].implied.iter();
            let implied: Vec<_> = implied
                .flat_map(|(index, paths)| paths.iter().map(|path| (*index, &path[..])))
                .collect();
            // `opt` comes before both of its children.
            let (first, second) = (first.as_bytes(), second.as_bytes());
            assert_eq!(implied, [(1, &b"opt"[..]), (1, first), (2, second)]);
        }
    }

    #[test]
    fn an_emptied_directory_comes_back_only_in_place_of_something_else_that_stays() {
        let directory = "opt/__pycache__";
        let cache = "opt/__pycache__/m.cpython-39.pyc";
        for (lower, is_written) in [(Kind::File, true), (Kind::Directory, false)] {
            let lower = LayerMembers::source("m").member(lower, directory, "");
            let upper = LayerMembers::default()
                .file("opt/.wh.__pycache__")
                .file(cache);
            let plan = planned([lower, upper], &Profile::keeping(&[]));
            let implied = plan.layers[1].implied.values().flatten();
            let is_found = implied.into_iter().any(|path| path == directory.as_bytes());
            assert_eq!(is_found, is_written);
        }
    }
}
