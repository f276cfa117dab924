//! Merges layers by applying each to the layers below it.

use std::collections::HashMap;

use super::error::{MOST_PARTS, RootfsError};
use super::names::{Names, NodeId, ROOT};
use super::trail::{Followed, Progress};
use super::tree::{
    Content, Inode, InodeId, InodeKind, Marker, MemberId, Node, Place, Rootfs, SmallFate,
};
use crate::limits::LayerAllowances;
use crate::path::{self, NameKind, name_kind};
use crate::tar::{Kind, Member};

/// Merges layers, lowest first. Each layer is given as its members in order.
///
/// A whiteout acts only on the layers below its own, wherever it is in its layer. The directory of a whiteout exists
/// afterwards: podman, docker and containerd make it (umoci does not). A directory in a member's name may be a
/// symlink in a lower layer. That symlink is followed, as in extraction onto the merged tree.
///
/// # Errors
/// [`RootfsError`] for layers that no engine extracts, and for more names than `allowances` permit.
pub fn squash<'a>(
    layers: impl IntoIterator<Item = &'a [Member]>,
    allowances: &LayerAllowances,
) -> Result<Rootfs, RootfsError> {
    let mut merger = Merger {
        rootfs: empty(),
        allowances,
        parts_left: MOST_PARTS,
    };
    for (layer, members) in layers.into_iter().enumerate() {
        let fates = vec![SmallFate::IGNORED; members.len()];
        merger.rootfs.fates.push(fates);
        let numbered = || {
            members
                .iter()
                .enumerate()
                .map(|(index, member)| (MemberId { layer, index }, member))
        };
        for (id, member) in numbered() {
            merger.apply_whiteout(id, member)?;
        }
        for (id, member) in numbered() {
            if merger.rootfs.fates[layer][id.index] == SmallFate::IGNORED {
                merger.apply_member(id, member)?;
            }
        }
    }
    merger.count_names();
    merger.follow_symlinks()?;
    Ok(merger.rootfs)
}

fn empty() -> Rootfs {
    let root = Node::new(Place::NONE, Content::Directory);
    Rootfs {
        names: Names::new(),
        nodes: vec![root],
        inodes: Vec::new(),
        symlinks: HashMap::new(),
        links: HashMap::new(),
        fates: Vec::new(),
        hidden: HashMap::new(),
        markers: Vec::new(),
        link_targets: HashMap::new(),
        moved: HashMap::new(),
    }
}

/// A merged view under construction.
struct Merger<'a> {
    rootfs: Rootfs,
    allowances: &'a LayerAllowances,
    /// The remaining part of [`MOST_PARTS`].
    parts_left: usize,
}

