//! Finds Python trees anywhere in an image by the files in them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{ChosenVersions, TreeId, TreeKind};
use crate::path;
use crate::pyc::{Magic, Runtime};

/// The Python files in one directory.
#[derive(Debug, Default)]
pub(super) struct PythonDirectory {
    /// The number of names that end in `.py`.
    pub(super) sources: usize,
    /// The number of names that end in `.pyc`, outside `__pycache__`.
    pub(super) sourceless: usize,
    /// The caches of its modules by the tag in their names, with the number of caches for each magic number.
    pub(super) tags: BTreeMap<Runtime, BTreeMap<Magic, usize>>,
    /// Whether the directory has the landmarks of a standard library.
    pub(super) is_stdlib: bool,
}

/// A tree before its files are counted.
#[derive(Debug)]
pub(super) struct FoundTree {
    pub(super) path: Vec<u8>,
    pub(super) kind: TreeKind,
    pub(super) version: Option<Runtime>,
    pub(super) magic: Option<Magic>,
}

impl FoundTree {
    /// Whether only Pythons of the tree's version look for modules in it. That is true of a standard library, and of
    /// a directory for packages in `pythonX.Y`.
    pub(super) fn is_of_one_version(&self) -> bool {
        let is_packages = matches!(
            path::file_name(&self.path),
            b"site-packages" | b"dist-packages"
        );
        let directory = path::file_name(path::parent(&self.path));
        let is_versioned = version_in_path(directory).is_some();
        self.version.is_some() && (self.kind == TreeKind::Stdlib || (is_packages && is_versioned))
    }
}

/// Finds all trees among directories with Python files, sorted by path.
///
/// A standard library has landmarks, and a directory for packages has a known name. Other trees are topmost
/// directories with modules.
///
/// `programs` are the interpreters that the image starts. They determine the version of an application if nothing
/// else does.
pub(super) fn find(
    directories: &BTreeMap<Vec<u8>, PythonDirectory>,
    programs: &[&[u8]],
    chosen: ChosenVersions<'_>,
) -> Vec<FoundTree> {
    let mut roots: BTreeMap<&[u8], TreeKind> = BTreeMap::new();
    for (directory, content) in directories {
        if content.is_stdlib {
            roots.insert(directory, TreeKind::Stdlib);
        }
        if let Some(packages) = packages_directory(directory) {
            roots.entry(packages).or_insert(TreeKind::Packages);
        }
    }
    // Sorted paths put a directory before the directories below it, so the topmost comes first.
    for directory in directories.keys() {
        if enclosing(&roots, directory).is_none() {
            roots.insert(directory, TreeKind::Packages);
        }
    }
    let mut trees: Vec<FoundTree> = roots
        .iter()
        .map(|(path, kind)| FoundTree {
            path: path.to_vec(),
            kind: *kind,
            version: version_in_path(path),
            magic: None,
        })
        .collect();
    let tags = tags_by_tree(directories, &roots, &trees);
    set_versions(&mut trees, &tags, programs, chosen);
    set_magics(&mut trees, &tags);
    trees
}

/// The part of a path up to its last `site-packages` or `dist-packages`.
fn packages_directory(directory: &[u8]) -> Option<&[u8]> {
    let mut end = directory.len();
    loop {
        let head = &directory[..end];
        if matches!(path::file_name(head), b"site-packages" | b"dist-packages") {
            return Some(head);
        }
        end = head.iter().rposition(|byte| *byte == b'/')?;
    }
}

fn enclosing<'a>(roots: &BTreeMap<&'a [u8], TreeKind>, directory: &[u8]) -> Option<&'a [u8]> {
    path::ancestors(directory).find_map(|it| Some(*roots.get_key_value(it)?.0))
}

/// The version in the last `pythonX.Y` of a path. Free-threaded builds add a `t`.
fn version_in_path(directory: &[u8]) -> Option<Runtime> {
    directory.rsplit(|byte| *byte == b'/').find_map(|part| {
        let version = std::str::from_utf8(part.strip_prefix(b"python")?).ok()?;
        version.strip_suffix('t').unwrap_or(version).parse().ok()
    })
}

type Tags = BTreeMap<Runtime, BTreeMap<Magic, usize>>;

