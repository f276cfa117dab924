//! The merged file system that pycull computes from the members of layers equals the tree that an engine unpacks.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use pycull::layers::{Access, LayerScan, scan_layers};
use pycull::limits::Limits;
use pycull::oci::{Image, load};
use pycull::oci::{compression::Decoder, open_verified};
use pycull::progress::Unobserved;
use pycull::rootfs::{Attributes, InodeKind, MemberId, squash};
use pycull::tar::{Kind, Member, Reader};
use pycull::transport::Source;
use serde_json::Value;

use super::support::engines::skopeo_copy;
use super::support::scene::Unpacked;
use super::support::tools::{real_image, testdata};
use super::support::tree::{Entry, FileKind, Tree, sha256_of};
use super::support::{ImageBuilder, LayerBuilder, Layout};

#[test]
fn the_view_of_python_3_9_is_what_umoci_unpacks() {
    agrees(&real_image("py3.9"));
}

#[test]
fn the_view_of_python_3_11_is_what_umoci_unpacks() {
    agrees(&real_image("py3.11"));
}

#[test]
fn the_view_of_python_3_13_is_what_umoci_unpacks() {
    agrees(&real_image("py3.13"));
}

#[test]
fn the_view_of_python_3_14_is_what_umoci_unpacks() {
    agrees(&real_image("py3.14"));
}

#[test]
fn the_view_of_a_fedora_shaped_image_is_what_umoci_unpacks() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let (from, to) = (
        format!("oci-archive:{}", testdata("fedora-shaped.tar").display()),
        format!("oci:{}:latest", layout.display()),
    );
    skopeo_copy(&from, &to);
    let tree = agrees(&layout);
    // The tree must have the difficult cases.
    assert!(tree.0.values().any(|entry| entry.names.len() == 3));
    assert!(tree.0.values().any(|entry| entry.mtime.1 == 750_000_000));
    assert_eq!(
        tree.0["etc/capable"].xattrs,
        BTreeMap::from([("user.x".to_owned(), b"kept".to_vec())])
    );
}

#[test]
fn whiteouts_delete_what_lies_below_and_nothing_of_their_own_layer() {
    let lower = LayerBuilder::new()
        .file("a/gone", "1")
        .file("a/replaced", "2")
        .file("a/stays", "3")
        .directory("tree")
        .file("tree/deep/x", "4");
    let upper = LayerBuilder::new()
        .whiteout("a/gone")
        .file("a/replaced", "new, its whiteout after it")
        .whiteout("a/replaced")
        .whiteout("tree")
        .whiteout("never/was")
        .file("tree/other", "new, its parent's whiteout before it");
    let tree = hand_built([lower, upper]);
    assert_eq!(
        tree.paths(),
        ["", "a", "a/replaced", "a/stays", "tree", "tree/other"]
    );
}

#[test]
fn opaque_directories_hide_what_lies_below_and_nothing_of_their_own_layer() {
    let lower = LayerBuilder::new()
        .directory("a")
        .file("a/gone", "1")
        .file("a/b/gone", "2")
        .file("a/again", "3")
        .file("c/stays", "4");
    // umoci sets the current time on a directory from which it deletes, so the directory's own member comes last.
    let upper = LayerBuilder::new()
        .file("a/again", "before the marker")
        .opaque("a")
        .file("a/b/new", "after the marker")
        .directory("a");
    let tree = hand_built([lower, upper]);
    assert_eq!(
        tree.paths(),
        ["", "a", "a/again", "a/b", "a/b/new", "c", "c/stays"]
    );
}

