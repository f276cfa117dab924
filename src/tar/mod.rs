//! A byte-exact stream of tar members in the formats that layers use: POSIX pax, ustar, GNU and the old format. A
//! member includes its extension headers. The reader decodes data only on request.

pub mod derived;
mod extension;
pub mod header;
pub mod member;
pub mod new_headers;
pub mod reader;
#[cfg(test)]
mod testing;

pub use derived::{hardlink_to, heir, resized};
pub use header::{HeaderError, has_valid_checksum, size_field};
pub use member::{Kind, Member, MemberPath, Timestamp, Xattr, share_paths};
pub use new_headers::{NewKind, NewMember, new_headers};
pub use reader::{Reader, TarError};

/// Bytes of a tar block. A header takes one block, and data is padded to whole blocks.
pub const BLOCK: u64 = 512;

/// `bytes` rounded up to whole blocks; `None` on overflow.
pub fn padded(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(BLOCK)
}
