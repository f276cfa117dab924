//! Finds what becomes useless when caches go: `__pycache__` directories without content, and whiteouts of files that no
//! lower layer has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Drops, Reason};
use crate::inventory::Inventory;
use crate::path;
use crate::rootfs::{Fate, Marker, MemberId};
use crate::tar::Kind;

/// Adds to `drops` the members that become useless because of them.
///
/// Opaque whiteouts always stay. A `__pycache__` stays if it has a whiteout that stays, if it receives compiled caches,
/// or if a symlink or the config names it.
pub(super) fn extend(inventory: &Inventory, receiving: &HashSet<&[u8]>, drops: &mut Drops) {
    if drops.is_empty() {
        return;
    }
    let mut places = Places::new(inventory, drops);
    // The order matters: whiteouts in a `__pycache__`, then the directory, then the whiteouts of the directory.
    drop_whiteouts(inventory, &places, drops);
    drop_directories(inventory, receiving, &mut places, drops);
    drop_whiteouts(inventory, &places, drops);
}

/// The members at one path, in all layers.
#[derive(Default)]
struct Place {
    /// The lowest layer with a member that stays.
    kept: Option<usize>,
    /// The lowest layer with a member that goes.
    dropped: Option<usize>,
    /// The members that are directories.
    directories: Vec<MemberId>,
    /// Whether members of other types stay.
    has_other: bool,
}

/// The members at and below the paths that may become useless, by path.
struct Places(BTreeMap<Vec<u8>, Place>);

impl Places {
    fn new(inventory: &Inventory, drops: &Drops) -> Self {
        let roots = in_question(inventory, drops);
        let is_in_question = |it: &Vec<u8>| path::ancestors(it).any(|it| roots.contains(it));
        let mut places: BTreeMap<Vec<u8>, Place> = BTreeMap::new();
        for (id, member) in inventory.members() {
            if matches!(inventory.rootfs.fate(id), Fate::Marker | Fate::Ignored) {
                continue;
            }
            let path = inventory.path_of(id);
            if !is_in_question(&path) {
                continue;
            }
            let place = places.entry(path).or_default();
            let goes = drops.contains_key(&id);
            // Layers come in order, so the first layer recorded is the lowest.
            if goes {
                place.dropped.get_or_insert(id.layer)
            } else {
                place.kept.get_or_insert(id.layer)
            };
            if member.kind == Kind::Directory {
                place.directories.push(id);
            } else if !goes {
                place.has_other = true;
            }
        }
        Self(places)
    }

    fn below<'a>(&'a self, directory: &[u8]) -> impl Iterator<Item = &'a Place> {
        let start = [directory, b"/"].concat();
        // `0` is the byte after `/`.
        let end = [directory, b"0"].concat();
        self.0.range(start..end).map(|(_, place)| place)
    }

    /// At or below a path, the lowest layer with something that stays, and the lowest with something that goes.
    fn lowest(&self, target: &[u8]) -> (Option<usize>, Option<usize>) {
        let places = || self.0.get(target).into_iter().chain(self.below(target));
        (
            places().filter_map(|place| place.kept).min(),
            places().filter_map(|place| place.dropped).min(),
        )
    }
}

/// The paths that whiteouts delete, and every `__pycache__` from which something goes.
fn in_question(inventory: &Inventory, drops: &Drops) -> BTreeSet<Vec<u8>> {
    let markers = inventory.rootfs.markers().iter();
    let deleted = markers.filter(|marker| !marker.opaque);
    let mut paths: BTreeSet<Vec<u8>> = deleted.map(|marker| marker.target.clone()).collect();
    for id in drops.keys() {
        let dropped = inventory.path_of(*id);
        let directories = path::ancestors(&dropped).skip(1);
        let caches = directories.filter(|it| path::file_name(it) == b"__pycache__");
        paths.extend(caches.map(<[u8]>::to_vec));
    }
    paths
}

fn drop_whiteouts(inventory: &Inventory, places: &Places, drops: &mut Drops) {
    // Directories that exist because a remaining whiteout lies in them, each with the lowest such layer. Markers come
    // in the order of layers.
    let mut implied: HashMap<&[u8], usize> = HashMap::new();
    // A cache for `Places::lowest`, because one path can have many whiteouts.
    let mut lowest: HashMap<&[u8], _> = HashMap::new();
    for marker in inventory.rootfs.markers() {
        let Marker { member, target, .. } = marker;
        if drops.contains_key(member) {
            continue;
        }
        let comes_back = implied
            .get(&**target)
            .is_some_and(|layer| *layer < member.layer);
        let mut has_lost_target = || {
            let lowest = lowest.entry(target);
            let (kept, dropped) = *lowest.or_insert_with(|| places.lowest(target));
            let is_lower = |noted: Option<usize>| noted.is_some_and(|noted| noted < member.layer);
            !is_lower(kept) && is_lower(dropped)
        };
        if !marker.opaque && !comes_back && has_lost_target() {
            drops.insert(*member, Reason::UselessWhiteout);
            continue;
        }
        for directory in path::ancestors(marker.directory()) {
            // Then its ancestors are in the map too.
            if implied.contains_key(directory) {
                break;
            }
            implied.insert(directory, member.layer);
        }
    }
}

