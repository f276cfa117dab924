//! Which members go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::warning::Cause;
use super::{Policy, Reason, Warning, kept, shadowed, verdict};
use crate::inventory::Inventory;
use crate::rootfs::{Attributes, Fate, Inode, MemberId, path};

/// What goes, and why.
pub(super) type Drops = BTreeMap<MemberId, Reason>;

/// The caches that go by what `policy` says of each; those that are `mended` stay.
pub(super) fn choose(
    inventory: &Inventory,
    policy: &Policy<'_>,
    mended: &BTreeSet<MemberId>,
    warnings: &mut Vec<Warning>,
) -> Drops {
    let mut drops = Drops::new();
    let mut below: HashMap<&[u8], Vec<MemberId>> = HashMap::new();
    for hidden in &inventory.hidden {
        below.entry(&hidden.path).or_default().push(hidden.member);
        if policy.drops_hidden(&hidden.path) {
            drops.insert(
                hidden.member,
                Reason::Hidden {
                    layer: hidden.by.layer + 1,
                },
            );
        }
    }
    let not_caches = covered_paths(inventory);
    warnings.extend(kept::warnings(inventory, policy));
    shadowed::choose(inventory, policy, &mut drops, warnings);
    for cache in &inventory.caches {
        warnings.extend(super::verdict::reservation(cache, policy));
        let Some(reason) = verdict(cache, policy).filter(|_| !mended.contains(&cache.member))
        else {
            continue;
        };
        if not_caches.contains(&cache.path) {
            warnings.push(Warning::new(Cause::WouldUncover, &cache.path));
            continue;
        }
        drops.insert(cache.member, reason);
        for member in below.get(&*cache.path).into_iter().flatten() {
            drops.entry(*member).or_insert(Reason::Uncovered);
        }
    }
    drops
}

/// Paths in `__pycache__` where something lies hidden that is not a cache which would go too.
fn covered_paths(inventory: &Inventory) -> BTreeSet<Vec<u8>> {
    let caches: BTreeSet<MemberId> = inventory
        .hidden
        .iter()
        .map(|hidden| hidden.member)
        .collect();
    let mut paths = BTreeSet::new();
    for (layer, scan) in inventory.layers.iter().enumerate() {
        for (index, member) in scan.members.iter().enumerate() {
            let id = MemberId { layer, index };
            if matches!(inventory.rootfs.fate(id), Fate::Hidden { .. }) && !caches.contains(&id) {
                let path = inventory.rootfs.member_path(id, &member.path);
                paths.extend(entry_of_cache_directory(&path));
            }
        }
    }
    paths
}

/// The path of what lies in a `__pycache__`, for it and for all below it.
fn entry_of_cache_directory(path: &[u8]) -> Option<Vec<u8>> {
    let parts = path::components(path);
    let directory = parts.iter().position(|part| *part == b"__pycache__")?;
    parts.get(..directory + 2).map(|parts| parts.join(&b'/'))
}

/// A hardlink whose target lies in a lower layer keeps that target: not every engine could
/// extract it otherwise, and its content is nowhere else. What covers the target then stays too,
/// for else the target would come back.
pub(super) fn keep_what_upper_layers_need(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) {
    let mut links: Vec<MemberId> = inventory.rootfs.links().map(|(link, _)| link).collect();
    // From the top down: a target that stays may be a link that needs one further down.
    links.sort_unstable_by(|a, b| b.cmp(a));
    let visible: HashMap<&[u8], MemberId> = inventory
        .caches
        .iter()
        .map(|cache| (&*cache.path, cache.member))
        .collect();
    let mut needed: Option<(Vec<u8>, usize)> = None;
    let mut files = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for link in &links {
            let Some(target) = needed_below(inventory, drops, *link) else {
                continue;
            };
            drops.remove(&target);
            changed = true;
            let path = inventory
                .rootfs
                .member_path(target, &inventory.member(target).path);
            if let Some(cover) = visible.get(&*path) {
                drops.remove(cover);
            }
            files += 1;
            needed.get_or_insert((path, link.layer + 1));
        }
    }
    warnings.extend(needed.map(|(path, layer)| Warning {
        cause: Cause::NeededAbove(layer),
        path,
        files,
    }));
}

