//! Archives for the tests of headers.

use super::{Member, Reader};

/// The only member of an archive that has these headers and this data.
pub(super) fn only_member(headers: &[u8], data: &[u8]) -> Member {
    let mut archive = [headers, data].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    let mut reader = Reader::new(&archive[..]);
    let member = reader.next_member().unwrap().unwrap();
    assert!(reader.next_member().unwrap().is_none());
    member
}
