//! pycull manages the CPython bytecode in the layers of a container image.

pub mod oci;
pub mod pyc;
pub mod tar;
