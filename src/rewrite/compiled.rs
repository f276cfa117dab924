//! Compiled caches as members of a layer. Their bodies wait in an unlinked file until it is written.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::inventory::{Inventory, Sizes, Source};
use crate::path;
use crate::plan::{Compilation, is_full};
use crate::pyc::Level;
use crate::read_at::ReadAt;
use crate::rewrite::edits::Piece;
use crate::tar::{BLOCK, Kind, Member, NewKind, NewMember, Xattr, new_headers};

/// The compiled caches of an image.
pub struct CompiledCaches {
    file: File,
    length: u64,
    sources: BTreeMap<usize, CompiledSource>,
}

/// The caches of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CompiledSource {
    header: Vec<u8>,
    /// By level, where the bodies lie in the file. The same bodies lie in the same place.
    bodies: [Option<Range<u64>>; 3],
}

impl CompiledCaches {
    /// Will keep bodies in a file without a name in `directory`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(directory)?,
            length: 0,
            sources: BTreeMap::new(),
        })
    }

    /// Adds what a source was compiled to, with the header of all its caches.
    ///
    /// # Errors
    /// I/O errors.
    pub fn add(
        &mut self,
        source: usize,
        header: Vec<u8>,
        levels: &[(Level, Arc<[u8]>)],
    ) -> io::Result<()> {
        let mut bodies: [Option<Range<u64>>; 3] = [None, None, None];
        for (position, (level, body)) in levels.iter().enumerate() {
            let same = levels[..position].iter().find(|(_, other)| other == body);
            let place = match same.and_then(|(level, _)| bodies[level.index()].clone()) {
                Some(place) => place,
                None => {
                    self.file.write_all(body)?;
                    let start = self.length;
                    self.length += body.len() as u64;
                    start..self.length
                }
            };
            bodies[level.index()] = Some(place);
        }
        self.sources
            .insert(source, CompiledSource { header, bodies });
        Ok(())
    }

    /// A cache's body.
    ///
    /// # Errors
    /// I/O errors, and where the cache was not compiled.
    pub fn body(&self, source: usize, level: Level) -> io::Result<Vec<u8>> {
        let compiled = self.sources.get(&source);
        let place = compiled.and_then(|compiled| compiled.bodies[level.index()].clone());
        let place = place.ok_or(io::ErrorKind::NotFound)?;
        let mut body = vec![0; (place.end - place.start) as usize];
        self.file.read_exact_at(&mut body, place.start)?;
        Ok(body)
    }

    /// The members for the caches on a list, in its order, as pieces of a tar stream. Directories come
    /// before what is in them, each once.
    ///
    /// `layer` is the index of the layer that they are added to; `None` for a new one above all others. That one, and
    /// the topmost layer where it takes its place, repeats the directories above: engines take a layer's word for them.
    pub fn members(
        &self,
        inventory: &Inventory,
        list: &[Compilation],
        hardlink: bool,
        layer: Option<usize>,
    ) -> Vec<Piece> {
        let mut members = NewMembers(Vec::new());
        let mut directories = Directories::new(inventory, layer);
        for new in self.files(list, hardlink) {
            let source = &inventory.sources[new.cache.source];
            directories.announce(source, &new.cache.path, &mut members);
            let kind = match new.link {
                Some(target) => NewKind::Hardlink(target.to_vec()),
                None => NewKind::File(new.bytes()),
            };
            members.push(&cache_member(inventory, source, &new.cache.path, kind));
            if new.link.is_none() {
                members.push_data(&new.compiled.header, new.body.clone(), new.bytes());
            }
        }
        members.0
    }

    /// Sizes of the caches on a list by level. A link is a file without bytes.
    pub fn sizes(&self, list: &[Compilation], hardlink: bool) -> [Sizes; 3] {
        let mut sizes = [Sizes::default(); 3];
        for new in self.files(list, hardlink) {
            let bytes = if new.link.is_none() { new.bytes() } else { 0 };
            sizes[new.cache.level.index()].add(bytes);
        }
        sizes
    }

    /// The caches on a list that were compiled. Where `hardlink` says so, a level that is the same as one
    /// before it of the same source is a link to that.
    fn files<'a>(
        &'a self,
        list: &'a [Compilation],
        hardlink: bool,
    ) -> impl Iterator<Item = NewFile<'a>> {
        list.iter()
            .enumerate()
            .filter_map(move |(position, cache)| {
                let compiled = self.sources.get(&cache.source)?;
                let body = |level: Level| compiled.bodies[level.index()].as_ref();
                let own = body(cache.level)?;
                let earlier = list[..position].iter().rev();
                let levels = earlier.take_while(|other| other.source == cache.source);
                let first = levels.filter(|other| body(other.level) == Some(own)).last();
                Some(NewFile {
                    cache,
                    compiled,
                    body: own,
                    link: first.filter(|_| hardlink).map(|first| &*first.path),
                })
            })
    }
}

