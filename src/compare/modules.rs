//! Where the bytes of two images' modules are: by tree and level, and module by module. Counts every file in every
//! layer, including hidden ones. A hardlink has no bytes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Both;
use crate::inventory::{Inventory, Sizes, innermost_tree};
use crate::path;
use crate::pyc::{Level, Runtime, parse_cache_name};
use crate::rootfs::MemberId;
use crate::tar::Kind;

/// The role of a file for Python.
#[derive(Clone, Copy)]
enum Class {
    Source,
    Cache(Level),
    Sourceless,
}

/// A file of a module in a layer.
pub(super) struct ModuleFile {
    /// The path of the module's source, even if there is none.
    module: Vec<u8>,
    class: Class,
    bytes: u64,
}

/// The sources, caches and sourceless modules in an image's layers.
pub(super) fn module_files(inventory: &Inventory) -> Vec<ModuleFile> {
    let visible = inventory.caches.iter().filter_map(|cache| {
        let class = Class::Cache(cache.level?);
        Some((cache.source.clone(), class, cache.member))
    });
    let hidden = inventory.hidden.iter().filter_map(|cache| {
        let class = Class::Cache(cache.level?);
        Some((source_of(&cache.path)?, class, cache.member))
    });
    let sourceless = inventory.sourceless.iter().filter_map(|module| {
        let source = module.path.strip_suffix(b"c")?;
        Some((source.to_vec(), Class::Sourceless, module.member))
    });
    let files = visible.chain(hidden).chain(sourceless);
    files
        .chain(sources(inventory))
        .map(|(module, class, member)| ModuleFile {
            module,
            class,
            bytes: inventory.member(member).stored_bytes(),
        })
        .collect()
}

/// The path of a cache's source.
fn source_of(cache: &[u8]) -> Option<Vec<u8>> {
    let name = parse_cache_name(path::file_name(cache))?;
    let directory = path::parent(path::parent(cache));
    Some(path::join(directory, &name.source_name()))
}

fn sources(inventory: &Inventory) -> impl Iterator<Item = (Vec<u8>, Class, MemberId)> + '_ {
    inventory
        .members()
        .filter(|(_, member)| {
            matches!(member.kind, Kind::File | Kind::Hardlink) && member.path.ends_with(b".py")
        })
        .map(|(id, _)| (inventory.path_of(id), Class::Source, id))
}

/// The files of one tree in one image. Counts every file in every layer, hidden or not. A hardlink has no bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeSizes {
    /// Files named `*.py`.
    pub sources: Sizes,
    /// Caches by level.
    pub levels: [Sizes; 3],
    /// Sourceless modules.
    pub sourceless: Sizes,
}

/// One Python tree in both images.
#[derive(Debug, Clone)]
pub struct TreeDifference {
    /// The tree's directory. None for files that a later layer hides and that lie outside every tree.
    pub path: Option<Vec<u8>>,
    /// The Python version after, or else before. None if it is unknown.
    pub version: Option<Runtime>,
    /// The sizes of the tree's files.
    pub sizes: Both<TreeSizes>,
}

/// A module whose size differs between two images. Counts its source and its bytecode of all levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDifference {
    /// The path of its source, even if the source is missing.
    pub path: Vec<u8>,
    /// Size of all its files, in bytes.
    pub bytes: Both<u64>,
}

impl TreeSizes {
    fn add(&mut self, file: &ModuleFile) {
        let sizes = match file.class {
            Class::Source => &mut self.sources,
            Class::Cache(level) => &mut self.levels[level.index()],
            Class::Sourceless => &mut self.sourceless,
        };
        sizes.add(file.bytes);
    }

    /// Size of all files in the tree, in bytes.
    pub fn bytes(&self) -> u64 {
        let sizes = self.levels.iter().chain([&self.sources, &self.sourceless]);
        sizes.map(|sizes| sizes.bytes).sum()
    }
}

/// One side of a comparison: an image and its module files.
pub(super) type Modules<'a> = (&'a Inventory, &'a [ModuleFile]);

