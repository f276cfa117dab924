//! pycull as its users see it: the binary, on images made by hand and on real ones. Other tools check the results.

// A test binary has no public interface: `pub` only matters for the other modules.
#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
mod bad_input;
mod bench;
mod command_line;
mod compare;
mod compile;
mod dead;
mod determinism;
mod durable;
mod engines;
mod fedora;
mod fuzz;
mod gzip_producers;
mod hostile;
mod html;
mod indexes;
mod interpreter;
mod invalidation;
mod inventory;
mod kill;
mod launch;
mod markdown;
mod media;
mod memory;
mod merged_view;
mod missing;
mod past_bugs;
mod random_layers;
mod recipes;
mod registries;
mod sandbox;
mod schema;
mod shown_commands;
mod signals;
mod support;
mod traps;
mod verify;