/// A cache as a file.
struct NewFile<'a> {
    cache: &'a Compilation,
    compiled: &'a CompiledSource,
    body: &'a Range<u64>,
    /// The cache that it is a link to.
    link: Option<&'a [u8]>,
}

impl NewFile<'_> {
    fn bytes(&self) -> u64 {
        self.compiled.header.len() as u64 + (self.body.end - self.body.start)
    }
}

impl ReadAt for CompiledCaches {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// New members as pieces of a tar stream: headers and data, padded to whole blocks.
struct NewMembers(Vec<Piece>);

impl NewMembers {
    fn push(&mut self, member: &NewMember) {
        self.extend(&new_headers(member));
    }

    fn push_data(&mut self, header: &[u8], body: Range<u64>, bytes: u64) {
        self.extend(header);
        self.0.push(Piece::Compiled(body));
        let padding = bytes.next_multiple_of(BLOCK) - bytes;
        self.extend(&vec![0; padding as usize]);
    }

    /// Adds bytes, to the last piece where that is some too.
    fn extend(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.0.push(Piece::Bytes(bytes.to_vec())),
        }
    }
}

/// Which directories a layer has.
struct Directories<'a> {
    inventory: &'a Inventory,
    /// Whether the layer need not have the directories of the sources.
    repeats: bool,
    there: HashSet<Vec<u8>>,
}

impl<'a> Directories<'a> {
    fn new(inventory: &'a Inventory, layer: Option<usize>) -> Self {
        let mut there = HashSet::from([Vec::new()]);
        if let Some(layer) = layer {
            let members = inventory.layers[layer].members.iter();
            let directories = members.filter(|member| member.kind == Kind::Directory);
            there.extend(directories.map(|member| path::clean(&member.path)));
        }
        let top = inventory.layers.len().checked_sub(1);
        Self {
            inventory,
            repeats: layer.is_none() || (layer == top && is_full(inventory)),
            there,
        }
    }

    /// Adds the directory of a cache, and in a layer that lacks them those above it.
    fn announce(&mut self, source: &Source, cache: &[u8], members: &mut NewMembers) {
        let source_path = self.inventory.source_path(source);
        let parent = path::parent(&source_path);
        if self.repeats {
            self.repeat(parent, members);
        }
        let directory = path::parent(cache);
        if self.there.insert(directory.to_vec()) {
            members.push(&match (self.member_at(directory), self.member_at(parent)) {
                (Some(member), _) => directory_member(directory, member, member.xattrs()),
                (None, Some(member)) => directory_member(directory, member, &label(member)),
                (None, None) => NewMember::implied_directory(directory),
            });
        }
    }

    /// Adds a directory and those above it, as they are. What only others' paths imply stays so.
    fn repeat(&mut self, directory: &[u8], members: &mut NewMembers) {
        let mut missing = Vec::new();
        let mut current = directory;
        while self.there.insert(current.to_vec()) {
            missing.push(current);
            current = path::parent(current);
        }
        for directory in missing.into_iter().rev() {
            if let Some(member) = self.member_at(directory) {
                members.push(&directory_member(directory, member, member.xattrs()));
            }
        }
    }

    /// The member that set a name in the merged view.
    fn member_at(&self, path: &[u8]) -> Option<&'a Member> {
        let node = self.inventory.rootfs.lookup(path)?;
        let origin = self.inventory.rootfs.origin(node)?;
        Some(self.inventory.member(origin))
    }
}

fn directory_member(directory: &[u8], like: &Member, xattrs: &[Xattr]) -> NewMember {
    let (uid, gid) = like.owner();
    NewMember {
        path: directory.to_vec(),
        kind: NewKind::Directory,
        mode: like.mode.into(),
        uid,
        gid,
        mtime: like.mtime(),
        xattrs: xattrs.to_vec(),
    }
}

/// A cache is owned, readable and labelled as its source; it is never executable.
fn cache_member(inventory: &Inventory, source: &Source, path: &[u8], kind: NewKind) -> NewMember {
    let like = inventory.member(inventory.rootfs.described_by(source.inode));
    let (uid, gid) = like.owner();
    NewMember {
        path: path.to_vec(),
        kind,
        mode: u32::from(like.mode) & 0o666,
        uid,
        gid,
        mtime: like.mtime(),
        xattrs: label(like),
    }
}

/// The SELinux label, where there is one. Other attributes say something of the source alone, such as
/// its signature.
fn label(member: &Member) -> Vec<Xattr> {
    let xattrs = member.xattrs().iter();
    xattrs
        .filter(|xattr| &*xattr.name == b"security.selinux")
        .cloned()
        .collect()
}
