//! The OCI image formats without anything specific to Python: digests, media types, compression, blobs, and the JSON
//! documents that name them.

pub(crate) mod annotations;
pub mod blob;
mod blob_file;
pub mod commands;
pub mod compression;
pub mod digest;
mod growing_file;
pub mod image;
mod image_error;
pub mod json_keys;
pub mod json_text;
pub mod layer_writer;
pub mod listing;
pub mod load;
pub mod media_type;
pub mod platform;
mod second_decoder;
pub mod zstd_level;

pub use blob::{Blob, BlobError, BlobStore, open_verified, read_document};
pub use blob_file::BlobFile;
pub use compression::{Compression, CompressionSetting, Encoding};
pub use digest::{Digest, DigestHasher};
pub use image::{Image, ImageError, Index, Node};
pub use load::{load, load_within};
pub use oci_spec::image::Descriptor;
pub use platform::Platform;
