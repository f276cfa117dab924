//! Hardlinks: what happens to the names of a file when the member with its data goes, and linking of identical levels.
//!
//! In an archive, one name of a file has the data, and later names link to it. When the data goes, the first remaining
//! name takes it, in its own place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::convert::{Headers, header_after};
use super::{Action, Drops, Reason};
use crate::inventory::{Cache, Inventory};
use crate::profile::Policy;
use crate::rootfs::{Attributes, InodeId, MemberId};
use crate::tar::{Kind, Member};

type Changes = BTreeMap<MemberId, (Action, Reason)>;

/// Returns the changes to hardlinks that `drops` and linking require. The drops themselves are not in the result.
pub(super) fn resolve(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    headers: &Headers,
) -> Changes {
    let mut groups = Groups::new(inventory);
    let mut touched: BTreeSet<MemberId> = drops.keys().map(|member| groups.root(*member)).collect();
    if policy.profile.hardlink {
        touched.extend(link_identical(
            inventory,
            policy,
            drops,
            headers,
            &mut groups,
        ));
    }
    let mut changes = Changes::new();
    for root in touched {
        if groups.leader(root) == root {
            let mut survivors = groups.members(root);
            survivors.retain(|member| !drops.contains_key(member));
            let Some(holder) = survivors.first() else {
                continue;
            };
            let root = groups.root(*holder);
            if holder != &root && inventory.member(root).kind != Kind::Hardlink {
                let names = groups.names(root).into_iter();
                let between = names.skip(1).take_while(|name| name < holder);
                let promoted = Action::Promote {
                    data: root.index,
                    between: between.map(|name| name.index).collect(),
                    header: headers.get(&root).cloned(),
                };
                changes.insert(*holder, (promoted, Reason::TargetDropped));
            }
            resolve_group(inventory, drops, root, &survivors, &mut changes);
        }
    }
    changes
}

/// The names of files within one layer, grouped by the member with the data (the root).
struct Groups {
    /// For each hardlink, the first member of its chain of links in its own layer.
    roots: HashMap<MemberId, MemberId>,
    /// The names of each root that has more than one.
    names: HashMap<MemberId, Vec<MemberId>>,
    /// Roots that were joined to another root because their content is identical.
    joined: HashMap<MemberId, MemberId>,
    /// The reverse of `joined`.
    followers: HashMap<MemberId, Vec<MemberId>>,
}

impl Groups {
    fn new(inventory: &Inventory) -> Self {
        let mut links: Vec<_> = inventory
            .rootfs
            .links()
            .filter(|(link, target)| link.layer == target.layer)
            .collect();
        links.sort_unstable();
        let mut groups = Self {
            roots: HashMap::new(),
            names: HashMap::new(),
            joined: HashMap::new(),
            followers: HashMap::new(),
        };
        for (link, target) in links {
            // A target comes before its link, so its own root is known.
            let root = groups.root(target);
            groups.roots.insert(link, root);
            groups
                .names
                .entry(root)
                .or_insert_with(|| vec![root])
                .push(link);
        }
        groups
    }

    fn root(&self, member: MemberId) -> MemberId {
        self.roots.get(&member).copied().unwrap_or(member)
    }

    fn names(&self, root: MemberId) -> Vec<MemberId> {
        self.names.get(&root).cloned().unwrap_or_else(|| vec![root])
    }

    fn leader(&self, root: MemberId) -> MemberId {
        self.joined.get(&root).copied().unwrap_or(root)
    }

    fn join(&mut self, root: MemberId, leader: MemberId) {
        self.joined.insert(root, leader);
        self.followers.entry(leader).or_default().push(root);
    }

    /// All names of a leader's file and of the files joined to it, in the order of the archive.
    fn members(&self, leader: MemberId) -> Vec<MemberId> {
        let mut members = self.names(leader);
        for follower in self.followers.get(&leader).into_iter().flatten() {
            members.extend(self.names(*follower));
        }
        members.sort_unstable();
        members
    }
}

/// Adds the changes for the remaining names of a file. The first of them has the data, or receives it.
fn resolve_group(
    inventory: &Inventory,
    drops: &Drops,
    root: MemberId,
    survivors: &[MemberId],
    changes: &mut Changes,
) {
    let Some((&holder, others)) = survivors.split_first() else {
        return;
    };
    let root_member = inventory.member(root);
    if root_member.kind == Kind::Hardlink {
        relink_across_layers(inventory, drops, survivors, root_member, changes);
        return;
    }
    let target = inventory.member(holder).path.to_vec();
    let target_path = inventory.rootfs.member_path(holder, &target);
    for member in others {
        let link = (
            Action::Link {
                target: target.clone(),
            },
            Reason::Identical(target_path.clone()),
        );
        match inventory.rootfs.link_target(*member) {
            None => changes.insert(*member, link),
            Some(old) if drops.contains_key(&old) => {
                changes.insert(*member, (link.0, Reason::TargetDropped))
            }
            Some(_) => None,
        };
    }
}

