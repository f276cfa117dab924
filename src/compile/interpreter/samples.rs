//! Merged views made by hand.

use crate::rootfs::{Rootfs, squash};
use crate::tar::{Kind, Member, Timestamp};

pub(super) fn member(kind: Kind, path: &str, link: &str, size: u64) -> Member {
    Member {
        offset: 0,
        data_offset: 512,
        stored_bytes: size,
        size,
        sparse: false,
        kind,
        path: path.as_bytes().into(),
        link: link.as_bytes().into(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Timestamp::default(),
        device: (0, 0),
        xattrs: Vec::new(),
    }
}

pub(super) fn file(path: &str) -> Member {
    member(Kind::File, path, "", 0)
}

pub(super) fn symlink(path: &str, target: &str) -> Member {
    member(Kind::Symlink, path, target, 0)
}

pub(super) fn merged(members: &[Member]) -> Rootfs {
    squash([members]).unwrap()
}
