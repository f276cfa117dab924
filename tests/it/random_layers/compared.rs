//! What two unpacked trees may differ in.

use crate::support::tree::{FileKind, Tree};

/// How the tree after differs from that before, but for caches and the directories that they were in.
///
/// Each is one line, with what was and what is.
pub fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let (mut before, mut after) = (before.clone(), after.clone());
    for tree in [&mut before, &mut after] {
        forget_directory_times(tree);
    }
    let mut found = changed_caches(&before, &after);
    let caches = caches(&before);
    let is_cache = |path: &str| caches.iter().any(|cache| cache == path);
    before.remove(is_cache);
    after.remove(is_cache);
    for (path, old) in &before.0 {
        match after.0.get(path) {
            Some(new) if new == old => {}
            Some(new) => found.push(format!("{path}: {}", old.changes(new))),
            // What else was in it is missed by its own path.
            None if old.kind == FileKind::Directory && name(path) == "__pycache__" => {}
            None => found.push(format!("{path} is gone: {:?}", old.kind)),
        }
    }
    let new = after.0.keys().filter(|path| !before.0.contains_key(*path));
    found.extend(new.map(|path| format!("{path} is new")));
    found
}

/// Caches that stayed with other content.
fn changed_caches(before: &Tree, after: &Tree) -> Vec<String> {
    let changed = caches(before).into_iter().filter(|path| {
        let new = after.0.get(path);
        new.is_some_and(|new| new.sha256 != before.0[path].sha256)
    });
    changed
        .map(|path| format!("{path} has other bytes"))
        .collect()
}

fn caches(tree: &Tree) -> Vec<String> {
    let files = tree
        .0
        .iter()
        .filter(|(_, entry)| entry.kind == FileKind::File);
    let caches = files.filter(|(path, _)| is_cache_name(path));
    caches.map(|(path, _)| path.clone()).collect()
}

/// Whether a path is that of a cache of the Python that the images have (PEP 3147, PEP 488).
pub fn is_cache_name(path: &str) -> bool {
    let Some((directory, file)) = path.rsplit_once('/') else {
        return false;
    };
    let stem = file.strip_suffix(".pyc").map(|stem| {
        let stem = stem.strip_suffix(".opt-1").unwrap_or(stem);
        stem.strip_suffix(".opt-2").unwrap_or(stem)
    });
    let module = stem.and_then(|stem| stem.strip_suffix(".cpython-39"));
    name(directory) == "__pycache__" && module.is_some_and(|module| !module.is_empty())
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The times of directories are those of the extraction, where it made them or deleted something in them.
pub fn forget_directory_times(tree: &mut Tree) {
    for entry in tree.0.values_mut() {
        if entry.kind == FileKind::Directory {
            entry.mtime = (0, 0);
        }
    }
}

/// Levels that pycull links keep the times of their headers, and engines do not agree which of them counts.
pub fn forget_times_of_linked_caches(tree: &mut Tree) {
    for (path, entry) in &mut tree.0 {
        if entry.names.len() > 1 && is_cache_name(path) {
            entry.mtime = (0, 0);
        }
    }
}
