//! Keeps caches that something remaining needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Warning;
use super::drops::Drops;
use super::warning::Cause;
use crate::inventory::Inventory;
use crate::rootfs::{Fate, InodeId, MemberId};
use crate::tar::{Member, Timestamp};

/// Keeps the target of a hardlink if the target lies in a lower layer.
///
/// Not every engine could extract the link otherwise, and no other member has the content. The cache that covers the
/// target stays too, because the target would come back without it.
pub(super) fn keep_what_upper_layers_need(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) {
    let needed_below = needed_below(inventory, drops);
    let visible = visible(inventory);
    let mut first: Option<(Vec<u8>, usize)> = None;
    let mut files = 0;
    // Works from the top layer down. A member that stays may itself be a link to a still lower layer.
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
        let path = inventory.path_of(*target);
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

/// The members of the caches in the merged view, by path.
fn visible(inventory: &Inventory) -> HashMap<&[u8], MemberId> {
    let caches = inventory.caches.iter();
    caches.map(|cache| (&*cache.path, cache.member)).collect()
}

/// For each link, the member in a lower layer that it leads to, directly or through links of its own layer that go.
fn needed_below(inventory: &Inventory, drops: &Drops) -> BTreeMap<MemberId, MemberId> {
    let mut links: Vec<(MemberId, MemberId)> = inventory.rootfs.links().collect();
    // A target comes before its link, so its own end is known.
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

/// Keeps hardlinks whose headers set the attributes of another file. Returns whether it kept any.
///
/// Engines apply the header of a hardlink to the file that the link names. So a cache stays if its header sets mode,
/// owner, time or extended attributes of a file that stays under another name. The cache that covers it stays too.
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
            let path = inventory.path_of(link);
            if let Some(cover) = visible.get(&*path) {
                drops.remove(cover);
            }
            warnings.push(Warning::new(Cause::Describes, &path));
        }
    }
    changed
}

/// The links to a file that go, but without which its attributes would change.
fn describers_that_go(inventory: &Inventory, drops: &Drops, inode: InodeId) -> Vec<MemberId> {
    let rootfs = &inventory.rootfs;
    let names: Vec<MemberId> = rootfs.headers(inode).collect();
    let goes = |name: &MemberId| drops.contains_key(name);
    let is_left = |name: &MemberId| !goes(name) && matches!(rootfs.fate(*name), Fate::Visible(_));
    if !names[1..].iter().any(goes) || !names.iter().any(is_left) {
        return Vec::new();
    }
    // If the data goes, the first name that stays in its layer becomes the file. It gets the extended attributes of all
    // names before it, so their headers are not lost.
    let becomes_file = |name: &MemberId| !goes(name) && name.layer == names[0].layer;
    let not_lost = names.iter().position(becomes_file).unwrap_or(1);
    let headers: Vec<Header<'_>> = names
        .iter()
        .enumerate()
        .map(|(place, name)| Header {
            member: inventory.member(*name),
            goes: place >= not_lost && goes(name),
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

/// For each name of an extended attribute, the index of the last header that sets it, and the value.
type Setters<'a> = BTreeMap<&'a [u8], (usize, &'a [u8])>;

/// Returns the indexes of dropped headers that must stay so that the file keeps its attributes.
///
/// The last header sets mode, owner and time. The last header with an extended attribute sets that attribute. The
/// result starts with the last dropped header, and ends with the first one that sets an attribute that would change.
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
    // For each attribute that would change, the header that sets it.
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
    use super::super::testing::{LayerMembers, cache_path, dropped, planned, xattr};
    use super::super::{Action, Warning};
    use super::*;
    use crate::profile::Profile;
    use crate::pyc::Level;

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

    #[test]
    fn a_link_goes_with_the_data_before_it_and_leaves_its_attributes() {
        let first = || LayerMembers::source("m").cache("m", 1, "one");
        let link = |layer: LayerMembers, level, value| {
            let layer = layer.hardlink(&cache_path("m", level), &cache_path("m", 1));
            layer.but(|link| link.rare_mut().xattrs = vec![xattr("user.a", value)])
        };
        // Levels 1 and 2 go. The link of level 0 becomes the file, with the attribute of level 2.
        let layer = link(first(), 2, "two").hardlink(&cache_path("m", 0), &cache_path("m", 1));
        let plan = planned([layer], &Profile::keeping(&[Level::Zero]));
        assert_eq!(dropped(&plan, 0), [cache_path("m", 1), cache_path("m", 2)]);
        assert_eq!(plan.warnings, []);
        let steps: Vec<_> = plan.layers[0].steps.values().collect();
        let Action::Promote { between, .. } = &steps[2].action else {
            panic!("{steps:?}");
        };
        assert_eq!(between.len(), 1);

        // The data of level 1 stays, so the header of level 2 would be lost with its link.
        let layer = link(first(), 2, "two");
        let plan = planned([layer], &Profile::keeping(&[Level::One]));
        assert_eq!(dropped(&plan, 0), [""; 0]);
        assert_eq!(plan.warnings.len(), 1);
    }

    #[test]
    fn a_level_with_an_attribute_of_a_link_that_goes_is_not_joined_with_one_without() {
        let name = |level| cache_path("m", level);
        let layer = LayerMembers::source("m")
            .cache("m", 2, "the same")
            .hardlink(&cache_path("n", 0), &name(2))
            .but(|link| link.rare_mut().xattrs = vec![xattr("user.a", "of the link")])
            .cache("m", 1, "the same")
            .hardlink(&name(0), &name(2));
        let plan = planned([layer], &Profile::keeping(&[Level::Zero, Level::One]));
        assert_eq!(dropped(&plan, 0), [name(2), cache_path("n", 0)]);
        let becomes = |path: String| {
            let mut steps = plan.layers[0].steps.values();
            steps.find(|step| step.path == path.as_bytes())
        };
        let zero = becomes(name(0)).map(|step| &step.action);
        assert!(matches!(zero, Some(Action::Promote { .. })), "{zero:?}");
        assert_eq!(becomes(name(1)), None);
    }
}
