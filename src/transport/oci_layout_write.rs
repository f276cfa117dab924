//! Adds an image to a layout.
//!
//! All slow work happens in a staging directory beside the layout. The commit then only renames files, and a signal or
//! an error cannot interrupt it half-way. The next commit cleans up after a process that was killed half-way.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::oci::blob::VerifyingReader;
use crate::oci::json_text::edited;
use crate::oci::{BlobStore, load};
use crate::scratch;

use super::beneath;
use super::error::TransportError;
use super::file_names::{INDEX_JSON, OCI_LAYOUT, OCI_LAYOUT_CONTENT, blob_name};
use super::index_json::{put, roots, with_roots};
use super::oci_layout_read::{LayoutStore, read_file, read_index};
use super::output::OutputImage;
use super::place::{OutputBlob, create, parent, place, sync};

/// The prefix of the names of staging directories.
pub(super) const STAGING_PREFIX: &str = ".pycull-staging-";

/// The file in a staging directory that lists what a commit is about to add to the layout, one path a line.
const ADDING: &str = "adding";

/// Makes a new layout at `path`, whole or not at all. `staging` is a directory beside it.
pub(super) fn create_new(
    path: &Path,
    staging: &Path,
    output: &OutputImage,
) -> Result<(), TransportError> {
    output.checked()?;
    let layout = staging.join("layout");
    make_directory(&layout)?;
    write_into(&layout, staging, output)?;
    match scratch::unbroken(|| fs::rename(&layout, path)) {
        Ok(()) => sync(parent(path)),
        // Another process made the layout in the meantime. Both images belong in it.
        Err(_) if path.is_dir() => add(path, staging, &moved(output, layout)?),
        Err(error) => Err(TransportError::io("create", path)(error)),
    }
}

/// The image, with its blobs in the layout that is now in the staging directory.
fn moved(output: &OutputImage, layout: PathBuf) -> Result<OutputImage, TransportError> {
    let store = LayoutStore { directory: layout };
    let relocate = |blob: &OutputBlob| {
        Ok(OutputBlob {
            bytes: store.open(&blob.digest)?,
            ..blob.clone()
        })
    };
    let blobs: Result<_, TransportError> = output.blobs.iter().map(relocate).collect();
    Ok(OutputImage {
        blobs: blobs?,
        ..output.clone()
    })
}

/// Adds an image to a layout, or turns an empty directory into a layout. `staging` is a directory in it.
///
/// Holds the layout's lock from the first blob to the new `index.json`. Otherwise another commit could rely on a blob
/// that this one removes when it fails.
pub(super) fn add(
    layout: &Path,
    staging: &Path,
    output: &OutputImage,
) -> Result<(), TransportError> {
    output.checked()?;
    let _lock = lock(layout)?;
    write_into(layout, staging, output)
}

/// Locks the file `oci-layout`, which no commit replaces. If it does not exist yet, locks the directory. Dropping the
/// returned files releases the lock.
fn lock(layout: &Path) -> Result<Vec<File>, TransportError> {
    let marker = layout.join(OCI_LAYOUT);
    let exclusive = |file: io::Result<File>, path: &Path| {
        let file = file.and_then(|file| file.lock().map(|()| file));
        file.map_err(TransportError::io("lock", path))
    };
    let mut held = Vec::new();
    if !marker.exists() {
        held.push(exclusive(File::open(layout), layout)?);
    }
    if marker.exists() {
        held.push(exclusive(beneath::open_file(layout, OCI_LAYOUT), &marker)?);
    }
    Ok(held)
}

/// Moves the blobs into the layout, then `index.json`, then the file that marks the directory as a layout. This order
/// keeps everything that a reader can reach whole at every moment.
fn write_into(layout: &Path, staging: &Path, output: &OutputImage) -> Result<(), TransportError> {
    let blobs = stage_blobs(layout, staging, &output.blobs)?;
    let index = write_temporary(staging, INDEX_JSON, &new_index(layout, output)?)?;
    let marker = match layout.join(OCI_LAYOUT).exists() {
        true => None,
        false => Some(write_temporary(staging, OCI_LAYOUT, OCI_LAYOUT_CONTENT)?),
    };
    scratch::unbroken(|| {
        let mut added = Added::begin(layout, staging, &blobs, marker.is_none())?;
        for name in &blobs {
            added.file(&staging.join(file_name(name)), name)?;
        }
        for directory in directories(&blobs) {
            sync(&layout.join(directory))?;
        }
        match marker {
            None => {
                let to = layout.join(INDEX_JSON);
                fs::rename(index, &to).map_err(TransportError::io("replace", &to))?;
            }
            Some(marker) => {
                added.file(&index, INDEX_JSON)?;
                added.file(&marker, OCI_LAYOUT)?;
            }
        }
        added.keep();
        sync(layout)
    })
}

