//! CPython bytecode files: their names, headers and bodies. Bytes and names only, no I/O.
//!
//! A cache is a `.pyc` file in `__pycache__`. Its [`Header`] names the interpreter that made it and ties it to its
//! source. The body, one marshalled code object, follows. These modules answer the questions of an import without
//! running Python:
//!
//! 1. [`name`]: which module and level does a cache's file name state? (PEP 3147, PEP 488)
//! 2. [`magic`]: which interpreter made it?
//! 3. [`header`]: how is it tied to its source? (PEP 552)
//! 4. [`mod@source_hash`] and [`mod@freshness`]: would Python use it with this source?
//! 5. [`marshal`]: can its body be loaded, and what is the body's canonical form?
//! 6. [`mod@level_one`]: would optimization change it?
//!
//! Functions here never panic, because the bytes come from images that others made.

pub mod freshness;
pub mod header;
pub mod level_one;
pub mod magic;
pub mod marshal;
pub mod name;
pub mod runtime;
pub mod source_hash;

pub use freshness::{Freshness, StaleReason, freshness, python_mtime};
pub use header::{Header, HeaderError, Invalidation};
pub use level_one::level_one_is_level_zero;
pub use magic::{Magic, can_be_compiled};
pub use marshal::{MarshalError, MarshalErrorKind, body_length, canonical_body, check_body};
pub use name::{CacheName, Level, cache_file_name, parse_cache_name};
pub use runtime::{Implementation, Runtime};
pub use source_hash::{SourceHasher, source_hash};
