//! Layers of a few members from arbitrary bytes. A naive model computes the same merged file system, and the same fate
//! of every member.
//!
//! An input is a list of decisions: the numbers of layers and members, and the kind, path and target of each member.
//! All paths consist of a few names, so that members affect each other.

mod model;

use pycull::limits::Limits;
use pycull::rootfs::{InodeKind, NodeId, Rootfs, RootfsError, squash};
use pycull::tar::{Kind, Member};

use self::model::{Error, Model};
use super::choices::Choices;
use crate::support::random::Random;

const MOST_LAYERS: usize = 4;
const MOST_MEMBERS: usize = 16;

/// Parts of paths. Most are plain, and there are few.
const PARTS: [&str; 16] = [
    "a",
    "b",
    "c",
    "a",
    "b",
    "c",
    "a",
    "b",
    "..",
    ".",
    ".wh.a",
    ".wh.b",
    ".wh.c",
    ".wh..wh..opq",
    ".wh..wh.plnk",
    ".wh.",
];

/// Kinds of members. Those that hide, replace or lead to others are more frequent than devices.
const KINDS: [Kind; 10] = [
    Kind::File,
    Kind::File,
    Kind::Directory,
    Kind::Directory,
    Kind::Symlink,
    Kind::Symlink,
    Kind::Hardlink,
    Kind::Hardlink,
    Kind::Fifo,
    Kind::PaxGlobal,
];

pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut layers: Vec<Vec<Member>> = Vec::new();
    while !choices.is_empty() && layers.len() < MOST_LAYERS {
        let count = choices.below(MOST_MEMBERS);
        layers.push((0..count).map(|_| member(&mut choices)).collect());
    }
    assert_merges(&layers);
}

fn member(choices: &mut Choices<'_>) -> Member {
    let kind = *choices.pick(&KINDS);
    let path = path(choices, &PARTS);
    let link = match kind {
        // Targets use only the plain parts, not the whiteouts.
        Kind::Symlink | Kind::Hardlink => self::path(choices, &PARTS[..10]),
        _ => String::new(),
    };
    let mut member = Member::empty(kind, &path, &link);
    member.size = if kind == Kind::File { 10 } else { 0 };
    member
}

/// A path of up to four parts; one of sixteen begins with a slash, and two of sixteen end with one.
fn path(choices: &mut Choices<'_>, parts: &[&str]) -> String {
    let shape = choices.byte();
    let count = usize::from(shape & 3) + 1;
    let parts: Vec<&str> = (0..count).map(|_| *choices.pick(parts)).collect();
    let path = parts.join("/");
    match shape >> 4 {
        0 => format!("/{path}"),
        1 | 2 => format!("{path}/"),
        3 if shape & 15 == 15 => "/".to_owned(),
        _ => path,
    }
}

/// Checks that the merged file system of these layers equals the model's.
pub fn assert_merges(layers: &[Vec<Member>]) {
    let allowances = Limits::NONE.of_layers(0);
    let merged = squash(layers.iter().map(Vec::as_slice), &allowances);
    let rootfs = match (merged, Model::of(layers)) {
        (Ok(rootfs), Ok(model)) => {
            assert_same(&rootfs, &model, layers);
            rootfs
        }
        (Err(error), Err(expected)) => {
            assert_eq!(error_of(&error), Some(expected), "{error}");
            return;
        }
        (Ok(_), Err(expected)) => panic!("not refused as it should be: {expected:?}"),
        (Err(error), Ok(_)) => panic!("refused: {error}"),
    };
    for (path, node) in rootfs.walk() {
        assert_eq!(rootfs.path(node), path);
        assert_eq!(rootfs.lookup(&path), Some(node));
    }
}

fn error_of(error: &RootfsError) -> Option<Error> {
    let error = match error {
        RootfsError::LinkTarget { layer, .. } => Error::LinkTarget(layer - 1),
        RootfsError::Whiteout { layer, .. } => Error::Whiteout(layer - 1),
        RootfsError::SymlinkLoop { layer, .. } => Error::SymlinkLoop(layer - 1),
        RootfsError::Root { layer, .. } => Error::Root(layer - 1),
        _ => return None,
    };
    Some(error)
}

fn assert_same(rootfs: &Rootfs, model: &Model, layers: &[Vec<Member>]) {
    let paths: Vec<Vec<u8>> = rootfs.walk().map(|(path, _)| path).collect();
    let expected: Vec<Vec<u8>> = model.entries.keys().map(|path| path.join(&b'/')).collect();
    assert_eq!(paths, expected, "other paths");
    for (path, node) in rootfs.walk() {
        assert_same_node(rootfs, model, &path, node);
    }
    for (member, fate) in &model.fates {
        let found = rootfs.fate(*member);
        assert_eq!(model::Fate::of(rootfs, found), *fate, "{member:?}");
        let raw = &layers[member.layer][member.index].path;
        if let Some(place) = model.places.get(member) {
            assert_eq!(rootfs.member_path(*member, raw), place.join(&b'/'));
        }
        let target = model.link_targets.get(member).copied();
        assert_eq!(rootfs.link_target(*member), target, "{member:?}");
    }
    let markers: Vec<_> = rootfs
        .markers()
        .iter()
        .map(|it| (it.member, it.opaque, &*it.target))
        .collect();
    let expected: Vec<_> = model
        .markers
        .iter()
        .map(|it| (it.0, it.1, &*it.2))
        .collect();
    assert_eq!(markers, expected);
}

fn assert_same_node(rootfs: &Rootfs, model: &Model, path: &[u8], node: NodeId) {
    let name = String::from_utf8_lossy(path);
    let key = model::key(path);
    let entry = &model.entries[&key];
    assert_eq!(rootfs.origin(node), entry.origin, "{name}: another member");
    let Some(inode) = rootfs.leaf(node) else {
        assert_eq!(entry.inode, None, "{name} is a directory");
        return;
    };
    let expected = &model.inodes[entry
        .inode
        .unwrap_or_else(|| panic!("{name} is no directory"))];
    assert!(
        rootfs.headers(inode).eq(expected.headers.iter().copied()),
        "{name}: other headers"
    );
    let names = model.entries.values().filter(|it| it.inode == entry.inode);
    assert_eq!(
        rootfs.inode(inode).names(),
        names.count(),
        "{name}: other names"
    );
    assert_eq!(
        rootfs.symlink(node),
        expected.symlink.as_deref(),
        "{name}: another target"
    );
    let is_file = rootfs.inode(inode).kind == InodeKind::File;
    assert_eq!(is_file, expected.is_file, "{name}: another kind");
    let followed = rootfs.follow(path).map(|node| rootfs.path(node));
    let expected = model.lookup(&key, true).map(|path| path.join(&b'/'));
    assert_eq!(followed, expected, "{name} leads elsewhere");
}

/// Random decisions.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut random = Random::new("merged view");
    (0..60).map(|_| random.bytes(200)).collect()
}