/// The layout's `index.json`, with the image added.
fn new_index(layout: &Path, output: &OutputImage) -> Result<Vec<u8>, TransportError> {
    let mut index = read_index(layout)?.unwrap_or_else(|| with_roots(&[]));
    if !put(&mut index, output.root.clone(), &output.origin) {
        return Err(TransportError::Malformed {
            path: layout.to_owned(),
            document: INDEX_JSON.to_owned(),
            reason: "it has no array `manifests`".to_owned(),
        });
    }
    let text = read_file(layout, INDEX_JSON)?.unwrap_or_default();
    Ok(edited(&text, &index))
}

/// Places the blobs that the layout lacks in the staging directory. Returns their paths relative to the layout.
fn stage_blobs(
    layout: &Path,
    staging: &Path,
    blobs: &[OutputBlob],
) -> Result<Vec<String>, TransportError> {
    let mut missing = Vec::new();
    for blob in blobs {
        let name = blob_name(&blob.digest);
        if is_there(layout, &name, blob) {
            // The process that wrote this blob may not have waited for the disk.
            sync(&layout.join(&name))?;
            continue;
        }
        let to = staging.join(file_name(&name));
        // Staged documents are already at this path.
        if blob.bytes.path() != Some(&*to) {
            place(blob, staging, &to)?;
        }
        missing.push(name);
    }
    Ok(missing)
}

/// The directories of the blobs. A parent comes before its children.
fn directories(blobs: &[String]) -> BTreeSet<&Path> {
    let directories = blobs.iter().map(|name| parent(Path::new(name)));
    directories
        .flat_map(|directory| [parent(directory), directory])
        .collect()
}

fn file_name(blob: &str) -> &str {
    blob.rsplit('/').next().unwrap_or(blob)
}

/// Whether the layout already has the blob, undamaged. A damaged blob is written again.
fn is_there(layout: &Path, name: &str, blob: &OutputBlob) -> bool {
    // The blob was read from this layout and checked on the way.
    if blob.is_checked && blob.bytes.path() == Some(&*layout.join(name)) {
        return true;
    }
    let checked = || -> io::Result<()> {
        let file = beneath::open_file(layout, name)?;
        let reader = VerifyingReader::new(file, blob.digest.clone(), blob.bytes.size());
        io::copy(&mut reader.map_err(io::Error::other)?, &mut io::sink()).map(|_| ())
    };
    checked().is_ok()
}

