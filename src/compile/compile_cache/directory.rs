//! The directory of a cache. Only its user may be able to write to it, because pycull puts bytecode from it into
//! images.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::CacheError;

/// Opens the directory at `path`. Creates it and its parents if they do not exist, for this user only.
///
/// The checks are made on the open directory, so later changes of the path do not matter.
pub(super) fn open(path: &Path, user: u32) -> Result<OwnedFd, CacheError> {
    let could_not_open = |source| CacheError::Open {
        path: path.to_owned(),
        source,
    };
    let directory = open_or_create(path).map_err(could_not_open)?;
    let metadata = directory.metadata().map_err(could_not_open)?;
    check(path, &metadata, user)?;
    Ok(directory.into())
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = (OFlags::DIRECTORY | OFlags::CLOEXEC).bits();
    options.read(true).custom_flags(flags.cast_signed());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(path)?;
            options.open(path)
        }
        other => other,
    }
}

/// Checks the owner and the mode. If an access control list lets others write, its mask shows in the bits of the group.
fn check(path: &Path, metadata: &Metadata, user: u32) -> Result<(), CacheError> {
    if metadata.uid() != user {
        return Err(CacheError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            user,
        });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(CacheError::WritableByOthers {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn directories_are_made_for_the_user_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        open(&path, user()).unwrap();
        for made in ["a", "a/b"] {
            let mode = fs::metadata(temporary.path().join(made)).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o700, "{made}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        for (mode, fine) in [
            (0o700, true),
            (0o755, true),
            (0o720, false),
            (0o702, false),
            (0o1777, false),
        ] {
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(mode)).unwrap();
            let opened = open(temporary.path(), user());
            assert_eq!(opened.is_ok(), fine, "{mode:o}: {opened:?}");
        }
        let refused = open(temporary.path(), user()).unwrap_err().to_string();
        assert!(refused.contains("mode 1777"), "{refused}");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let refused = open(temporary.path(), user() + 1).unwrap_err();
        assert!(
            matches!(refused, CacheError::ForeignOwner { owner, .. } if owner == user()),
            "{refused}"
        );
    }

    #[test]
    fn a_path_below_a_file_is_an_error() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.join("below"), file] {
            let refused = open(&path, user()).unwrap_err();
            assert!(matches!(refused, CacheError::Open { .. }), "{refused}");
        }
    }
}
