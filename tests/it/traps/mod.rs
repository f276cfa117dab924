//! At least one test for each known way in which a rewritten image can break.

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