impl Merger<'_> {
    fn apply_whiteout(&mut self, id: MemberId, member: &Member) -> Result<(), RootfsError> {
        let parts = path::components(&member.path);
        let Some((name, directory)) = parts.split_last() else {
            return Ok(());
        };
        let name = match name_kind(name) {
            NameKind::Plain | NameKind::Aufs => return Ok(()),
            NameKind::Invalid => {
                return Err(RootfsError::Whiteout {
                    layer: id.layer + 1,
                    path: member.path_lossy(),
                });
            }
            NameKind::Opaque => None,
            NameKind::Whiteout(name) => Some(name),
        };
        // Find the whiteout's directory before it acts, because it may delete something on the way there.
        let rootfs = &self.rootfs;
        let parents = directory.join(&b'/');
        let found = rootfs.follow(&parents);
        let path = found.map_or(parents, |node| rootfs.path(node));
        let deleted = match (found, name) {
            (None, _) => Vec::new(),
            (Some(node), Some(name)) => rootfs.child(node, name).into_iter().collect(),
            (Some(node), None) => rootfs.names.children(node).collect(),
        };
        for node in deleted {
            self.detach(node, id);
        }
        self.rootfs.markers.push(Marker {
            member: id,
            target: name.map_or_else(|| path.clone(), |name| path::join(&path, name)),
            opaque: name.is_none(),
        });
        self.directory_for(id, member, directory)?;
        self.set_fate(id, SmallFate::MARKER);
        Ok(())
    }

    fn apply_member(&mut self, id: MemberId, member: &Member) -> Result<(), RootfsError> {
        if matches!(member.kind, Kind::PaxGlobal | Kind::Other(_)) {
            return Ok(());
        }
        let parts = path::components(&member.path);
        let Some((name, directory)) = parts.split_last() else {
            return self.apply_root(id, member);
        };
        if name_kind(name) == NameKind::Aufs {
            return Ok(());
        }
        let parent = self.directory_for(id, member, directory)?;
        let node = match member.kind {
            Kind::Directory => self.place_directory(id, parent, name)?,
            Kind::Hardlink => {
                let inode = self.link(id, member)?;
                self.place_leaf(id, parent, name, inode)?
            }
            _ => {
                let inode = self.new_inode(id, member);
                self.place_leaf(id, parent, name, inode)?
            }
        };
        self.set_fate(id, SmallFate::visible(node));
        Ok(())
    }

    fn apply_root(&mut self, id: MemberId, member: &Member) -> Result<(), RootfsError> {
        if member.kind != Kind::Directory {
            return Err(RootfsError::Root {
                layer: id.layer + 1,
                kind: member.kind,
            });
        }
        self.set_origin(ROOT, id);
        self.set_fate(id, SmallFate::visible(ROOT));
        Ok(())
    }

    /// The directory of a member. Follows symlinks and creates missing directories.
    fn directory_for(
        &mut self,
        id: MemberId,
        member: &Member,
        parts: &[&[u8]],
    ) -> Result<NodeId, RootfsError> {
        let mut left: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
        let (mut current, mut followed) = (ROOT, Followed::default());
        loop {
            let start = Progress {
                node: current,
                left: left.iter().map(|part| &**part).collect(),
                followed,
            };
            let progress = self.rootfs.progress(start, true, &mut |_| {});
            (current, followed) = (progress.node, progress.followed);
            left = progress.left.into_iter().map(<[u8]>::to_vec).collect();
            if !followed.is_allowed() {
                return Err(RootfsError::SymlinkLoop {
                    layer: id.layer + 1,
                    path: member.path_lossy(),
                });
            }
            if !self.rootfs.is_directory(current) {
                current = self.replace_by_directory(current, id)?;
            }
            while let Some(part) = left.pop_if(|part| part != b"..") {
                current = self.attach(current, &part, None, Content::Directory)?;
            }
            if left.is_empty() {
                break;
            }
        }
        self.spend_parts(followed)?;
        if followed.symlinks > 0 {
            let parts = path::components(&member.path);
            let name = parts.last().map_or(&[][..], |name| *name);
            let moved = path::join(&self.rootfs.path(current), name);
            self.allowances.names.spend(moved.len() as u64)?;
            self.rootfs.moved.insert(Place::of(id), moved);
        }
        Ok(current)
    }

    /// Replaces a file by a directory that a name implies.
    fn replace_by_directory(&mut self, node: NodeId, by: MemberId) -> Result<NodeId, RootfsError> {
        let parent = self.rootfs.parent(node).unwrap_or(ROOT);
        let name = self.rootfs.name(node).to_vec();
        self.detach(node, by);
        self.attach(parent, &name, None, Content::Directory)
    }

    fn spend_parts(&mut self, followed: Followed) -> Result<(), RootfsError> {
        let left = self.parts_left.checked_sub(followed.parts);
        self.parts_left = left.ok_or(RootfsError::Symlinks)?;
        Ok(())
    }

    /// Places a directory. An existing directory keeps its contents and takes the new one's metadata.
    fn place_directory(
        &mut self,
        id: MemberId,
        parent: NodeId,
        name: &[u8],
    ) -> Result<NodeId, RootfsError> {
        match self.rootfs.child(parent, name) {
            Some(existing) if self.rootfs.is_directory(existing) => {
                self.set_origin(existing, id);
                Ok(existing)
            }
            other => {
                if let Some(existing) = other {
                    self.detach(existing, id);
                }
                self.attach(parent, name, Some(id), Content::Directory)
            }
        }
    }

    fn place_leaf(
        &mut self,
        id: MemberId,
        parent: NodeId,
        name: &[u8],
        inode: InodeId,
    ) -> Result<NodeId, RootfsError> {
        if let Some(existing) = self.rootfs.child(parent, name) {
            self.detach(existing, id);
        }
        self.attach(parent, name, Some(id), Content::Leaf(inode))
    }

    /// The inode that a hardlink points at. The last part of the target is not followed, as in link(2).
    fn link(&mut self, id: MemberId, member: &Member) -> Result<InodeId, RootfsError> {
        let rootfs = &mut self.rootfs;
        let target = rootfs.lookup(member.link());
        let found = target.and_then(|node| Some((rootfs.leaf(node)?, rootfs.origin(node)?)));
        let Some((inode, origin)) = found else {
            return Err(RootfsError::LinkTarget {
                layer: id.layer + 1,
                path: member.path_lossy(),
                target: String::from_utf8_lossy(member.link()).into_owned(),
            });
        };
        rootfs.link_targets.insert(Place::of(id), Place::of(origin));
        rootfs.links.entry(inode).or_default().push(Place::of(id));
        Ok(inode)
    }

    fn new_inode(&mut self, id: MemberId, member: &Member) -> InodeId {
        let inode = InodeId(self.rootfs.inodes.len() as u32);
        let (kind, size) = match member.kind {
            Kind::Symlink => (InodeKind::Symlink, 0),
            Kind::File => (InodeKind::File, member.size),
            _ => (InodeKind::Special, 0),
        };
        if kind == InodeKind::Symlink {
            self.rootfs.symlinks.insert(inode, member.link().into());
        }
        self.rootfs.inodes.push(Inode {
            data: Place::of(id),
            kind,
            size,
            names: 0,
        });
        inode
    }

    fn attach(
        &mut self,
        parent: NodeId,
        name: &[u8],
        origin: Option<MemberId>,
        content: Content,
    ) -> Result<NodeId, RootfsError> {
        if origin.is_none() {
            self.allowances.members.spend(1)?;
        }
        let path_bytes = self.rootfs.names.path_bytes_in(parent, name);
        self.allowances.names.spend(path_bytes)?;
        let node = self.rootfs.names.attach(parent, name);
        let origin = origin.map_or(Place::NONE, Place::of);
        self.rootfs.nodes.push(Node::new(origin, content));
        Ok(node)
    }

    /// Removes a node and everything below it from the view.
    fn detach(&mut self, id: NodeId, by: MemberId) {
        self.rootfs.names.detach(id);
        let hidden: Vec<NodeId> = [id].into_iter().chain(self.rootfs.below(id)).collect();
        for node in hidden {
            if let Some(origin) = self.rootfs.origin(node) {
                self.hide(origin, by);
            }
        }
    }

    fn set_origin(&mut self, node: NodeId, by: MemberId) {
        let old = self.rootfs.origin(node);
        self.rootfs.nodes[node.index()].origin = Place::of(by);
        if let Some(old) = old {
            self.hide(old, by);
        }
    }

    fn hide(&mut self, member: MemberId, by: MemberId) {
        self.rootfs.hidden.insert(Place::of(member), Place::of(by));
        self.set_fate(member, SmallFate::HIDDEN);
    }

    fn set_fate(&mut self, member: MemberId, fate: SmallFate) {
        self.rootfs.fates[member.layer][member.index] = fate;
    }

    fn count_names(&mut self) {
        let rootfs = &self.rootfs;
        let visible = rootfs.nodes().filter_map(|node| rootfs.leaf(node));
        for inode in visible.collect::<Vec<_>>() {
            self.rootfs.inodes[inode.0 as usize].names += 1;
        }
    }

    /// Follows every symlink once. Later steps do that several times, so it must not take too long.
    fn follow_symlinks(&mut self) -> Result<(), RootfsError> {
        self.parts_left = MOST_PARTS;
        let symlinks = self.rootfs.nodes();
        let symlinks: Vec<NodeId> = symlinks
            .filter(|node| self.rootfs.symlink(*node).is_some())
            .collect();
        for node in symlinks {
            let rootfs = &self.rootfs;
            let start = Progress {
                node: rootfs.parent(node).unwrap_or(ROOT),
                left: vec![rootfs.name(node)],
                followed: Followed::default(),
            };
            let followed = rootfs.progress(start, true, &mut |_| {}).followed;
            self.spend_parts(followed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::rootfs::Fate;

    fn file(path: &str) -> Member {
        Member::empty(Kind::File, path, "")
    }

    fn directory(path: &str) -> Member {
        Member::empty(Kind::Directory, path, "")
    }

    fn symlink(path: &str, target: &str) -> Member {
        Member::empty(Kind::Symlink, path, target)
    }

    fn hardlink(path: &str, target: &str) -> Member {
        Member::empty(Kind::Hardlink, path, target)
    }

    fn allowances() -> LayerAllowances {
        Limits::default().of_layers(0)
    }

    fn merged(layers: &[Vec<Member>]) -> Rootfs {
        squash(layers.iter().map(Vec::as_slice), &allowances()).unwrap()
    }

    /// Each path with the layer that set it, or `-` if no member did.
    fn view(layers: &[Vec<Member>]) -> Vec<String> {
        let rootfs = merged(layers);
        let text = |(path, node): (Vec<u8>, NodeId)| {
            let origin = rootfs
                .origin(node)
                .map_or("-".to_owned(), |origin| origin.layer.to_string());
            format!("{} {origin}", String::from_utf8(path).unwrap())
        };
        rootfs.walk().skip(1).map(text).collect()
    }

    #[test]
    fn an_upper_file_replaces_a_lower_one() {
        assert_eq!(view(&[vec![file("a")], vec![file("a")]]), ["a 1"]);
    }

    #[test]
    fn an_upper_directory_keeps_what_is_in_the_lower_one() {
        assert_eq!(
            view(&[vec![directory("d"), file("d/a")], vec![directory("d")]]),
            ["d 1", "d/a 0"]
        );
    }

    #[test]
    fn a_file_in_place_of_a_directory_takes_all_below_with_it() {
        assert_eq!(
            view(&[vec![directory("d"), file("d/a")], vec![file("d")]]),
            ["d 1"]
        );
    }

    #[test]
    fn a_directory_in_place_of_a_file_begins_empty() {
        assert_eq!(
            view(&[vec![file("d")], vec![directory("d"), file("d/a")]]),
            ["d 1", "d/a 1"]
        );
    }

    #[test]
    fn a_whiteout_deletes_below_and_never_in_its_own_layer() {
        let lower = vec![directory("d"), file("d/a"), file("d/b")];
        for upper in [
            vec![file("d/.wh.a"), file("d/a")],
            vec![file("d/a"), file("d/.wh.a")],
        ] {
            assert_eq!(view(&[lower.clone(), upper]), ["d 0", "d/a 1", "d/b 0"]);
        }
        assert_eq!(view(&[lower, vec![file(".wh.d")]]), Vec::<String>::new());
    }

    #[test]
    fn an_opaque_whiteout_deletes_what_lower_layers_have_in_its_directory() {
        let lower = vec![directory("d"), file("d/a"), file("d/b")];
        let upper = vec![directory("d"), file("d/c"), file("d/.wh..wh..opq")];
        assert_eq!(view(&[lower, upper]), ["d 1", "d/c 1"]);
    }

    #[test]
    fn the_last_of_two_members_of_one_name_wins() {
        let rootfs = merged(&[vec![file("a"), file("b"), file("a")]]);
        let id = |index| MemberId { layer: 0, index };
        assert_eq!(rootfs.fate(id(0)), Fate::Hidden { by: id(2) });
        assert!(matches!(rootfs.fate(id(2)), Fate::Visible(_)));
    }

    #[test]
    fn names_of_one_inode_are_counted_across_layers() {
        let rootfs = merged(&[
            vec![file("a"), hardlink("b", "a")],
            vec![hardlink("c", "b"), file(".wh.a")],
        ]);
        let inode = rootfs.leaf(rootfs.lookup(b"c").unwrap()).unwrap();
        assert_eq!(rootfs.inode(inode).names, 2);
        assert_eq!(rootfs.inode(inode).data(), MemberId { layer: 0, index: 0 });
        let link = MemberId { layer: 1, index: 0 };
        assert_eq!(
            rootfs.link_target(link),
            Some(MemberId { layer: 0, index: 1 })
        );
    }

    #[test]
    fn symlinked_directories_are_followed_in_names_and_in_link_targets() {
        let lower = vec![
            directory("usr"),
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            symlink("abs", "/usr/../usr/lib"),
        ];
        let upper = vec![file("lib/a"), file("abs/b"), hardlink("c", "lib/a")];
        let layers = [lower, upper];
        let rootfs = merged(&layers);
        assert!(rootfs.lookup(b"usr/lib/a").is_some() && rootfs.lookup(b"usr/lib/b").is_some());
        assert_eq!(
            rootfs.member_path(MemberId { layer: 1, index: 1 }, b"abs/b"),
            b"usr/lib/b"
        );
        assert_eq!(
            rootfs.leaf(rootfs.lookup(b"c").unwrap()),
            rootfs.leaf(rootfs.lookup(b"lib/a").unwrap())
        );
        assert_eq!(rootfs.follow(b"lib"), rootfs.lookup(b"usr/lib"));
    }

    #[test]
    fn a_symlink_never_leads_above_the_root() {
        let layers = [
            vec![symlink("up", "../../../etc"), directory("etc")],
            vec![file("up/passwd")],
        ];
        assert!(merged(&layers).lookup(b"etc/passwd").is_some());
    }

    #[test]
    fn missing_parents_are_implied() {
        assert_eq!(view(&[vec![file("./a/b/c")]]), ["a -", "a/b -", "a/b/c 0"]);
    }

    #[test]
    fn a_whiteout_implies_the_directory_that_it_lies_in() {
        let lower = vec![file("a/b"), file("c")];
        let upper = vec![file("a/.wh.b"), file("c/d/.wh..wh..opq")];
        assert_eq!(view(&[lower, upper]), ["a -", "c -", "c/d -"]);
    }

    #[test]
    fn aufs_bookkeeping_is_no_file() {
        assert_eq!(
            view(&[vec![
                file(".wh..wh.plnk"),
                directory(".wh..wh.orph"),
                file("a")
            ]]),
            ["a 0"]
        );
    }

    #[test]
    fn what_no_engine_extracts_is_an_error() {
        let error = |layers: &[Vec<Member>]| {
            squash(layers.iter().map(Vec::as_slice), &allowances()).unwrap_err()
        };
        assert!(matches!(
            error(&[vec![hardlink("a", "b")]]),
            RootfsError::LinkTarget { layer: 1, .. }
        ));
        assert!(matches!(
            error(&[vec![directory("d"), hardlink("a", "d")]]),
            RootfsError::LinkTarget { .. }
        ));
        assert!(matches!(
            error(&[vec![], vec![file("d/.wh.")]]),
            RootfsError::Whiteout { layer: 2, .. }
        ));
        let looped = vec![symlink("a", "b"), symlink("b", "a"), file("a/x")];
        assert!(matches!(error(&[looped]), RootfsError::SymlinkLoop { .. }));
        assert!(matches!(
            error(&[vec![file(".")]]),
            RootfsError::Root { .. }
        ));
    }
}