#[test]
fn hardlinks_join_names_across_directories_and_layers() {
    let lower = LayerBuilder::new()
        .file("a/data", "one")
        .hardlink("b/c/link", "a/data")
        .hardlink("third", "b/c/link")
        .symlink("s", "a/data")
        .hardlink("s2", "s");
    let upper = LayerBuilder::new()
        .file("a/data", "replaced: the other names keep what they had")
        .hardlink("d/later", "third");
    let tree = hand_built([lower, upper]);
    assert_eq!(tree.tree.0["third"].names, ["b/c/link", "d/later", "third"]);
    assert_eq!(tree.tree.0["s"].names, ["s", "s2"]);
    assert!(tree.tree.0["a/data"].names.is_empty());
}

#[test]
fn symlinked_directories_are_followed() {
    let lower = LayerBuilder::new()
        .directory("usr")
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("usr/lib64", "../lib")
        .file("lib/a", "1")
        .file("usr/lib/b", "2");
    let upper = LayerBuilder::new()
        .file("lib/c", "3")
        .whiteout("lib/a")
        .hardlink("usr/lib64/d", "lib/b")
        .file("usr/lib64/e/f", "4")
        // As above, umoci deletes something in this directory.
        .directory("usr/lib");
    let tree = hand_built([lower, upper]);
    assert_eq!(
        tree.paths(),
        [
            "",
            "lib",
            "usr",
            "usr/lib",
            "usr/lib/b",
            "usr/lib/c",
            "usr/lib/d",
            "usr/lib/e",
            "usr/lib/e/f",
            "usr/lib64"
        ]
    );
}

#[test]
fn types_replace_each_other() {
    let lower = LayerBuilder::new()
        .file("file-to-directory", "1")
        .directory("directory-to-file")
        .file("directory-to-file/inside", "2")
        .symlink("link-to-directory", "directory-to-file")
        .directory("directory-to-link")
        .file("directory-to-link/inside", "3")
        .symlink("link-to-file", "directory-to-file")
        .file("file-to-link", "4");
    let upper = LayerBuilder::new()
        .directory("file-to-directory")
        .file("file-to-directory/inside", "5")
        .file("directory-to-file", "6")
        .directory("link-to-directory")
        .file("link-to-directory/inside", "7")
        .symlink("directory-to-link", "nowhere")
        .file("link-to-file", "8")
        .symlink("file-to-link", "nowhere");
    let tree = hand_built([lower, upper]);
    assert_eq!(tree.kind("directory-to-file"), FileKind::File);
    assert_eq!(tree.kind("link-to-directory"), FileKind::Directory);
    assert_eq!(tree.kind("directory-to-link"), FileKind::Symlink);
}

#[test]
fn the_last_of_duplicate_names_wins() {
    let layer = LayerBuilder::new()
        .mode(0o700)
        .directory("d")
        .file("d/kept", "0")
        .mode(0o750)
        .directory("d")
        .file("twice", "first")
        .hardlink("link", "twice")
        .file("./twice", "second")
        .file("was-file", "")
        .symlink("was-file", "twice");
    let tree = hand_built([layer]);
    assert_eq!(tree.tree.0["twice"].size, 6);
    assert_eq!(tree.tree.0["d"].mode, 0o750);
    assert_eq!(tree.tree.0["link"].size, 5);
}

#[test]
fn metadata_of_every_kind_of_member_is_kept() {
    let layer = LayerBuilder::new()
        .mode(0o4755)
        .pax("uid", "1000000")
        .pax("gid", "70000")
        .pax("mtime", "1600000000.123456789")
        .file("setuid", "x")
        .mode(0o1777)
        .directory("sticky")
        .pax("SCHILY.xattr.user.note", b"any \0 bytes")
        .pax("mtime", "-1.5")
        .mode(0o600)
        .file("noted", "y")
        .member("pipe", tar::EntryType::Fifo, 0o600, "", &[])
        .raw_member(&device(b'3', "null", 1, 3))
        .raw_member(&device(b'4', "loop", 7, 300))
        .mtime(1)
        .symlink("dangling", "/no/where/../at all")
        .file(&format!("{}/long", "n".repeat(120)), "z");
    let tree = hand_built([layer]).tree;
    assert_eq!(tree.0["setuid"].mtime, (1_600_000_000, 123_456_789));
    assert_eq!(tree.0["setuid"].owner, (1_000_000, 70_000));
    assert_eq!(tree.0["noted"].mtime, (-2, 500_000_000));
    assert_eq!(tree.0["loop"].device, (7, 300));
}

