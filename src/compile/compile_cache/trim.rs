//! Trims a cache: removes the least recently used entries.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatxFlags, openat, statx, unlinkat};
use rustix::io::Errno;

use super::{Key, TEMPORARY_PREFIX};

/// Age in seconds after which a temporary file is a leftover of a killed process.
const LEFTOVER_SECONDS: i64 = 3600;

/// An entry on disk. Entries are removed in the order of these fields.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    /// The time when it was last used (to the day) or written: seconds and nanoseconds since 1970.
    used: (i64, u32),
    key: Key,
    bytes: u64,
}

/// Removes leftovers, and the least recently used entries until the rest has at most `largest_bytes`. Files that a
/// cache does not write stay, and do not count.
///
/// Other processes may read, write and trim at the same time. An entry that another process removes first counts as
/// removed.
pub(super) fn trim(
    root: BorrowedFd<'_>,
    largest_bytes: u64,
    now: SystemTime,
) -> Result<(), io::Error> {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed());
    let mut stored = Vec::new();
    for first in 0..=u8::MAX {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(root, format!("{first:02x}"), flags, Mode::empty()) {
            Ok(shard) => list(first, shard, now, &mut stored)?,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    stored.sort_unstable();
    let mut bytes: u64 = stored.iter().map(|entry| entry.bytes).sum();
    for entry in stored {
        if bytes <= largest_bytes {
            break;
        }
        remove(root, entry.key.place())?;
        bytes -= entry.bytes;
    }
    Ok(())
}

/// Adds the entries of the keys that begin with `first`, which are in the directory `shard`. Removes leftovers.
fn list(first: u8, shard: OwnedFd, now: i64, stored: &mut Vec<Stored>) -> io::Result<()> {
    for file in Dir::read_from(&shard)? {
        let file = file?;
        let name = file.file_name().to_bytes();
        let key = Key::from_place(first, name);
        let is_temporary = name.starts_with(TEMPORARY_PREFIX.as_bytes());
        if key.is_none() && !is_temporary {
            continue;
        }
        let wanted = StatxFlags::MTIME | StatxFlags::SIZE;
        let found = match statx(&shard, file.file_name(), AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(found) => found,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let used = (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec);
        if let Some(key) = key {
            let bytes = found.stx_size;
            stored.push(Stored { used, key, bytes });
        } else if used.0 < now - LEFTOVER_SECONDS {
            remove(&shard, file.file_name())?;
        }
    }
    Ok(())
}

/// Removes a file. Succeeds if it does not exist.
fn remove(directory: impl rustix::fd::AsFd, path: impl rustix::path::Arg) -> io::Result<()> {
    match unlinkat(directory, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
