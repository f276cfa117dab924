//! Everything that makes new bytes: layers by edits to their tar streams, and the documents that
//! name them.

pub mod annotations;
pub mod compiled;
pub mod documents;
pub mod edits;
pub mod image_layers;
pub mod index;
pub mod media_types;
mod new_layer;
pub mod staging;

pub(crate) use new_layer::grew;
