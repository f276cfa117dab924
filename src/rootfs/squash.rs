//! Applying layers one upon the other.

use std::collections::{BTreeMap, HashMap};

use super::path::{self, NameKind, name_kind};
use super::tree::{
    Content, Fate, Inode, InodeId, InodeKind, MOST_SYMLINKS, Marker, MemberId, Node, NodeId, ROOT,
    Rootfs, push_parts,
};
use crate::tar::{Kind, Member};

/// What no engine can extract.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootfsError {
    /// A hardlink to nothing, or to a directory.
    #[error("layer {layer}: hardlink `{path}` points at `{target}`, which is no file below it")]
    LinkTarget {
        /// The layer, counted from 1.
        layer: usize,
        /// The hardlink.
        path: String,
        /// What it names.
        target: String,
    },
    /// A file named exactly `.wh.`.
    #[error("layer {layer}: `{path}` is an invalid whiteout: it names nothing to delete")]
    Whiteout {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's name.
        path: String,
    },
    /// Symlinked directories that lead in a circle.
    #[error("layer {layer}: too many symlinks on the way to `{path}`")]
    SymlinkLoop {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's name.
        path: String,
    },
    /// The root directory itself as something else.
    #[error("layer {layer}: a {kind} takes the place of the root directory")]
    Root {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's type.
        kind: Kind,
    },
}

/// Merges layers, lowest first, each given as its members in order.
///
/// A whiteout acts on the layers below its own alone, wherever it stands in its layer. The directory that it lies in is
/// there afterwards: podman, docker and containerd make it (umoci does not). A directory in a member's name that a
/// lower layer has as a symlink is followed, as extraction onto the merged tree does.
///
/// # Errors
/// [`RootfsError`] for what no engine extracts.
pub fn squash<'a>(layers: impl IntoIterator<Item = &'a [Member]>) -> Result<Rootfs, RootfsError> {
    let root = Node {
        parent: None,
        name: Box::default(),
        origin: None,
        content: Content::Directory(BTreeMap::new()),
    };
    let mut rootfs = Rootfs {
        nodes: vec![root],
        inodes: Vec::new(),
        fates: Vec::new(),
        markers: Vec::new(),
        link_targets: HashMap::new(),
        moved: HashMap::new(),
    };
    for (layer, members) in layers.into_iter().enumerate() {
        rootfs.fates.push(vec![Fate::Ignored; members.len()]);
        let numbered = || {
            members
                .iter()
                .enumerate()
                .map(|(index, member)| (MemberId { layer, index }, member))
        };
        for (id, member) in numbered() {
            rootfs.apply_whiteout(id, member)?;
        }
        for (id, member) in numbered() {
            if rootfs.fate(id) == Fate::Ignored {
                rootfs.apply_member(id, member)?;
            }
        }
    }
    rootfs.count_names();
    Ok(rootfs)
}

