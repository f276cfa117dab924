//! Turns compiled caches into members of layers.

use std::collections::HashSet;
use std::ops::Range;

use super::compiled_caches::CompiledCaches;
use crate::inventory::{Inventory, Source};
use crate::path;
use crate::plan::{Compilation, Plan, is_full, new_attributes};
use crate::rewrite::additions::Additions;
use crate::rewrite::edits::Piece;
use crate::tar::{BLOCK, Kind, Member, NewKind, NewMember, Xattr, new_headers};

impl CompiledCaches {
    /// The compiled caches in a plan, as members of the layers that the plan names.
    pub(crate) fn additions(&self, inventory: &Inventory, plan: &Plan) -> Additions<'_> {
        let lists = plan.layers.iter().map(|layer| &*layer.compiled);
        let lists = lists.enumerate().filter(|(_, list)| !list.is_empty());
        let members = |layer, list| self.members(list, Directories::new(inventory, layer));
        Additions {
            layers: lists
                .map(|(layer, list)| (layer, members(Some(layer), list)))
                .collect(),
            appended: members(None, &plan.appended),
            spool: Some(&self.bodies),
        }
    }

    /// The members for the caches in a list, in its order. Each directory that the layer lacks comes once, before its
    /// content.
    fn members(&self, list: &[Compilation], mut directories: Directories<'_>) -> Vec<Piece> {
        let mut stream = Stream::default();
        let inventory = directories.inventory;
        for new in self.files(list) {
            let source = inventory.source(new.cache.source);
            directories.announce(source, &new.cache.path, &mut stream);
            let kind = match &new.cache.link {
                Some(target) => NewKind::Hardlink(target.clone()),
                None => NewKind::File(new.bytes()),
            };
            stream.push(&cache_member(inventory, source, &new.cache.path, kind));
            if new.cache.link.is_none() {
                stream.push_data(new.header(), new.body.clone(), new.bytes());
            }
        }
        stream.0
    }
}

/// A growing tar stream: headers and data, padded to whole blocks.
#[derive(Default)]
struct Stream(Vec<Piece>);

impl Stream {
    fn push(&mut self, member: &NewMember) {
        self.extend(&new_headers(member));
    }

    fn push_data(&mut self, header: &[u8], body: Range<u64>, bytes: u64) {
        self.extend(header);
        self.0.push(Piece::Spooled(body));
        let padding = bytes.next_multiple_of(BLOCK) - bytes;
        self.extend(&vec![0; padding as usize]);
    }

    /// Appends bytes, to the last piece if possible.
    fn extend(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.0.push(Piece::Bytes(bytes.to_vec())),
        }
    }
}

/// The directories that a layer has.
struct Directories<'a> {
    inventory: &'a Inventory,
    /// Whether the layer may lack the directories of the sources, and repeats them.
    repeats: bool,
    there: HashSet<Vec<u8>>,
}

impl<'a> Directories<'a> {
    /// The directories of the layer with this index. `None` is a new layer above all others.
    ///
    /// A new layer repeats the directories above the caches, and so does the topmost layer if it takes the place of a
    /// new one. Engines give a directory the metadata from the highest layer with a file in it.
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

    /// Adds the directory of a cache, and the directories above it if this layer repeats them.
    fn announce(&mut self, source: &Source, cache: &[u8], members: &mut Stream) {
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

    /// Adds a directory and those above it, with their metadata. Directories without a member of their own stay without
    /// one.
    fn repeat(&mut self, directory: &[u8], members: &mut Stream) {
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

    /// The member that set the name at a path in the merged view.
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

fn cache_member(inventory: &Inventory, source: &Source, path: &[u8], kind: NewKind) -> NewMember {
    let attributes = new_attributes(inventory, source);
    let (uid, gid) = attributes.owner;
    let xattrs = attributes.xattrs.into_iter();
    NewMember {
        path: path.to_vec(),
        kind,
        mode: attributes.mode,
        uid,
        gid,
        mtime: attributes.mtime,
        xattrs: xattrs
            .map(|(name, value)| Xattr {
                name: name.into(),
                value: value.into(),
            })
            .collect(),
    }
}

/// The SELinux label, if there is one.
fn label(member: &Member) -> Vec<Xattr> {
    let xattrs = member.xattrs().iter();
    xattrs.filter(|xattr| xattr.is_label()).cloned().collect()
}