fn tags_by_tree(
    directories: &BTreeMap<Vec<u8>, PythonDirectory>,
    roots: &BTreeMap<&[u8], TreeKind>,
    trees: &[FoundTree],
) -> Vec<Tags> {
    let index: HashMap<&[u8], usize> = trees
        .iter()
        .enumerate()
        .map(|(index, tree)| (&*tree.path, index))
        .collect();
    let mut tags = vec![Tags::new(); trees.len()];
    for (directory, content) in directories {
        let Some(tree) = enclosing(roots, directory).and_then(|root| index.get(root)) else {
            continue;
        };
        for (tag, magics) in &content.tags {
            let total = tags[*tree].entry(*tag).or_default();
            for (magic, count) in magics {
                *total.entry(*magic).or_default() += count;
            }
        }
    }
    tags
}

/// Sets the version of each tree whose path does not name one. These determine it, in this order:
///
/// 1. The user's choice for the tree.
/// 2. Most of the tree's caches.
/// 3. For packages in `lib/python3`, the standard library beside it.
/// 4. The user's choice for other trees.
/// 5. The only standard library of the image, or else the interpreter that the image starts.
///
/// Caches of a Python that the image does not have do not count, because they are foreign. A standard library of
/// unknown version belongs to another implementation such as PyPy, and so do the packages in it.
fn set_versions(
    trees: &mut [FoundTree],
    tags: &[Tags],
    programs: &[&[u8]],
    chosen: ChosenVersions<'_>,
) {
    for (tree, tags) in trees.iter_mut().zip(tags) {
        if tree.kind == TreeKind::Stdlib {
            tree.version = tree
                .version
                .or_else(|| (chosen.of_tree)(&tree.path))
                .or_else(|| most_cached(tags, &|_| true));
        }
    }
    let stdlibs = stdlib_versions(trees);
    let is_there = |version| stdlibs.is_empty() || stdlibs.contains(&version);
    let beside: Vec<_> = trees
        .iter()
        .map(|tree| version_beside(trees, &tree.path))
        .collect();
    let only = <[Runtime; 1]>::try_from(stdlibs.iter().copied().collect::<Vec<_>>());
    let fallback = match only {
        Ok([only]) => Some(only),
        Err(_) => started_version(trees, programs).filter(|version| stdlibs.contains(version)),
    };
    let others: HashSet<Vec<u8>> = trees
        .iter()
        .filter(|tree| tree.kind == TreeKind::Stdlib && tree.version.is_none())
        .map(|tree| tree.path.clone())
        .collect();
    for ((tree, tags), beside) in trees.iter_mut().zip(tags).zip(beside) {
        let known = tree
            .version
            .or_else(|| (chosen.of_tree)(&tree.path))
            .or_else(|| most_cached(tags, &is_there));
        let mut directories = path::ancestors(&tree.path);
        tree.version = match directories.any(|directory| others.contains(directory)) {
            true => known,
            false => known.or(beside).or(chosen.otherwise).or(fallback),
        };
    }
}

fn stdlib_versions(trees: &[FoundTree]) -> BTreeSet<Runtime> {
    let stdlibs = trees.iter().filter(|tree| tree.kind == TreeKind::Stdlib);
    stdlibs.filter_map(|tree| tree.version).collect()
}

/// The version of most caches, among the versions that count.
fn most_cached(tags: &Tags, counts: &dyn Fn(Runtime) -> bool) -> Option<Runtime> {
    let versions = tags.iter();
    let versions = versions.map(|(version, magics)| (*version, magics.values().sum::<usize>()));
    let counted = versions.filter(|(version, _)| counts(*version));
    counted.max_by_key(|(_, caches)| *caches).map(|most| most.0)
}

/// The version of the only standard library in a `lib` directory whose `python3` has packages for all versions.
fn version_beside(trees: &[FoundTree], tree: &[u8]) -> Option<Runtime> {
    let python3 = path::parent(tree);
    if path::file_name(python3) != b"python3" {
        return None;
    }
    only_version_below(trees, path::parent(python3))
}

/// The version in the paths of all trees at and below a directory, if they name only one.
fn only_version_below(trees: &[FoundTree], directory: &[u8]) -> Option<Runtime> {
    if directory.is_empty() {
        return None;
    }
    // Trees are sorted by path, and `0` is the byte after `/`.
    let [start, end] = [b'/', b'0'].map(|byte| [directory, &[byte]].concat());
    let place = |bound: &Vec<u8>| trees.partition_point(|tree| tree.path < *bound);
    let own = trees
        .binary_search_by(|tree| tree.path[..].cmp(directory))
        .ok();
    let below = trees[place(&start)..place(&end)].iter();
    let below = own.map(|own| &trees[own]).into_iter().chain(below);
    let versions: BTreeSet<_> = below.filter_map(|it| version_in_path(&it.path)).collect();
    let first = versions.first().copied();
    first.filter(|_| versions.len() == 1)
}

