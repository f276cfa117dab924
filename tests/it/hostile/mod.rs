//! Images that were made to do harm.

mod archives;
mod bounds;
mod linear;
mod links;
mod names;
mod processes;
mod volume;