fn write_temporary(staging: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, TransportError> {
    let path = staging.join(name);
    // The file exists already if another process made the layout meanwhile and this is the second attempt.
    let _ = fs::remove_file(&path);
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

/// Files and directories that a commit added. Dropping the value removes them, last first, unless the commit keeps
/// them.
struct Added<'a> {
    layout: &'a Path,
    files: Vec<&'a str>,
    directories: Vec<String>,
}

impl<'a> Added<'a> {
    /// Records what will be added, then makes the directories for it.
    fn begin(
        layout: &'a Path,
        staging: &Path,
        blobs: &'a [String],
        is_layout: bool,
    ) -> Result<Self, TransportError> {
        let mut missing = Vec::new();
        for directory in directories(blobs) {
            let is_there = beneath::has_directory(layout, directory);
            let path = layout.join(directory);
            if !is_there.map_err(TransportError::io("write to", &path))? {
                missing.push(directory.display().to_string());
            }
        }
        let documents: &[&str] = if is_layout {
            &[]
        } else {
            &[INDEX_JSON, OCI_LAYOUT]
        };
        let files = blobs
            .iter()
            .map(String::as_str)
            .chain(documents.iter().copied());
        let names: Vec<&str> = missing.iter().map(String::as_str).chain(files).collect();
        write_temporary(staging, ADDING, names.join("\n").as_bytes())?;
        sync(staging)?;
        let mut added = Self {
            layout,
            files: Vec::new(),
            directories: Vec::new(),
        };
        for directory in missing {
            make_directory(&layout.join(&directory))?;
            added.directories.push(directory);
        }
        Ok(added)
    }

    /// Renames a finished temporary file into the layout.
    fn file(&mut self, temporary: &Path, name: &'a str) -> Result<(), TransportError> {
        let to = self.layout.join(name);
        fs::rename(temporary, &to).map_err(TransportError::io("create", &to))?;
        self.files.push(name);
        Ok(())
    }

    fn keep(&mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        let directories = self.directories.iter().map(String::as_str);
        let names: Vec<&str> = directories.chain(self.files.iter().copied()).collect();
        remove(self.layout, &names);
    }
}

/// Removes files and empty directories, last first. Ignores errors: a file that remains is a blob that nothing names,
/// and an error here would hide the one that matters.
fn remove(layout: &Path, names: &[&str]) {
    for name in names.iter().rev() {
        let path = layout.join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

/// Removes what killed commits left behind in a directory that is, or was to become, a layout.
pub(super) fn sweep(layout: &Path) {
    scratch::sweep(STAGING_PREFIX, layout, |staging| {
        let names = fs::read_to_string(staging.join(ADDING)).unwrap_or_default();
        let names: Vec<&str> = names.lines().filter(|name| may_be_added(name)).collect();
        if names.is_empty() {
            return;
        }
        let Ok(_lock) = lock(layout) else {
            return;
        };
        let is_layout = layout.join(OCI_LAYOUT).exists();
        let used = is_layout.then(|| used_blobs(layout));
        match used {
            None => remove(layout, &names),
            Some(None) => {}
            Some(Some(used)) => {
                let is_unused =
                    |name: &&&str| name.matches('/').count() == 2 && !used.contains(**name);
                let unused: Vec<&str> = names.iter().filter(is_unused).copied().collect();
                remove(layout, &unused);
            }
        }
    });
}

/// Whether a commit could have added this path. The list may come from someone else, so pycull does not trust it.
fn may_be_added(name: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    let is_blob = || {
        let mut parts = name.split('/');
        parts.next() == Some("blobs") && parts.clone().count() <= 2 && parts.all(is_word)
    };
    [INDEX_JSON, OCI_LAYOUT].contains(&name) || is_blob()
}

/// The paths of all blobs that the layout's images reach. `None` if a document cannot be read.
fn used_blobs(layout: &Path) -> Option<HashSet<String>> {
    let store = LayoutStore {
        directory: layout.to_owned(),
    };
    let index = read_index(layout).ok()??;
    let mut used = HashSet::new();
    for root in roots(&index) {
        let blobs = load(&store, root, None).ok()?.blobs().ok()?;
        used.extend(blobs.iter().map(blob_name));
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use super::super::output::check_complete;
    use super::super::source::Source;
    use super::super::testing::{LAYOUT_PATHS, image, listing, refer};
    use super::*;
    use crate::oci::{Blob, BlobFile};

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
        // Several threads find no layout, and one of them makes it.
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

    /// Starts another commit to `layout` while this one holds the lock and adds its own image.
    #[track_caller]
    fn waits(layout: &Path) {
        let [first, second] = ["first", "second"].map(|tag| image(tag, tag.as_bytes()));
        let held = lock(layout).unwrap();
        assert_eq!(held.len(), 1);
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                add(layout, staging(layout).path(), &second).unwrap();
                done.send(()).unwrap();
            });
            // Without the lock, the other commit would be done by now.
            let waited = is_done.recv_timeout(Duration::from_millis(500));
            assert_eq!(waited, Err(RecvTimeoutError::Timeout));
            write_into(layout, staging(layout).path(), &first).unwrap();
            drop(held);
        });
        read(layout, "first");
        read(layout, "second");
    }

    #[test]
    fn a_commit_waits_for_another_one_to_the_same_layout() {
        let directory = tempfile::tempdir().unwrap();
        waits(&layout_with(directory.path(), &["v1"]));
    }

    #[test]
    fn a_commit_waits_for_another_one_to_the_same_empty_directory() {
        waits(tempfile::tempdir().unwrap().path());
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
        damaged.blobs[2].bytes = super::super::spool::blob_of(&vec![b'x'; 2048]).unwrap();
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

    /// Recreates the layout that a killed commit of `image` leaves behind after it moved `names` files.
    fn killed(layout: &Path, output: &OutputImage, names: usize) {
        let staging = layout.join(format!("{STAGING_PREFIX}killed"));
        fs::create_dir(&staging).unwrap();
        let blobs = stage_blobs(layout, &staging, &output.blobs).unwrap();
        let mut added =
            Added::begin(layout, &staging, &blobs, layout.join(OCI_LAYOUT).exists()).unwrap();
        for blob in &blobs[..names] {
            added.file(&staging.join(file_name(blob)), blob).unwrap();
        }
        std::mem::forget(added);
    }

    #[test]
    fn what_a_killed_commit_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let before = listing(&layout);
        for names in 0..=3 {
            killed(&layout, &image("v2", b"other"), names);
            assert_ne!(listing(&layout), before);
            sweep(&layout);
            assert_eq!(listing(&layout), before, "after {names} blobs");
        }
        let empty = directory.path().join("empty");
        fs::create_dir(&empty).unwrap();
        killed(&empty, &image("v1", b"0"), 2);
        sweep(&empty);
        assert_eq!(listing(&empty), Vec::<String>::new());
    }

    #[test]
    fn a_blob_that_an_image_uses_and_what_a_stranger_lists_is_not_swept() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        fs::write(directory.path().join("outside"), "").unwrap();
        let staging = layout.join(format!("{STAGING_PREFIX}x"));
        let before = listing(directory.path());
        fs::create_dir(&staging).unwrap();
        let used = image("v1", b"0").blobs;
        let used = used.iter().map(|blob| blob_name(&blob.digest));
        let others = [
            "../outside",
            "blobs/../../outside",
            INDEX_JSON,
            OCI_LAYOUT,
            "blobs",
        ];
        let lines: Vec<String> = used.chain(others.map(str::to_owned)).collect();
        fs::write(staging.join(ADDING), lines.join("\n")).unwrap();
        sweep(&layout);
        assert_eq!(listing(directory.path()), before);
        read(&layout, "v1");
    }

    #[test]
    fn a_layout_that_another_process_made_in_the_meantime_gets_both_images() {
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_with(directory.path(), &["v1"]);
        let staging = staging(directory.path());
        let mut output = image("v2", b"2");
        let layer = &mut output.blobs[2].bytes;
        let staged = staging.path().join("layer");
        let mut file = create(&staged).unwrap();
        io::copy(&mut layer.reader(), &mut file).unwrap();
        let file = BlobFile::opened(Arc::new(file));
        *layer = Blob::of_file(file, Some(staged), layer.size());
        create_new(&layout, staging.path(), &output).unwrap();
        assert_eq!(read(&layout, "v2").root, output.root);
        read(&layout, "v1");
    }

    #[test]
    fn an_output_that_cannot_take_its_place_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layout");
        fs::write(&path, "a file").unwrap();
        let staging = staging(directory.path());
        let error = create_new(&path, staging.path(), &image("v1", b"1")).unwrap_err();
        let TransportError::Io { action, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(action, "create");
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }

    #[test]
    fn only_paths_that_a_commit_adds_are_swept() {
        for name in [
            INDEX_JSON,
            OCI_LAYOUT,
            "blobs",
            "blobs/sha256",
            "blobs/sha512/0a",
            "blobs/a_b+c-d/0a",
        ] {
            assert!(may_be_added(name), "{name}");
        }
        for name in [
            "",
            "/",
            "blobs/",
            "blobs//0a",
            "blobs/..",
            "blobs/../0a",
            "blobs/sha256/..",
            "blobs/sha256/0a/b",
            "blobs/sha256/a b",
            "other",
            "other/sha256/0a",
            "/blobs/sha256/0a",
        ] {
            assert!(!may_be_added(name), "{name}");
        }
    }
}