impl Rootfs {
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
        let parents = directory;
        let directory = parents.join(&b'/');
        let found = self.follow(&directory);
        let directory = found.map_or(directory, |node| self.path(node));
        match name {
            Some(name) => {
                if let Some(node) = found.and_then(|node| self.child(node, name)) {
                    self.detach(node, id);
                }
                self.markers.push(Marker {
                    member: id,
                    target: path::join(&directory, name),
                    opaque: false,
                });
            }
            None => {
                for child in found.map(|node| self.children(node)).unwrap_or_default() {
                    self.detach(child, id);
                }
                self.markers.push(Marker {
                    member: id,
                    target: directory,
                    opaque: true,
                });
            }
        }
        self.directory_for(id, member, parents)?;
        self.set_fate(id, Fate::Marker);
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
            Kind::Directory => self.place_directory(id, parent, name),
            Kind::Hardlink => {
                let inode = self.link(id, member)?;
                self.place_leaf(id, parent, name, inode)
            }
            _ => {
                let inode = self.new_inode(id, member);
                self.place_leaf(id, parent, name, inode)
            }
        };
        self.set_fate(id, Fate::Visible(node));
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
        self.set_fate(id, Fate::Visible(ROOT));
        Ok(())
    }

    /// The directory that a member lies in: symlinks followed, what is missing made.
    fn directory_for(
        &mut self,
        id: MemberId,
        member: &Member,
        parts: &[&[u8]],
    ) -> Result<NodeId, RootfsError> {
        let mut pending: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
        let mut current = ROOT;
        let mut followed = 0;
        while let Some(part) = pending.pop() {
            if part == b".." {
                current = self.node(current).parent.unwrap_or(ROOT);
                continue;
            }
            let child = self.child(current, &part);
            if let Some(target) = child
                .and_then(|child| self.symlink(child))
                .map(<[u8]>::to_vec)
            {
                followed += 1;
                if followed > MOST_SYMLINKS {
                    return Err(RootfsError::SymlinkLoop {
                        layer: id.layer + 1,
                        path: member.path_lossy(),
                    });
                }
                if target.starts_with(b"/") {
                    current = ROOT;
                }
                push_parts(&mut pending, &target);
                continue;
            }
            current = match child {
                Some(child) if matches!(self.node(child).content, Content::Directory(_)) => child,
                // A file in the way gives way to the directory that the name implies.
                Some(child) => {
                    self.detach(child, id);
                    self.attach(current, &part, None, Content::Directory(BTreeMap::new()))
                }
                None => self.attach(current, &part, None, Content::Directory(BTreeMap::new())),
            };
        }
        if followed > 0 {
            let name = path::components(&member.path)
                .last()
                .map_or(&[][..], |name| *name);
            let moved = path::join(&self.path(current), name);
            self.moved.insert(id, moved);
        }
        Ok(current)
    }

    /// A directory upon a directory keeps what is in it and takes the new one's metadata.
    fn place_directory(&mut self, id: MemberId, parent: NodeId, name: &[u8]) -> NodeId {
        match self.child(parent, name) {
            Some(existing) if matches!(self.node(existing).content, Content::Directory(_)) => {
                self.set_origin(existing, id);
                existing
            }
            other => {
                if let Some(existing) = other {
                    self.detach(existing, id);
                }
                self.attach(parent, name, Some(id), Content::Directory(BTreeMap::new()))
            }
        }
    }

    fn place_leaf(&mut self, id: MemberId, parent: NodeId, name: &[u8], inode: InodeId) -> NodeId {
        if let Some(existing) = self.child(parent, name) {
            self.detach(existing, id);
        }
        self.attach(parent, name, Some(id), Content::Leaf(inode))
    }

    /// The inode that a hardlink points at. Its last part is not followed, as link(2) does not.
    fn link(&mut self, id: MemberId, member: &Member) -> Result<InodeId, RootfsError> {
        let target = self.lookup(&member.link);
        let found = target.and_then(|node| Some((self.leaf(node)?, self.node(node).origin?)));
        let Some((inode, origin)) = found else {
            return Err(RootfsError::LinkTarget {
                layer: id.layer + 1,
                path: member.path_lossy(),
                target: String::from_utf8_lossy(&member.link).into_owned(),
            });
        };
        self.link_targets.insert(id, origin);
        self.inodes[inode.0].links.push(id);
        Ok(inode)
    }

    fn new_inode(&mut self, id: MemberId, member: &Member) -> InodeId {
        let (kind, size) = match member.kind {
            Kind::Symlink => (InodeKind::Symlink(member.link.clone()), 0),
            Kind::File => (InodeKind::File, member.size),
            _ => (InodeKind::Special, 0),
        };
        self.inodes.push(Inode {
            data: id,
            links: Vec::new(),
            kind,
            size,
            names: 0,
        });
        InodeId(self.inodes.len() - 1)
    }

    fn attach(
        &mut self,
        parent: NodeId,
        name: &[u8],
        origin: Option<MemberId>,
        content: Content,
    ) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            parent: Some(parent),
            name: name.into(),
            origin,
            content,
        });
        if let Content::Directory(children) = &mut self.nodes[parent.0].content {
            children.insert(name.into(), id);
        }
        id
    }

    /// Takes a node and all below it out of the view.
    fn detach(&mut self, id: NodeId, by: MemberId) {
        let node = &self.nodes[id.0];
        let (parent, name) = (node.parent, node.name.clone());
        if let Some(Content::Directory(children)) =
            parent.map(|parent| &mut self.nodes[parent.0].content)
        {
            children.remove(&name);
        }
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            if let Some(origin) = self.nodes[id.0].origin {
                self.set_fate(origin, Fate::Hidden { by });
            }
            pending.extend(self.children(id));
        }
    }

    fn children(&self, id: NodeId) -> Vec<NodeId> {
        match &self.node(id).content {
            Content::Directory(children) => children.values().copied().collect(),
            Content::Leaf(_) => Vec::new(),
        }
    }

    fn set_origin(&mut self, node: NodeId, by: MemberId) {
        if let Some(old) = self.nodes[node.0].origin.replace(by) {
            self.set_fate(old, Fate::Hidden { by });
        }
    }

    fn set_fate(&mut self, member: MemberId, fate: Fate) {
        self.fates[member.layer][member.index] = fate;
    }

    fn count_names(&mut self) {
        let visible: Vec<InodeId> = self
            .walk()
            .filter_map(|(_, node)| self.leaf(node))
            .collect();
        for inode in visible {
            self.inodes[inode.0].names += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Member {
        Member::sample(Kind::File, path, "")
    }

    fn directory(path: &str) -> Member {
        Member::sample(Kind::Directory, path, "")
    }

    fn symlink(path: &str, target: &str) -> Member {
        Member::sample(Kind::Symlink, path, target)
    }

    fn hardlink(path: &str, target: &str) -> Member {
        Member::sample(Kind::Hardlink, path, target)
    }

    fn merged(layers: &[Vec<Member>]) -> Rootfs {
        squash(layers.iter().map(Vec::as_slice)).unwrap()
    }

    /// Each path with the layer that it comes from, `-` where no member set it.
    fn view(layers: &[Vec<Member>]) -> Vec<String> {
        let rootfs = merged(layers);
        let text = |(path, node): (Vec<u8>, NodeId)| {
            let origin = rootfs
                .node(node)
                .origin
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
        assert_eq!(rootfs.inode(inode).data, MemberId { layer: 0, index: 0 });
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
        let error = |layers: &[Vec<Member>]| squash(layers.iter().map(Vec::as_slice)).unwrap_err();
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
