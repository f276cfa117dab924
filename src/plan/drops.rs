//! Decides which members a plan drops.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::warning::Cause;
use super::{Reason, Warning, kept_warnings, shadowed, verdict};
use crate::inventory::Inventory;
use crate::path;
use crate::profile::Policy;
use crate::rootfs::MemberId;

/// The members to drop, each with the reason.
pub(super) type Drops = BTreeMap<MemberId, Reason>;

/// Returns the caches that `policy` drops. The `mended` caches stay.
pub(super) fn choose(
    inventory: &Inventory,
    policy: &Policy<'_>,
    mended: &BTreeSet<MemberId>,
    warnings: &mut Vec<Warning>,
) -> Drops {
    let mut drops = Drops::new();
    let mut below: HashMap<&[u8], Vec<MemberId>> = HashMap::new();
    for hidden in &inventory.hidden {
        below.entry(&hidden.path).or_default().push(hidden.member);
        if policy.drops_hidden(&hidden.path) {
            drops.insert(
                hidden.member,
                Reason::Hidden {
                    layer: hidden.by.layer + 1,
                },
            );
        }
    }
    let not_caches = covered_paths(inventory);
    warnings.extend(kept_warnings::warnings(inventory, policy));
    shadowed::choose(inventory, policy, &mut drops, warnings);
    for cache in &inventory.caches {
        warnings.extend(super::cache_verdict::reservation(cache, policy));
        let Some(reason) = verdict(cache, policy).filter(|_| !mended.contains(&cache.member))
        else {
            continue;
        };
        if not_caches.contains(&cache.path) {
            warnings.push(Warning::new(Cause::WouldUncover, &cache.path));
            continue;
        }
        drops.insert(cache.member, reason);
        for member in below.get(&*cache.path).into_iter().flatten() {
            drops.entry(*member).or_insert(Reason::Uncovered);
        }
    }
    drops
}

/// Paths of entries of `__pycache__` directories that hide something other than a cache. A hidden cache does not count,
/// because it goes together with the cache that hides it.
fn covered_paths(inventory: &Inventory) -> BTreeSet<Vec<u8>> {
    let caches: BTreeSet<MemberId> = inventory
        .hidden
        .iter()
        .map(|hidden| hidden.member)
        .collect();
    let mut paths = BTreeSet::new();
    for (id, _) in inventory.hidden_members() {
        if !caches.contains(&id) {
            paths.extend(entry_of_cache_directory(&inventory.path_of(id)));
        }
    }
    paths
}

/// For a path in or below a `__pycache__`, the path of the entry of that `__pycache__`.
fn entry_of_cache_directory(path: &[u8]) -> Option<Vec<u8>> {
    let parts = path::components(path);
    let directory = parts.iter().position(|part| *part == b"__pycache__")?;
    parts.get(..directory + 2).map(|parts| parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, cache_path, dropped, planned};
    use super::*;
    use crate::profile::Profile;
    use crate::pyc::Level;
    use crate::tar::Kind;

    fn no_levels() -> Profile {
        Profile::keeping(&[])
    }

    fn above() -> LayerMembers {
        LayerMembers::default().cache("m", 0, "above")
    }

    /// Checks that the cache of module `m` in the upper layer stays, with a warning.
    #[track_caller]
    fn stays(lower: LayerMembers) {
        let plan = planned([lower, above()], &no_levels());
        assert_eq!(dropped(&plan, 1), [""; 0]);
        let warning = Warning::new(Cause::WouldUncover, cache_path("m", 0).as_bytes());
        assert_eq!(plan.warnings, [warning]);
    }

    #[test]
    fn a_cache_that_covers_what_is_not_a_cache_stays() {
        let path = cache_path("m", 0);
        let lower = || LayerMembers::source("m");
        for kind in [
            Kind::Symlink,
            Kind::Directory,
            Kind::Fifo,
            Kind::CharacterDevice,
        ] {
            stays(lower().member(kind, &path, "elsewhere"));
        }
        stays(lower().file(&format!("{path}/below")));
        stays(lower().hardlink(&format!("{path}/deep/link"), "lib/python3.9/m.py"));
    }

    #[test]
    fn a_cache_that_covers_caches_goes_with_them() {
        let lower = LayerMembers::source("m").cache("m", 0, "below");
        let middle = LayerMembers::default().hardlink(&cache_path("m", 0), "lib/python3.9/m.py");
        let plan = planned([lower, middle, above()], &no_levels());
        for layer in 0..3 {
            assert_eq!(dropped(&plan, layer), [cache_path("m", 0)]);
        }
        assert_eq!(plan.warnings, []);
    }

    #[test]
    fn a_cache_goes_though_its_layers_cover_other_things() {
        let lower = LayerMembers::source("m")
            .member(Kind::Symlink, &cache_path("n", 0), "elsewhere")
            .file("etc/other");
        let upper = above().file(&cache_path("n", 0)).file("etc/other");
        let plan = planned([lower, upper], &no_levels());
        assert_eq!(dropped(&plan, 1), [cache_path("m", 0)]);
    }

    #[test]
    fn a_hidden_cache_goes_for_the_layer_that_hides_it() {
        let lower = LayerMembers::source("m").cache("m", 0, "below");
        let layers = [lower, LayerMembers::default().file("etc/other"), above()];
        let plan = planned(layers, &Profile::keeping(&[Level::Zero]));
        let steps = plan.layers[0].steps.values();
        let reasons: Vec<&Reason> = steps.map(|step| &step.reason).collect();
        assert_eq!(reasons, [&Reason::Hidden { layer: 3 }]);
    }

    #[test]
    fn a_cache_of_a_level_that_pycull_does_not_know_stays_with_a_warning_if_python_uses_it() {
        let path = cache_path("m", 0).replace(".pyc", ".opt-3.pyc");
        for (mtime, stays) in [(0, true), (5, false)] {
            let layer = LayerMembers::source("m").bytecode(&path, (mtime, 0), "code");
            let plan = planned([layer], &no_levels());
            assert_eq!(dropped(&plan, 0).is_empty(), stays);
            let warning = Warning::new(Cause::OtherOptimization, path.as_bytes());
            assert_eq!(plan.warnings, Vec::from_iter(stays.then_some(warning)));
        }
    }

    #[test]
    fn what_lies_below_an_entry_of_a_cache_directory_belongs_to_the_entry() {
        for (path, entry) in [
            ("__pycache__/a", Some("__pycache__/a")),
            ("x/__pycache__/a/b/c", Some("x/__pycache__/a")),
            ("x/y/z/__pycache__/a/b", Some("x/y/z/__pycache__/a")),
            ("x/__pycache__", None),
            ("x/a", None),
        ] {
            let found = entry_of_cache_directory(path.as_bytes());
            assert_eq!(found.as_deref(), entry.map(str::as_bytes), "{path}");
        }
    }
}
