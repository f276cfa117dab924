//! Merged file systems made by hand.

use crate::rootfs::{Rootfs, squash};
use crate::tar::{Kind, Member};

pub(super) fn member(kind: Kind, path: &str, link: &str, size: u64) -> Member {
    let mut member = Member::empty(kind, path, link);
    member.size = size;
    member
}

pub(super) fn file(path: &str) -> Member {
    member(Kind::File, path, "", 0)
}

pub(super) fn symlink(path: &str, target: &str) -> Member {
    member(Kind::Symlink, path, target, 0)
}

pub(super) fn merged(members: &[Member]) -> Rootfs {
    squash([members], &crate::limits::Limits::NONE.of_layers(0)).unwrap()
}
