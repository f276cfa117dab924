//! What became of the caches.

use std::collections::BTreeSet;

use super::files::{has_same_content, metadata};
use super::view::View;
use super::{CacheCounts, ContentHashes, Difference, Expected};
use crate::inventory::{Cache, Status, cache_path};
use crate::profile::Missing;
use crate::tar::Kind;

/// Whose cache a path names, whatever its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// The `__pycache__` that it lies in.
    directory: &'a [u8],
    module: Vec<u8>,
    tag: &'a [u8],
}

impl<'a> Name<'a> {
    /// Reads the path of a cache: `__pycache__/MODULE.cpython-NUMBER.pyc`, or `.opt-LEVEL` before the suffix (PEP 3147,
    /// PEP 488). `None` for every other path. The inventory is not asked: if it took another file for a cache, that
    /// file could be removed without a difference.
    pub(super) fn of(path: &'a [u8]) -> Option<Self> {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        let (directory, name) = (&path[..slash], &path[slash + 1..]);
        let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
        let is_bytecode = parts.pop()? == b"pyc";
        let mut tag = parts.pop()?;
        let mut is_level = true;
        if let Some(level) = tag.strip_prefix(b"opt-") {
            is_level = is_alphanumeric(level);
            tag = parts.pop()?;
        }
        let module = parts.join(&b'.');
        let is_cache = directory.split(|byte| *byte == b'/').next_back()? == b"__pycache__"
            && is_bytecode
            && is_level
            && is_cpython(tag)
            && !module.is_empty();
        is_cache.then_some(Self {
            directory,
            module,
            tag,
        })
    }
}

fn is_alphanumeric(level: &[u8]) -> bool {
    let level = std::str::from_utf8(level).unwrap_or_default();
    !level.is_empty() && level.chars().all(char::is_alphanumeric)
}

/// Whether a cache tag is one of CPython's: `cpython-39`, `cpython-311`.
fn is_cpython(tag: &[u8]) -> bool {
    let number = tag.strip_prefix(b"cpython-").unwrap_or_default();
    number.len() > 1 && number[0] != b'0' && number.iter().all(u8::is_ascii_digit)
}

/// Whether a cache's content is known without hashing it.
pub(super) fn has_contents(view: &View<'_>, path: &[u8]) -> bool {
    let cache = view.caches.get(path);
    cache.is_some_and(|cache| cache.contents.is_some())
}

/// Compares the caches of both sides, and counts what became of them.
pub(super) fn compare(
    before: &View<'_>,
    after: &View<'_>,
    contents: (&ContentHashes, &ContentHashes),
    (expected, named): (Option<&Expected<'_>>, &BTreeSet<Vec<u8>>),
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
        // What is named is kept as it is, and its loss is told of elsewhere.
        let is_named = named.contains(path) && (is_same || sides.1.is_none());
        if let Some(expected) = expected.filter(|_| whats.is_empty() && !is_named) {
            whats.extend(expected.fault(sides.0, sides.1, is_same));
        }
        differences.extend(whats.into_iter().map(|what| Difference::file(path, what)));
    }
    counts
}

/// How many caches a profile asks for and are not there, of the sources whose Python pycull can have compiled.
pub(super) fn missing(after: &View<'_>, expected: &Expected<'_>) -> Option<u64> {
    if expected.profile.missing != Missing::Compile {
        return None;
    }
    let is_missing =
        |path: &Vec<u8>| expected.profile.scope.contains(path) && after.node(path).is_none();
    let mut missing = 0;
    for source in &after.inventory.sources {
        let version = after.inventory.tree_of(source).version;
        let Some(version) = version.filter(|version| version.can_be_compiled()) else {
            continue;
        };
        let path = after.inventory.source_path(source);
        let levels = expected.levels.iter();
        let paths = levels.map(|level| cache_path(&path, version.tag(), *level));
        missing += paths.filter(is_missing).count() as u64;
    }
    Some(missing)
}

