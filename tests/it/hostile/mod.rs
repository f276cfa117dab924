//! Images that were made to do harm.

mod archives;
mod bounds;
mod linear;
mod links;
mod names;
mod packed_archives;
mod processes;
mod volume;
