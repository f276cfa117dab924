//! The file that has a blob's bytes, open only while somebody reads it.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

/// Opens the same file each time.
type Open = dyn Fn() -> io::Result<File> + Send + Sync;

/// A file that is open, or that the first reader opens.
pub struct BlobFile(Kind);

enum Kind {
    Opened(Arc<File>),
    /// A clone starts closed, because an image can have more blobs than a process may have open files.
    OnDemand {
        open: Arc<Open>,
        file: OnceLock<Arc<File>>,
    },
}

impl BlobFile {
    /// A file that stays open.
    pub fn opened(file: Arc<File>) -> Self {
        Self(Kind::Opened(file))
    }

    /// A file that opens on demand.
    pub fn on_demand(open: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Self {
        Self(Kind::OnDemand {
            open: Arc::new(open),
            file: OnceLock::new(),
        })
    }

    /// Whether both are the same file that stays open. False for files that open on demand.
    pub fn is_same(&self, other: &Self) -> bool {
        let kinds = (&self.0, &other.0);
        matches!(kinds, (Kind::Opened(one), Kind::Opened(other)) if Arc::ptr_eq(one, other))
    }

    /// Returns the open file, and opens it first if necessary.
    ///
    /// # Errors
    /// I/O errors of opening it. `open` also fails if it finds a different file.
    pub fn get(&self) -> io::Result<&Arc<File>> {
        match &self.0 {
            Kind::Opened(opened) => Ok(opened),
            Kind::OnDemand { open, file } => match file.get() {
                Some(opened) => Ok(opened),
                None => {
                    let opened = Arc::new(open()?);
                    Ok(file.get_or_init(|| opened))
                }
            },
        }
    }
}

impl Clone for BlobFile {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Kind::Opened(file) => Kind::Opened(Arc::clone(file)),
            Kind::OnDemand { open, .. } => Kind::OnDemand {
                open: Arc::clone(open),
                file: OnceLock::new(),
            },
        })
    }
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Opened(_) => "Opened",
            Kind::OnDemand { .. } => "OnDemand",
        })
    }
}
