//! Rewrites a body so that it depends only on what the code object is, not on how it was made.
//!
//! `marshal.dumps` flags an object if something else refers to it at that moment, and shares what happens to be one
//! object. It numbers references accordingly. So the same source gives other bytes in a process that compiled
//! something else before. Here every value has one number, equal values have equal numbers, and the output follows
//! from the numbers alone:
//!
//! * A value is written at its first place, flagged if it comes again, and is a reference from then on. A value that
//!   takes no more bytes than a reference is written each time and never flagged.
//! * Lists, sets, dictionaries, code objects and NaNs are equal only to themselves: two stay two.
//! * Interning of text and the order of sets depend on history. See [`graph`] for how both are fixed.
//! * Tuples have the short form if there is one.
//!
//! Time is about linear in the length of the body, and the result is not longer than the body.

mod graph;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use super::{MarshalError, MarshalErrorKind, Runtime, body_length};

/// The canonical form of a body of CPython 3.6 to 3.15. Code objects that are equal, field by field and constant by
/// constant, have equal forms. The form loads as a code object that is equal to the original.
///
/// `body` is the file after its header. Bytes after the code object are dropped. The result is its own canonical
/// form, and [`check_body`] accepts it.
///
/// [`check_body`]: super::check_body
///
/// # Errors
/// The same as for [`check_body`], and errors for bodies that no compiler makes:
///
/// * A container that contains itself.
/// * An end marker inside a slice or code object.
/// * A form that is nested deeper than Python reads.
///
/// Versions 3.3 to 3.5 give [`MarshalErrorKind::UnknownVersion`] too.
pub fn canonical_body(version: Runtime, body: &[u8]) -> Result<Vec<u8>, MarshalError> {
    if version.minor < 6 {
        let kind = MarshalErrorKind::UnknownVersion(version);
        return Err(MarshalError { offset: 0, kind });
    }
    let length = body_length(version, body)?;
    let body = body.get(..length).unwrap_or_default();
    let (graph, root) = parse::Parser::new(version.minor, body).run()?;
    write::write(&graph, root, length)
}
