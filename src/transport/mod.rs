//! Reading images and writing them: OCI layouts, OCI archives and docker archives.
//!
//! A [`Reference`] is the parsed form of what the user wrote. [`Source::open`] finds the image and its blobs.
//! [`prepare`] decides on the output and checks it before any long work. [`Sink::commit`] writes the output whole or
//! not at all.

mod engine;
mod error;
mod medium;
mod open;
mod reference;
mod sink;
mod source;
mod transports;

mod output;
mod place;

mod beneath;
mod dir;
mod docker_archive_read;
mod docker_archive_write;
mod oci_archive;
mod oci_layout_read;
mod oci_layout_write;
mod remote;

mod archive;
mod archive_update;
mod file_names;
mod hints;
mod identity;
mod image_name;
mod index_json;
mod no_image;
mod packing;
mod spool;

#[cfg(test)]
mod testing;

pub use error::TransportError;
pub use medium::{DockerForm, Medium};
pub use open::{Opening, Reading};
pub use output::OutputImage;
pub use place::OutputBlob;
pub use reference::{Reference, Selector};
pub use sink::{Committed, EarlyBlobs, Follower, Replaced, Sink, prepare};
pub use source::Source;
pub use transports::{Engine, Transport};
