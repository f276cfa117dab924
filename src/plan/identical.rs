//! Identical levels of a module share one file.

use std::collections::{BTreeMap, HashMap};

use super::compile::new_attributes;
use super::convert::{Headers, header_after};
use super::links::Groups;
use super::{Compilation, CompileOutcome, Drops};
use crate::inventory::{Cache, Inventory};
use crate::layers::Contents;
use crate::profile::Policy;
use crate::pyc::Runtime;
use crate::rootfs::{Attributes, InodeId, MemberId};
use crate::tar::Kind;

/// Finds identical files among the caches of each module that remain.
pub(super) struct Identical<'a> {
    inventory: &'a Inventory,
    drops: &'a Drops,
    headers: &'a Headers,
    /// The remaining caches in scope, by the path of the source and the interpreter.
    modules: BTreeMap<(&'a [u8], Runtime), Vec<&'a Cache>>,
    /// The path of each cache's source.
    sources: HashMap<MemberId, &'a [u8]>,
    owners: HashMap<InodeId, Owner<'a>>,
}

/// What two caches of a module have in common if they can share a file. Python ignores the modification time of a
/// cache.
#[derive(PartialEq)]
struct Identity<'a> {
    /// The layer; `None` for a new one above all others.
    layer: Option<usize>,
    header: &'a [u8],
    body_sha256: &'a [u8; 32],
    mode: u32,
    owner: (u64, u64),
    xattrs: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Identical<'a> {
    pub(super) fn new(
        inventory: &'a Inventory,
        policy: &Policy<'_>,
        drops: &'a Drops,
        headers: &'a Headers,
    ) -> Self {
        let caches = inventory.caches.iter();
        let remaining = caches.clone().filter(|cache| {
            let is_in_scope = cache.level.is_some() && policy.is_in_scope(&cache.path);
            is_in_scope && !drops.contains_key(&cache.member)
        });
        let mut modules: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for cache in remaining {
            let module = (&*cache.source, cache.runtime);
            modules.entry(module).or_default().push(cache);
        }
        Self {
            inventory,
            drops,
            headers,
            modules,
            sources: caches.map(|it| (it.member, &*it.source)).collect(),
            owners: HashMap::new(),
        }
    }

    /// Joins identical files.
    pub(super) fn join(&mut self, groups: &mut Groups) {
        let modules = std::mem::take(&mut self.modules);
        for levels in modules.values().filter(|levels| levels.len() > 1) {
            let mut known: Vec<(Identity<'_>, MemberId)> = Vec::new();
            for (identity, root) in self.files(levels, groups) {
                match known.iter().find(|(other, _)| *other == identity) {
                    Some((_, leader)) => groups.join(root, *leader),
                    None => known.push((identity, root)),
                }
            }
        }
        self.modules = modules;
    }

    /// Makes new caches links to identical files, as planning for the result would. They come after all members that
    /// a layer has, each after the one before it in `new`.
    pub(super) fn link_new(
        &mut self,
        groups: &Groups,
        outcome: &CompileOutcome,
        new: &mut [(Option<usize>, Compilation)],
    ) {
        let inventory = self.inventory;
        for levels in new.chunk_by_mut(|(_, a), (_, b)| a.source == b.source) {
            let source = inventory.source(levels[0].1.source);
            let path = inventory.source_path(source);
            let version = inventory.tree_of(source).version;
            let old = version.and_then(|version| self.modules.get(&(&*path, version)));
            let old = old.cloned().unwrap_or_default();
            let mut known: Vec<(Identity<'_>, Vec<u8>)> = Vec::new();
            for (identity, root) in self.files(&old, groups) {
                if let Some(name) = groups.survivors(groups.leader(root), self.drops).first() {
                    known.push((identity, inventory.member(*name).path.to_vec()));
                }
            }
            for (layer, cache) in levels {
                let Some(contents) = outcome.contents.get(&(cache.source, cache.level)) else {
                    continue;
                };
                let attributes = new_attributes(inventory, source);
                let identity = identity(*layer, contents, &contents.header, attributes);
                match known.iter().find(|(other, _)| *other == identity) {
                    Some((_, target)) => cache.link = Some(target.clone()),
                    None => known.push((identity, cache.path.clone())),
                }
            }
        }
    }

    /// The files that these levels of a module may share, in the order of the archive. Each comes with the member that
    /// has its data. Files with names outside the module are left out, so linking affects this module only.
    fn files(&mut self, levels: &[&'a Cache], groups: &Groups) -> Vec<(Identity<'a>, MemberId)> {
        let mut files: BTreeMap<MemberId, &Cache> = BTreeMap::new();
        for cache in levels {
            let root = groups.root(cache.member);
            let owner = self
                .owners
                .entry(cache.inode)
                .or_insert_with(|| owner(self.inventory, self.drops, &self.sources, cache.inode));
            let is_own = self.drops.contains_key(&root)
                || self
                    .sources
                    .get(&root)
                    .is_some_and(|it| *it == cache.source);
            if owner.is(&cache.source) && is_own {
                files.entry(root).or_insert(cache);
            }
        }
        let files = files.into_iter();
        files
            .filter_map(|(root, cache)| Some((self.identity(cache, root)?, root)))
            .collect()
    }

    /// `None` if the content or the metadata is unknown.
    fn identity(&self, cache: &'a Cache, root: MemberId) -> Option<Identity<'a>> {
        if self.inventory.member(root).kind != Kind::File {
            return None;
        }
        let contents = cache.contents.as_ref()?;
        let header = header_after(contents, root, self.headers);
        let headers = self.inventory.rootfs.headers(cache.inode);
        let attributes = Attributes::of(headers.map(|header| self.inventory.member(header)))?;
        Some(identity(Some(root.layer), contents, header, attributes))
    }
}

fn identity<'a>(
    layer: Option<usize>,
    contents: &'a Contents,
    header: &'a [u8],
    attributes: Attributes<'a>,
) -> Identity<'a> {
    Identity {
        layer,
        header,
        body_sha256: &contents.body_sha256,
        mode: attributes.mode,
        owner: attributes.owner,
        xattrs: attributes.xattrs,
    }
}

/// The module that owns the remaining names of a file, in its own layer and above.
enum Owner<'a> {
    /// No name remains.
    Nobody,
    /// The module with this source.
    Module(&'a [u8]),
    /// Several modules, or something that is not a cache.
    Several,
}

impl Owner<'_> {
    /// Whether no other module has a name of the file.
    fn is(&self, source: &[u8]) -> bool {
        match self {
            Self::Nobody => true,
            Self::Module(owner) => *owner == source,
            Self::Several => false,
        }
    }
}

