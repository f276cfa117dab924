//! pycull manages the CPython bytecode in the layers of a container image.

pub mod bench;
pub mod compile;
pub mod deflate;
pub mod inventory;
pub mod launch;
pub mod limits;
pub mod member_data;
pub mod oci;
pub mod parallel;
pub mod pipeline;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod pyc;
mod quoting;
pub mod report;
pub mod rewrite;
pub mod rootfs;
pub mod scan;
pub mod scratch;
pub mod situations;
pub mod tar;
pub mod transport;
pub mod validate;
pub mod verify;
