//! Compares everything that is not a cache, path by path.

use std::collections::{BTreeSet, HashSet};

use super::view::{View, pairs};
use super::{ContentHashes, Difference, shadowed};
use crate::inventory::Inventory;
use crate::path;
use crate::rootfs::{Attributes, MemberId, NodeId};
use crate::tar::{Kind, Member, Timestamp};

/// The number of compared paths and of equal bytes.
pub(super) struct Checked {
    pub(super) paths: u64,
    pub(super) bytes: u64,
}

/// Compares all paths, except those of caches that both images have.
pub(super) fn compare(
    before: &View<'_>,
    after: &View<'_>,
    contents: (&ContentHashes, &ContentHashes),
    differences: &mut Vec<Difference>,
) -> Checked {
    let mut counted = HashSet::new();
    let (mut paths, mut bytes) = (0, 0);
    for pair in pairs(before, after) {
        paths += 1;
        let path = &pair.path;
        let whats = match (pair.before, pair.after) {
            (Some(old), Some(new)) => {
                let is_cache = (before.is_cache(path), after.is_cache(path));
                if is_cache == (true, true) {
                    continue;
                }
                let whats = entry(path, (before, old), (after, new), contents);
                let file = before.file(old).filter(|_| whats.is_empty());
                if let Some(file) = file.filter(|file| counted.insert(*file)) {
                    bytes += before.inventory.member(file).size;
                }
                whats
            }
            (Some(old), None)
                if !may_go(before, path, old) && !shadowed::may_go(before, after, path) =>
            {
                vec!["is gone".to_owned()]
            }
            (None, Some(new)) if !may_come(after, path, new) => vec!["is new".to_owned()],
            _ => continue,
        };
        differences.extend(whats.into_iter().map(|what| Difference::file(path, what)));
    }
    Checked { paths, bytes }
}

/// Whether a cache or a `__pycache__` may go. Other lost files in such a directory are differences at their own paths.
fn may_go(before: &View<'_>, path: &[u8], node: NodeId) -> bool {
    before.is_cache(path) || is_cache_directory(before, path, node)
}

fn may_come(after: &View<'_>, path: &[u8], node: NodeId) -> bool {
    let has_cache = || {
        let rootfs = &after.inventory.rootfs;
        let mut inside = rootfs.below(node);
        inside.any(|other| after.is_cache(&rootfs.path(other)))
    };
    after.is_cache(path) || (is_cache_directory(after, path, node) && has_cache())
}

fn is_cache_directory(view: &View<'_>, path: &[u8], node: NodeId) -> bool {
    path::file_name(path) == b"__pycache__" && view.kind(node) == Kind::Directory
}

type Place<'a> = (&'a View<'a>, NodeId);

fn entry(
    path: &[u8],
    before: Place<'_>,
    after: Place<'_>,
    contents: (&ContentHashes, &ContentHashes),
) -> Vec<String> {
    let kinds = (before.0.kind(before.1), after.0.kind(after.1));
    if kinds.0 != kinds.1 {
        return vec![format!("was a {}, is a {}", kinds.0, kinds.1)];
    }
    let members = (before.0.metadata(before.1), after.0.metadata(after.1));
    let (old, new) = match members {
        (Some(old), Some(new)) => (old, new),
        (None, None) => return Vec::new(),
        (Some(_), None) => {
            return vec![
                "its own entry is gone: only the paths of other members imply it".to_owned(),
            ];
        }
        // A layer with new caches also has their directory as a member.
        (None, Some(_)) if is_cache_directory(after.0, path, after.1) => return Vec::new(),
        (None, Some(new)) if is_as_implied(new) => return Vec::new(),
        (None, Some(_)) => return vec!["has an entry of its own, and had none before".to_owned()],
    };
    let attributes = (before.0.attributes(before.1), after.0.attributes(after.1));
    let mut whats = Vec::new();
    if let (Some(old), Some(new)) = &attributes {
        whats.extend(metadata(kinds.0, old, new));
        whats.extend(mtime(old.mtime, new.mtime));
    }
    if whats.is_empty() {
        whats.extend(own_header(before, after));
    }
    match kinds.0 {
        Kind::Symlink if old.link() != new.link() => {
            whats.push(format!(
                "link target was {}, is {}",
                lossy(old.link()),
                lossy(new.link())
            ));
        }
        Kind::CharacterDevice | Kind::BlockDevice if old.device() != new.device() => {
            let number = |(major, minor): (u32, u32)| format!("{major}:{minor}");
            let (old, new) = (number(old.device()), number(new.device()));
            whats.push(format!("device was {old}, is {new}"));
        }
        _ => whats.extend(content(before, after, contents)),
    }
    whats
}

