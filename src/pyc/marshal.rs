//! Checks whether a cache's body can be loaded. The check walks over the marshal stream and builds no objects.
//!
//! A cache with a valid header and a broken body is fatal: the import raises an exception and never falls back to the
//! source. So this code follows `r_object` in Python/marshal.c step by step, with the same rules for references, NULL
//! and nesting. It checks each code object as the constructor in Objects/codeobject.c does (`_PyCode_Validate` from
//! 3.11 on).
//!
//! In doubt, a body that an interpreter loads is never called malformed. On the other hand, some handmade bodies pass
//! that Python refuses or crashes on:
//!
//! * Cyclic tuples that are hashed before they are complete.
//! * Code objects with unhashable constants in a set.
//! * Code objects with fewer variables than arguments, up to 3.7.
//! * Invalid bytecode.
//!
//! Time is linear in the length of the body, and memory is bounded by it. A size in the stream is compared with the
//! remaining bytes before anything uses it.

mod canonical;
mod code;
mod reader;
mod scalar;
mod value;
mod walk;

use thiserror::Error;

pub use canonical::canonical_body;

use super::Runtime;

/// Where and why a body cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("at body byte {offset}: {kind}")]
pub struct MarshalError {
    /// The offset in the body at which the error was found: the start of a field that is wrong or cut short.
    pub offset: usize,
    /// What is wrong.
    pub kind: MarshalErrorKind,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum MarshalErrorKind {
    /// The version is not one of 3.3 to 3.15, so nothing was checked.
    #[error("the marshal format of Python {0} is not known")]
    UnknownVersion(Runtime),
    /// The body ends before the object does.
    #[error("cut short")]
    Truncated,
    /// No object starts with this byte in this version.
    #[error("unknown type byte {0:#04x}")]
    UnknownType(u8),
    /// The reference names an object that does not exist or is not complete.
    #[error("reference to object {0}, which does not exist")]
    BadReference(i32),
    /// The body is a marshalled object, but not a code object.
    #[error("not a code object")]
    NotCode,
    /// Objects are nested deeper than 2000 levels (`MAX_MARSHAL_STACK_DEPTH`).
    #[error("nested too deep")]
    TooDeep,
    /// The body has more objects, or references to them, than pycull accepts.
    #[error("more than {MOST_OBJECTS} objects")]
    TooMany,
    /// The size is negative.
    #[error("size {0} is out of range")]
    BadSize(i32),
    /// A digit of an integer is above 2¹⁵ - 1, or the highest one is zero.
    #[error("malformed integer")]
    BadInteger,
    /// The text of a float is not a number.
    #[error("malformed float")]
    BadFloat,
    /// The text is not UTF-8 (surrogates are allowed).
    #[error("malformed text")]
    BadText,
    /// A container has the end marker instead of an object.
    #[error("an object is missing")]
    NullObject,
    /// An element of a set or a key of a dictionary is a list, a dictionary or a set, or contains one.
    #[error("unhashable object in a set or as a key")]
    Unhashable,
    /// The code object's constructor refuses this field.
    #[error("code object with a bad {0}")]
    BadCode(&'static str),
}

/// Maximum number of objects in a body. The largest known bodies have a tenth of that.
const MOST_OBJECTS: usize = 2_000_000;

/// Checks that a cache's body loads as a code object in this version of CPython, 3.3 to 3.15.
///
/// `body` is the file after its header. Bytes after the code object are accepted, because `marshal.loads` ignores
/// them; [`body_length`] shows how many there are. The layout is that of the version's releases. Alphas with another
/// layout have a magic number for which [`Magic::is_final`] is false.
///
/// [`Magic::is_final`]: super::Magic::is_final
///
/// # Errors
/// [`MarshalError`] with the place of the first error. Its kind is [`MarshalErrorKind::UnknownVersion`] if the check
/// does not know the version.
pub fn check_body(version: Runtime, body: &[u8]) -> Result<(), MarshalError> {
    body_length(version, body).map(drop)
}

/// The length of the body's code object in bytes, checked as in [`check_body`]. Python never reads the bytes after
/// it.
///
/// # Errors
/// The same as for [`check_body`].
pub fn body_length(version: Runtime, body: &[u8]) -> Result<usize, MarshalError> {
    if version.major != 3 || !(3..=15).contains(&version.minor) {
        let kind = MarshalErrorKind::UnknownVersion(version);
        return Err(MarshalError { offset: 0, kind });
    }
    walk::Walk::new(version.minor, body).run()
}

#[cfg(test)]
mod tests;
