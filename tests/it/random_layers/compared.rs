//! The allowed differences between two unpacked trees.

use crate::support::tree::{FileKind, Tree};

/// The differences between two trees, except for caches and the directories that they were in.
///
/// Each difference is one line with the old and the new state.
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
            // If the directory had other files, their own paths are reported.
            None if old.kind == FileKind::Directory && name(path) == "__pycache__" => {}
            None => found.push(format!("{path} is gone: {:?}", old.kind)),
        }
    }
    let new = after.0.keys().filter(|path| !before.0.contains_key(*path));
    found.extend(new.map(|path| format!("{path} is new")));
    found
}

/// Caches that stayed but have other content.
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

/// Whether a path is that of a cache for the Python of the images (PEP 3147, PEP 488).
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

/// Clears the times of directories. They are those of the extraction if it created a directory or deleted something in
/// it.
pub fn forget_directory_times(tree: &mut Tree) {
    for entry in tree.0.values_mut() {
        if entry.kind == FileKind::Directory {
            entry.mtime = (0, 0);
        }
    }
}

/// Clears the times of linked caches. Caches that pycull links keep the times in their headers, and engines disagree
/// about which of these counts.
pub fn forget_times_of_linked_caches(tree: &mut Tree) {
    for (path, entry) in &mut tree.0 {
        if entry.names.len() > 1 && is_cache_name(path) {
            entry.mtime = (0, 0);
        }
    }
}