fn owner<'a>(
    inventory: &Inventory,
    drops: &Drops,
    sources: &HashMap<MemberId, &'a [u8]>,
    inode: InodeId,
) -> Owner<'a> {
    let links = inventory.rootfs.headers(inode).skip(1);
    let mut owner = Owner::Nobody;
    for link in links.filter(|link| !drops.contains_key(link)) {
        owner = match (owner, sources.get(&link)) {
            (Owner::Nobody, Some(source)) => Owner::Module(source),
            (Owner::Module(owner), Some(source)) if owner == *source => Owner::Module(owner),
            _ => return Owner::Several,
        };
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, cache_path, dropped, linked, planned, xattr};
    use crate::profile::{self, Profile, Stale};
    use crate::pyc::Level;
    use crate::tar::Member;

    fn one_file() -> LayerMembers {
        LayerMembers::source("m")
            .file("lib/python3.9/n.py")
            .cache("m", 0, "the same")
    }

    fn two_files() -> LayerMembers {
        one_file().cache("m", 1, "the same")
    }

    /// The paths that become links in any layer under a profile with levels 0 and 1.
    fn links_of(layers: impl IntoIterator<Item = LayerMembers>) -> Vec<String> {
        let levels = [Level::Zero, Level::One];
        let plan = planned(layers, &Profile::keeping(&levels));
        let layers = 0..plan.layers.len();
        layers.flat_map(|layer| linked(&plan, layer)).collect()
    }

    type Change = fn(&mut Member);

    #[test]
    fn levels_that_are_the_same_become_one_file() {
        assert_eq!(links_of([two_files()]), [cache_path("m", 1)]);
        // Python ignores the modification time of a cache.
        let later = two_files().but(|cache| cache.set_seconds(9));
        assert_eq!(links_of([later]), [cache_path("m", 1)]);
        let labelled = |layer: LayerMembers| {
            layer.but(|cache| cache.rare_mut().xattrs = vec![xattr("security.selinux", "lib_t")])
        };
        let both = labelled(labelled(one_file()).cache("m", 1, "the same"));
        assert_eq!(links_of([both]), [cache_path("m", 1)]);
    }

    #[test]
    fn levels_that_differ_in_anything_but_time_stay_two_files() {
        let differs: [(&str, Change); 4] = [
            ("mode", |cache| cache.mode = 0o600),
            ("owner", |cache| cache.set_owner(1, 0)),
            ("group", |cache| cache.set_owner(0, 1)),
            ("an attribute more", |cache| {
                cache.rare_mut().xattrs = vec![xattr("user.note", "1")];
            }),
        ];
        for (what, edit) in differs {
            assert_eq!(links_of([two_files().but(edit)]), [""; 0], "{what}");
        }
        let labelled = |layer: LayerMembers, label: &str| {
            layer.but(|cache| cache.rare_mut().xattrs = vec![xattr("security.selinux", label)])
        };
        let both = labelled(
            labelled(one_file(), "lib_t").cache("m", 1, "the same"),
            "bin_t",
        );
        assert_eq!(links_of([both]), [""; 0], "the value of an attribute");
        assert_eq!(links_of([one_file().cache("m", 1, "another")]), [""; 0]);
        let above = LayerMembers::default().cache("m", 1, "the same");
        assert_eq!(links_of([one_file(), above]), [""; 0], "layer");
    }

    #[test]
    fn a_cache_that_is_also_something_else_is_not_linked() {
        let (zero, one) = (cache_path("m", 0), cache_path("m", 1));
        let names = ["store/m.pyc", &cache_path("n", 0)];
        for name in names {
            for target in [&zero, &one] {
                let here = two_files().hardlink(name, target);
                assert_eq!(links_of([here]), [""; 0], "{name} in the same layer");
                let above = LayerMembers::default().hardlink(name, target);
                assert_eq!(links_of([two_files(), above]), [""; 0], "{name} above");
            }
        }
        // A name that goes does not count, and neither does another level of the module.
        let goes = two_files().hardlink(&cache_path("m", 2), &one);
        assert_eq!(links_of([goes]), [cache_path("m", 1)]);
    }

    #[test]
    fn further_levels_of_the_module_may_be_names_of_a_file_that_is_linked() {
        let (zero, one) = (cache_path("m", 0), cache_path("m", 1));
        let other = zero.replace(".pyc", ".opt-3.pyc");
        let layer = one_file()
            .hardlink(&one, &zero)
            .hardlink(&other, &zero)
            .cache("m", 2, "the same");
        let levels = [Level::Zero, Level::One, Level::Two];
        let plan = planned([layer], &Profile::keeping(&levels));
        assert_eq!(linked(&plan, 0), [cache_path("m", 2)]);
    }

    #[test]
    fn levels_outside_the_scope_and_levels_that_go_are_not_linked() {
        let settings = ["include=[\"opt/**\"]", "levels=[0, 1]"].map(str::to_owned);
        let elsewhere = profile::load("default", &settings).unwrap();
        assert!(elsewhere.hardlink);
        let plan = planned([two_files()], &elsewhere);
        assert_eq!(linked(&plan, 0), [""; 0]);
        let plan = planned([two_files()], &Profile::keeping(&[Level::One]));
        assert_eq!(linked(&plan, 0), [""; 0]);
    }

    #[test]
    fn a_level_that_pycull_does_not_know_is_not_linked() {
        let other = cache_path("m", 0).replace(".pyc", ".opt-3.pyc");
        let layer = one_file().bytecode(&other, (0, 0), "the same");
        assert_eq!(links_of([layer]), [""; 0]);
    }

    #[test]
    fn a_file_whose_link_goes_does_not_change() {
        let (zero, one) = (cache_path("m", 0), cache_path("m", 1));
        let layer = one_file().hardlink(&one, &zero);
        let plan = planned([layer], &Profile::keeping(&[Level::Zero]));
        let steps = plan.layers[0].steps.values();
        let changed: Vec<&[u8]> = steps.map(|step| &*step.path).collect();
        assert_eq!(changed, [one.as_bytes()]);
    }

    #[test]
    fn levels_with_the_same_code_and_different_headers_are_not_linked() {
        let stale = one_file().bytecode(&cache_path("m", 1), (5, 0), "the same");
        let keep = Profile {
            stale: Stale::Keep,
            ..Profile::keeping(&[Level::Zero, Level::One])
        };
        let plan = planned([stale], &keep);
        assert_eq!(linked(&plan, 0), [""; 0]);
        assert_eq!(dropped(&plan, 0), [""; 0]);
    }
}
