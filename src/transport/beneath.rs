//! Opens files in an untrusted directory: lookups never leave the directory, and opening never blocks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::io::Errno;

/// Opens a regular file for reading. Follows symlinks that stay in the directory.
///
/// # Errors
/// * [`io::ErrorKind::NotFound`] if the file does not exist.
/// * [`io::ErrorKind::InvalidInput`] if the name leads out of the directory, or names a directory, pipe, socket or
///   device.
pub(super) fn open_file(directory: &Path, name: impl AsRef<Path>) -> io::Result<File> {
    // Without `NONBLOCK`, opening blocks for a pipe that has no writer, and for some devices.
    let file = open_beneath(directory, name.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK)?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(refused("it is not a regular file")),
    }
}

/// Whether the directory has a subdirectory `name`.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if `name` is something else, or a symlink that leads out of the directory.
pub(super) fn has_directory(directory: &Path, name: impl AsRef<Path>) -> io::Result<bool> {
    match open_beneath(directory, name.as_ref(), OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(refused("it is not a directory"))
        }
        Err(error) => Err(error),
    }
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn open_beneath(directory: &Path, name: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(directory, root, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match openat2(&root, name, flags, Mode::empty(), resolve) {
        // Linux before 5.6 has no `openat2`, and the seccomp filter of some containers blocks it.
        Err(Errno::NOSYS | Errno::PERM) => open_without_links(root.as_fd(), name, flags),
        opened => opened,
    };
    opened.map_err(|error| match error {
        Errno::XDEV | Errno::LOOP => refused("a symlink leads out of the image"),
        // The error from opening a socket.
        Errno::NXIO => refused("it is not a regular file"),
        error => error.into(),
    })
}

/// Opens the path part by part, for kernels without `openat2`. Follows no symlinks at all.
fn open_without_links(
    root: BorrowedFd<'_>,
    name: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let mut parts = name.components().peekable();
    let mut current: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(Errno::XDEV);
        };
        let flags = match parts.peek() {
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => flags,
        };
        let parent = current.as_ref().map_or(root, AsFd::as_fd);
        current = Some(openat(
            parent,
            part,
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        )?);
    }
    current.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("blobs/real")).unwrap();
        fs::write(root.join("blobs/real/file"), "inside").unwrap();
        fs::write(directory.path().join("secret"), "outside").unwrap();
        symlink("real", root.join("blobs/alias")).unwrap();
        symlink("../../secret", root.join("blobs/relative")).unwrap();
        symlink(directory.path().join("secret"), root.join("blobs/absolute")).unwrap();
        symlink(directory.path(), root.join("above")).unwrap();
        directory
    }

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let directory = directory();
        let root = directory.path().join("root");
        for name in ["blobs/real/file", "blobs/alias/file"] {
            let mut file = open_file(&root, name).unwrap();
            assert_eq!(io::read_to_string(&mut file).unwrap(), "inside");
        }
        for name in [
            "blobs/relative",
            "blobs/absolute",
            "above/secret",
            "../secret",
        ] {
            let error = open_file(&root, name).unwrap_err();
            assert_eq!(
                error.to_string(),
                "a symlink leads out of the image",
                "{name}"
            );
        }
        assert!(has_directory(&root, "blobs/alias").unwrap());
        assert!(!has_directory(&root, "blobs/none").unwrap());
        assert!(has_directory(&root, "above").is_err());
        assert!(has_directory(&root, "blobs/real/file").is_err());
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = directory();
        let root = directory.path().join("root");
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), Mode::RUSR).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        for name in ["pipe", "socket", "blobs"] {
            let error = open_file(&root, name).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{name}");
        }
    }

    #[test]
    fn an_old_kernel_follows_no_links() {
        let directory = directory();
        let root = open(directory.path().join("root"), OFlags::PATH, Mode::empty()).unwrap();
        let open = |name| open_without_links(root.as_fd(), Path::new(name), OFlags::RDONLY);
        assert!(open("blobs/real/file").is_ok());
        for name in [
            "blobs/alias/file",
            "blobs/relative",
            "above/secret",
            "../secret",
            "/etc",
        ] {
            assert!(open(name).is_err(), "{name}");
        }
    }

    /// Linux before 5.6 has no `openat2`.
    #[test]
    fn without_openat2_no_link_is_followed() {
        let directory = directory();
        let root = File::open(directory.path().join("root")).unwrap();
        let open = |name: &str, flags| {
            let flags = flags | OFlags::CLOEXEC;
            open_without_links(root.as_fd(), Path::new(name), flags)
        };
        let file = open("blobs/real/file", OFlags::RDONLY).unwrap();
        assert_eq!(io::read_to_string(File::from(file)).unwrap(), "inside");
        for name in [
            "blobs/alias/file",
            "blobs/relative",
            "blobs/absolute",
            "above/secret",
            "../secret",
            "/etc/passwd",
            "blobs/none",
            "",
        ] {
            assert!(open(name, OFlags::RDONLY).is_err(), "{name}");
        }
        assert!(open("blobs", OFlags::PATH | OFlags::DIRECTORY).is_ok());
    }

    #[test]
    fn a_file_in_place_of_a_directory_is_called_so() {
        let directory = directory();
        let error = has_directory(&directory.path().join("root"), "blobs/real/file").unwrap_err();
        assert_eq!(error.to_string(), "it is not a directory");
        let error = has_directory(&directory.path().join("root"), "above").unwrap_err();
        assert_eq!(error.to_string(), "a symlink leads out of the image");
    }
}
