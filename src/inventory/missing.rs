//! Finds sources that Python would import and that have no cache.

use std::collections::{BTreeSet, HashSet};

use super::{Inventory, Source, Tree, TreeKind, cache_from_source};
use crate::path;
use crate::pyc::{Level, Runtime};
use crate::rootfs::Rootfs;

/// A source without a cache.
#[derive(Debug, Clone)]
pub(crate) struct MissingCache<'a> {
    pub source: &'a Source,
    /// The path at which Python would look for the cache.
    pub path: Vec<u8>,
}

/// The first version with `__pycache__` (PEP 3147).
const FIRST_WITH_PYCACHE: Runtime = Runtime::cpython(3, 2);

/// The sources that should have a cache at `level` and have none, sorted by path. These are modules on the search
/// path of an interpreter in the image.
///
/// A source with a cache that Python would not use is not among them, because that cache has a finding of its own.
pub(crate) fn missing_caches(inventory: &Inventory, level: Level) -> Vec<MissingCache<'_>> {
    let interpreters: BTreeSet<Runtime> = inventory
        .trees
        .iter()
        .filter(|tree| tree.kind == TreeKind::Stdlib)
        .filter_map(|tree| tree.version)
        .filter(|version| *version >= FIRST_WITH_PYCACHE)
        .collect();
    let useless: HashSet<&[u8]> = inventory
        .caches
        .iter()
        .filter(|cache| cache.level == Some(level) && !cache.status.is_useful())
        .map(|cache| &*cache.source)
        .collect();
    let stored: Vec<bool> = inventory
        .trees
        .iter()
        .map(|tree| is_in_package_store(&inventory.rootfs, &tree.path))
        .collect();
    let missing = inventory.sources.iter().filter_map(|source| {
        let tree = inventory.tree_of(source);
        if stored[source.tree.index()] {
            return None;
        }
        let version = tree
            .version
            .filter(|version| interpreters.contains(version))?;
        let source_path = inventory.source_path(source);
        if !is_module(tree, &source_path) || useless.contains(&*source_path) {
            return None;
        }
        let path = cache_from_source(&source_path, version, level);
        let is_free = inventory.rootfs.lookup(&path).is_none();
        is_free.then_some(MissingCache { source, path })
    });
    missing.collect()
}

/// Whether a directory is in a package of conda's store (`pkgs/NAME`, with the package's own `info`). Environments
/// link to the files there, and no interpreter searches the store.
fn is_in_package_store(rootfs: &Rootfs, directory: &[u8]) -> bool {
    path::ancestors(directory).any(|package| {
        let index = path::join(package, b"info/index.json");
        path::file_name(path::parent(package)) == b"pkgs" && rootfs.lookup(&index).is_some()
    })
}

/// Whether an `import` can name a source in a tree. The tree must be on the initial module search path of an
/// interpreter. The file and the directories down to it must be identifiers. A directory needs no `__init__.py` (PEP
/// 420).
fn is_module(tree: &Tree, source: &[u8]) -> bool {
    let packages = [&b"site-packages"[..], b"dist-packages"];
    let is_searched =
        tree.kind == TreeKind::Stdlib || packages.contains(&path::file_name(&tree.path));
    let module = source
        .strip_prefix(&*tree.path)
        .and_then(|rest| rest.strip_suffix(b".py"));
    is_searched
        && module.is_some_and(|module| path::components(module).into_iter().all(is_identifier))
}

/// Whether a name is an identifier. Python uses Unicode's rule; [`char::is_alphanumeric`] is the nearest function
/// here.
fn is_identifier(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::Sizes;
    use super::*;

    fn tree(path: &str, kind: TreeKind) -> Tree {
        Tree {
            path: path.as_bytes().to_vec(),
            kind,
            version: None,
            magic: None,
            sources: Sizes::default(),
            levels: [Sizes::default(); 3],
            sourceless: Sizes::default(),
            files: Vec::new(),
        }
    }

    #[test]
    fn modules_lie_on_the_search_path_below_identifiers() {
        let stdlib = tree("usr/lib/python3.11", TreeKind::Stdlib);
        for (source, expected) in [
            ("os.py", true),
            ("json/__init__.py", true),
            ("namespace/größe_2.py", true),
            ("2to3.py", false),
            ("config-3.11-x86_64-linux-gnu/config.py", false),
            ("json/tool-kit.py", false),
        ] {
            let path = format!("usr/lib/python3.11/{source}");
            assert_eq!(is_module(&stdlib, path.as_bytes()), expected, "{source}");
        }
    }

    #[test]
    fn applications_and_scripts_are_not_on_the_search_path() {
        for (directory, expected) in [
            ("opt/venv/lib/python3.11/site-packages", true),
            ("usr/lib/python3/dist-packages", true),
            ("usr/share/gcc/python", false),
            ("app", false),
        ] {
            let packages = tree(directory, TreeKind::Packages);
            let path = format!("{directory}/m.py");
            assert_eq!(
                is_module(&packages, path.as_bytes()),
                expected,
                "{directory}"
            );
        }
        assert!(is_module(&tree("", TreeKind::Stdlib), b"m.py"));
    }
}