fn drop_directories(
    inventory: &Inventory,
    receiving: &HashSet<&[u8]>,
    places: &mut Places,
    drops: &mut Drops,
) {
    let markers = inventory.rootfs.markers().iter();
    let marked: HashSet<&[u8]> = markers
        .filter(|marker| !drops.contains_key(&marker.member))
        .map(Marker::directory)
        .collect();
    let emptied: Vec<Vec<u8>> = places
        .0
        .iter()
        .filter(|(directory, place)| {
            path::file_name(directory) == b"__pycache__"
                && !place.directories.is_empty()
                && !place.has_other
        })
        .filter(|(directory, _)| {
            places.below(directory).all(|place| place.kept.is_none())
                && places.below(directory).any(|place| place.dropped.is_some())
        })
        .filter(|(directory, _)| {
            !marked.contains(&***directory)
                && !receiving.contains(&***directory)
                && !inventory.named_directories.contains(*directory)
        })
        .map(|(directory, _)| directory.clone())
        .collect();
    for directory in emptied {
        let Some(place) = places.0.get_mut(&directory) else {
            continue;
        };
        place.dropped = [place.dropped, place.kept.take()]
            .into_iter()
            .flatten()
            .min();
        for member in &place.directories {
            drops.insert(*member, Reason::EmptiedDirectory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LIBRARY, LayerMembers, cache_path, dropped, planned};
    use crate::profile::{Missing, Placement, Profile, Stale};
    use crate::pyc::Level;
    use crate::tar::Kind;

    #[test]
    fn a_directory_that_receives_caches_stays() {
        let directory = format!("{LIBRARY}/__pycache__");
        let stale = cache_path("m", 0);
        let layer = || {
            LayerMembers::source("m")
                .member(Kind::Directory, &directory, "")
                .stale_cache("m", 0)
        };
        let levels = &[Level::Zero];
        let strip = Profile::keeping(levels);
        let gone = dropped(&planned([layer()], &strip), 0);
        assert_eq!(gone, [&*directory, &*stale]);
        for placement in [Placement::Source, Placement::Append] {
            let compile = Profile {
                stale: Stale::Compile,
                placement,
                ..strip.clone()
            };
            let plan = planned([layer()], &compile);
            assert_eq!(dropped(&plan, 0), [&*stale], "{placement:?}");
            assert_eq!(plan.compilations().count(), 1, "{placement:?}");
        }
    }

    #[test]
    fn a_directory_that_receives_caches_of_other_modules_alone_stays() {
        let directory = format!("{LIBRARY}/__pycache__");
        let layer = LayerMembers::source("m")
            .member(Kind::Directory, &directory, "")
            .cache("gone", 0, "of no source");
        let policy = Profile {
            missing: Missing::Compile,
            ..Profile::keeping(&[Level::Zero])
        };
        let plan = planned([layer], &policy);
        assert_eq!(dropped(&plan, 0), [cache_path("gone", 0)]);
        assert_eq!(plan.appended.len(), 1);
    }

    #[test]
    fn a_whiteout_goes_if_all_that_it_deletes_goes() {
        let cache = "opt/app/__pycache__/m.cpython-39.pyc";
        let lower = || LayerMembers::source("m").file(cache);
        for (lower, gone) in [
            (lower(), vec!["opt/.wh.app"]),
            // A directory other than `__pycache__` stays, and so does what deletes it.
            (lower().member(Kind::Directory, "opt/app", ""), vec![]),
            (lower().file("opt/app/note"), vec![]),
        ] {
            let deleting = LayerMembers::default().file("opt/.wh.app");
            let plan = planned([lower, deleting], &Profile::keeping(&[]));
            assert_eq!(dropped(&plan, 0), [cache]);
            assert_eq!(dropped(&plan, 1), gone);
        }
    }

    #[test]
    fn a_cache_directory_with_something_else_in_place_of_it_in_another_layer_stays() {
        let directory = format!("{LIBRARY}/__pycache__");
        let lower = LayerMembers::source("m").file(&directory);
        let upper = LayerMembers::default()
            .member(Kind::Directory, &directory, "")
            .cache("m", 0, "code");
        let plan = planned([lower, upper], &Profile::keeping(&[]));
        assert_eq!(dropped(&plan, 1), [cache_path("m", 0)]);
    }
}
