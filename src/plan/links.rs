//! Hardlinks: what happens to the names of a file when the member with its data goes.
//!
//! In an archive, one name of a file has the data, and later names link to it. When the data goes, the first remaining
//! name takes it, in its own place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::convert::Headers;
use super::{Action, Drops, Reason};
use crate::inventory::Inventory;
use crate::rootfs::MemberId;
use crate::tar::{Kind, Member};

type Changes = BTreeMap<MemberId, (Action, Reason)>;

/// Returns the changes to hardlinks that `drops` and joined files require. The drops themselves are not in the result.
pub(super) fn resolve(
    inventory: &Inventory,
    drops: &Drops,
    headers: &Headers,
    groups: &Groups,
) -> Changes {
    let mut touched: BTreeSet<MemberId> = drops.keys().map(|member| groups.root(*member)).collect();
    touched.extend(groups.followers.keys());
    let mut changes = Changes::new();
    for root in touched {
        if groups.leader(root) == root {
            let survivors = groups.survivors(root, drops);
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
pub(super) struct Groups {
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
    pub(super) fn new(inventory: &Inventory) -> Self {
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

    pub(super) fn root(&self, member: MemberId) -> MemberId {
        self.roots.get(&member).copied().unwrap_or(member)
    }

    fn names(&self, root: MemberId) -> Vec<MemberId> {
        self.names.get(&root).cloned().unwrap_or_else(|| vec![root])
    }

    pub(super) fn leader(&self, root: MemberId) -> MemberId {
        self.joined.get(&root).copied().unwrap_or(root)
    }

    /// Makes one file of two.
    pub(super) fn join(&mut self, root: MemberId, leader: MemberId) {
        self.joined.insert(root, leader);
        self.followers.entry(leader).or_default().push(root);
    }

    /// The remaining names of a leader's file and of the files joined to it, in the order of the archive. The first
    /// one has the data, or receives it.
    pub(super) fn survivors(&self, leader: MemberId, drops: &Drops) -> Vec<MemberId> {
        let mut members = self.names(leader);
        for follower in self.followers.get(&leader).into_iter().flatten() {
            members.extend(self.names(*follower));
        }
        members.retain(|member| !drops.contains_key(member));
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
