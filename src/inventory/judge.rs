//! Decides what Python would do with each bytecode file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::files::{CacheFile, NamedFile, bytecode};
use super::readers::Readers;
use super::trees::{FoundTree, TreeLocator};
use super::{Cache, Sourceless, Status, TreeKind};
use crate::layers::{Bytecode, LayerScan, SourceHashes};
use crate::path;
use crate::pyc::{Freshness, Header, HeaderError, Invalidation, Magic, Runtime, freshness};
use crate::rootfs::{InodeId, MemberId, NodeId, Rootfs};
use crate::tar::Timestamp;

/// The interpreters of an image: those with a standard library, and those in libraries and archives of an
/// application.
pub(super) struct Interpreters {
    /// Versions of standard libraries. A version that is newer than the table has no known magic number.
    magics: BTreeMap<Runtime, Option<Magic>>,
    /// Other versions of which the image has some file.
    embedded: BTreeSet<Runtime>,
    known: bool,
}

impl Interpreters {
    pub(super) fn new(trees: &[FoundTree], rootfs: &Rootfs) -> Self {
        let nodes = rootfs.nodes();
        let files = nodes.filter(|node| rootfs.regular_file(*node).is_some());
        let embedded = files.filter_map(|node| embedded_version(rootfs.name(node)));
        let stdlibs = || trees.iter().filter(|tree| tree.kind == TreeKind::Stdlib);
        let versions = stdlibs().filter_map(|tree| Some((tree.version?, tree.magic)));
        Self {
            magics: versions.collect(),
            embedded: embedded.collect(),
            known: stdlibs().next().is_some() && stdlibs().all(|tree| tree.version.is_some()),
        }
    }

    /// The reason why the image has no such interpreter. `None` if the image has no known interpreter,
    /// for example one that only adds to a base.
    fn foreign_runtime(&self, runtime: Runtime) -> Option<String> {
        (self.known && !self.has(runtime)).then(|| format!("the image has no Python {runtime}"))
    }

    fn has(&self, runtime: Runtime) -> bool {
        self.magics.contains_key(&runtime) || self.embedded.contains(&runtime)
    }

    /// The reason why a Python does not look for its caches in a tree, although the image has that Python.
    fn foreign_tree(&self, runtime: Runtime, tree: &FoundTree) -> Option<String> {
        let version = tree.version.filter(|_| tree.is_of_one_version())?;
        let is_foreign = version != runtime && self.magics.contains_key(&version);
        is_foreign.then(|| format!("it lies in a directory of Python {version}"))
    }

    fn foreign_magic(&self, runtime: Runtime, magic: Magic) -> Option<String> {
        let of_image = self.magics.get(&runtime).copied().flatten();
        let expected = of_image.or_else(|| Magic::final_for(runtime))?;
        (magic != expected).then(|| {
            format!(
                "its magic number is {}, the interpreter's is {}",
                magic.0, expected.0
            )
        })
    }
}

pub(super) struct Judge<'a> {
    pub(super) layers: &'a [Arc<LayerScan>],
    pub(super) rootfs: &'a Rootfs,
    pub(super) hashes: &'a SourceHashes,
    pub(super) interpreters: &'a Interpreters,
    pub(super) readers: &'a Readers,
    pub(super) trees: &'a [FoundTree],
}

