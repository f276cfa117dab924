//! Caches that stay after all, since what stays needs them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Warning;
use super::drops::Drops;
use super::warning::Cause;
use crate::inventory::Inventory;
use crate::rootfs::{Fate, InodeId, MemberId};
use crate::tar::{Member, Timestamp};

/// A hardlink whose target lies in a lower layer keeps that target: not every engine could
/// extract it otherwise, and its content is nowhere else. What covers the target then stays too,
/// for else the target would come back.
pub(super) fn keep_what_upper_layers_need(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) {
    let rootfs = &inventory.rootfs;
    let needed_below = needed_below(inventory, drops);
    let visible = visible(inventory);
    let mut first: Option<(Vec<u8>, usize)> = None;
    let mut files = 0;
    // From the top down. What stays may itself be a link that needs something further down.
    let stays = |link: &&MemberId| !drops.contains_key(link);
    let mut pending: Vec<MemberId> = needed_below.keys().filter(stays).copied().collect();
    while let Some(link) = pending.pop() {
        let Some(target) = needed_below.get(&link) else {
            continue;
        };
        if drops.remove(target).is_none() {
            continue;
        }
        pending.push(*target);
        let path = rootfs.member_path(*target, &inventory.member(*target).path);
        if let Some(cover) = visible.get(&*path)
            && drops.remove(cover).is_some()
        {
            pending.push(*cover);
        }
        files += 1;
        first.get_or_insert((path, link.layer + 1));
    }
    warnings.extend(first.map(|(path, layer)| Warning {
        cause: Cause::NeededAbove(layer),
        path,
        files,
    }));
}

/// The caches of the merged view by their paths.
fn visible(inventory: &Inventory) -> HashMap<&[u8], MemberId> {
    let caches = inventory.caches.iter();
    caches.map(|cache| (&*cache.path, cache.member)).collect()
}

/// For each link the member in a lower layer that it leads to, through links of its own layer that go.
fn needed_below(inventory: &Inventory, drops: &Drops) -> BTreeMap<MemberId, MemberId> {
    let mut links: Vec<(MemberId, MemberId)> = inventory.rootfs.links().collect();
    // A target comes before its link.
    links.sort_unstable();
    let mut ends = BTreeMap::new();
    for (link, target) in links {
        let end = match target.layer == link.layer {
            false => Some(target),
            true if drops.contains_key(&target) => ends.get(&target).copied(),
            true => None,
        };
        ends.extend(end.map(|end| (link, end)));
    }
    ends
}

/// Engines apply a hardlink's header to the file that it names. A cache whose header sets the mode, owner, time or
/// extended attributes of a file that stays under another name stays too, and so does what covers it. Whether that keeps
/// more than before.
pub(super) fn keep_what_describes_others(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) -> bool {
    let visible = visible(inventory);
    let mut changed = false;
    for inode in inventory.rootfs.inodes() {
        for link in describers_that_go(inventory, drops, inode) {
            drops.remove(&link);
            changed = true;
            let member = inventory.member(link);
            let path = inventory.rootfs.member_path(link, &member.path);
            if let Some(cover) = visible.get(&*path) {
                drops.remove(cover);
            }
            warnings.push(Warning::new(Cause::Describes, &path));
        }
    }
    changed
}

/// The links of a file that go, but without which it would have other attributes.
fn describers_that_go(inventory: &Inventory, drops: &Drops, inode: InodeId) -> Vec<MemberId> {
    let rootfs = &inventory.rootfs;
    let names: Vec<MemberId> = rootfs.headers(inode).collect();
    let goes = |name: &MemberId| drops.contains_key(name);
    let is_left = |name: &MemberId| !goes(name) && matches!(rootfs.fate(*name), Fate::Visible(_));
    if !names[1..].iter().any(goes) || !names.iter().any(is_left) {
        return Vec::new();
    }
    let headers: Vec<Header<'_>> = names
        .iter()
        .enumerate()
        .map(|(place, name)| Header {
            member: inventory.member(*name),
            // The name that takes the data over has the extended attributes of the first name too.
            goes: place > 0 && goes(name),
        })
        .collect();
    let needed = needed_headers(&headers);
    needed.into_iter().map(|place| names[place]).collect()
}

/// A header that engines apply to a file.
struct Header<'a> {
    member: &'a Member,
    goes: bool,
}

/// Extended attributes by name: the place of the last header with it, and the value there.
type Setters<'a> = BTreeMap<&'a [u8], (usize, &'a [u8])>;

/// The places of headers that must stay for the file to keep its attributes: of those that go as many, from the last
/// one on, as it takes. The last header sets mode, owner and time, and the last one with an extended attribute that.
fn needed_headers(headers: &[Header<'_>]) -> Vec<usize> {
    let mut basics = [None, None];
    let mut xattrs: [Setters<'_>; 2] = Default::default();
    for (place, header) in headers.iter().enumerate() {
        let with_those_that_go = [true, false];
        for (side, all) in with_those_that_go.into_iter().enumerate() {
            if all || !header.goes {
                basics[side] = Some((place, basics_of(header.member)));
                let pairs = header.member.xattrs().iter();
                xattrs[side].extend(pairs.map(|it| (&*it.name, (place, &*it.value))));
            }
        }
    }
    let value = |(_, value): (usize, _)| value;
    let [all, kept] = &xattrs;
    let changes = |name: &&&[u8]| kept.get(**name).map(|it| it.1) != all.get(**name).map(|it| it.1);
    // The header that sets each attribute which would change.
    let mut setters: BTreeSet<usize> = all.keys().filter(changes).map(|name| all[name].0).collect();
    if basics[0].map(value) != basics[1].map(value) {
        setters.extend(basics[0].map(|(place, _)| place));
    }
    let Some(first) = setters.first() else {
        return Vec::new();
    };
    let from_last = (*first..headers.len()).rev();
    from_last.filter(|place| headers[*place].goes).collect()
}

fn basics_of(member: &Member) -> (u16, (u64, u64), Timestamp) {
    (member.mode, member.owner(), member.mtime())
}

#[cfg(test)]
mod tests {
    use super::super::Warning;
    use super::super::testing::{LayerMembers, cache_path, dropped, planned};
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_cache_stays_that_covers_a_link_whose_header_sets_the_mode_of_another_file() {
        let path = cache_path("m", 0);
        for (mode, gone) in [(0o600, vec![]), (0o644, vec![path.clone()])] {
            let lower = LayerMembers::source("m")
                .file("store/m")
                .hardlink(&path, "store/m")
                .but(|link| link.mode = mode);
            let upper = LayerMembers::default().cache("m", 0, "above");
            let plan = planned([lower, upper], &Profile::keeping(&[]));
            assert_eq!([dropped(&plan, 0), dropped(&plan, 1)], [gone.clone(), gone]);
            let warned = plan.warnings == [Warning::new(Cause::Describes, path.as_bytes())];
            assert_eq!(warned, mode == 0o600, "{:?}", plan.warnings);
        }
    }
}
