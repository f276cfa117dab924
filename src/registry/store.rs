//! The blobs of an image in a registry.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::download::Download;
use super::error::RegistryError;
use super::remote_blob::RemoteBlob;
use super::repository::{Document, Repository};
use crate::oci::blob::{DOCUMENT_LIMIT, into_blob_error};
use crate::oci::{Blob, BlobError, BlobStore, Digest};
use crate::parallel::lock;

/// Most bytes of manifests and indexes to keep, so that each is asked for once.
const KEPT_DOCUMENTS: usize = 32 << 20;

/// Which layers of a registry stay in a temporary file after they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// None: each layer is read once.
    Nothing,
    /// All: any layer may be read again.
    All,
    /// Those that the reader does not release.
    Unreleased,
}

/// The blobs of one image. A manifest that is read says what the blobs below it are.
pub(crate) struct RegistryStore {
    repository: Arc<Repository>,
    keeping: Keeping,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Digest, Known>,
    documents: HashMap<Digest, Arc<Vec<u8>>>,
    kept: usize,
    blobs: HashMap<Digest, Arc<RemoteBlob>>,
}

#[derive(Clone, Copy)]
struct Known {
    kind: Kind,
    size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Config,
    Layer,
    /// A layer that may be elsewhere (image-spec descriptor.md, "urls").
    Foreign,
}

impl RegistryStore {
    /// The blobs below `root`.
    pub(super) fn new(repository: Arc<Repository>, root: Document, keeping: Keeping) -> Self {
        let store = Self {
            repository,
            keeping,
            state: Mutex::default(),
        };
        let size = root.bytes.len() as u64;
        let known = Known {
            kind: Kind::Manifest,
            size,
        };
        lock(&store.state).known.insert(root.digest.clone(), known);
        store.keep(&root.digest, root.bytes);
        store
    }

    /// The repository that has the blobs.
    pub(crate) fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    /// Keeps a document, and learns what it names.
    fn keep(&self, digest: &Digest, bytes: Vec<u8>) -> Arc<Vec<u8>> {
        let bytes = Arc::new(bytes);
        let mut state = lock(&self.state);
        if let Ok(document) = serde_json::from_slice(&bytes) {
            state.learn(&document);
        }
        if state.kept + bytes.len() <= KEPT_DOCUMENTS {
            state.kept += bytes.len();
            state.documents.insert(digest.clone(), Arc::clone(&bytes));
        }
        bytes
    }

    fn kept(&self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
        lock(&self.state).documents.get(digest).cloned()
    }

    fn document(&self, digest: &Digest, known: Known) -> Result<Blob, BlobError> {
        let bytes = match self.kept(digest) {
            Some(bytes) => bytes,
            None => {
                let found = self.repository.document(digest.as_ref());
                let found = found.map_err(|cause| {
                    self.repository
                        .error(format!("read manifest {digest} of"), cause)
                });
                let found = found.map_err(|error| failed(digest, error))?;
                self.keep(digest, found.bytes)
            }
        };
        let size = bytes.len() as u64;
        match size == known.size {
            true => Ok(Blob::new(bytes, size)),
            false => Err(BlobError::Size {
                digest: digest.clone(),
                expected: known.size,
                found: size,
            }),
        }
    }

    /// A config, which is read more than once and small.
    fn config(&self, digest: &Digest, known: Known) -> Result<Blob, BlobError> {
        let bytes = match self.kept(digest) {
            Some(bytes) => bytes,
            None => {
                let repository = Arc::clone(&self.repository);
                let mut download = Download::new(repository, digest.clone(), known.size, 0);
                let mut bytes = Vec::new();
                let read = download.read_to_end(&mut bytes);
                read.map_err(|error| into_blob_error(error, digest))?;
                let bytes = Arc::new(bytes);
                lock(&self.state)
                    .documents
                    .insert(digest.clone(), Arc::clone(&bytes));
                bytes
            }
        };
        Ok(Blob::new(bytes, known.size))
    }

