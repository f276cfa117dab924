//! A body written so that it depends on what the code object is, not on how it came to be.
//!
//! `marshal.dumps` flags an object when something else refers to it at that moment, shares what
//! happens to be one object, and numbers references accordingly: the same source gives other bytes
//! in a process that compiled something else before. Here every value is numbered once, equal values
//! get equal numbers, and what is written follows from the numbers alone:
//!
//! * A value is written where it comes first, flagged if it comes again, and is a reference from then
//!   on. What takes no more bytes than a reference is written each time, and never flagged.
//! * Lists, sets, dictionaries, code objects and NaNs are equal to themselves only: two stay two.
//! * Whether text is interned is a matter of history, and so is the order of sets: see [`graph`].
//! * Tuples are in the short form if there is one.
//!
//! Time is about linear in the body's length, and the result is not longer than the body.

mod graph;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use super::{CpythonVersion, MarshalError, MarshalErrorKind, body_length};

/// The canonical form of a body of CPython 3.6 to 3.15: equal for code objects that are equal, field
/// by field and constant by constant, and loaded as one that is equal to them.
///
/// `body` is what follows the header. Bytes after the code object are dropped. The result is its own
/// canonical form, and [`check_body`] accepts it.
///
/// [`check_body`]: super::check_body
///
/// # Errors
/// As for [`check_body`], and for bodies that no compiler makes: a container that holds itself, an
/// end marker within a slice or code object, and what is nested deeper than Python reads once it is
/// written in this form. [`MarshalErrorKind::UnknownVersion`] for 3.3 to 3.5 too.
pub fn canonical_body(version: CpythonVersion, body: &[u8]) -> Result<Vec<u8>, MarshalError> {
    if version.minor < 6 {
        let kind = MarshalErrorKind::UnknownVersion(version);
        return Err(MarshalError { offset: 0, kind });
    }
    let length = body_length(version, body)?;
    let body = body.get(..length).unwrap_or_default();
    let (graph, root) = parse::Parser::new(version.minor, body).run()?;
    write::write(&graph, root, length)
}