/// The member in a lower layer that a link which stays would lose.
fn needed_below(inventory: &Inventory, drops: &Drops, link: MemberId) -> Option<MemberId> {
    if drops.contains_key(&link) {
        return None;
    }
    let mut target = inventory.rootfs.link_target(link)?;
    while target.layer == link.layer {
        if !drops.contains_key(&target) {
            return None;
        }
        target = inventory.rootfs.link_target(target)?;
    }
    drops.contains_key(&target).then_some(target)
}

/// Engines apply a hardlink's header to the file that it names. A cache whose header sets the mode, owner, time or
/// extended attributes of a file that stays under another name stays too. Whether that keeps more than before.
pub(super) fn keep_what_describes_others(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) -> bool {
    let mut changed = false;
    for inode in inventory.rootfs.inodes() {
        if !inode.links.iter().any(|link| drops.contains_key(link)) {
            continue;
        }
        while let Some(link) = describer_that_goes(inventory, drops, inode) {
            drops.remove(&link);
            changed = true;
            let member = inventory.member(link);
            let path = inventory.rootfs.member_path(link, &member.path);
            warnings.push(Warning::new(Cause::Describes, &path));
        }
    }
    changed
}

/// The last of the links that go, where the file would have other attributes without them.
fn describer_that_goes(inventory: &Inventory, drops: &Drops, inode: &Inode) -> Option<MemberId> {
    let names = || [&inode.data].into_iter().chain(&inode.links);
    let stays = |name: &&MemberId| {
        !drops.contains_key(name) && matches!(inventory.rootfs.fate(**name), Fate::Visible(_))
    };
    names().find(stays)?;
    // The name that takes the data over has the extended attributes of the first name too.
    let kept = names().filter(|name| **name == inode.data || !drops.contains_key(name));
    let attributes = (
        Attributes::of(names().map(|name| inventory.member(*name))),
        Attributes::of(kept.map(|name| inventory.member(*name))),
    );
    let mut from_last = inode.links.iter().rev();
    let last = from_last.find(|link| drops.contains_key(link))?;
    (attributes.0 != attributes.1).then_some(*last)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, cache_path, dropped, planned};
    use super::*;
    use crate::tar::Kind;

    fn no_levels() -> Policy<'static> {
        Policy::keeping(&[])
    }

    fn above() -> LayerMembers {
        LayerMembers::default().cache("m", 0, "above")
    }

    /// The cache of the module `m` in the upper of two layers stays, with a warning.
    #[track_caller]
    fn stays(lower: LayerMembers) {
        let plan = planned([lower, above()], &no_levels());
        assert_eq!(dropped(&plan, 1), [""; 0]);
        let warning = Warning::new(Cause::WouldUncover, cache_path("m", 0).as_bytes());
        assert_eq!(plan.warnings, [warning]);
    }

    #[test]
    fn a_cache_that_covers_what_is_not_a_cache_stays() {
        let path = cache_path("m", 0);
        let lower = || LayerMembers::source("m");
        for kind in [
            Kind::Symlink,
            Kind::Directory,
            Kind::Fifo,
            Kind::CharacterDevice,
        ] {
            stays(lower().member(kind, &path, "elsewhere"));
        }
        stays(lower().file(&format!("{path}/below")));
        stays(lower().hardlink(&format!("{path}/deep/link"), "lib/python3.9/m.py"));
    }

    #[test]
    fn a_cache_that_covers_caches_goes_with_them() {
        let lower = LayerMembers::source("m").cache("m", 0, "below");
        let middle = LayerMembers::default().hardlink(&cache_path("m", 0), "lib/python3.9/m.py");
        let plan = planned([lower, middle, above()], &no_levels());
        for layer in 0..3 {
            assert_eq!(dropped(&plan, layer), [cache_path("m", 0)]);
        }
        assert_eq!(plan.warnings, []);
    }

    #[test]
    fn a_cache_goes_though_its_layers_cover_other_things() {
        let lower = LayerMembers::source("m")
            .member(Kind::Symlink, &cache_path("n", 0), "elsewhere")
            .file("etc/other");
        let upper = above().file(&cache_path("n", 0)).file("etc/other");
        let plan = planned([lower, upper], &no_levels());
        assert_eq!(dropped(&plan, 1), [cache_path("m", 0)]);
    }
}