impl Judge<'_> {
    pub(super) fn cache(&self, file: &CacheFile, locate: &TreeLocator) -> Cache {
        let bytecode = bytecode(self.layers, file.data);
        let tree = locate.tree(&file.path);
        Cache {
            path: file.path.clone(),
            node: file.node,
            member: self.origin(file.node, file.data),
            inode: file.inode,
            bytes: self.rootfs.inode(file.inode).size,
            source: file.source.clone(),
            source_inode: file.source_inode,
            tree,
            runtime: file.runtime,
            level: file.level,
            status: self.status(file, bytecode, tree.map(|tree| &self.trees[tree.index()])),
            contents: bytecode.map(|bytecode| bytecode.contents.clone()),
            reader: self.readers.files.get(&file.node).cloned(),
        }
    }

    fn origin(&self, node: NodeId, data: MemberId) -> MemberId {
        self.rootfs.origin(node).unwrap_or(data)
    }

    /// What Python would do with the cache. The checks have the order of Python's import system.
    fn status(
        &self,
        file: &CacheFile,
        bytecode: Option<&Bytecode>,
        tree: Option<&FoundTree>,
    ) -> Status {
        let Some(source) = file.source_inode else {
            return Status::Orphan;
        };
        let in_tree = tree.and_then(|tree| self.interpreters.foreign_tree(file.runtime, tree));
        if let Some(reason) = self.interpreters.foreign_runtime(file.runtime).or(in_tree) {
            return Status::Foreign(reason);
        }
        let Some(bytecode) = bytecode else {
            return Status::Unknown("pycull did not examine it: it is sparse, larger than 64 MiB, or a link to a file of another kind".to_owned());
        };
        let header = match &bytecode.header {
            Ok(header) => header,
            Err(error @ HeaderError::UnknownMagic(_)) => return Status::Unknown(error.to_string()),
            Err(error) => return Status::Malformed(error.to_string()),
        };
        if let Some(reason) = self.interpreters.foreign_magic(file.runtime, header.magic) {
            return Status::Foreign(reason);
        }
        let status = self.freshness(header, source);
        match &bytecode.body {
            // Python reads the body only if the header fits.
            Err(error) if status.is_useful() => Status::Malformed(error.to_string()),
            _ => status,
        }
    }

    fn freshness(&self, header: &Header, source: InodeId) -> Status {
        let inode = self.rootfs.inode(source);
        let described_by = self.rootfs.described_by(source);
        let Timestamp {
            seconds,
            nanoseconds,
        } = self.layers[described_by.layer].members[described_by.index].mtime();
        let hash = self.hashes.get(&(inode.data(), header.magic)).copied();
        match freshness(header, (seconds, nanoseconds), inode.size, hash) {
            Freshness::Fresh => Status::Fresh,
            Freshness::Unchecked => unchecked(header, hash),
            Freshness::Stale(reason) => Status::Stale(reason),
            Freshness::HashMismatch => Status::HashMismatch,
            Freshness::HashNeeded => Status::Unknown("pycull did not hash its source".to_owned()),
        }
    }

    pub(super) fn sourceless(&self, file: &NamedFile, locate: &TreeLocator) -> Sourceless {
        let data = self.rootfs.inode(file.inode).data();
        let bytecode = bytecode(self.layers, data);
        let source = &file.path[..file.path.len() - 1];
        let python2 = bytecode.is_some_and(
            |bytecode| matches!(&bytecode.header, Ok(header) if header.magic.is_python2()),
        );
        let malformed = bytecode.and_then(|bytecode| match (&bytecode.header, &bytecode.body) {
            (Err(HeaderError::UnknownMagic(_)), _) => None,
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), Err(error)) => Some(error.to_string()),
            (Ok(_), Ok(())) => None,
        });
        Sourceless {
            path: file.path.clone(),
            member: self.origin(file.node, data),
            bytes: self.rootfs.inode(file.inode).size,
            tree: locate.tree(&file.path),
            // Python 2 has its caches there. An import cannot name a file with another dot, so its source shadows
            // nothing.
            shadowed: !python2 && is_importable(source) && self.rootfs.file_at(source).is_some(),
            malformed,
            reader: self.readers.files.get(&file.node).cloned(),
        }
    }
}

/// The version of a Python that an application links with or starts from an archive. File names show it:
/// `libpython3.9.so.1.0`, `libpython3.6m.so`, `python39.zip`, `python39.dll`.
fn embedded_version(name: &[u8]) -> Option<Runtime> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(rest) = name.strip_prefix("libpython") {
        let (version, suffix) =
            rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let version = version.trim_end_matches('.');
        let kind = suffix.trim_start_matches(['d', 'm', 'u', 't', '.']);
        let is_library = kind.starts_with("so") || suffix.ends_with("dylib");
        return version.parse().ok().filter(|_| is_library);
    }
    let digits = name.strip_prefix("python")?;
    let digits = digits
        .strip_suffix(".zip")
        .or_else(|| digits.strip_suffix(".dll"))?;
    Runtime::from_cache_tag(format!("cpython-{digits}").as_bytes())
}

/// Whether a file's only dot is the one before its suffix. An import takes another dot for a package separator.
fn is_importable(source: &[u8]) -> bool {
    let dots = path::file_name(source).iter().filter(|byte| **byte == b'.');
    dots.count() == 1
}

fn unchecked(header: &Header, hash: Option<[u8; 8]>) -> Status {
    match (&header.invalidation, hash) {
        (Invalidation::UncheckedHash(stored), Some(hash)) if *stored != hash => {
            Status::UncheckedMismatch
        }
        _ => Status::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_archives_tell_of_an_embedded_python() {
        for (name, expected) in [
            ("libpython3.9.so", Some((3, 9))),
            ("libpython3.9.so.1.0", Some((3, 9))),
            ("libpython3.6m.so.1.0", Some((3, 6))),
            ("libpython3.13t.so", Some((3, 13))),
            ("libpython3.12.dylib", Some((3, 12))),
            ("python39.zip", Some((3, 9))),
            ("python311.dll", Some((3, 11))),
            ("libpython3.so", None),
            ("libpython3.9.a", None),
            ("python3.zip", None),
            ("python39.txt", None),
        ] {
            let found = embedded_version(name.as_bytes());
            assert_eq!(
                found,
                expected.map(|(a, b)| Runtime::cpython(a, b)),
                "{name}"
            );
        }
    }
}