/// The version that the image starts, from the interpreter's name or from the trees below its prefix.
fn started_version(trees: &[FoundTree], programs: &[&[u8]]) -> Option<Runtime> {
    let of_program = |program: &&[u8]| {
        let by_name = version_in_path(path::file_name(program));
        let prefix = path::parent(path::parent(program));
        by_name.or_else(|| only_version_below(trees, &path::join(prefix, b"lib")))
    };
    let versions: Option<BTreeSet<_>> = programs.iter().map(of_program).collect();
    let versions = versions?;
    let first = versions.first().copied();
    first.filter(|_| versions.len() == 1)
}

/// Sets the magic number of each tree to that of most caches in the standard library, or else to the released number.
/// A pre-release or patched interpreter has another number than the table.
fn set_magics(trees: &mut [FoundTree], tags: &[Tags]) {
    let mut known: HashMap<Runtime, Magic> = HashMap::new();
    for (tree, tags) in trees
        .iter()
        .zip(tags)
        .filter(|(tree, _)| tree.kind == TreeKind::Stdlib)
    {
        let Some(version) = tree.version else {
            continue;
        };
        let most = tags.get(&version).and_then(|magics| {
            magics
                .iter()
                .filter(|(magic, _)| magic.version() == Some(version))
                .max_by_key(|(_, count)| **count)
        });
        if let Some((magic, _)) = most {
            known.insert(version, *magic);
        }
    }
    for tree in trees {
        let Some(version) = tree.version else {
            continue;
        };
        tree.magic = known
            .get(&version)
            .copied()
            .or_else(|| Magic::final_for(version));
    }
}

/// Finds the innermost tree of a path.
pub(super) struct TreeLocator {
    /// Sorted, because comparing long paths is faster than hashing them.
    trees: BTreeMap<Vec<u8>, TreeId>,
}

impl TreeLocator {
    pub(super) fn new(trees: &[FoundTree]) -> Self {
        Self {
            trees: trees
                .iter()
                .zip((0..).map(TreeId))
                .map(|(tree, id)| (tree.path.clone(), id))
                .collect(),
        }
    }

    pub(super) fn tree(&self, file: &[u8]) -> Option<TreeId> {
        let mut directories = path::ancestors(file).skip(1);
        directories.find_map(|directory| self.trees.get(directory).copied())
    }
}