/// The trees of both images. A file belongs to the innermost tree of either image that contains it, so that it is in
/// the same tree on both sides.
pub(super) fn trees(before: Modules<'_>, after: Modules<'_>) -> Vec<TreeDifference> {
    let found = || before.0.trees.iter().chain(&after.0.trees);
    let roots: BTreeSet<&[u8]> = found().map(|tree| &*tree.path).collect();
    // If the versions differ, the later one wins: that of the image after.
    let versions: BTreeMap<&[u8], _> = found()
        .filter_map(|tree| Some((&*tree.path, tree.version?)))
        .collect();
    let mut sizes: BTreeMap<Option<&[u8]>, Both<TreeSizes>> = BTreeMap::new();
    for file in before.1 {
        let tree = innermost_tree(&file.module, &roots);
        sizes.entry(tree).or_default().before.add(file);
    }
    for file in after.1 {
        let tree = innermost_tree(&file.module, &roots);
        sizes.entry(tree).or_default().after.add(file);
    }
    sizes
        .iter()
        .map(|(path, sizes)| TreeDifference {
            path: path.map(<[u8]>::to_vec),
            version: path.and_then(|path| versions.get(path)).copied(),
            sizes: *sizes,
        })
        .collect()
}

/// Maximum number of modules in a comparison.
const LISTED_MODULES: usize = 50;

/// The modules whose sources and bytecode grew or shrank, largest change first.
pub(super) fn changed_modules(
    before: &[ModuleFile],
    after: &[ModuleFile],
) -> Vec<ModuleDifference> {
    let mut sizes: BTreeMap<&[u8], Both<u64>> = BTreeMap::new();
    for file in before {
        sizes.entry(&file.module).or_default().before += file.bytes;
    }
    for file in after {
        sizes.entry(&file.module).or_default().after += file.bytes;
    }
    let mut changed: Vec<_> = sizes
        .into_iter()
        .filter(|(_, bytes)| bytes.before != bytes.after)
        .collect();
    // The sort is stable, so modules with equal changes stay sorted by path.
    changed.sort_by_key(|(_, bytes)| Reverse(bytes.before.abs_diff(bytes.after)));
    changed.truncate(LISTED_MODULES);
    let difference = |(path, bytes): (&[u8], _)| ModuleDifference {
        path: path.to_vec(),
        bytes,
    };
    changed.into_iter().map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(module: &str, class: Class, bytes: u64) -> ModuleFile {
        ModuleFile {
            module: module.as_bytes().to_vec(),
            class,
            bytes,
        }
    }

    #[test]
    fn a_cache_tells_its_source() {
        let source = source_of(b"usr/lib/__pycache__/os.cpython-39.opt-1.pyc");
        assert_eq!(source, Some(b"usr/lib/os.py".to_vec()));
        assert_eq!(source_of(b"usr/lib/__pycache__/os.pyc"), None);
    }

    #[test]
    fn modules_that_changed_most_come_first_whichever_way() {
        let cache = Class::Cache(Level::Zero);
        let before = [
            file("a.py", Class::Source, 10),
            file("a.py", cache, 90),
            file("b.py", cache, 5),
            file("same.py", Class::Source, 7),
        ];
        let after = [
            file("a.py", Class::Source, 10),
            file("b.py", cache, 500),
            file("c.py", Class::Sourceless, 90),
            file("same.py", Class::Sourceless, 7),
        ];
        let changed: Vec<_> = changed_modules(&before, &after)
            .into_iter()
            .map(|module| (module.path, module.bytes.before, module.bytes.after))
            .collect();
        let expected = [("b.py", 5, 500), ("a.py", 100, 10), ("c.py", 0, 90)];
        let expected =
            expected.map(|(path, before, after)| (path.as_bytes().to_vec(), before, after));
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_report_lists_only_so_many_modules() {
        let many: Vec<_> = (0..60)
            .map(|number| file(&format!("m{number}.py"), Class::Source, 1))
            .collect();
        assert_eq!(changed_modules(&many, &[]).len(), LISTED_MODULES);
    }
}
