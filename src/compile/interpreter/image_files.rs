//! Files of an image that are read in rounds and kept in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::InterpreterError;
use crate::layers::LayerError;
use crate::rootfs::{InodeId, MemberId, Rootfs};
use crate::tar::Member;

/// A function that reads the whole data of all requested members. [`read_members`](crate::layers::read_members) is made
/// for this.
pub type ReadMembers<'a> =
    dyn FnMut(&BTreeSet<MemberId>) -> Result<HashMap<MemberId, Vec<u8>>, LayerError> + 'a;

/// Maximum number of files in memory. A standard library has about 125 encodings.
const MOST_FILES: usize = 1000;
/// Maximum size of all files in memory, in bytes.
const MOST_BYTES: u64 = 512 << 20;
/// Maximum size of a file in bytes. A static interpreter with all its modules has a tenth of it.
const LARGEST_FILE: u64 = 256 << 20;
/// Maximum number, and total size in bytes, of files that are read because they may be needed.
const MOST_GUESSES: (usize, u64) = (500, 256 << 20);

/// Files of an image. They stay in memory for the next candidates.
pub struct ImageFiles<'a> {
    pub(super) rootfs: &'a Rootfs,
    layers: Vec<&'a [Member]>,
    read: &'a mut ReadMembers<'a>,
    held: HashMap<InodeId, Arc<[u8]>>,
    bytes: u64,
    pub(super) library_path: Vec<u8>,
}

impl<'a> ImageFiles<'a> {
    /// Files of a merged file system. `layers` are the members of its layers, lowest first.
    pub fn new(
        rootfs: &'a Rootfs,
        layers: impl IntoIterator<Item = &'a [Member]>,
        read: &'a mut ReadMembers<'a>,
    ) -> Self {
        Self {
            rootfs,
            layers: layers.into_iter().collect(),
            read,
            held: HashMap::new(),
            bytes: 0,
            library_path: Vec::new(),
        }
    }

    /// Sets the `LD_LIBRARY_PATH` of the image's environment.
    pub fn with_library_path(mut self, list: Option<&str>) -> Self {
        self.library_path = list.unwrap_or_default().replace(';', ":").into_bytes();
        self
    }

    /// The data of a file, if it was read.
    pub(super) fn get(&self, inode: InodeId) -> Option<&Arc<[u8]>> {
        self.held.get(&inode)
    }

    /// Reads files that are not in memory yet, in one round. `guessed` files may turn out to be needed. If one cannot
    /// be read, this is an error only once it is needed.
    pub(super) fn read(
        &mut self,
        needed: impl IntoIterator<Item = InodeId>,
        guessed: impl IntoIterator<Item = InodeId>,
    ) -> Result<(), InterpreterError> {
        let mut wanted: HashMap<MemberId, InodeId> = HashMap::new();
        let mut total = self.bytes;
        for inode in needed {
            let (id, member) = self.member(inode);
            check(member)?;
            if !self.held.contains_key(&inode) && wanted.insert(id, inode).is_none() {
                total = total.saturating_add(member.size);
                self.check_total(member, wanted.len(), total)?;
            }
        }
        let (most, most_bytes) = MOST_GUESSES;
        for inode in guessed {
            let (id, member) = self.member(inode);
            let fits = wanted.len() < most && total.saturating_add(member.size) < most_bytes;
            if !self.held.contains_key(&inode)
                && check(member).is_ok()
                && fits
                && wanted.insert(id, inode).is_none()
            {
                total += member.size;
            }
        }
        self.take(wanted)
    }

