//! Makes new bytes: layers, by edits to their tar streams, and the documents that name them.

pub(crate) mod additions;
pub(crate) mod annotations;
mod apply;
pub(crate) mod documents;
pub(crate) mod edits;
mod forward;
pub(crate) mod image_layers;
pub(crate) mod index;
pub(crate) mod layer_uses;
pub(crate) mod media;
pub(crate) mod media_types;
mod new_layer;
pub(crate) mod spool;
pub(crate) mod staging;

pub(crate) use new_layer::grew;