/// The innermost of these trees that contains a file.
pub(crate) fn innermost_tree<'a>(file: &'a [u8], trees: &BTreeSet<&[u8]>) -> Option<&'a [u8]> {
    let mut directories = path::ancestors(file).skip(1);
    directories.find(|directory| trees.contains(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: ChosenVersions<'_> = ChosenVersions {
        of_tree: &|_| None,
        otherwise: None,
    };

    #[test]
    fn versions_are_read_from_paths() {
        for (path, expected) in [
            (&b"usr/lib64/python3.9"[..], Some((3, 9))),
            (b"opt/py/lib/python3.13t/site-packages", Some((3, 13))),
            (b"usr/lib/python3/dist-packages", None),
            (b"opt/python3.11/lib/python3.12/x", Some((3, 12))),
        ] {
            assert_eq!(
                version_in_path(path).map(|version| (version.major, version.minor)),
                expected
            );
        }
    }

    #[test]
    fn the_only_version_is_not_that_of_another_implementation() {
        let mut directories = BTreeMap::new();
        for (path, is_stdlib) in [
            ("app", false),
            ("opt/lib/pypy3.9", true),
            ("opt/lib/pypy3.9/site-packages", false),
            ("usr/lib/python3.11", true),
            ("usr/lib/python3/dist-packages", false),
        ] {
            let directory = PythonDirectory {
                sources: 1,
                is_stdlib,
                ..Default::default()
            };
            directories.insert(path.as_bytes().to_vec(), directory);
        }
        let known: Vec<_> = find(&directories, &[], NOTHING)
            .into_iter()
            .filter(|tree| tree.version.is_some())
            .map(|tree| String::from_utf8(tree.path).unwrap())
            .collect();
        let expected = ["app", "usr/lib/python3.11", "usr/lib/python3/dist-packages"];
        assert_eq!(known, expected);
    }

    fn version_of(paths: &[(&str, &[&str])], programs: &[&str], wanted: &str) -> Option<String> {
        version_by_choice(paths, programs, wanted, NOTHING)
    }

    fn version_by_choice(
        paths: &[(&str, &[&str])],
        programs: &[&str],
        wanted: &str,
        chosen: ChosenVersions<'_>,
    ) -> Option<String> {
        let mut directories = BTreeMap::new();
        for (path, tags) in paths {
            let tag = |tag: &&str| Runtime::from_cache_tag(tag.as_bytes()).unwrap();
            let magics = BTreeMap::from([(Magic(1), 5)]);
            let directory = PythonDirectory {
                sources: 1,
                is_stdlib: path.contains("lib/python3.") || path.starts_with("bundle"),
                tags: tags.iter().map(|it| (tag(it), magics.clone())).collect(),
                ..Default::default()
            };
            directories.insert(path.as_bytes().to_vec(), directory);
        }
        let programs: Vec<&[u8]> = programs.iter().map(|it| it.as_bytes()).collect();
        let found = find(&directories, &programs, chosen);
        let tree = found.iter().find(|tree| tree.path == wanted.as_bytes());
        Some(tree.unwrap().version?.to_string())
    }

    #[test]
    fn caches_of_a_python_that_is_not_there_do_not_choose_a_trees_version() {
        let one = ("usr/lib/python3.11", &["cpython-311"][..]);
        let two = ("usr/local/lib/python3.13", &["cpython-313"][..]);
        let app = ("app", &["cpython-312"][..]);
        let version = |paths: &[_], programs: &[_]| version_of(paths, programs, "app");
        assert_eq!(version(&[one, app], &[]).unwrap(), "3.11");
        assert_eq!(version(&[app], &[]).unwrap(), "3.12");
        assert_eq!(version(&[one, two, app], &[]), None);
        let old = ("app", &["cpython-311", "cpython-312"][..]);
        assert_eq!(version(&[one, two, old], &[]).unwrap(), "3.11");
    }

    #[test]
    fn the_users_choice_counts_more_than_caches_also_in_a_standard_library() {
        let chosen = ChosenVersions {
            of_tree: &|path| {
                let is_chosen = [&b"bundle"[..], b"app"].contains(&path);
                is_chosen.then_some(Runtime::cpython(3, 9))
            },
            otherwise: None,
        };
        let paths = [
            ("bundle", &["cpython-312"][..]),
            ("app", &["cpython-312"]),
            ("srv", &["cpython-312"]),
        ];
        let version = |wanted, chosen| version_by_choice(&paths, &[], wanted, chosen).unwrap();
        assert_eq!(version("bundle", NOTHING), "3.12");
        assert_eq!(version("bundle", chosen), "3.9");
        assert_eq!(version("app", chosen), "3.9");
        // The image then has a 3.9 alone, and caches of another Python do not count.
        assert_eq!(version("srv", chosen), "3.9");
    }

    #[test]
    fn the_interpreter_that_the_image_starts_says_for_which_python_an_application_is() {
        let paths = [
            ("usr/lib/python3.11", &["cpython-311"][..]),
            ("usr/local/lib/python3.13", &["cpython-313"]),
            ("usr/lib/python3/dist-packages", &[]),
            ("app", &[]),
        ];
        let version = |programs: &[_]| version_of(&paths, programs, "app");
        assert_eq!(version(&["usr/local/bin/python3.13"]).unwrap(), "3.13");
        assert_eq!(version(&["usr/bin/python3.11"]).unwrap(), "3.11");
        assert_eq!(version(&["usr/local/bin/python3"]).unwrap(), "3.13");
        assert_eq!(
            version(&["usr/bin/python3.11", "usr/local/bin/python3.13"]),
            None
        );
        assert_eq!(version(&["usr/bin/python3.9"]), None);
        assert_eq!(version(&[]), None);
        // Debian's packages belong to Debian's Python, even if the image starts another one.
        let packages = "usr/lib/python3/dist-packages";
        let packages = version_of(&paths, &["usr/local/bin/python3.13"], packages);
        assert_eq!(packages.unwrap(), "3.11");
    }

    #[test]
    fn an_application_is_one_tree_from_its_topmost_module_on() {
        let mut directories = BTreeMap::new();
        for path in [
            "app",
            "app/pkg",
            "app/pkg/deep",
            "srv/a/b",
            "usr/lib/python3.11/site-packages/x",
        ] {
            directories.insert(
                path.as_bytes().to_vec(),
                PythonDirectory {
                    sources: 1,
                    ..Default::default()
                },
            );
        }
        let found: Vec<_> = find(&directories, &[], NOTHING)
            .into_iter()
            .map(|tree| String::from_utf8(tree.path).unwrap())
            .collect();
        assert_eq!(
            found,
            ["app", "srv/a/b", "usr/lib/python3.11/site-packages"]
        );
    }
}