struct HandBuilt {
    tree: Tree,
}

impl HandBuilt {
    fn paths(&self) -> Vec<&str> {
        self.tree.0.keys().map(String::as_str).collect()
    }

    fn kind(&self, path: &str) -> FileKind {
        self.tree.0[path].kind
    }
}

fn hand_built(layers: impl IntoIterator<Item = LayerBuilder>) -> HandBuilt {
    let directory = tempfile::tempdir().unwrap();
    ImageBuilder::of(layers).write(directory.path());
    HandBuilt {
        tree: agrees(directory.path()),
    }
}

/// The header of a device.
fn device(kind: u8, name: &str, major: u32, minor: u32) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_path(name).unwrap();
    header.set_mode(0o660);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(6);
    header.set_mtime(1_600_000_000);
    header.set_device_major(major).unwrap();
    header.set_device_minor(minor).unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Compares the merged file system of a layout's image with what umoci unpacks, path by path. Returns it.
#[track_caller]
fn agrees(layout: &Path) -> Tree {
    let unpacked = Unpacked::by_umoci(layout, "latest").tree();
    let mut view = view(layout, &Layout::new(layout).images()[0]);
    view.describe_implied(&unpacked);
    view.tree.assert_same(&unpacked);
    view.tree
}

/// A merged file system as a tree.
pub struct View {
    pub tree: Tree,
    /// Directories without a member. Only the paths of other members imply them.
    pub implied: Vec<String>,
}

impl View {
    /// Copies the attributes of implied directories from a tree that an engine unpacked. umoci does not create
    /// directories that only whiteouts imply.
    pub fn describe_implied(&mut self, unpacked: &Tree) {
        for path in self.implied.iter().rev() {
            match unpacked.0.get(path) {
                Some(there) if there.kind == FileKind::Directory => {
                    self.tree.0.insert(path.clone(), there.clone());
                }
                None if !self.tree.has_something_in(path) => {
                    self.tree.0.remove(path);
                }
                _ => {}
            }
        }
    }
}

/// The merged file system that the library computes. The content is hashed from the layers.
pub fn view(layout: &Path, manifest: &Value) -> View {
    let reference = format!("oci:{}:@0", layout.display()).parse().unwrap();
    let source = Source::open(&reference, std::io::empty()).unwrap();
    let root = load(&*source.store, manifest, None).unwrap();
    let image: &Image = root.images()[0];
    let allowances = Limits::NONE.of_layers(0);
    let access = Access {
        store: &*source.store,
        jobs: 2,
        observer: &Unobserved,
    };
    let scans = scan_layers(access, &image.layers, &allowances).unwrap();
    let rootfs = squash(scans.iter().map(|scan| &*scan.members), &allowances).unwrap();
    let sums: Vec<_> = scans
        .iter()
        .map(|scan| content_sums(&source, scan))
        .collect();
    let mut view = View {
        tree: Tree::default(),
        implied: Vec::new(),
    };
    let mut inodes = HashMap::new();
    for (path, id) in rootfs.walk() {
        let path = String::from_utf8(path).unwrap();
        let inode = rootfs.leaf(id);
        let Some(MemberId { layer, index }) = inode
            .map(|inode| rootfs.inode(inode).data())
            .or(rootfs.origin(id))
        else {
            view.tree.0.insert(path.clone(), implied_directory());
            view.implied.push(path);
            continue;
        };
        let mut entry = entry(&scans[layer].members[index]);
        if let Some(inode) = inode {
            describe(&mut entry, &scans, rootfs.headers(inode));
            let inode_is = rootfs.inode(inode).kind;
            assert_eq!(
                entry.kind == FileKind::Symlink,
                inode_is == InodeKind::Symlink,
                "{path}"
            );
            assert_eq!(rootfs.inode(inode).size, entry.size, "{path}");
            inodes.insert(path.clone(), inode);
        }
        entry.sha256 = (entry.kind == FileKind::File).then(|| sums[layer][&index].clone());
        view.tree.0.insert(path, entry);
    }
    view.tree.group(&inodes);
    view
}

