//! The metadata of a file, from all headers that apply to it.

use std::collections::BTreeMap;

use crate::tar::{Member, Timestamp};

/// Mode, owner, time and extended attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Permission bits and set-id bits.
    pub mode: u32,
    /// User ID and group ID.
    pub owner: (u64, u64),
    /// Modification time.
    pub mtime: Timestamp,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Attributes<'a> {
    /// The attributes of a file after its header and the headers of its hardlinks, in the order of extraction. Each
    /// link sets mode, owner and time again, and adds its extended attributes, as in engines. `None` without headers.
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
