//! The file that a blob's bytes are in, held open no longer than it is read.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

/// Opens a file, the same one each time.
type Open = dyn Fn() -> io::Result<File> + Send + Sync;

/// A file that is open, or is opened by whoever reads it first.
pub struct BlobFile(Kind);

enum Kind {
    Opened(Arc<File>),
    /// An image can have more blobs than a process may have files open, so a clone is not open.
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

    /// A file that is opened where it is needed.
    pub fn on_demand(open: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Self {
        Self(Kind::OnDemand {
            open: Arc::new(open),
            file: OnceLock::new(),
        })
    }

    /// Whether both are the same file that stays open.
    pub fn is_same(&self, other: &Self) -> bool {
        let kinds = (&self.0, &other.0);
        matches!(kinds, (Kind::Opened(one), Kind::Opened(other)) if Arc::ptr_eq(one, other))
    }

    /// The open file.
    ///
    /// # Errors
    /// It cannot be opened, or is another than before.
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
