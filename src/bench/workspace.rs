//! Two copies of an interpreter and its modules on this machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::measure::{Sample, Task, Unpacked};
use super::{BenchError, Trees};
use crate::compile::interpreter::Closure;
use crate::compile::sandbox::Sandbox;
use crate::inventory::Inventory;
use crate::layers::read_members;
use crate::oci::BlobStore;
use crate::pyc::Level;
use crate::tar::Timestamp;

/// An interpreter and its modules, unpacked twice: one copy for caches, and one that stays without.
#[derive(Debug)]
pub struct Workspace {
    pub(super) cached: Unpacked,
    pub(super) bare: Unpacked,
}

impl Workspace {
    /// Unpacks an interpreter and its modules into an empty private directory.
    ///
    /// # Errors
    /// [`BenchError`] if a layer cannot be read or a file cannot be written.
    pub fn unpack(
        directory: &Path,
        closure: &Closure,
        trees: &Trees,
        inventory: &Inventory,
        store: &dyn BlobStore,
    ) -> Result<Self, BenchError> {
        let copy = |name: &str| -> Result<Unpacked, BenchError> {
            let directory = directory.join(name);
            create_directories(&directory)?;
            Ok(Unpacked {
                launch: closure.unpack(&directory, None)?,
                directory: fs::canonicalize(&directory).map_err(file_error(&directory))?,
                packages: trees.packages.clone(),
            })
        };
        let workspace = Self {
            cached: copy("cached")?,
            bare: copy("bare")?,
        };
        let members = trees.files.keys().copied().collect();
        let written = read_members(store, &inventory.layers, &members, &mut |id, data| {
            let mtime = inventory.member(id).mtime();
            match workspace.write(&trees.files[&id], &data, mtime) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        })?;
        match written {
            ControlFlow::Continue(()) => Ok(workspace),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Writes a file under all its names in both copies. All names are hardlinks to one file.
    fn write(&self, places: &[PathBuf], data: &[u8], mtime: Timestamp) -> Result<(), BenchError> {
        let mut first: Option<PathBuf> = None;
        for copy in [&self.cached, &self.bare] {
            for place in places {
                let path = copy.directory.join(place);
                // The interpreter's own files exist already.
                if path.exists() {
                    continue;
                }
                path.parent().map_or(Ok(()), create_directories)?;
                let written = match &first {
                    Some(first) => fs::hard_link(first, &path),
                    None => write_file(&path, data, mtime),
                };
                written.map_err(file_error(&path))?;
                first.get_or_insert(path);
            }
        }
        Ok(())
    }

    /// Runs a task at a level, with caches or without.
    ///
    /// # Errors
    /// [`BenchError::Run`] if the interpreter fails.
    pub fn measure(
        &self,
        sandbox: Sandbox<'_>,
        task: &Task,
        level: Level,
        is_cached: bool,
    ) -> Result<Sample, BenchError> {
        let copy = if is_cached { &self.cached } else { &self.bare };
        copy.measure(sandbox, task, level)
    }
}

pub(super) fn create_directories(directory: &Path) -> Result<(), BenchError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(directory)
        .map_err(file_error(directory))
}

/// Writes a file with the modification time from the image, because a cache may record that time.
fn write_file(path: &Path, data: &[u8], mtime: Timestamp) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(data)?;
    let seconds = u64::try_from(mtime.seconds).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, mtime.nanoseconds));
    time.map_or(Ok(()), |time| file.set_modified(time))
}

pub(super) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BenchError {
    let path = path.to_owned();
    move |source| BenchError::File { path, source }
}
