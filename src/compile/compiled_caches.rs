//! The caches compiled for an image. A spool holds their bodies until the layers are written.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::inventory::{Sizes, SourceId};
use crate::plan::Compilation;
use crate::pyc::Level;
use crate::rewrite::spool::Spool;

/// The compiled caches of an image.
pub struct CompiledCaches {
    pub(super) bodies: Spool,
    /// The directory of the spool, for messages.
    pub(super) directory: PathBuf,
    sources: BTreeMap<SourceId, CompiledSource>,
}

/// The caches of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CompiledSource {
    header: Vec<u8>,
    /// Ranges of the bodies in the spool, by level. Equal bodies share a range.
    bodies: [Option<Range<u64>>; 3],
}

impl CompiledCaches {
    /// Creates an empty set of caches, with a spool in `directory`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            bodies: Spool::new(directory)?,
            directory: directory.to_owned(),
            sources: BTreeMap::new(),
        })
    }

    /// Adds the compiled bodies of a source, and the header that all its caches have.
    ///
    /// # Errors
    /// I/O errors.
    pub fn add(
        &mut self,
        source: SourceId,
        header: Vec<u8>,
        levels: &[(Level, Arc<[u8]>)],
    ) -> io::Result<()> {
        let mut bodies: [Option<Range<u64>>; 3] = [None, None, None];
        for (position, (level, body)) in levels.iter().enumerate() {
            let same = levels[..position].iter().find(|(_, other)| other == body);
            let place = match same.and_then(|(level, _)| bodies[level.index()].clone()) {
                Some(place) => place,
                None => self.bodies.add(body)?,
            };
            bodies[level.index()] = Some(place);
        }
        self.sources
            .insert(source, CompiledSource { header, bodies });
        Ok(())
    }

    /// Reads the body of a cache; `None` if the cache was not compiled.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn body(&self, source: SourceId, level: Level) -> io::Result<Option<Vec<u8>>> {
        let compiled = self.sources.get(&source);
        let range = compiled.and_then(|compiled| compiled.bodies[level.index()].clone());
        range.map(|range| self.bodies.read(range)).transpose()
    }

    /// The sizes of the compiled caches in a list, by level. A hardlink counts as a file of 0 bytes.
    pub fn sizes(&self, list: &[Compilation]) -> [Sizes; 3] {
        let mut sizes = [Sizes::default(); 3];
        for new in self.files(list) {
            let is_file = new.cache.link.is_none();
            let bytes = if is_file { new.bytes() } else { 0 };
            sizes[new.cache.level.index()].add(bytes);
        }
        sizes
    }

    /// The caches in a list that were compiled.
    pub(super) fn files<'a>(
        &'a self,
        list: &'a [Compilation],
    ) -> impl Iterator<Item = NewFile<'a>> {
        list.iter().filter_map(|cache| {
            let compiled = self.sources.get(&cache.source)?;
            let body = compiled.bodies[cache.level.index()].as_ref()?;
            Some(NewFile {
                cache,
                compiled,
                body,
            })
        })
    }
}

/// A compiled cache as a file.
pub(super) struct NewFile<'a> {
    pub(super) cache: &'a Compilation,
    compiled: &'a CompiledSource,
    pub(super) body: &'a Range<u64>,
}

impl NewFile<'_> {
    /// The bytes before the body.
    pub(super) fn header(&self) -> &[u8] {
        &self.compiled.header
    }

    /// The size of the file in bytes, even for a hardlink.
    pub(super) fn bytes(&self) -> u64 {
        self.compiled.header.len() as u64 + (self.body.end - self.body.start)
    }
}