    fn layer(&self, digest: &Digest, known: Known) -> Result<Blob, BlobError> {
        let mut state = lock(&self.state);
        if self.keeping != Keeping::Nothing && !state.blobs.contains_key(digest) {
            self.check_room(&state)
                .map_err(|error| failed(digest, error))?;
        }
        let blob = state.blobs.entry(digest.clone()).or_insert_with(|| {
            let repository = Arc::clone(&self.repository);
            Arc::new(RemoteBlob::new(
                repository,
                digest.clone(),
                known.size,
                self.keeping != Keeping::Nothing,
            ))
        });
        Ok(Blob::new(Arc::clone(blob) as _, known.size))
    }

    /// Checks that the temporary directory has room for the layers that are known and not there yet. If some of them are
    /// released on the way, it needs room for the largest one at least, where others are now.
    fn check_room(&self, state: &State) -> Result<(), RegistryError> {
        let spooled = |digest| state.blobs.get(digest).map_or(0, |blob| blob.spooled());
        let layers = state.known.iter();
        let layers = layers.filter(|(_, known)| known.kind == Kind::Layer);
        let missing = layers.map(|(digest, known)| known.size.saturating_sub(spooled(digest)));
        let needed = match self.keeping {
            Keeping::Unreleased => {
                let there: u64 = state.blobs.values().map(|blob| blob.held()).sum();
                missing.max().unwrap_or(0).saturating_sub(there)
            }
            _ => missing.fold(0, u64::saturating_add),
        };
        let directory = std::env::temp_dir();
        let Ok(found) = rustix::fs::statvfs(&directory) else {
            return Ok(());
        };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        match needed <= free {
            true => Ok(()),
            false => Err(RegistryError::NoRoom {
                image: self.repository.image().to_owned(),
                directory,
                needed,
                free,
            }),
        }
    }

    /// Whether the registry has a layer that may be elsewhere.
    fn has_foreign(&self, digest: &Digest, size: u64) -> Result<bool, BlobError> {
        let repository = &self.repository;
        let found = repository.has_blob(digest, size, &repository.pull());
        found.map_err(|cause| {
            let action = format!("look for blob {digest} of");
            failed(digest, self.repository.error(action, cause))
        })
    }
}

impl BlobStore for RegistryStore {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        let known = lock(&self.state).known.get(digest).copied();
        let missing = || BlobError::Missing {
            digest: digest.clone(),
        };
        let known = known.ok_or_else(missing)?;
        match known.kind {
            Kind::Manifest => self.document(digest, known),
            Kind::Foreign if !self.has_foreign(digest, known.size)? => Err(missing()),
            Kind::Config if known.size <= DOCUMENT_LIMIT => self.config(digest, known),
            Kind::Foreign | Kind::Config | Kind::Layer => self.layer(digest, known),
        }
    }
}

fn failed(digest: &Digest, error: RegistryError) -> BlobError {
    BlobError::Io {
        digest: digest.clone(),
        source: io::Error::other(error),
    }
}

impl State {
    /// Notes the blobs that a manifest or index names.
    fn learn(&mut self, document: &Value) {
        let list = |key: &str| document[key].as_array().into_iter().flatten();
        let manifests = list("manifests").map(|it| (it, Kind::Manifest));
        let layers = list("layers").map(|it| match it["urls"].is_array() {
            true => (it, Kind::Foreign),
            false => (it, Kind::Layer),
        });
        let config = [(&document["config"], Kind::Config)];
        for (descriptor, kind) in manifests.chain(layers).chain(config) {
            let digest = descriptor["digest"].as_str().and_then(|it| it.parse().ok());
            if let (Some(digest), Some(size)) = (digest, descriptor["size"].as_u64()) {
                self.known.entry(digest).or_insert(Known { kind, size });
            }
        }
    }
}