/// Whether a directory has the metadata that engines give to directories without a member. They set its time to that of
/// extraction, so the time does not count.
fn is_as_implied(directory: &Member) -> bool {
    (directory.mode, directory.owner()) == (0o755, (0, 0)) && directory.xattrs().is_empty()
}

/// Differences in mode, owner and extended attributes.
pub(super) fn metadata(kind: Kind, before: &Attributes<'_>, after: &Attributes<'_>) -> Vec<String> {
    let mut whats = Vec::new();
    // Linux has no modes of symlinks. The modes in archives depend on the program that wrote them.
    if before.mode != after.mode && kind != Kind::Symlink {
        whats.push(format!(
            "mode was {:04o}, is {:04o}",
            before.mode, after.mode
        ));
    }
    if before.owner != after.owner {
        let text = |(user, group): (u64, u64)| format!("{user}:{group}");
        let (old, new) = (text(before.owner), text(after.owner));
        whats.push(format!("owner was {old}, is {new}"));
    }
    let names: BTreeSet<&[u8]> = before
        .xattrs
        .keys()
        .chain(after.xattrs.keys())
        .copied()
        .collect();
    for name in names {
        let what = match (before.xattrs.get(name), after.xattrs.get(name)) {
            (Some(_), None) => "is gone",
            (None, Some(_)) => "is new",
            (old, new) if old != new => "has another value",
            _ => continue,
        };
        whats.push(format!("xattr {} {what}", lossy(name)));
    }
    whats
}

fn mtime(old: Timestamp, new: Timestamp) -> Option<String> {
    let text = |time: Timestamp| format!("{}.{:09}", time.seconds, time.nanoseconds);
    (old != new).then(|| format!("mtime was {}, is {}", text(old), text(new)))
}

/// Differences in the header of this name. The headers of other names may hide them: engines apply the header of every
/// hardlink, but umoci and GNU tar apply only that of the first name.
fn own_header(before: Place<'_>, after: Place<'_>) -> Vec<String> {
    let names = (before.0.name_member(before.1), after.0.name_member(after.1));
    let (Some(old), Some(new)) = names else {
        return Vec::new();
    };
    let are_alike = (old.kind == Kind::Hardlink) == (new.kind == Kind::Hardlink);
    let of_header = |member| Attributes::of([member]);
    let (Some(old), Some(new)) = (of_header(old), of_header(new)) else {
        return Vec::new();
    };
    let mut whats = metadata(Kind::Hardlink, &old, &new);
    // Some archivers write extended attributes only at the first name of a file.
    whats.retain(|what| are_alike || !what.starts_with("xattr "));
    whats.extend(mtime(old.mtime, new.mtime));
    whats
        .into_iter()
        .map(|what| format!("in its own header: {what}"))
        .collect()
}

fn content(
    before: Place<'_>,
    after: Place<'_>,
    contents: (&ContentHashes, &ContentHashes),
) -> Option<String> {
    let files = (before.0.file(before.1)?, after.0.file(after.1)?);
    let old = (before.0.inventory, files.0);
    let new = (after.0.inventory, files.1);
    let sizes = (old.0.member(old.1).size, new.0.member(new.1).size);
    if sizes.0 != sizes.1 {
        return Some(format!("size was {} bytes, is {}", sizes.0, sizes.1));
    }
    (!has_same_content(old, new, contents)).then(|| "content differs".to_owned())
}

type File<'a> = (&'a Inventory, MemberId);

/// Whether two members have the same data. Without hashes of both, only members at the same place count as equal.
pub(super) fn has_same_content(
    before: File<'_>,
    after: File<'_>,
    contents: (&ContentHashes, &ContentHashes),
) -> bool {
    let hash = |contents: &ContentHashes, member: &MemberId| {
        let place = contents.binary_search_by_key(member, |(member, _)| *member);
        place.ok().map(|place| contents[place].1)
    };
    let hashes = (hash(contents.0, &before.1), hash(contents.1, &after.1));
    is_same_place(before, after) || (hashes.0.is_some() && hashes.0 == hashes.1)
}

/// Whether two members are at the same place of the same archive, and so have the same bytes. Both archives were
/// checked against their diff_ids.
pub(super) fn is_same_place(before: File<'_>, after: File<'_>) -> bool {
    let diff_id =
        |(inventory, member): File<'_>| inventory.layers[member.layer].layer.diff_id.clone();
    before.1.index == after.1.index && diff_id(before) == diff_id(after)
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
