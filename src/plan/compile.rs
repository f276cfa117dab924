//! Decides which caches to compile, and into which layer each goes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::convert::is_plain_file;
use super::warning::Cause;
use super::{Compilation, CompileOutcome, Drops, Warning};
use crate::inventory::{Cache, Inventory, Source, SourceId, Status, TreeId, cache_from_source};
use crate::path;
use crate::profile::{Missing, Placement, Policy, Stale};
use crate::pyc::{Runtime, can_be_compiled};
use crate::rootfs::{Attributes, MemberId};
use crate::tar::Kind;

/// The caches to compile, by source and level. The policy wants them, and the image lacks them or has stale ones.
pub(super) fn choose(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    outcome: &CompileOutcome,
    warnings: &mut Vec<Warning>,
) -> Vec<Compilation> {
    if policy.profile.missing == Missing::Leave && policy.profile.stale != Stale::Compile {
        return Vec::new();
    }
    let caches: HashMap<&[u8], &Cache> = inventory
        .caches
        .iter()
        .map(|cache| (&*cache.path, cache))
        .collect();
    let mut chosen = Vec::new();
    let mut versionless: BTreeMap<TreeId, usize> = BTreeMap::new();
    for (id, source) in inventory.numbered_sources() {
        let version = inventory.tree_of(source).version;
        let wanted = wanted_levels(inventory, policy, drops, &caches, id);
        if wanted.is_empty() {
            continue;
        }
        if !version.is_some_and(can_be_compiled) {
            *versionless.entry(source.tree).or_default() += 1;
        } else if !fits(inventory, source) || !has_place(inventory, &wanted[0].path) {
            warnings.push(Warning::new(
                Cause::CannotCompile,
                &inventory.source_path(source),
            ));
        } else {
            let has_failed = |level| outcome.failed.contains(&(id, level));
            chosen.extend(wanted.into_iter().filter(|it| !has_failed(it.level)));
        }
    }
    warnings.extend(versionless.into_iter().map(|(tree, sources)| {
        let tree = inventory.tree(tree);
        Warning {
            cause: Cause::NoVersion(tree.version),
            path: tree.path.clone(),
            files: sources,
        }
    }));
    chosen
}

/// The caches to compile for one source. `source` is its index in the inventory.
fn wanted_levels(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    caches: &HashMap<&[u8], &Cache>,
    id: SourceId,
) -> Vec<Compilation> {
    let source = inventory.source(id);
    let source_path = inventory.source_path(source);
    let version = inventory.tree_of(source).version;
    let runtime = version.unwrap_or(Runtime::cpython(3, 0));
    let wanted = policy.levels.iter().filter_map(|level| {
        let path = cache_from_source(&source_path, runtime, *level);
        let cache = caches.get(&*path).copied();
        let is_wanted =
            policy.is_in_scope(&path) && is_wanted(inventory, policy, drops, cache, &path);
        let stale = cache.filter(|cache| is_stale(cache));
        is_wanted.then(|| Compilation {
            source: id,
            level: *level,
            stale: stale.map(|cache| inventory.rootfs.inode(cache.inode).data()),
            link: None,
            path,
        })
    });
    wanted.collect()
}

/// Whether a cache was compiled from another version of its source.
fn is_stale(cache: &Cache) -> bool {
    matches!(
        cache.status,
        Status::Stale(_) | Status::HashMismatch | Status::UncheckedMismatch
    )
}

/// Whether to compile a cache at `path`: nothing remains there after `drops`, and the policy wants a cache.
fn is_wanted(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    cache: Option<&Cache>,
    path: &[u8],
) -> bool {
    let missing = policy.profile.missing == Missing::Compile;
    match cache {
        Some(cache) => {
            drops.contains_key(&cache.member)
                && (missing || (is_stale(cache) && policy.profile.stale == Stale::Compile))
        }
        // pycull does not replace a symlink or a directory at this path.
        None => missing && inventory.rootfs.lookup(path).is_none(),
    }
}

/// Largest source that pycull compiles, in bytes. The largest known source is a tenth of it.
const LARGEST_SOURCE: u64 = 16 << 20;

fn fits(inventory: &Inventory, source: &Source) -> bool {
    let inode = inventory.rootfs.inode(source.inode);
    inode.size <= LARGEST_SOURCE && !inventory.member(inode.data()).is_sparse()
}

