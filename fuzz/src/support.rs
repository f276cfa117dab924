//! Code that the targets share with the integration tests.

#[path = "../../tests/it/support/builder.rs"]
pub mod builder;
#[path = "../../tests/it/support/pyc.rs"]
pub mod pyc;
#[path = "../../tests/it/support/random.rs"]
pub mod random;

pub use builder::{ImageBuilder, LayerBuilder, Layered};
