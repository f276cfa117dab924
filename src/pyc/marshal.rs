//! Whether a cache's body can be loaded: a walk over its marshal stream that builds no object.
//!
//! A cache whose header is right and whose body is not is fatal: the import ends in an exception,
//! with no way back to the source. So this follows `r_object` in Python/marshal.c step by step, with
//! its ideas of references, NULL and nesting, and asks of each code object what the constructor
//! in Objects/codeobject.c asks (`_PyCode_Validate` from 3.11 on).
//!
//! The rule for doubt: what an interpreter loads is never called malformed. The other way round
//! some bodies pass here that Python refuses or crashes on, all of them made by hand: cyclic tuples
//! that are hashed before they are whole, code objects with unhashable constants in a set, fewer
//! variables than arguments up to 3.7, and bytecode that is nonsense.
//!
//! Time is linear in the body's length. Memory is bounded by it: a size that the stream claims
//! is compared with the bytes that are left before anything is done with it.

mod canonical;
mod code;
mod reader;
mod scalar;
mod value;
mod walk;

use thiserror::Error;

pub use canonical::canonical_body;

use super::CpythonVersion;

/// Where and why a body cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("at body byte {offset}: {kind}")]
pub struct MarshalError {
    /// The byte of the body where the trouble was seen: the start of a field that is wrong, or of
    /// one that is cut short.
    pub offset: usize,
    /// What is wrong.
    pub kind: MarshalErrorKind,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum MarshalErrorKind {
    /// The version is not one of 3.3 to 3.15: nothing was looked at.
    #[error("the marshal format of Python {0} is not known")]
    UnknownVersion(CpythonVersion),
    /// The body ends before the object does.
    #[error("cut short")]
    Truncated,
    /// No object starts with this byte in this version.
    #[error("unknown type byte {0:#04x}")]
    UnknownType(u8),
    /// The object referred to does not exist or is not complete.
    #[error("reference to object {0}, which is not there")]
    BadReference(i32),
    /// The whole is a marshalled object, but not a code object.
    #[error("not a code object")]
    NotCode,
    /// More than 2000 objects within each other (`MAX_MARSHAL_STACK_DEPTH`).
    #[error("nested too deep")]
    TooDeep,
    /// More objects, or references to them, than are worth the memory.
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
    /// The text is not UTF-8, surrogates allowed.
    #[error("malformed text")]
    BadText,
    /// A container holds the end marker in place of an object.
    #[error("no object where one belongs")]
    NullObject,
    /// A set's element or a dictionary's key is a list, a dictionary or a set, or holds one.
    #[error("unhashable object in a set or as a key")]
    Unhashable,
    /// The code object's constructor refuses this field.
    #[error("code object with a bad {0}")]
    BadCode(&'static str),
}

/// Objects of a body that are looked at: the largest known bodies have a tenth of them.
const MOST_OBJECTS: usize = 2_000_000;

/// Checks that a cache's body loads as a code object in this version of CPython, 3.3 to 3.15.
///
/// `body` is what follows the header. Bytes after the code object are accepted, as `marshal.loads`
/// ignores them; [`body_length`] tells how many there are. The layout is that of the version's
/// releases: alphas with another one carry a magic number that [`Magic::is_final`] denies.
///
/// [`Magic::is_final`]: super::Magic::is_final
///
/// # Errors
/// [`MarshalError`] says where the body stops to make sense; its kind is
/// [`MarshalErrorKind::UnknownVersion`] if nothing can be said.
pub fn check_body(version: CpythonVersion, body: &[u8]) -> Result<(), MarshalError> {
    body_length(version, body).map(drop)
}

/// The bytes of the body's code object, checked as [`check_body`] does. A body that is longer has
/// something behind it that Python never reads.
///
/// # Errors
/// As for [`check_body`].
pub fn body_length(version: CpythonVersion, body: &[u8]) -> Result<usize, MarshalError> {
    if version.major != 3 || !(3..=15).contains(&version.minor) {
        let kind = MarshalErrorKind::UnknownVersion(version);
        return Err(MarshalError { offset: 0, kind });
    }
    walk::Walk::new(version.minor, body).run()
}

#[cfg(test)]
mod tests;
