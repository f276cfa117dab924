//! Images that were made to do harm.

mod links;
