//! Keeps new blobs beside the output until pycull commits it.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::documents::NewDocument;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::{Blob, BlobError, BlobFile, BlobStore, Digest, Image, ImageError, load};
use crate::scratch;
use crate::transport::OutputBlob;

/// A document could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a document of the new image to `{}`", path.display())]
pub struct StagingError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl StagingError {
    /// What the user can do about the error, if pycull knows.
    pub fn hint(&self) -> Option<String> {
        scratch::hint_at(&self.path, &self.cause)
    }
}

/// The blobs of an output that is not complete yet.
pub(crate) struct Staging<'a> {
    store: &'a dyn BlobStore,
    directory: &'a Path,
    /// The new blobs, by digest.
    staged: BTreeMap<String, OutputBlob>,
    /// Layers that pycull read and checked against their digests as part of an image.
    read: HashSet<Digest>,
}

impl<'a> Staging<'a> {
    /// Creates an empty staging area. `directory` is on the file system of the output. `store` has the blobs that are
    /// not staged.
    pub(crate) fn new(store: &'a dyn BlobStore, directory: &'a Path) -> Self {
        Self {
            store,
            directory,
            staged: BTreeMap::new(),
            read: HashSet::new(),
        }
    }

    /// The directory for new blobs.
    pub(crate) fn directory(&self) -> &'a Path {
        self.directory
    }

    /// Records that the layers of an image were read.
    pub(crate) fn note_read(&mut self, image: &Image) {
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest());
        self.read.extend(layers.cloned());
    }

    /// Adds a layer whose file is in the directory.
    pub(crate) fn add_layer(&mut self, layer: &WrittenLayer) {
        self.add(staged_layer(layer));
    }

    /// Writes a document to the directory, and adds it.
    ///
    /// # Errors
    /// [`StagingError`] if the file cannot be written.
    pub(crate) fn add_document(&mut self, document: &NewDocument) -> Result<(), StagingError> {
        let path = self.directory.join(document.digest.digest());
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&document.bytes)?;
            file.sync_data()
        });
        match written {
            Ok(()) => {
                let size = document.bytes.len() as u64;
                self.add(staged(document.digest.clone(), path, size));
                Ok(())
            }
            Err(cause) => Err(StagingError { path, cause }),
        }
    }

    fn add(&mut self, blob: OutputBlob) {
        self.staged.insert(blob.digest.to_string(), blob);
    }

    /// Returns every blob that a new root reaches, staged or from the source, each once. Every blob comes before the
    /// documents that name it.
    ///
    /// # Errors
    /// [`ImageError`] if a blob is missing or a document is malformed.
    pub(crate) fn blobs_of(&self, root: &Value) -> Result<Vec<OutputBlob>, ImageError> {
        let store = Overlay {
            staged: &self.staged,
            source: self.store,
        };
        let new_root = load(&store, root, None)?;
        let mut reached = Vec::new();
        let mut known = HashSet::new();
        // `blobs` returns documents before the blobs that they name.
        for digest in new_root.blobs()?.into_iter().rev() {
            if !known.insert(digest.clone()) {
                continue;
            }
            let is_staged = self.staged.contains_key(digest.as_ref());
            reached.push(OutputBlob {
                bytes: store.open(&digest)?,
                is_checked: is_staged || self.read.contains(&digest),
                digest,
            });
        }
        Ok(reached)
    }
}

/// The blob of a layer whose file is complete.
pub(super) fn staged_layer(layer: &WrittenLayer) -> OutputBlob {
    staged(
        layer.digest.clone(),
        layer.path.clone(),
        layer.compressed_bytes,
    )
}

/// The blob of a complete file.
pub(super) fn staged(digest: Digest, path: PathBuf, size: u64) -> OutputBlob {
    let file = path.clone();
    let file = BlobFile::on_demand(move || File::open(&file));
    OutputBlob {
        bytes: Blob::of_file(file, Some(path), size),
        is_checked: true,
        digest,
    }
}

/// A store that looks up staged blobs first, and then those of the source.
struct Overlay<'a> {
    staged: &'a BTreeMap<String, OutputBlob>,
    source: &'a dyn BlobStore,
}

impl BlobStore for Overlay<'_> {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        match self.staged.get(digest.as_ref()) {
            Some(blob) => Ok(blob.bytes.clone()),
            None => self.source.open(digest),
        }
    }
}
