//! Bytecode of Pythons that pycull does not support: PyPy and Python 2.

use std::collections::BTreeMap;

use super::{Inventory, Sizes, TreeKind};
use crate::path;
use crate::pyc::{Runtime, parse_cache_name};

/// The files of another Python in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherPython {
    /// The name, for example `PyPy 3.11`.
    pub name: String,
    /// The bytecode files.
    pub bytecode: Sizes,
}

/// The Pythons in an image that pycull does not support, by name.
pub(crate) fn other_pythons(inventory: &Inventory) -> Vec<OtherPython> {
    let mut found: BTreeMap<String, Sizes> = BTreeMap::new();
    for tree in inventory
        .trees
        .iter()
        .filter(|it| it.kind == TreeKind::Stdlib)
    {
        let name = std::str::from_utf8(path::file_name(&tree.path)).unwrap_or_default();
        match tree.version {
            Some(version) if version.major == 2 => drop(found.entry(python2()).or_default()),
            None => {
                if let Some(version) = name.strip_prefix("pypy") {
                    let tag = Runtime::from_cache_tag(name.as_bytes());
                    let version = tag.or_else(|| version.parse().ok());
                    found.entry(pypy(version)).or_default();
                }
            }
            _ => {}
        }
    }
    for (path, node) in inventory.rootfs.walk() {
        let Some(inode) = inventory.rootfs.regular_file(node) else {
            continue;
        };
        let inode = inventory.rootfs.inode(inode);
        let bytecode = inventory.layers[inode.data().layer]
            .bytecode
            .get(&inode.data().index);
        let is_python2 = || {
            let header = bytecode.and_then(|it| it.header.as_ref().ok());
            header.is_some_and(|header| header.magic.is_python2())
        };
        let name = match pypy_of_cache(&path) {
            Some(version) => pypy(version),
            None if path.ends_with(b".pyc") && is_python2() => python2(),
            None => continue,
        };
        found.entry(name).or_default().add(inode.size);
    }
    found
        .into_iter()
        .map(|(name, bytecode)| OtherPython { name, bytecode })
        .collect()
}

fn python2() -> String {
    "Python 2".to_owned()
}

/// The name of a PyPy, without a version if that is not known.
fn pypy(version: Option<Runtime>) -> String {
    version.map_or_else(|| "PyPy".to_owned(), |version| format!("PyPy {version}"))
}

/// The PyPy that has this cache, such as `__pycache__/m.pypy311.pyc`. The inner `None` is a PyPy of unknown version.
fn pypy_of_cache(file: &[u8]) -> Option<Option<Runtime>> {
    if path::file_name(path::parent(file)) != b"__pycache__" {
        return None;
    }
    let tag = parse_cache_name(path::file_name(file))?.cache_tag;
    tag.starts_with(b"pypy")
        .then(|| Runtime::from_cache_tag(tag))
}
