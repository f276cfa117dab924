//! A byte-exact stream of tar members: POSIX pax, ustar, GNU and old formats, as they occur in
//! layers. A member is its extension headers and its data; what is not asked for is never decoded.

mod extension;
pub mod header;
pub mod member;
pub mod new_member;
pub mod reader;

pub use header::{HeaderError, hardlink_to, has_valid_checksum, heir, resized, size_field};
pub use member::{Kind, Member, MemberPath, Timestamp, Xattr, share_paths};
pub use new_member::{NewKind, NewMember, new_headers};
pub use reader::{Reader, TarError};

/// Bytes of a tar block: headers are one block, data is padded to whole ones.
pub const BLOCK: u64 = 512;

/// `bytes` rounded up to whole blocks; `None` where that overflows.
pub fn padded(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(BLOCK)
}