/// Handles a file that lies in a lower layer. Its data stays there. Links to a name that goes get the target of that
/// name.
fn relink_across_layers(
    inventory: &Inventory,
    drops: &Drops,
    survivors: &[MemberId],
    root: &Member,
    changes: &mut Changes,
) {
    for member in survivors {
        let dropped =
            |target: MemberId| target.layer == member.layer && drops.contains_key(&target);
        if inventory.rootfs.link_target(*member).is_some_and(dropped) {
            changes.insert(
                *member,
                (
                    Action::Link {
                        target: root.link().to_vec(),
                    },
                    Reason::TargetDropped,
                ),
            );
        }
    }
}

/// Joins identical files among the levels of one module. Returns the leaders.
fn link_identical(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    headers: &Headers,
    groups: &mut Groups,
) -> Vec<MemberId> {
    let mut leaders = Vec::new();
    let sources: HashMap<MemberId, &[u8]> = inventory
        .caches
        .iter()
        .map(|cache| (cache.member, &*cache.source))
        .collect();
    let mut owners: HashMap<InodeId, Owner<'_>> = HashMap::new();
    for levels in by_module(inventory, policy, drops) {
        let mut candidates: Vec<(&Cache, MemberId)> = Vec::new();
        for cache in levels {
            let root = groups.root(cache.member);
            let known = candidates.iter().any(|(_, other)| *other == root);
            let owner = owners
                .entry(cache.inode)
                .or_insert_with(|| owner(inventory, drops, &sources, cache.inode));
            let is_own =
                |name| drops.contains_key(name) || sources.get(name) == Some(&&*cache.source);
            // Files with names outside the module are left alone, so linking affects this module only.
            if !known && owner.is(&cache.source) && is_own(&root) {
                candidates.push((cache, root));
            }
        }
        candidates.sort_by_key(|(_, root)| *root);
        for (position, (cache, root)) in candidates.iter().enumerate() {
            let same = candidates[..position].iter().find(|(other, leader)| {
                groups.leader(*leader) == *leader
                    && is_same_file(inventory, headers, (cache, *root), (other, *leader))
            });
            if let Some((_, leader)) = same {
                groups.join(*root, *leader);
                leaders.push(*leader);
            }
        }
    }
    leaders
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

/// The remaining caches in scope, grouped by module. Modules with only one cache are left out.
fn by_module<'a>(
    inventory: &'a Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
) -> Vec<Vec<&'a Cache>> {
    let mut modules: BTreeMap<(&[u8], _), Vec<&Cache>> = BTreeMap::new();
    for cache in &inventory.caches {
        if cache.level.is_some()
            && policy.is_in_scope(&cache.path)
            && !drops.contains_key(&cache.member)
        {
            modules
                .entry((&cache.source, cache.runtime))
                .or_default()
                .push(cache);
        }
    }
    modules
        .into_values()
        .filter(|levels| levels.len() > 1)
        .collect()
}

/// Whether two files in one layer differ in nothing but names and modification times. Python ignores the modification
/// time of a cache.
fn is_same_file(
    inventory: &Inventory,
    headers: &Headers,
    a: (&Cache, MemberId),
    b: (&Cache, MemberId),
) -> bool {
    let [first, second] = [a, b].map(|(_, root)| inventory.member(root));
    a.1.layer == b.1.layer
        && has_same_bytes(headers, a, b)
        && [first.kind, second.kind] == [Kind::File; 2]
        && first.size == second.size
        && attributes(inventory, a.0) == attributes(inventory, b.0)
}

/// The mode, owner and extended attributes of a cache's file, as all its headers set them.
fn attributes<'a>(inventory: &'a Inventory, cache: &Cache) -> impl PartialEq + use<'a> {
    let headers = inventory.rootfs.headers(cache.inode);
    let attributes = Attributes::of(headers.map(|header| inventory.member(header)));
    attributes.map(|all| (all.mode, all.owner, all.xattrs))
}

/// Whether two files have the same bytes after the changes in `headers`.
fn has_same_bytes(headers: &Headers, a: (&Cache, MemberId), b: (&Cache, MemberId)) -> bool {
    let (Some(first), Some(second)) = (&a.0.contents, &b.0.contents) else {
        return false;
    };
    first.body_sha256 == second.body_sha256
        && header_after(first, a.1, headers) == header_after(second, b.1, headers)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LayerMembers, cache_path, linked, planned, xattr};
    use super::*;
    use crate::profile::Profile;
    use crate::pyc::Level;

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
        let differs: [(&str, Change); 5] = [
            ("mode", |cache| cache.mode = 0o600),
            ("owner", |cache| cache.set_owner(1, 0)),
            ("group", |cache| cache.set_owner(0, 1)),
            ("an attribute more", |cache| {
                cache.rare_mut().xattrs = vec![xattr("user.note", "1")];
            }),
            ("size", |cache| cache.size = 99),
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
}
