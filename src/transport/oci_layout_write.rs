//! Putting an image into a layout. What takes time is done beside it; then names are given, which neither a signal
//! nor a failure breaks off half-way, and what a killed process left half-way goes with the next commit.

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

/// How the names of staging directories begin.
pub(super) const STAGING_PREFIX: &str = ".pycull-staging-";

/// The file in a staging directory that names what a commit is about to add to the layout, one in a line.
const ADDING: &str = "adding";

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
    match scratch::unbroken(|| fs::rename(&layout, path)) {
        Ok(()) => sync(parent(path)),
        // Another process made it in the meantime: both images belong in it.
        Err(_) if path.is_dir() => add(path, staging, &moved(output, layout)?),
        Err(error) => Err(TransportError::io("create", path)(error)),
    }
}

/// The image, its blobs where a layout in the staging directory has them now.
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

/// Blobs first, then what names them, then the file that makes the directory a layout: at every
/// moment in between, all that can be read is whole.
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

/// The layout's `index.json` with the image in it.
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

/// Puts the blobs that the layout lacks into the staging directory, and returns their names in the layout.
fn stage_blobs(
    layout: &Path,
    staging: &Path,
    blobs: &[OutputBlob],
) -> Result<Vec<String>, TransportError> {
    let mut missing = Vec::new();
    for blob in blobs {
        let name = blob_name(&blob.digest);
        if is_there(layout, &name, blob) {
            // Who wrote it may not have waited for the disk.
            sync(&layout.join(&name))?;
            continue;
        }
        let to = staging.join(file_name(&name));
        // A staged document has that name already.
        if blob.bytes.path() != Some(&*to) {
            place(blob, staging, &to)?;
        }
        missing.push(name);
    }
    Ok(missing)
}

/// The directories that blobs lie in, each after the one that it lies in.
fn directories(blobs: &[String]) -> BTreeSet<&Path> {
    let directories = blobs.iter().map(|name| parent(Path::new(name)));
    directories
        .flat_map(|directory| [parent(directory), directory])
        .collect()
}

/// The last part of a blob's name.
fn file_name(blob: &str) -> &str {
    blob.rsplit('/').next().unwrap_or(blob)
}

/// Whether a layout has the blob already, whole. One that is damaged is written anew.
fn is_there(layout: &Path, name: &str, blob: &OutputBlob) -> bool {
    // What was read from here and checked on the way.
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
    // Where another process made the layout meanwhile, this is the second try.
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

/// Files and directories that a commit added. They go again, last first, unless it keeps them.
struct Added<'a> {
    layout: &'a Path,
    files: Vec<&'a str>,
    directories: Vec<String>,
}

impl<'a> Added<'a> {
    /// Writes down what is to be added, then makes the directories for it.
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

    /// Gives a finished temporary file its name.
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

/// Removes files and empty directories, last first. What cannot be removed is a blob that nothing names: an error
/// here would hide the one that matters.
fn remove(layout: &Path, names: &[&str]) {
    for name in names.iter().rev() {
        let path = layout.join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

/// Takes away what commits that were killed left in a directory that is, or was to become, a layout.
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

/// Whether a name is one that a commit gives: a stranger may have written the list.
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

/// The names of all blobs that a layout's images reach; `None` where one cannot be read.
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
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use super::super::output::check_complete;
    use super::super::source::Source;
    use super::super::testing::{LAYOUT_PATHS, image, listing, refer};
    use super::*;

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

    /// Begins another commit to `layout` while this one has the lock and adds an image of its own.
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
            // Without the lock it is done by then.
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

    /// The layout as a killed commit of `image` left it, which got as far as `names`.
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
}
