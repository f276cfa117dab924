//! Detects that a file changed after it was opened.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The identity and state of a file at the time when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    inode: (u64, u64),
    pub(super) size: u64,
    modified: (i64, i64),
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
