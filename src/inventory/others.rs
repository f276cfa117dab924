//! Bytecode of Pythons that pycull does not support: PyPy and Python 2.

use std::collections::BTreeMap;

use super::{Inventory, Sizes, TreeKind};
use crate::path;

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
            None if name.starts_with("pypy") => drop(found.entry(pypy(&name[4..])).or_default()),
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
        let name = match pypy_tag(&path) {
            Some(tag) => pypy(tag),
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

/// Returns `PyPy 3.11` for `311` or `3.11`.
fn pypy(version: &str) -> String {
    match version.split_at_checked(1) {
        Some((major, minor)) if !minor.is_empty() => {
            format!("PyPy {major}.{}", minor.trim_start_matches('.'))
        }
        _ => "PyPy".to_owned(),
    }
}

/// The version in the tag of a PyPy cache: `311` in `__pycache__/m.pypy311.pyc`.
fn pypy_tag(file: &[u8]) -> Option<&str> {
    if path::file_name(path::parent(file)) != b"__pycache__" {
        return None;
    }
    let name = std::str::from_utf8(path::file_name(file)).ok()?;
    let mut parts = name.strip_suffix(".pyc")?.rsplit('.');
    let tag = parts.find(|part| !part.starts_with("opt-"))?;
    tag.strip_prefix("pypy")
}
