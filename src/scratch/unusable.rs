//! The errors of the system's temporary directory. They name it, because users rarely know which directory that is.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// The system's temporary directory is missing, full, or not writable.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to the temporary directory `{}`", directory.display())]
pub struct TemporaryError {
    /// The directory: TMPDIR, or the system's default.
    directory: PathBuf,
    #[source]
    source: io::Error,
}

impl TemporaryError {
    pub(super) fn new(error: io::Error) -> Self {
        // tempfile adds the name of a file that never existed.
        let text = error.to_string();
        let source = match text.split_once(" at path ") {
            Some((reason, _)) => io::Error::new(error.kind(), reason),
            None => error,
        };
        Self {
            directory: std::env::temp_dir(),
            source,
        }
    }

    /// What the user can do about the error.
    pub fn hint(&self) -> String {
        advice(self.source.kind())
    }
}

impl From<TemporaryError> for io::Error {
    fn from(error: TemporaryError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// What the user can do if the temporary directory cannot be used.
pub(crate) fn advice(kind: ErrorKind) -> String {
    let first = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space, or use a directory on another disk"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "use a directory that exists",
        _ => "use a directory that you may write to",
    };
    format!("{first}: `TMPDIR=/path pycull …`")
}

/// An unnamed file in the system's temporary directory.
///
/// # Errors
/// [`TemporaryError`] if the directory cannot be used.
pub(crate) fn file() -> Result<File, TemporaryError> {
    tempfile::tempfile().map_err(TemporaryError::new)
}

/// The error of writing to a file in the temporary directory.
pub(crate) fn failed(error: io::Error) -> io::Error {
    TemporaryError::new(error).into()
}

/// The error of copying to a file in the temporary directory. Only some errors can be about the file; the others are
/// about what is copied.
pub(crate) fn failed_copy(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            failed(error)
        }
        _ => error,
    }
}

/// What the user can do about an I/O error, if it is about the temporary directory.
pub(crate) fn hint(error: &io::Error) -> Option<String> {
    let error: &TemporaryError = error.get_ref()?.downcast_ref()?;
    Some(error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_named_with_the_way_to_another() {
        let full = failed(ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let directory = std::env::temp_dir();
        let expected = format!(
            "cannot write to the temporary directory `{}`",
            directory.display()
        );
        assert_eq!(full.to_string(), expected);
        assert_eq!(
            hint(&full).unwrap(),
            "free some space, or use a directory on another disk: `TMPDIR=/path pycull …`"
        );
        assert_eq!(hint(&ErrorKind::StorageFull.into()), None);
    }

    #[test]
    fn the_cause_names_no_file_that_never_existed() {
        let missing = tempfile::tempdir_in("/nonexistent").unwrap_err();
        let error = TemporaryError::new(missing);
        assert_eq!(
            error.source.to_string(),
            "No such file or directory (os error 2)"
        );
        assert!(error.hint().starts_with("use a directory that exists: "));
    }

    #[test]
    fn only_what_can_be_the_directory_s_fault_is_said_of_it() {
        let of = |kind: ErrorKind| hint(&failed_copy(kind.into()));
        assert!(of(ErrorKind::StorageFull).is_some());
        assert_eq!(of(ErrorKind::UnexpectedEof), None);
        assert_eq!(of(ErrorKind::PermissionDenied), None);
    }
}
