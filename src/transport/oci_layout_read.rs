//! Reading OCI image layouts (image-spec image-layout.md).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::oci::blob::DOCUMENT_LIMIT;
use crate::oci::json_keys::respell;
use crate::oci::json_text;
use crate::oci::{Blob, BlobError, BlobFile, BlobStore, Digest};

use super::beneath;
use super::error::TransportError;
use super::file_names::{INDEX_JSON, OCI_LAYOUT, blob_name, shape};
use super::identity::Identity;
use super::index_json::{check_layout_version, choose, roots};
use super::medium::Medium;
use super::no_image;
use super::reference::Wanted;
use super::source::{Source, docker_names};
use super::transports::Transport;

/// Opens the image that `reference` chooses from the layout's `index.json`.
pub(super) fn open(wanted: Wanted<'_>) -> Result<Source, TransportError> {
    let reference = wanted.reference;
    let path = reference.path();
    let metadata = path
        .metadata()
        .map_err(|error| reference.cannot_open(error))?;
    let missing = |name| TransportError::NotAnImage {
        path: path.to_owned(),
        reason: format!("it has no {name}"),
    };
    if !metadata.is_dir() {
        return Err(TransportError::NotAnImage {
            path: path.to_owned(),
            reason: "it is not a directory".to_owned(),
        });
    }
    check_version(path)?
        .ok_or_else(|| no_image::in_directory(path).unwrap_or_else(|| missing(OCI_LAYOUT)))?;
    let index = read_index(path)?.ok_or_else(|| missing(INDEX_JSON))?;
    let roots = roots(&index);
    let store = Arc::new(LayoutStore {
        directory: path.to_owned(),
    });
    let root = choose(roots, wanted, Transport::Oci, &*store)?;
    let names = docker_names(roots, &root, wanted);
    Ok(Source::new(
        store,
        root,
        Medium::OciLayout,
        reference,
        names,
    ))
}

/// Checks a layout's version. Returns `None` if the directory is not a layout.
pub(super) fn check_version(layout: &Path) -> Result<Option<()>, TransportError> {
    read_document(layout, OCI_LAYOUT)?
        .map(|document| check_layout_version(&document, layout))
        .transpose()
}

/// Reads a layout's `index.json`. Returns `None` if the layout has none.
pub(super) fn read_index(layout: &Path) -> Result<Option<Value>, TransportError> {
    read_document(layout, INDEX_JSON)
}

fn read_document(layout: &Path, name: &str) -> Result<Option<Value>, TransportError> {
    let Some(bytes) = read_file(layout, name)? else {
        return Ok(None);
    };
    let parsed = json_text::parse(&bytes);
    let mut document = parsed.map_err(|error| TransportError::Malformed {
        path: layout.to_owned(),
        document: name.to_owned(),
        reason: error.to_string(),
    })?;
    respell(&mut document, shape(name));
    Ok(Some(document))
}

/// Reads a small file. Returns `None` if it does not exist.
pub(super) fn read_file(layout: &Path, name: &str) -> Result<Option<Vec<u8>>, TransportError> {
    let path = layout.join(name);
    let file = match beneath::open_file(layout, name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TransportError::io("read", &path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(DOCUMENT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(TransportError::io("read", &path))?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(TransportError::TooLarge {
            path: layout.to_owned(),
            document: name.to_owned(),
            size: path
                .metadata()
                .map_or(bytes.len() as u64, |metadata| metadata.len()),
            limit: DOCUMENT_LIMIT,
        });
    }
    Ok(Some(bytes))
}

/// The blobs of a layout.
pub(super) struct LayoutStore {
    /// The directory of the layout.
    pub(super) directory: PathBuf,
}

impl BlobStore for LayoutStore {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        open_blob(&self.directory, &blob_name(digest), digest)
    }
}

/// Opens a file again, and fails if it changed since it was first found.
fn same_file(directory: &Path, name: &str, found: Identity) -> io::Result<File> {
    let file = beneath::open_file(directory, name)?;
    match Identity::of(&file.metadata()?) == found {
        true => Ok(file),
        false => Err(io::Error::other("it changed while pycull worked on it")),
    }
}

/// A blob that has a file of its own in the directory. The file is opened on demand.
pub(super) fn open_blob(directory: &Path, name: &str, digest: &Digest) -> Result<Blob, BlobError> {
    let located = beneath::open_file(directory, name).and_then(|file| {
        let found = Identity::of(&file.metadata()?);
        let (directory, name) = (directory.to_owned(), name.to_owned());
        let path = directory.join(&name);
        let file = BlobFile::on_demand(move || same_file(&directory, &name, found));
        Ok(Blob::of_file(file, Some(path), found.size))
    });
    let digest = digest.clone();
    located.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { digest },
        _ => BlobError::Io { digest, source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::super::file_names::OCI_LAYOUT_CONTENT;
    use super::super::testing::refer;
    use super::*;
    use crate::oci::digest::sha256_digest;

    #[test]
    fn what_is_no_layout_is_said_to_be_none() {
        let directory = tempfile::tempdir().unwrap();
        let reference = refer(&format!("oci:{}", directory.path().display()));
        let is_no_image = |reference| {
            matches!(
                Source::open(reference, io::empty()).map(|_| ()),
                Err(TransportError::NotAnImage { .. })
            )
        };
        assert!(is_no_image(&reference));
        fs::write(directory.path().join(OCI_LAYOUT), OCI_LAYOUT_CONTENT).unwrap();
        assert!(is_no_image(&reference));
        fs::write(directory.path().join(INDEX_JSON), r#"{"manifests":[]}"#).unwrap();
        assert!(is_no_image(&reference));
    }

    #[test]
    fn an_index_json_beyond_the_bound_is_refused() {
        let layout = tempfile::tempdir().unwrap();
        let index = File::create(layout.path().join(INDEX_JSON)).unwrap();
        index.set_len(DOCUMENT_LIMIT + 1).unwrap();
        assert!(matches!(
            read_index(layout.path()),
            Err(TransportError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_blob_that_is_no_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = LayoutStore {
            directory: directory.path().to_owned(),
        };
        let digest = sha256_digest(b"x");
        assert!(matches!(
            store.open(&digest),
            Err(BlobError::Missing { .. })
        ));
        let path = directory.path().join(blob_name(&digest));
        fs::create_dir_all(&path).unwrap();
        assert!(matches!(store.open(&digest), Err(BlobError::Io { .. })));
        fs::remove_dir(&path).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        assert!(matches!(store.open(&digest), Err(BlobError::Io { .. })));
    }
}
