//! Trees of files with all attributes of each path, to compare with each other.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use pycull::oci::DigestHasher;

/// The kind of file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
}

/// All attributes of a path except its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub kind: FileKind,
    /// Permission and set-id bits. Zero for symlinks, where they have no meaning.
    pub mode: u32,
    pub owner: (u64, u64),
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    pub size: u64,
    pub link: String,
    pub device: (u32, u32),
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// SHA-256 of a file's content.
    pub sha256: Option<String>,
    /// All names of the inode, if it has several.
    pub names: Vec<String>,
}

impl Entry {
    /// The fields that differ from another entry, with both values, in one line.
    pub fn changes(&self, other: &Self) -> String {
        let fields = |entry: &Self| -> Vec<String> {
            let text = format!("{entry:#?}");
            let lines = text.replace("\n        ", " ").replace("\n    ]", "]");
            lines.lines().map(|line| line.trim().to_owned()).collect()
        };
        let (here, there) = (fields(self), fields(other));
        let pairs = here.into_iter().zip(there).filter(|(a, b)| a != b);
        let pairs: Vec<String> = pairs.map(|(a, b)| format!("{a} / {b}")).collect();
        pairs.join("; ")
    }
}

/// Entries by path without a leading slash. The path of the root is empty.
#[derive(Debug, Clone, Default)]
pub struct Tree(pub BTreeMap<String, Entry>);

impl Tree {
    /// The tree at a directory, including the directory.
    pub fn of(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut inodes = HashMap::new();
        walk(root, "", &mut tree, &mut inodes).unwrap();
        tree.group(&inodes);
        tree
    }

    /// Fills in the names of each entry, given the inode of each path.
    pub fn group<I: std::hash::Hash + Eq>(&mut self, inodes: &HashMap<String, I>) {
        let mut names: HashMap<&I, Vec<String>> = HashMap::new();
        for path in self.0.keys() {
            if let Some(inode) = inodes.get(path) {
                names.entry(inode).or_default().push(path.clone());
            }
        }
        for (path, entry) in &mut self.0 {
            let all = inodes.get(path).map(|inode| &names[inode]);
            entry.names = all.filter(|all| all.len() > 1).cloned().unwrap_or_default();
        }
    }

    pub fn has_something_in(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        self.0.keys().any(|path| path.starts_with(&below))
    }

    /// Removes paths, also from the names of hardlinked files.
    pub fn remove(&mut self, mut gone: impl FnMut(&str) -> bool) {
        self.0.retain(|path, _| !gone(path));
        for entry in self.0.values_mut() {
            entry.names.retain(|name| !gone(name));
            if entry.names.len() == 1 {
                entry.names.clear();
            }
        }
    }

    /// Fails with the first paths that differ.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let mut differences = Vec::new();
        for (path, entry) in &self.0 {
            match other.0.get(path) {
                None => differences.push(format!("{path}: only on the left: {entry:?}")),
                Some(there) if there != entry => {
                    differences.push(format!("{path}:\n  left  {entry:?}\n  right {there:?}"))
                }
                Some(_) => {}
            }
        }
        let new = other
            .0
            .iter()
            .filter(|(path, _)| !self.0.contains_key(*path));
        differences
            .extend(new.map(|(path, entry)| format!("{path}: only on the right: {entry:?}")));
        let shown = differences
            .iter()
            .take(10)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            differences.is_empty(),
            "{} of {} paths differ:\n{shown}",
            differences.len(),
            self.0.len()
        );
    }
}

fn walk(
    root: &Path,
    path: &str,
    tree: &mut Tree,
    inodes: &mut HashMap<String, u64>,
) -> io::Result<()> {
    let full = root.join(path);
    let metadata = fs::symlink_metadata(&full)?;
    if metadata.is_dir() {
        for child in fs::read_dir(&full)? {
            let name = child?.file_name();
            let name = name
                .to_str()
                .unwrap_or_else(|| panic!("{name:?} in {path} is not UTF-8"));
            let below = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            };
            walk(root, &below, tree, inodes)?;
        }
    } else {
        inodes.insert(path.to_owned(), metadata.ino());
    }
    tree.0.insert(path.to_owned(), entry(&full, &metadata)?);
    Ok(())
}

fn entry(path: &Path, metadata: &Metadata) -> io::Result<Entry> {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        kind if kind.is_char_device() => FileKind::CharacterDevice,
        kind if kind.is_block_device() => FileKind::BlockDevice,
        kind if kind.is_fifo() => FileKind::Fifo,
        _ => FileKind::File,
    };
    let is_device = matches!(kind, FileKind::CharacterDevice | FileKind::BlockDevice);
    let device = metadata.rdev();
    Ok(Entry {
        kind,
        mode: if kind == FileKind::Symlink {
            0
        } else {
            metadata.mode() & 0o7777
        },
        owner: (metadata.uid().into(), metadata.gid().into()),
        mtime: (metadata.mtime(), metadata.mtime_nsec() as u32),
        size: if kind == FileKind::File {
            metadata.len()
        } else {
            0
        },
        link: match kind {
            FileKind::Symlink => fs::read_link(path)?
                .to_str()
                .map(str::to_owned)
                .unwrap_or_else(|| panic!("{path:?}")),
            _ => String::new(),
        },
        device: if is_device {
            (rustix::fs::major(device), rustix::fs::minor(device))
        } else {
            (0, 0)
        },
        xattrs: xattrs(path)?,
        sha256: (kind == FileKind::File)
            .then(|| sha256_of(&mut File::open(path)?))
            .transpose()?,
        names: Vec::new(),
    })
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut found = BTreeMap::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(length);
        found.insert(
            OsStr::from_bytes(name).to_string_lossy().into_owned(),
            value,
        );
    }
    Ok(found)
}

/// The hexadecimal digest of everything that a reader returns.
pub fn sha256_of(reader: &mut dyn Read) -> io::Result<String> {
    let mut hasher = DigestHasher::sha256();
    let mut buffer = [0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish().digest().to_owned());
        }
        hasher.update(&buffer[..count]);
    }
}
