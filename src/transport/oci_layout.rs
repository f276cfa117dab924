//! OCI image layouts: directories (image-spec image-layout.md).

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::oci::blob::{DOCUMENT_LIMIT, VerifyingReader};
use crate::oci::json_keys::respell;
use crate::oci::json_text::{self, edited};
use crate::oci::{BlobError, BlobLocation, BlobStore, Digest};

use super::archive::blob_name;
use super::error::TransportError;
use super::index_json::{
    INDEX_JSON, OCI_LAYOUT, OCI_LAYOUT_CONTENT, check_layout_version, choose, put, roots, shape,
    with_roots,
};
use super::no_image;
use super::output::OutputImage;
use super::place::{OutputBlob, create, place, sync};
use super::reference::Transport;
use super::source::{Medium, Source, Wanted, docker_names};

/// Opens the image that `reference` chooses from the layout's `index.json`.
pub(super) fn open(wanted: Wanted<'_>) -> Result<Source, TransportError> {
    let reference = wanted.reference;
    let path = reference.path();
    let metadata = path.metadata().map_err(TransportError::io("open", path))?;
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

/// Checks a layout's version; `None` where the directory is no layout.
pub(super) fn check_version(layout: &Path) -> Result<Option<()>, TransportError> {
    read_document(layout, OCI_LAYOUT)?
        .map(|document| check_layout_version(&document, layout))
        .transpose()
}

/// A layout's `index.json`, if it has one.
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

/// A small file's bytes, if there is one.
pub(super) fn read_file(layout: &Path, name: &str) -> Result<Option<Vec<u8>>, TransportError> {
    let path = layout.join(name);
    let file = match open_regular(&path) {
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

/// Opens a file, and nothing that could block or never end.
fn open_regular(path: &Path) -> io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits();
    let file = File::options()
        .read(true)
        .custom_flags(nonblock.cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

/// The blobs of a layout.
struct LayoutStore {
    directory: PathBuf,
}

impl BlobStore for LayoutStore {
    fn locate(&self, digest: &Digest) -> Result<BlobLocation, BlobError> {
        locate_file(self.directory.join(blob_name(digest)), digest)
    }
}

/// A blob that is a file of its own.
pub(super) fn locate_file(path: PathBuf, digest: &Digest) -> Result<BlobLocation, BlobError> {
    let located = open_regular(&path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok(BlobLocation {
            file: Arc::new(file),
            path: Some(path),
            offset: 0,
            size,
        })
    });
    let digest = digest.clone();
    located.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { digest },
        _ => BlobError::Io { digest, source },
    })
}

/// Makes a new layout at `path`, whole or not at all. `staging` is beside it.
pub(super) fn create_new(
    path: &Path,
    staging: &Path,
    output: &OutputImage,
) -> Result<(), TransportError> {
    output.checked()?;
    let layout = staging.join("layout");
    make_directory(&layout)?;
    write_into(&layout, staging, output)?;
    match fs::rename(&layout, path) {
        Ok(()) => sync(parent(path)),
        // Another process made it in the meantime: both images belong in it.
        Err(_) if path.is_dir() => add(path, staging, &moved(output, layout)?),
        Err(error) => Err(TransportError::io("create", path)(error)),
    }
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The image, its blobs where a layout in the staging directory has them now.
fn moved(output: &OutputImage, layout: PathBuf) -> Result<OutputImage, TransportError> {
    let store = LayoutStore { directory: layout };
    let relocate = |blob: &OutputBlob| {
        Ok(OutputBlob {
            digest: blob.digest.clone(),
            location: store.locate(&blob.digest)?,
        })
    };
    let blobs: Result<_, TransportError> = output.blobs.iter().map(relocate).collect();
    Ok(OutputImage {
        root: output.root.clone(),
        blobs: blobs?,
    })
}

/// Adds an image to a layout, or makes an empty directory one. `staging` is in it.
///
/// Holds the layout's lock from the first blob to the new `index.json`, so that no other commit
/// relies on a blob that this one might take away again.
pub(super) fn add(
    layout: &Path,
    staging: &Path,
    output: &OutputImage,
) -> Result<(), TransportError> {
    output.checked()?;
    let _lock = lock(layout)?;
    write_into(layout, staging, output)
}

/// Locks `oci-layout`, which is never replaced; before there is one, the directory. The lock ends
/// with the files.
fn lock(layout: &Path) -> Result<Vec<File>, TransportError> {
    let marker = layout.join(OCI_LAYOUT);
    let exclusive = |path: &Path| {
        let file = File::open(path)?;
        file.lock()?;
        Ok(file)
    };
    let mut held = Vec::new();
    if !marker.exists() {
        held.push(exclusive(layout).map_err(TransportError::io("lock", layout))?);
    }
    if marker.exists() {
        held.push(exclusive(&marker).map_err(TransportError::io("lock", &marker))?);
    }
    Ok(held)
}

/// Blobs first, then what names them, then the file that makes the directory a layout: at every
/// moment in between, all that can be read is whole.
fn write_into(layout: &Path, staging: &Path, output: &OutputImage) -> Result<(), TransportError> {
    let mut added = Added::default();
    write_blobs(layout, staging, &output.blobs, &mut added)?;
    let mut index = read_index(layout)?.unwrap_or_else(|| with_roots(&[]));
    if !put(&mut index, output.root.clone()) {
        return Err(TransportError::Malformed {
            path: layout.to_owned(),
            document: INDEX_JSON.to_owned(),
            reason: "it has no array `manifests`".to_owned(),
        });
    }
    let text = read_file(layout, INDEX_JSON)?.unwrap_or_default();
    let index = write_temporary(staging, &edited(&text, &index))?;
    if layout.join(OCI_LAYOUT).exists() {
        let to = layout.join(INDEX_JSON);
        fs::rename(index, &to).map_err(TransportError::io("replace", &to))?;
    } else {
        added.file(&index, layout.join(INDEX_JSON))?;
        let marker = write_temporary(staging, OCI_LAYOUT_CONTENT)?;
        added.file(&marker, layout.join(OCI_LAYOUT))?;
    }
    added.keep();
    sync(layout)
}

fn write_blobs(
    layout: &Path,
    staging: &Path,
    blobs: &[OutputBlob],
    added: &mut Added,
) -> Result<(), TransportError> {
    let mut directories = BTreeSet::new();
    for blob in blobs {
        let to = layout.join(blob_name(&blob.digest));
        let directory = parent(&to);
        if directories.insert(directory.to_owned()) {
            added.directory(parent(directory))?;
            added.directory(directory)?;
        }
        if is_there(&to, blob) {
            continue;
        }
        let temporary = staging.join("placed-blob");
        place(blob, staging, &temporary)?;
        added.file(&temporary, to)?;
    }
    for directory in &directories {
        sync(directory)?;
    }
    Ok(())
}

/// Whether a layout has the blob already, whole. One that is damaged is written anew.
fn is_there(path: &Path, blob: &OutputBlob) -> bool {
    // What was read from here was checked on the way.
    if blob.location.path.as_deref() == Some(path) {
        return true;
    }
    let checked = || -> io::Result<()> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let reader = VerifyingReader::new(file, blob.digest.clone(), blob.location.size);
        io::copy(&mut reader.map_err(io::Error::other)?, &mut io::sink()).map(|_| ())
    };
    checked().is_ok()
}

fn write_temporary(staging: &Path, bytes: &[u8]) -> Result<PathBuf, TransportError> {
    let path = staging.join("placed-document");
    let mut file = create(&path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(TransportError::io("write", &path))?;
    Ok(path)
}

fn make_directory(path: &Path) -> Result<(), TransportError> {
    DirBuilder::new()
        .mode(0o755)
        .create(path)
        .map_err(TransportError::io("create", path))
}

/// Files and directories that a commit added. They go again, last first, unless it keeps them.
#[derive(Default)]
struct Added {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Added {
    /// Gives a finished temporary file its name.
    fn file(&mut self, temporary: &Path, to: PathBuf) -> Result<(), TransportError> {
        fs::rename(temporary, &to).map_err(TransportError::io("create", &to))?;
        self.files.push(to);
        Ok(())
    }

    /// Makes a directory where there is none.
    fn directory(&mut self, path: &Path) -> Result<(), TransportError> {
        if !path.is_dir() {
            make_directory(path)?;
            self.directories.push(path.to_owned());
        }
        Ok(())
    }

    fn keep(&mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        // What cannot be removed is a blob that nothing names: an error here would hide the
        // one that matters.
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::json;

    use super::super::output::check_complete;
    use super::super::testing::{LAYOUT_PATHS, image, listing, refer};
    use super::*;
    use crate::oci::digest::sha256_digest;

    fn staging(beside: &Path) -> tempfile::TempDir {
        tempfile::tempdir_in(beside).unwrap()
    }

    fn layout_with(directory: &Path, tags: &[&str]) -> PathBuf {
        let layout = directory.join("layout");
        create_new(&layout, staging(directory).path(), &image(tags[0], b"0")).unwrap();
        for tag in &tags[1..] {
            add(
                &layout,
                staging(&layout).path(),
                &image(tag, tag.as_bytes()),
            )
            .unwrap();
        }
        layout
    }

    fn read(layout: &Path, tag: &str) -> Source {
        let reference = refer(&format!("oci:{}:{tag}", layout.display()));
        let source = Source::open(&reference, io::empty()).unwrap();
        check_complete(&*source.store, &source.root).unwrap();
        source
    }

    #[test]
    fn a_new_layout_is_whole_and_leaves_no_other_files() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let source = read(&layout, "v1");
        assert_eq!(source.root, image("v1", b"0").root);
        assert_eq!(source.name, "layout:v1");
        assert_eq!(listing(directory.path()).len(), LAYOUT_PATHS);
    }

    #[test]
    fn other_tags_and_unknown_fields_survive() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1", "v2"]);
        let path = layout.join(INDEX_JSON);
        let mut index = read_index(&layout).unwrap().unwrap();
        index["x-unknown"] = json!([1, { "b": 1, "a": 2 }]);
        index["manifests"][0]["x-field"] = json!("kept");
        fs::write(&path, index.to_string()).unwrap();

        let replacement = image("v2", b"new");
        add(&layout, staging(&layout).path(), &replacement).unwrap();
        index["manifests"][1] = replacement.root;
        assert_eq!(fs::read_to_string(&path).unwrap(), index.to_string());
        read(&layout, "v1");
        read(&layout, "v2");
    }

    #[test]
    fn concurrent_commits_of_different_tags_all_survive() {
        let directory = tempfile::tempdir().unwrap();
        // Some find nothing there, and one of them makes the layout.
        let layout = directory.path().join("layout");
        let tags: Vec<String> = (0..8).map(|number| format!("v{number}")).collect();
        thread::scope(|scope| {
            for tag in &tags {
                let (layout, directory) = (&layout, directory.path());
                scope.spawn(move || {
                    let output = image(tag, tag.as_bytes());
                    create_new(layout, staging(directory).path(), &output).unwrap();
                    add(layout, staging(layout).path(), &output).unwrap();
                });
            }
        });
        for tag in &tags {
            read(&layout, tag);
        }
        assert_eq!(
            roots(&read_index(&layout).unwrap().unwrap()).len(),
            tags.len()
        );
    }

    #[test]
    fn an_empty_directory_becomes_a_layout() {
        let directory = tempfile::tempdir().unwrap();
        add(
            directory.path(),
            staging(directory.path()).path(),
            &image("v1", b"0"),
        )
        .unwrap();
        read(directory.path(), "v1");
    }

    #[test]
    fn a_failing_commit_leaves_the_listing_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let before = listing(directory.path());

        let mut without_layer = image("v2", b"other");
        without_layer.blobs.pop();
        let mut damaged = image("v2", b"other");
        damaged.blobs[2].location = super::super::spool::blob_of(&vec![b'x'; 2048]).unwrap();
        for output in [without_layer, damaged] {
            assert!(add(&layout, staging(&layout).path(), &output).is_err());
            assert_eq!(listing(directory.path()), before);
            let new = directory.path().join("new");
            assert!(create_new(&new, staging(directory.path()).path(), &output).is_err());
            assert_eq!(listing(directory.path()), before);
        }
        let index = layout.join(INDEX_JSON);
        fs::write(&index, r#"{"manifests": {}}"#).unwrap();
        let before = listing(directory.path());
        let output = image("v2", b"other");
        assert!(matches!(
            add(&layout, staging(&layout).path(), &output),
            Err(TransportError::Malformed { .. })
        ));
        assert_eq!(listing(directory.path()), before);
    }

    #[test]
    fn a_blob_of_the_wrong_size_is_replaced_and_one_that_is_there_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let output = image("v1", b"0");
        let [manifest, config, _] = &output.blobs[..] else {
            panic!("three blobs");
        };
        let path = |blob: &OutputBlob| layout.join(blob_name(&blob.digest));
        fs::write(path(manifest), "cut").unwrap();
        let left = path(config).metadata().unwrap();
        add(&layout, staging(&layout).path(), &output).unwrap();
        read(&layout, "v1");
        let now = path(config).metadata().unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(left.ino(), now.ino());
    }

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
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let index = File::options().write(true).open(layout.join(INDEX_JSON));
        index.unwrap().set_len(DOCUMENT_LIMIT + 1).unwrap();
        assert!(matches!(
            read_index(&layout),
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
            store.locate(&digest),
            Err(BlobError::Missing { .. })
        ));
        let path = directory.path().join(blob_name(&digest));
        fs::create_dir_all(&path).unwrap();
        assert!(matches!(store.locate(&digest), Err(BlobError::Io { .. })));
        fs::remove_dir(&path).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        assert!(matches!(store.locate(&digest), Err(BlobError::Io { .. })));
    }
}
