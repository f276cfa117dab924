//! The merged file system as a map from paths to entries. It is slow, but simple enough to check by reading.
//!
//! The rules are those of image-spec layer.md and docs/architecture.md ("Decisions").

use std::collections::BTreeMap;

use pycull::path::{NameKind, components, name_kind};
use pycull::rootfs::{self, MemberId, Rootfs};
use pycull::tar::{Kind, Member};

/// The parts of a path.
pub(super) type Path = Vec<Vec<u8>>;

/// The parts of a clean path.
pub(super) fn key(path: &[u8]) -> Path {
    components(path).into_iter().map(<[u8]>::to_vec).collect()
}

/// The entry at a path.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The member that set it. None for a directory that only the paths of other members imply.
    pub(super) origin: Option<MemberId>,
    /// Index of its inode in [`Model::inodes`]. None for a directory.
    pub(super) inode: Option<usize>,
}

/// An inode. Every name that is not a directory has one.
#[derive(Debug)]
pub(super) struct Inode {
    /// The member with the data, then its hardlinks.
    pub(super) headers: Vec<MemberId>,
    pub(super) symlink: Option<Vec<u8>>,
    pub(super) is_file: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Visible(Vec<u8>),
    Hidden(MemberId),
    Marker,
    Ignored,
}

impl Fate {
    pub(super) fn of(rootfs: &Rootfs, fate: rootfs::Fate) -> Self {
        match fate {
            rootfs::Fate::Visible(node) => Self::Visible(rootfs.path(node)),
            rootfs::Fate::Hidden { by } => Self::Hidden(by),
            rootfs::Fate::Marker => Self::Marker,
            rootfs::Fate::Ignored => Self::Ignored,
        }
    }
}

/// What engines do not extract, with the layer's number, counted from 0.
#[derive(Debug, PartialEq)]
pub(super) enum Error {
    LinkTarget(usize),
    Whiteout(usize),
    SymlinkLoop(usize),
    Root(usize),
}

/// Maximum number of symlinks on the way of a path, and of parts of their targets.
const MOST_SYMLINKS: usize = 40;
const MOST_PARTS: usize = 512;

/// The remaining parts of a path. The next part is the last of the vector.
#[derive(Default)]
struct Rest {
    parts: Path,
    symlinks: usize,
    followed_parts: usize,
}

impl Rest {
    fn of(path: &[Vec<u8>]) -> Self {
        Self {
            parts: path.iter().rev().cloned().collect(),
            ..Self::default()
        }
    }

    /// Puts the target of a symlink first. Returns whether the limits still allow it.
    fn follow(&mut self, target: &[u8]) -> bool {
        let parts = target.split(|byte| *byte == b'/').rev();
        let parts = parts.filter(|part| ![&b""[..], b"."].contains(part));
        let before = self.parts.len();
        self.parts.extend(parts.map(<[u8]>::to_vec));
        self.symlinks += 1;
        self.followed_parts += self.parts.len() - before;
        self.symlinks <= MOST_SYMLINKS && self.followed_parts <= MOST_PARTS
    }
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) entries: BTreeMap<Path, Entry>,
    pub(super) inodes: Vec<Inode>,
    pub(super) fates: BTreeMap<MemberId, Fate>,
    /// Paths of all members, even those that a later member hides.
    pub(super) places: BTreeMap<MemberId, Path>,
    pub(super) link_targets: BTreeMap<MemberId, MemberId>,
    /// Whiteouts, whether they are opaque, and the paths that they delete.
    pub(super) markers: Vec<(MemberId, bool, Vec<u8>)>,
}

const DIRECTORY: Entry = Entry {
    origin: None,
    inode: None,
};

impl Model {
    pub(super) fn of(layers: &[Vec<Member>]) -> Result<Self, Error> {
        let mut model = Self {
            entries: BTreeMap::from([(Path::new(), DIRECTORY)]),
            inodes: Vec::new(),
            fates: BTreeMap::new(),
            places: BTreeMap::new(),
            link_targets: BTreeMap::new(),
            markers: Vec::new(),
        };
        for (layer, members) in layers.iter().enumerate() {
            let numbered = || {
                let numbered = members.iter().enumerate();
                numbered.map(move |(index, member)| (MemberId { layer, index }, member))
            };
            for (id, member) in numbered() {
                model.fates.insert(id, Fate::Ignored);
                model.apply_whiteout(id, member)?;
            }
            for (id, member) in numbered() {
                if model.fates[&id] == Fate::Ignored {
                    model.apply_member(id, member)?;
                }
            }
        }
        Ok(model)
    }

