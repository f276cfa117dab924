//! Code that tests share: images made by hand, the binary, real tools, and reading results.

pub mod builder;
pub mod cost;
pub mod disk;
pub mod engines;
pub mod fault_proxy;
pub mod layout;
pub mod options;
pub mod pyc;
pub mod random;
pub mod real;
pub mod registry;
pub mod scene;
pub mod schema;
pub mod stream;
pub mod tools;
pub mod tree;

pub use builder::{ImageBuilder, LayerBuilder, Layered};
pub use layout::Layout;
pub use scene::{Minimized, findings, inspected, minimized};
pub use tools::{Output, pycull, tool};