/// Applies the attributes that the headers of an entry's links set.
fn describe(entry: &mut Entry, scans: &[Arc<LayerScan>], headers: impl Iterator<Item = MemberId>) {
    let headers = headers.map(|id| &scans[id.layer].members[id.index]);
    let attributes = Attributes::of(headers).unwrap();
    let mtime = attributes.mtime;
    entry.owner = attributes.owner;
    entry.mtime = (mtime.seconds, mtime.nanoseconds);
    if entry.kind != FileKind::Symlink {
        entry.mode = attributes.mode & 0o7777;
    }
    let xattrs = attributes.xattrs.into_iter();
    let xattrs = xattrs.filter(|(name, _)| is_unpacked(name));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    entry.xattrs = xattrs
        .map(|(name, value)| (text(name), value.to_vec()))
        .collect();
}

/// umoci does not unpack SELinux labels, because the host sets them.
fn is_unpacked(xattr: &[u8]) -> bool {
    xattr != b"security.selinux"
}

fn content_sums(source: &Source, scan: &LayerScan) -> HashMap<usize, String> {
    let descriptor = &scan.layer.descriptor;
    let mut blob = open_verified(&*source.store, descriptor).unwrap();
    let stream = Decoder::new(&mut blob, descriptor.size()).unwrap();
    let mut reader = Reader::new(stream);
    let mut sums = HashMap::new();
    for index in 0.. {
        match reader.next_member().unwrap() {
            None => break,
            Some(member) if member.kind == Kind::File => {
                sums.insert(
                    index,
                    sha256_of(&mut (&mut reader as &mut dyn Read)).unwrap(),
                );
            }
            Some(_) => {}
        }
    }
    sums
}

fn entry(member: &Member) -> Entry {
    let kind = match member.kind {
        Kind::Directory => FileKind::Directory,
        Kind::Symlink => FileKind::Symlink,
        Kind::CharacterDevice => FileKind::CharacterDevice,
        Kind::BlockDevice => FileKind::BlockDevice,
        Kind::Fifo => FileKind::Fifo,
        _ => FileKind::File,
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let xattrs = member.xattrs().iter();
    let xattrs = xattrs.filter(|xattr| is_unpacked(&xattr.name));
    let is_device = matches!(kind, FileKind::CharacterDevice | FileKind::BlockDevice);
    Entry {
        kind,
        mode: if kind == FileKind::Symlink {
            0
        } else {
            u32::from(member.mode) & 0o7777
        },
        owner: member.owner(),
        mtime: (member.mtime().seconds, member.mtime().nanoseconds),
        size: if kind == FileKind::File {
            member.size
        } else {
            0
        },
        link: if kind == FileKind::Symlink {
            text(member.link())
        } else {
            String::new()
        },
        device: if is_device { member.device() } else { (0, 0) },
        xattrs: xattrs
            .map(|xattr| (text(&xattr.name), xattr.value.to_vec()))
            .collect(),
        sha256: None,
        names: Vec::new(),
    }
}

fn implied_directory() -> Entry {
    Entry {
        kind: FileKind::Directory,
        mode: 0o755,
        owner: (0, 0),
        mtime: (0, 0),
        size: 0,
        link: String::new(),
        device: (0, 0),
        xattrs: BTreeMap::new(),
        sha256: None,
        names: Vec::new(),
    }
}
