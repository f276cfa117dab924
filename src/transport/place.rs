//! Moves a blob to a new path, or shares or copies it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::oci::blob::{VerifyingReader, into_blob_error};
use crate::oci::{Blob, BlobError, BlobFile, Digest};

use super::error::TransportError;

/// A blob of an image to write.
#[derive(Debug, Clone)]
pub struct OutputBlob {
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's content. A file in the sink's staging directory is moved, so it must be on disk already. Any other
    /// file stays as it is.
    pub bytes: Blob,
    /// Whether the bytes were already checked against the digest, as those of every layer that was read.
    pub is_checked: bool,
}

/// Puts a blob at the path `to`, which must not exist.
///
/// Moves a staged file. Reflinks another checked file, else hardlinks it, if the blob is the whole file. Copies
/// everything else and verifies it on the way.
///
/// On an error, `to` may be incomplete. Use it only for paths that nobody reads.
pub(super) fn place(blob: &OutputBlob, staging: &Path, to: &Path) -> Result<(), TransportError> {
    let staged = blob.bytes.path();
    let staged = staged.filter(|path| path.starts_with(staging));
    if let Some(from) = staged {
        return fs::rename(from, to).map_err(TransportError::io("move", from));
    }
    // Keep the file open only until the blob is in place.
    let bytes = blob.bytes.clone();
    if blob.is_checked
        && let Some(Ok(file)) = bytes.file().map(BlobFile::get)
        && file
            .metadata()
            .is_ok_and(|metadata| metadata.len() == bytes.size())
        && (reflink(file, to) || hardlink(file, bytes.path(), to))
    {
        // The process that wrote the file may not have waited for the disk.
        return sync(to);
    }
    copy(blob, to)
}

/// Creates a file that everyone may read, within the umask.
pub(super) fn create(path: &Path) -> Result<File, TransportError> {
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(TransportError::io("create", path))
}

/// The directory of a path: `.` if the path has no directory part.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Flushes a file or directory to disk, so that it survives a loss of power.
pub(super) fn sync(path: &Path) -> Result<(), TransportError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(TransportError::io("flush", path))
}

fn reflink(from: &File, to: &Path) -> bool {
    let Ok(file) = create(to) else {
        return false;
    };
    let shared = rustix::fs::ioctl_ficlone(&file, from).is_ok();
    if !shared {
        // Ignore the error: if the file cannot be removed, the next attempt fails.
        let _ = fs::remove_file(to);
    }
    shared
}

/// Makes a hardlink. Returns false unless the path still leads to the open file.
fn hardlink(file: &File, path: Option<&Path>, to: &Path) -> bool {
    let Some(from) = path else {
        return false;
    };
    if fs::hard_link(from, to).is_err() {
        return false;
    }
    let same = match (file.metadata(), fs::symlink_metadata(to)) {
        (Ok(open), Ok(linked)) => (open.dev(), open.ino()) == (linked.dev(), linked.ino()),
        _ => false,
    };
    if !same {
        let _ = fs::remove_file(to);
    }
    same
}

fn copy(blob: &OutputBlob, to: &Path) -> Result<(), TransportError> {
    let mut file = create(to)?;
    let mut verified = VerifyingReader::new(
        BlobSource::new(&blob.digest, blob.bytes.reader()),
        blob.digest.clone(),
        blob.bytes.size(),
    )?;
    io::copy(&mut verified, &mut file).map_err(|error| copy_error(error, "write", to))?;
    file.sync_all().map_err(TransportError::io("flush", to))
}

/// Marks a reader's I/O errors as errors of the blob, to tell them from errors of the destination.
pub(super) struct BlobSource<'a, R> {
    digest: &'a Digest,
    inner: R,
}

impl<'a, R> BlobSource<'a, R> {
    pub(super) fn new(digest: &'a Digest, inner: R) -> Self {
        Self { digest, inner }
    }
}

impl<R: Read> Read for BlobSource<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .read(buffer)
            .map_err(|error| io::Error::other(into_blob_error(error, self.digest)))
    }
}

/// The error of copying a blob to `path`: an error of the blob, or of writing to `path`.
pub(super) fn copy_error(error: io::Error, action: &'static str, path: &Path) -> TransportError {
    match error.downcast::<BlobError>() {
        Ok(blob) => TransportError::Blob(blob),
        Err(error) => TransportError::io(action, path)(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::oci::digest::sha256_digest;

    fn blob(path: &Path, content: &[u8]) -> OutputBlob {
        fs::write(path, content).unwrap();
        OutputBlob {
            digest: sha256_digest(content),
            bytes: Blob::of_file(
                BlobFile::opened(Arc::new(File::open(path).unwrap())),
                Some(path.to_owned()),
                content.len() as u64,
            ),
            is_checked: true,
        }
    }

    #[test]
    fn a_staged_file_moves_and_another_stays() {
        let directory = tempfile::tempdir().unwrap();
        let staging = directory.path().join("staging");
        fs::create_dir(&staging).unwrap();
        for (from, stays) in [
            (staging.join("a"), false),
            (directory.path().join("b"), true),
        ] {
            let blob = blob(&from, b"content");
            let to = from.with_extension("placed");
            place(&blob, &staging, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"content");
            assert_eq!(from.exists(), stays);
        }
    }

    #[test]
    fn a_slice_is_copied_and_verified() {
        let directory = tempfile::tempdir().unwrap();
        let mut blob = blob(&directory.path().join("archive"), b"xxcontentyy");
        blob.digest = sha256_digest(b"content");
        let whole = blob.bytes;
        blob.bytes = whole.part(2, 7);
        let to = directory.path().join("good");
        place(&blob, Path::new("/none"), &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"content");
        blob.bytes = whole.part(3, 7);
        assert!(matches!(
            place(&blob, Path::new("/none"), &directory.path().join("bad")),
            Err(TransportError::Blob(BlobError::Digest { .. }))
        ));
    }

    #[test]
    fn a_path_that_still_leads_to_the_file_is_linked() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["blob", "to"].map(|name| directory.path().join(name));
        fs::write(&from, b"content").unwrap();
        assert!(hardlink(&File::open(&from).unwrap(), Some(&from), &to));
        let inode = |path: &Path| path.metadata().unwrap().ino();
        assert_eq!(inode(&to), inode(&from));
    }

    #[test]
    fn a_path_that_leads_elsewhere_by_now_is_not_linked() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("blob");
        let blob = blob(&from, b"content");
        fs::rename(&from, directory.path().join("moved")).unwrap();
        fs::write(&from, b"another").unwrap();
        let to = directory.path().join("to");
        place(&blob, Path::new("/none"), &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"content");
    }

    #[test]
    fn a_checked_blob_is_taken_over_without_reading_it_and_another_is_verified() {
        let directory = tempfile::tempdir().unwrap();
        let mut blob = blob(&directory.path().join("blob"), b"content");
        blob.digest = sha256_digest(b"another content");
        let to = directory.path().join("to");
        place(&blob, Path::new("/none"), &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"content");
        blob.is_checked = false;
        assert!(matches!(
            place(&blob, Path::new("/none"), &directory.path().join("other")),
            Err(TransportError::Blob(BlobError::Digest { .. }))
        ));
    }
}
