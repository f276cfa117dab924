//! File systems of a test's own, and what lies in a directory before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::tool;

/// A small file system in memory. It needs root, as the tests' other tools do.
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

    /// From here on nothing can be written, root or not.
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

/// What lies at and below a directory: files with their content, directories without.
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

/// Fails with the names of what differs, not with its bytes.
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
