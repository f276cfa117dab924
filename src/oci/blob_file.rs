//! The file that a blob's bytes are in, held open no longer than it is read.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

/// Opens a file, the same one each time.
type Open = dyn Fn() -> io::Result<File> + Send + Sync;

/// A file that is open, or is opened by whoever reads it first. An image can have more blobs than a process may have
/// files open, so a clone of the latter kind is not open.
pub struct BlobFile {
    file: OnceLock<Arc<File>>,
    open: Option<Arc<Open>>,
}

impl BlobFile {
    /// A file that stays open.
    pub fn opened(file: Arc<File>) -> Self {
        Self {
            file: OnceLock::from(file),
            open: None,
        }
    }

    /// A file that is opened where it is needed.
    pub fn on_demand(open: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Self {
        Self {
            file: OnceLock::new(),
            open: Some(Arc::new(open)),
        }
    }

    /// Whether both are the same file that stays open.
    pub fn is_same(&self, other: &Self) -> bool {
        let files = (self.file.get(), other.file.get());
        matches!(files, (Some(one), Some(other)) if Arc::ptr_eq(one, other))
    }

    /// The open file.
    ///
    /// # Errors
    /// It cannot be opened, or is another than before.
    pub fn get(&self) -> io::Result<&Arc<File>> {
        match (self.file.get(), &self.open) {
            (Some(file), _) => Ok(file),
            (None, Some(open)) => {
                let file = Arc::new(open()?);
                Ok(self.file.get_or_init(|| file))
            }
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Clone for BlobFile {
    fn clone(&self) -> Self {
        Self {
            file: match self.open {
                Some(_) => OnceLock::new(),
                None => self.file.clone(),
            },
            open: self.open.clone(),
        }
    }
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFile")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
