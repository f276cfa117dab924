//! pycull manages the CPython bytecode in the layers of a container image.

pub mod pyc;
