//! Chooses which files of an image to unpack for imports, and where to put them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::BenchError;
use crate::compile::interpreter::Extension;
use crate::inventory::{Inventory, Tree, TreeId, TreeKind};
use crate::path;
use crate::rootfs::MemberId;

/// Size of the largest file to unpack, in bytes. One file at a time is in memory.
const LARGEST_FILE: u64 = 512 << 20;
/// Maximum size of all unpacked files, in bytes.
const MOST_BYTES: u64 = 16 << 30;
/// Maximum number of unpacked files.
const MOST_FILES: usize = 500_000;

/// A standard library, and the packages for its interpreter.
#[derive(Debug, Default)]
pub struct Trees {
    /// The files to unpack, by the member that has their data. A file has a path for each of its names, relative to the
    /// directory of the unpacked interpreter.
    pub(super) files: BTreeMap<MemberId, Vec<PathBuf>>,
    /// Directories with packages outside the standard library.
    pub(super) packages: Vec<PathBuf>,
    /// The extension modules among the files.
    pub extensions: Vec<Extension>,
}

/// The unpacked place of each tree, by the tree's path. No tree in the map lies inside another.
type Places = BTreeMap<Vec<u8>, PathBuf>;

impl Trees {
    /// Returns the files of a standard library, given its ID. If `with_packages` is true, adds all packages for the
    /// same Python version. Leaves out caches and files larger than 512 MiB.
    ///
    /// # Errors
    /// [`BenchError::TooMuch`] if there are too many files or bytes.
    pub fn of(
        inventory: &Inventory,
        library: TreeId,
        with_packages: bool,
    ) -> Result<Self, BenchError> {
        let library = inventory.tree(library);
        let place = Path::new("root/lib").join(name(path::file_name(&library.path)));
        let mut places: Places = [(library.path.clone(), place)].into();
        let mut trees = Self::default();
        let packages = inventory.trees.iter().enumerate().filter(|(_, tree)| {
            let is_root = tree.path.is_empty();
            tree.kind == TreeKind::Packages && tree.version == library.version && !is_root
        });
        // A tree comes before the trees inside it.
        for (index, tree) in packages.filter(|_| with_packages) {
            let place = trees.place(&mut places, index, tree);
            if path::is_at_or_below(&tree.path, &library.path) {
                continue;
            }
            // Python imports a package from the directory that contains it.
            let beginning = path::join(&tree.path, b"__init__.py");
            let is_package = inventory.rootfs.file_at(&beginning).is_some();
            let parent = place.parent().filter(|_| is_package);
            trees.packages.push(parent.unwrap_or(&place).to_owned());
        }
        trees.add_files(inventory, &places)?;
        Ok(trees)
    }

    fn place(&self, places: &mut Places, index: usize, tree: &Tree) -> PathBuf {
        if let Some(place) = place_in(places, &tree.path) {
            return place;
        }
        let parent = Path::new("root/trees").join(index.to_string());
        let place = parent.join(name(path::file_name(&tree.path)));
        places.insert(tree.path.clone(), place.clone());
        place
    }

    fn add_files(&mut self, inventory: &Inventory, places: &Places) -> Result<(), BenchError> {
        let rootfs = &inventory.rootfs;
        let (mut files, mut bytes) = (0, 0);
        for (file, _) in rootfs.walk() {
            let place = place_in(places, &file).filter(|_| !is_cache(&file));
            let (Some(place), Some(inode)) = (place, rootfs.file_at(&file)) else {
                continue;
            };
            let data = rootfs.inode(inode).data();
            let member = inventory.member(data);
            if member.is_sparse() || member.size > LARGEST_FILE {
                continue;
            }
            files += 1;
            bytes += member.size;
            check(files, bytes)?;
            if file.ends_with(b".so") {
                self.extensions.push(Extension { path: file, inode });
            }
            self.files.entry(data).or_default().push(place);
        }
        Ok(())
    }
}

fn check(files: usize, bytes: u64) -> Result<(), BenchError> {
    let limit = if files > MOST_FILES {
        format!("{MOST_FILES} files")
    } else if bytes > MOST_BYTES {
        format!("{} GiB", MOST_BYTES >> 30)
    } else {
        return Ok(());
    };
    Err(BenchError::TooMuch { limit })
}

/// The unpacked place of a file, if the file is in a tree that is unpacked.
fn place_in(places: &Places, file: &[u8]) -> Option<PathBuf> {
    let (tree, place) = path::ancestors(file).find_map(|it| places.get_key_value(it))?;
    let beneath = path::components(&file[tree.len()..]);
    Some(
        beneath
            .into_iter()
            .map(name)
            .fold(place.clone(), |place, part| place.join(part)),
    )
}

fn is_cache(file: &[u8]) -> bool {
    path::file_name(path::parent(file)) == b"__pycache__"
}

/// The parts of a path in the merged file system never lead elsewhere, so they are safe to join.
fn name(part: &[u8]) -> &OsStr {
    OsStr::from_bytes(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_their_tree_goes() {
        let places: Places = [
            (b"usr/lib/python3.9".to_vec(), "root/lib/python3.9".into()),
            (b"app".to_vec(), "root/trees/0/app".into()),
        ]
        .into();
        for (file, expected) in [
            (
                "usr/lib/python3.9/json/tool.py",
                Some("root/lib/python3.9/json/tool.py"),
            ),
            ("usr/lib/python3.9", Some("root/lib/python3.9")),
            ("app/venv/lib/x.so", Some("root/trees/0/app/venv/lib/x.so")),
            ("usr/lib/python3.9x/a.py", None),
            ("usr/lib/a.py", None),
            ("a.py", None),
        ] {
            let place = place_in(&places, file.as_bytes());
            assert_eq!(place, expected.map(PathBuf::from), "{file}");
        }
    }

    #[test]
    fn there_is_a_limit_to_files_and_bytes() {
        assert!(check(MOST_FILES, MOST_BYTES).is_ok());
        let text = |result: Result<(), BenchError>| result.unwrap_err().to_string();
        assert!(text(check(MOST_FILES + 1, 0)).contains("500000 files"));
        assert!(text(check(0, MOST_BYTES + 1)).contains("16 GiB"));
    }
}
