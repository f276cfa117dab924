//! What a file is besides its content, with all headers that say so.

use std::collections::BTreeMap;

use crate::tar::{Member, Timestamp};

/// Mode, owner, time and extended attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Permission bits and set-id bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Attributes<'a> {
    /// The attributes that the headers of a file and of its hardlinks give it, in the order of extraction. Engines
    /// set mode, owner and time anew for each link, and add its extended attributes. `None` without a header.
    pub fn of(headers: impl IntoIterator<Item = &'a Member>) -> Option<Self> {
        let mut xattrs = BTreeMap::new();
        let mut last = None;
        for member in headers {
            let pairs = member.xattrs().iter();
            xattrs.extend(pairs.map(|xattr| (&*xattr.name, &*xattr.value)));
            last = Some(member);
        }
        let member = last?;
        Some(Self {
            mode: member.mode.into(),
            owner: member.owner(),
            mtime: member.mtime(),
            xattrs,
        })
    }
}
