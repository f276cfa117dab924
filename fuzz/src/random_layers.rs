//! The generator of random layers from the integration tests.

#[path = "../../tests/it/random_layers/generator.rs"]
pub mod generator;
