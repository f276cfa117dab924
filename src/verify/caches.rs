//! Compares the caches of two images.

use std::collections::BTreeSet;

use super::files::{has_same_content, metadata};
use super::view::View;
use super::{CacheCounts, ContentHashes, Difference};
use crate::inventory::{Cache, Status, cache_from_source};
use crate::profile::Missing;
use crate::profile::Policy;
use crate::pyc::can_be_compiled;
use crate::tar::Kind;

/// Whether a cache's content is known without hashing it.
pub(super) fn has_contents(view: &View<'_>, path: &[u8]) -> bool {
    let cache = view.caches.get(path);
    cache.is_some_and(|cache| cache.contents.is_some())
}

/// Compares the caches of both images, and counts the changes.
pub(super) fn compare(
    before: &View<'_>,
    after: &View<'_>,
    contents: (&ContentHashes, &ContentHashes),
    (expected, named): (Option<&Policy<'_>>, &BTreeSet<Vec<u8>>),
    differences: &mut Vec<Difference>,
) -> CacheCounts {
    let mut counts = CacheCounts::default();
    let paths: BTreeSet<&[u8]> = before
        .caches
        .keys()
        .chain(after.caches.keys())
        .copied()
        .collect();
    for path in paths {
        let mut whats = Vec::new();
        let sides = (
            before.caches.get(path).copied(),
            after.caches.get(path).copied(),
        );
        let mut is_same = false;
        match sides {
            (Some(_), None) => counts.removed += 1,
            (None, Some(new)) => {
                counts.added += 1;
                whats.extend(fault(new).map(|fault| format!("is new, but {fault}")));
            }
            (Some(old), Some(new)) => {
                is_same = has_same_bytes((before, old), (after, new), contents);
                counts.changed += u64::from(!is_same);
                whats.extend(change(old, new, is_same));
                whats.extend(metadata_of_useful((before, old), (after, new)));
            }
            (None, None) => {}
        }
        // A named cache may stay whatever the profile says. `named::compare` reports it if it is gone.
        let is_named = named.contains(path) && (is_same || sides.1.is_none());
        if let Some(expected) = expected.filter(|_| whats.is_empty() && !is_named) {
            whats.extend(expected.fault(sides.0, sides.1, is_same));
        }
        differences.extend(whats.into_iter().map(|what| Difference::file(path, what)));
    }
    counts
}

/// The number of caches that a profile asks for and that are missing. Counts only sources for a Python that pycull can
/// compile for. `None` if the profile does not compile missing caches.
pub(super) fn missing(after: &View<'_>, expected: &Policy<'_>) -> Option<u64> {
    if expected.profile.missing != Missing::Compile {
        return None;
    }
    let is_missing =
        |path: &Vec<u8>| expected.profile.scope.contains(path) && after.node(path).is_none();
    let mut missing = 0;
    for source in &after.inventory.sources {
        let version = after.inventory.tree_of(source).version;
        let Some(version) = version.filter(|version| can_be_compiled(*version)) else {
            continue;
        };
        let path = after.inventory.source_path(source);
        let levels = expected.levels.iter();
        let paths = levels.map(|level| cache_from_source(&path, version, *level));
        missing += paths.filter(is_missing).count() as u64;
    }
    Some(missing)
}

/// Why Python would not use a cache, or why that is unknown; `None` for a fresh cache.
fn fault(cache: &Cache) -> Option<String> {
    Some(match &cache.status {
        Status::Fresh => return None,
        Status::UncheckedMismatch => {
            "its hash is not that of its source, and Python does not check it".to_owned()
        }
        Status::Stale(reason) => format!("is stale: {reason}"),
        Status::HashMismatch => "is stale: its hash is not that of its source".to_owned(),
        Status::Orphan => "has no source".to_owned(),
        Status::Foreign(reason) => format!("is for another interpreter: {reason}"),
        Status::Malformed(reason) => format!("is malformed: {reason}"),
        Status::Unknown(reason) => format!("could not be examined: {reason}"),
    })
}

/// The forbidden change of a cache that both images have, if any.
fn change(before: &Cache, after: &Cache, is_same: bool) -> Option<String> {
    match (&before.status, is_same) {
        (Status::Fresh, _) => match fault(after) {
            Some(fault) => Some(format!("was fresh, but {fault}")),
            None => {
                has_other_code(before, after).then(|| "was fresh, but has other code".to_owned())
            }
        },
        (_, true) => None,
        // Python might have used the old cache, so a newly compiled one must not replace it.
        (Status::Unknown(_), false) => {
            Some("has other bytes, although Python may have used it".to_owned())
        }
        (_, false) => fault(after).map(|fault| format!("has other bytes, but {fault}")),
    }
}

fn has_other_code(before: &Cache, after: &Cache) -> bool {
    match (&before.contents, &after.contents) {
        (Some(old), Some(new)) => old.body_sha256 != new.body_sha256,
        _ => true,
    }
}

type Placed<'a> = (&'a View<'a>, &'a Cache);

fn has_same_bytes(
    before: Placed<'_>,
    after: Placed<'_>,
    contents: (&ContentHashes, &ContentHashes),
) -> bool {
    if let (Some(old), Some(new)) = (&before.1.contents, &after.1.contents) {
        return old == new;
    }
    let data = |(view, cache): Placed<'_>| view.inventory.rootfs.inode(cache.inode).data();
    let old = (before.0.inventory, data(before));
    let new = (after.0.inventory, data(after));
    has_same_content(old, new, contents)
}

/// Changes to the metadata of a useful cache. Linking may change its mtime, but nothing may change mode, owner or
/// extended attributes. Other caches may be compiled again, with the metadata of their source.
fn metadata_of_useful(before: Placed<'_>, after: Placed<'_>) -> Vec<String> {
    let attributes = (
        before.0.attributes(before.1.node),
        after.0.attributes(after.1.node),
    );
    match &attributes {
        (Some(old), Some(new)) if is_lasting(before.1) => metadata(Kind::File, old, new),
        _ => Vec::new(),
    }
}

fn is_lasting(cache: &Cache) -> bool {
    matches!(cache.status, Status::Fresh | Status::Unknown(_))
}