    fn apply_whiteout(&mut self, id: MemberId, member: &Member) -> Result<(), Error> {
        let path = key(&member.path);
        let Some((name, directory)) = path.split_last() else {
            return Ok(());
        };
        let deleted = match name_kind(name) {
            NameKind::Plain | NameKind::Aufs => return Ok(()),
            NameKind::Invalid => return Err(Error::Whiteout(id.layer)),
            NameKind::Opaque => None,
            NameKind::Whiteout(deleted) => Some(deleted.to_vec()),
        };
        let is_opaque = deleted.is_none();
        let found = self.lookup(directory, true);
        let target: Path = found
            .unwrap_or(directory.to_vec())
            .into_iter()
            .chain(deleted)
            .collect();
        let is_deleted = |path: &Path| path.starts_with(&target) && !(is_opaque && *path == target);
        self.remove(is_deleted, id);
        self.markers.push((id, is_opaque, target.join(&b'/')));
        let place = self.make_directory(id, directory)?;
        self.places
            .insert(id, [&place[..], std::slice::from_ref(name)].concat());
        self.fates.insert(id, Fate::Marker);
        Ok(())
    }

    fn apply_member(&mut self, id: MemberId, member: &Member) -> Result<(), Error> {
        if matches!(member.kind, Kind::PaxGlobal | Kind::Other(_)) {
            return Ok(());
        }
        let path = key(&member.path);
        let place = match path.split_last() {
            None if member.kind != Kind::Directory => return Err(Error::Root(id.layer)),
            None => path,
            Some((name, _)) if name_kind(name) == NameKind::Aufs => return Ok(()),
            Some((name, directory)) => {
                let directory = self.make_directory(id, directory)?;
                [&directory[..], std::slice::from_ref(name)].concat()
            }
        };
        let inode = match member.kind {
            Kind::Directory => None,
            Kind::Hardlink => Some(self.link(id, member.link())?),
            _ => {
                self.inodes.push(Inode {
                    headers: vec![id],
                    symlink: (member.kind == Kind::Symlink).then(|| member.link().to_vec()),
                    is_file: member.kind == Kind::File,
                });
                Some(self.inodes.len() - 1)
            }
        };
        let stays = inode.is_none() && self.is_directory(&place);
        match stays {
            // The content of the directory stays.
            true => self.hide(&place, id),
            false => self.remove(|path| path.starts_with(&place), id),
        }
        let origin = Some(id);
        self.entries.insert(place.clone(), Entry { origin, inode });
        self.fates.insert(id, Fate::Visible(place.join(&b'/')));
        self.places.insert(id, place);
        Ok(())
    }

    fn link(&mut self, id: MemberId, target: &[u8]) -> Result<usize, Error> {
        let found = self.lookup(&key(target), false);
        let entry = found.and_then(|path| self.entries.get(&path).cloned());
        let Some((origin, inode)) = entry.and_then(|it| Some((it.origin?, it.inode?))) else {
            return Err(Error::LinkTarget(id.layer));
        };
        self.inodes[inode].headers.push(id);
        self.link_targets.insert(id, origin);
        Ok(inode)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.entries
            .get(path)
            .is_some_and(|entry| entry.inode.is_none())
    }

    fn symlink(&self, path: &Path) -> Option<Vec<u8>> {
        let inode = self.entries.get(path)?.inode?;
        self.inodes[inode].symlink.clone()
    }

    fn hide(&mut self, path: &Path, by: MemberId) {
        let origin = self.entries.get(path).and_then(|entry| entry.origin);
        if let Some(origin) = origin {
            self.fates.insert(origin, Fate::Hidden(by));
        }
    }

    fn remove(&mut self, is_removed: impl Fn(&Path) -> bool, by: MemberId) {
        let removed: Vec<Path> = self
            .entries
            .keys()
            .filter(|path| is_removed(path))
            .cloned()
            .collect();
        for path in removed {
            self.hide(&path, by);
            self.entries.remove(&path);
        }
    }

    /// The place that a path leads to, if it exists.
    pub(super) fn lookup(&self, path: &[Vec<u8>], follow_last: bool) -> Option<Path> {
        let (mut current, mut rest) = (Path::new(), Rest::of(path));
        while let Some(part) = rest.parts.pop() {
            if !self.is_directory(&current) {
                return None;
            }
            if part == b".." {
                current.pop();
                continue;
            }
            let child = [&current[..], &[part]].concat();
            self.entries.get(&child)?;
            match self.symlink(&child) {
                Some(target) if follow_last || !rest.parts.is_empty() => {
                    if target.starts_with(b"/") {
                        current.clear();
                    }
                    if !rest.follow(&target) {
                        return None;
                    }
                }
                _ => current = child,
            }
        }
        Some(current)
    }

    /// Creates a directory and its parents, and returns its place. Follows symlinks, and removes files that are in the
    /// way.
    fn make_directory(&mut self, id: MemberId, path: &[Vec<u8>]) -> Result<Path, Error> {
        let (mut current, mut rest) = (Path::new(), Rest::of(path));
        loop {
            if !self.is_directory(&current) {
                self.remove(|path| path.starts_with(&current), id);
                self.entries.insert(current.clone(), DIRECTORY);
            }
            let Some(part) = rest.parts.pop() else {
                return Ok(current);
            };
            if part == b".." {
                current.pop();
                continue;
            }
            let child = [&current[..], &[part]].concat();
            match self.symlink(&child) {
                Some(target) => {
                    if target.starts_with(b"/") {
                        current.clear();
                    }
                    if !rest.follow(&target) {
                        return Err(Error::SymlinkLoop(id.layer));
                    }
                }
                None => current = child,
            }
        }
    }
}
