//! Private file systems for tests, and snapshots of directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::tool;

/// A small file system in memory. It needs root, as other tools of the tests do.
pub struct Disk {
    directory: TempDir,
}

impl Disk {
    pub fn of(kibibytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let size = format!("size={kibibytes}k");
        tool("mount", ["-t", "tmpfs", "-o", &size, "tmpfs", path]).success();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the file system read-only, even for root.
    pub fn read_only(self) -> Self {
        let path = self.path().to_str().unwrap();
        tool("mount", ["-o", "remount,ro", path]).success();
        self
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let umount = tool("umount", [self.path()]);
        if !std::thread::panicking() {
            umount.success();
        }
    }
}

/// The paths at and below a directory. Files have their content.
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        if path.symlink_metadata().unwrap().is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
            found.insert(path, None);
        } else {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, Some(content));
        }
    }
    found
}

/// Fails with the names of the files that differ, without their bytes.
#[track_caller]
pub fn assert_same(
    before: &BTreeMap<PathBuf, Option<Vec<u8>>>,
    after: &BTreeMap<PathBuf, Option<Vec<u8>>>,
    what: &str,
) {
    let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
    let paths: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(differs).collect();
    assert!(paths.is_empty(), "{what}: changed: {paths:?}");
}