/// Why Python would not use a cache, or could not be known to.
fn fault(cache: &Cache) -> Option<String> {
    Some(match &cache.status {
        Status::Fresh => return None,
        Status::UncheckedMismatch => {
            "its hash is not its source's, which nothing checks".to_owned()
        }
        Status::Stale(reason) => format!("is stale: {reason}"),
        Status::HashMismatch => "is stale: its hash is not its source's".to_owned(),
        Status::Orphan => "has no source".to_owned(),
        Status::Foreign(reason) => format!("is for another interpreter: {reason}"),
        Status::Malformed(reason) => format!("is malformed: {reason}"),
        Status::Unknown(reason) => format!("cannot be judged: {reason}"),
    })
}

/// What is wrong with a cache that both sides have.
fn change(before: &Cache, after: &Cache, is_same: bool) -> Option<String> {
    match (&before.status, is_same) {
        (Status::Fresh, _) => match fault(after) {
            Some(fault) => Some(format!("was fresh, but {fault}")),
            None => {
                has_other_code(before, after).then(|| "was fresh, but has other code".to_owned())
            }
        },
        (_, true) => None,
        // Python might have used it: it cannot be replaced by what came of compiling its source.
        (Status::Unknown(_), false) => {
            Some("has other bytes, though Python used it or might have".to_owned())
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

/// Linking may change a cache's mtime, and nothing changes the rest; one that is compiled anew is as its source.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_python_reads_as_caches_are_caches() {
        for (path, directory, module, tag) in [
            ("__pycache__/m.cpython-39.pyc", "", "m", "39"),
            (
                "a/b/__pycache__/m.cpython-314.opt-2.pyc",
                "a/b/",
                "m",
                "314",
            ),
            ("a/__pycache__/m.cpython-39.opt-x3.pyc", "a/", "m", "39"),
            (
                "a/__pycache__/local.conf.cpython-311.pyc",
                "a/",
                "local.conf",
                "311",
            ),
            (
                "a/__pycache__/m.opt-1.cpython-39.pyc",
                "a/",
                "m.opt-1",
                "39",
            ),
            (
                "a/__pycache__/m.cpython-38.cpython-39.pyc",
                "a/",
                "m.cpython-38",
                "39",
            ),
            ("a/__pycache__/.m.cpython-39.pyc", "a/", ".m", "39"),
        ] {
            let name = Name {
                directory: &[directory.as_bytes(), b"__pycache__"].concat(),
                module: module.into(),
                tag: &[b"cpython-", tag.as_bytes()].concat(),
            };
            assert_eq!(Name::of(path.as_bytes()), Some(name), "{path}");
        }
        assert!(Name::of(b"__pycache__/caf\xe9.cpython-39.pyc").is_some());
        for path in [
            "m.cpython-39.pyc",
            "a/m.cpython-39.pyc",
            "a/x__pycache__/m.cpython-39.pyc",
            "a/__pycache__x/m.cpython-39.pyc",
            "a/__pycache__/sub/m.cpython-39.pyc",
            "a/__pycache__",
            "a/__pycache__/m.pyc",
            "a/__pycache__/.cpython-39.pyc",
            "a/__pycache__/cpython-39.pyc",
            "a/__pycache__/m.pypy39.pyc",
            "a/__pycache__/m.cpython-.pyc",
            "a/__pycache__/m.cpython-39t.pyc",
            "a/__pycache__/m.cpython-39-pytest-7.4.3.pyc",
            "a/__pycache__/m.cpython-39.opt-.pyc",
            "a/__pycache__/m.cpython-39.opt-1-2.pyc",
            "a/__pycache__/m.cpython-39.pyc.1234",
            "a/__pycache__/m.cpython-39.py",
            "a/__pycache__/m.cpython-39.pyo",
        ] {
            assert_eq!(Name::of(path.as_bytes()), None, "{path}");
        }
    }
}