/// Whether the directory of a cache exists or can be created.
fn has_place(inventory: &Inventory, cache: &[u8]) -> bool {
    match inventory.rootfs.lookup(path::parent(cache)) {
        Some(node) => inventory.rootfs.is_directory(node),
        None => true,
    }
}

/// Largest number of layers after pycull appends one. Docker refuses more than 125. Other engines mount layers with
/// overlayfs, which allows 128 or fewer.
const MOST_LAYERS: usize = 125;

/// Whether an engine could not mount the image if it had one more layer.
pub(crate) fn is_full(inventory: &Inventory) -> bool {
    inventory.layers.len() >= MOST_LAYERS
}

/// Adds the layer to each compilation; `None` for a new one above all others. If the image is full, the topmost layer
/// takes the place of a new one.
pub(super) fn place(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    chosen: Vec<Compilation>,
) -> Vec<(Option<usize>, Compilation)> {
    let top = inventory.layers.len().checked_sub(1);
    let new = top.filter(|_| is_full(inventory));
    if policy.profile.placement == Placement::Append {
        return chosen.into_iter().map(|it| (new, it)).collect();
    }
    // For each path, the highest layer with a whiteout of it, or with an opaque whiteout in it.
    let mut whiteouts: HashMap<&[u8], usize> = HashMap::new();
    for marker in inventory.rootfs.markers() {
        if !drops.contains_key(&marker.member) {
            whiteouts.insert(&marker.target, marker.member.layer);
        }
    }
    let blocked = blocked_directories(inventory);
    let layer = |compilation: &Compilation| {
        let source = inventory.source(compilation.source);
        let layer = inventory.rootfs.origin(source.node)?.layer;
        let directory = path::parent(&compilation.path);
        let is_covered = [&*compilation.path, directory]
            .iter()
            .any(|target| whiteouts.get(*target).is_some_and(|above| *above > layer));
        (!is_covered && !blocked.contains(directory)).then_some(layer)
    };
    let chosen = chosen.into_iter();
    chosen.map(|it| (layer(&it).or(new), it)).collect()
}

/// The metadata of a new cache: the owner, read and write permissions, time and SELinux label of its source. Other
/// attributes, such as a signature, apply only to the source.
pub(crate) fn new_attributes<'a>(inventory: &'a Inventory, source: &Source) -> Attributes<'a> {
    let like = inventory.member(inventory.rootfs.described_by(source.inode));
    let labels = like.xattrs().iter().filter(|xattr| xattr.is_label());
    Attributes {
        mode: u32::from(like.mode) & 0o666,
        owner: like.owner(),
        mtime: like.mtime(),
        xattrs: labels.map(|it| (&*it.name, &*it.value)).collect(),
    }
}

/// Paths of `__pycache__` at which some layer has something other than a directory. A cache written there would end up
/// elsewhere.
fn blocked_directories(inventory: &Inventory) -> HashSet<Vec<u8>> {
    let members = inventory.members();
    let blocking = members.filter(|(_, member)| {
        path::file_name(&member.path) == b"__pycache__" && member.kind != Kind::Directory
    });
    blocking.map(|(id, _)| inventory.path_of(id)).collect()
}

