//! Reads layers: once from the first byte to the last, and again for the data of chosen members.

mod access;
mod error;
mod hashes;
mod member_data;
mod read;
mod scan;
mod scan_layers;
mod shared;
mod validity;

pub use access::Access;
pub use error::{LayerError, LayerErrorCause};
pub use hashes::{SourceHashes, WantedHashes, hash_members, hash_sources};
pub use member_data::read_members;
pub use scan::{Bytecode, Contents, LayerScan};
pub use scan_layers::scan_layers;
pub use validity::{Violation, check_image, check_read};

pub(crate) use error::layer_error;
pub(crate) use read::reread_layer;
pub(crate) use scan_layers::scan_shared;
pub(crate) use shared::SharedScans;