    fn take(&mut self, wanted: HashMap<MemberId, InodeId>) -> Result<(), InterpreterError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut read = (self.read)(&wanted.keys().copied().collect())?;
        for (id, inode) in wanted {
            let member = self.member(inode).1;
            let data = read
                .remove(&id)
                .filter(|data| data.len() as u64 == member.size);
            let data =
                data.ok_or_else(|| unusable(member, "its layer does not contain its data"))?;
            self.bytes += member.size;
            self.held.insert(inode, data.into());
        }
        Ok(())
    }

    fn check_total(
        &self,
        member: &Member,
        files: usize,
        bytes: u64,
    ) -> Result<(), InterpreterError> {
        let limit = if self.held.len() + files > MOST_FILES {
            format!("{MOST_FILES} files")
        } else if bytes > MOST_BYTES {
            format!("{} MiB", MOST_BYTES >> 20)
        } else {
            return Ok(());
        };
        Err(InterpreterError::TooMuch {
            path: member.path_lossy(),
            limit,
        })
    }

    fn member(&self, inode: InodeId) -> (MemberId, &'a Member) {
        let id = self.rootfs.inode(inode).data();
        (id, &self.layers[id.layer][id.index])
    }
}

fn check(member: &Member) -> Result<(), InterpreterError> {
    if member.is_sparse() {
        return Err(unusable(member, "it is stored as a sparse file"));
    }
    if member.size > LARGEST_FILE {
        let limit = LARGEST_FILE >> 20;
        return Err(unusable(member, &format!("it is larger than {limit} MiB")));
    }
    Ok(())
}

fn unusable(member: &Member, reason: &str) -> InterpreterError {
    InterpreterError::File {
        path: member.path_lossy(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{member, merged};
    use super::*;
    use crate::tar::Kind;

    fn reading(members: &[Member], guess: bool) -> (Result<(), InterpreterError>, usize) {
        let rootfs = merged(members);
        let mut reads = 0;
        let mut read = |wanted: &BTreeSet<MemberId>| {
            reads += wanted.len();
            let data = |id: &MemberId| vec![0; members[id.index].size as usize];
            Ok(wanted.iter().map(|id| (*id, data(id))).collect())
        };
        let mut files = ImageFiles::new(&rootfs, [members], &mut read);
        let inodes = || {
            rootfs
                .walk()
                .filter_map(|(_, node)| rootfs.regular_file(node))
        };
        let result = match guess {
            true => files.read([], inodes()),
            false => files.read(inodes(), []),
        };
        // A second call reads nothing twice.
        let again = result.is_ok().then(|| files.read([], inodes()));
        assert!(again.is_none_or(|result| result.is_ok()));
        (result, reads)
    }

    #[test]
    fn what_is_too_large_is_an_error_where_it_is_needed() {
        let mut sparse = member(Kind::File, "a", "", 10);
        sparse.rare_mut().sparse_bytes = Some(10);
        let large = member(Kind::File, "b", "", LARGEST_FILE + 1);
        for (odd, text) in [(sparse, "sparse"), (large, "256 MiB")] {
            let (result, reads) = reading(std::slice::from_ref(&odd), false);
            assert!(result.unwrap_err().to_string().contains(text));
            assert_eq!(reads, 0);
            let members = [odd, member(Kind::File, "c", "", 1)];
            let (result, reads) = reading(&members, true);
            assert!(result.is_ok());
            assert_eq!(reads, 1);
        }
    }

    #[test]
    fn there_is_a_limit_to_files_and_bytes() {
        let many: Vec<Member> = (0..=MOST_FILES)
            .map(|number| member(Kind::File, &format!("{number}"), "", 1))
            .collect();
        let (result, _) = reading(&many, false);
        assert!(result.unwrap_err().to_string().contains("1000 files"));
        let (result, reads) = reading(&many, true);
        assert!(result.is_ok());
        // A second call reads as many again.
        assert_eq!(reads, 2 * MOST_GUESSES.0);
        let large: Vec<Member> = (0..3)
            .map(|number| member(Kind::File, &format!("{number}"), "", LARGEST_FILE))
            .collect();
        let (result, _) = reading(&large, false);
        assert!(result.unwrap_err().to_string().contains("512 MiB"));
    }
}