/// Stale caches that can stay with a new header. They contain what their source compiles to, and nothing outside the
/// module shares their data.
pub(super) fn mended(
    inventory: &Inventory,
    policy: &Policy<'_>,
    outcome: &CompileOutcome,
) -> BTreeSet<MemberId> {
    let mut mended = BTreeSet::new();
    if outcome.current.is_empty() {
        return mended;
    }
    for (inode, names) in inventory.caches_by_file() {
        let file = inventory.rootfs.inode(inode);
        let is_listed = |cache: &&&Cache| {
            let level = policy.lists(cache.level);
            level && is_stale(cache) && policy.is_in_scope(&cache.path)
        };
        if outcome.current.contains(&file.data())
            && is_plain_file(inventory, file.data())
            && names.len() == file.names()
            && names.iter().all(|cache| cache.source == names[0].source)
        {
            mended.extend(names.iter().filter(is_listed).map(|cache| cache.member));
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, LIBRARY, LayerMembers, cache_path, planned};
    use super::*;
    use crate::profile::Profile;
    use crate::pyc::Level;
    use crate::tar::Member;

    #[test]
    fn a_stale_cache_is_mended_only_if_it_has_the_code_and_shares_it_with_nothing_else() {
        let layer = || {
            LayerMembers::source("m")
                .stale_cache("m", 0)
                .file(&format!("{LIBRARY}/n.py"))
                .stale_cache("n", 0)
        };
        let [of_m, of_n] = [1, 3].map(|index| MemberId { layer: 0, index });
        let shared = layer().hardlink("store/m.pyc", &cache_path("m", 0));
        // The profile does not list level 1.
        let linked = layer().hardlink(&cache_path("m", 1), &cache_path("m", 0));
        let profile = Profile::keeping(&[Level::Zero]);
        let policy = Policy {
            profile: &profile,
            levels: &[Level::Zero],
        };
        for (layer, current, expected) in [
            (layer(), vec![of_m], vec![of_m]),
            (layer(), vec![of_m, of_n], vec![of_m, of_n]),
            (shared, vec![of_m, of_n], vec![of_n]),
            (linked, vec![of_m], vec![of_m]),
        ] {
            let outcome = CompileOutcome {
                current: current.into_iter().collect(),
                ..CompileOutcome::default()
            };
            let found = mended(&testing::inventory([layer]), &policy, &outcome);
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn no_cache_goes_to_a_layer_with_something_else_in_place_of_its_directory() {
        let directory = format!("{LIBRARY}/__pycache__");
        let policy = Profile {
            missing: Missing::Compile,
            placement: Placement::Source,
            ..Profile::keeping(&[Level::Zero])
        };
        for (kind, appended) in [(Kind::Directory, 0), (Kind::File, 1)] {
            let lower = LayerMembers::source("m").member(kind, &directory, "");
            let upper = LayerMembers::default().member(Kind::Directory, &directory, "");
            let plan = planned([lower, upper], &policy);
            let compiled = &plan.layers[0].compiled;
            assert_eq!(
                [plan.appended.len(), compiled.len()],
                [appended, 1 - appended]
            );
        }
    }

    #[test]
    fn a_cache_goes_to_the_layer_of_its_source_unless_a_higher_whiteout_would_delete_it() {
        let whiteout = format!("{LIBRARY}/.wh.__pycache__");
        let policy = Profile {
            missing: Missing::Compile,
            placement: Placement::Source,
            ..Profile::keeping(&[Level::Zero])
        };
        let lower = || LayerMembers::source("n").file(&format!("{LIBRARY}/__pycache__/note"));
        let deleting = || LayerMembers::default().file(&whiteout);
        // A whiteout deletes only what is in lower layers.
        let source = deleting().file(&format!("{LIBRARY}/m.py"));
        let plan = planned([lower(), source], &policy);
        let compiled = plan.layers.iter().map(|layer| layer.compiled.len());
        assert_eq!(compiled.collect::<Vec<_>>(), [0, 1]);
        assert_eq!(plan.appended.len(), 1);
    }

    #[test]
    fn sources_of_an_unknown_python_are_counted_and_not_compiled() {
        let layer = LayerMembers::default()
            .file("opt/app/a.py")
            .file("opt/app/b.py");
        let policy = Profile {
            missing: Missing::Compile,
            ..Profile::keeping(&[Level::Zero])
        };
        let plan = planned([layer], &policy);
        assert_eq!(plan.compilations().count(), 0);
        let counts: Vec<usize> = plan.warnings.iter().map(|it| it.files).collect();
        assert_eq!(counts, [2], "{:?}", plan.warnings);
        assert_eq!(plan.warnings[0].cause, Cause::NoVersion(None));
    }

    #[test]
    fn a_source_that_is_sparse_or_too_large_is_not_compiled() {
        let policy = Profile {
            missing: Missing::Compile,
            ..Profile::keeping(&[Level::Zero])
        };
        type Change = fn(&mut Member);
        let changes: [(Change, usize); 3] = [
            (|source| source.size = LARGEST_SOURCE, 1),
            (|source| source.size = LARGEST_SOURCE + 1, 0),
            (|source| source.rare_mut().sparse_bytes = Some(0), 0),
        ];
        for (change, compiled) in changes {
            let plan = planned([LayerMembers::source("m").but(change)], &policy);
            assert_eq!(plan.compilations().count(), compiled);
            let warned = plan.warnings.iter().map(|warning| &warning.cause);
            let expected = vec![&Cause::CannotCompile; 1 - compiled];
            assert_eq!(warned.collect::<Vec<_>>(), expected);
        }
    }
}
