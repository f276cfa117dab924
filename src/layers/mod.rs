//! Reads layers: once from the first byte to the last, and again for the data of chosen members.

mod access;
mod check_image;
mod error;
mod hashes;
mod members;
mod read;
mod scan;

pub use access::Access;
pub use check_image::{Violation, check_image, check_read};
pub use error::{LayerError, LayerErrorCause};
pub use hashes::{SourceHashes, WantedHashes, hash_members, hash_sources};
pub use members::read_members;
pub use scan::{Bytecode, Contents, LayerScan, scan_layers};

pub(crate) use error::layer_error;
pub(crate) use read::reread_layer;
