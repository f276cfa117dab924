//! One test or more for each way in which a rewritten image is known to break.

mod annotations;
mod bytecode;
mod documents;
mod foreign_writers;
mod hardlinks;
mod headers;
mod host;
mod implied;
mod json_text;
mod link_headers;
mod media_types;
mod metadata;
mod names;
mod readers;
mod sparse;
mod whiteouts;
mod zstd_levels;
