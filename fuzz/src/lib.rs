//! What the fuzz targets run. The integration tests include the same files (tests/it/fuzz).

pub mod choices;
pub mod docker_archive;
pub mod image;
pub mod interpreter;
pub mod json_documents;
pub mod layers;
pub mod merged_view;
pub mod pyc;
pub mod random_layers;
pub mod splice;
pub mod stepwise;
pub mod support;
pub mod tar_stream;

/// A target's name, what it runs on an input, and the inputs that it begins with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

pub const TARGETS: [Target; 8] = [
    ("docker_archive", docker_archive::run, docker_archive::seeds),
    ("interpreter", interpreter::run, interpreter::seeds),
    ("json_documents", json_documents::run, json_documents::seeds),
    ("layers", layers::run, layers::seeds),
    ("merged_view", merged_view::run, merged_view::seeds),
    ("pyc", pyc::run, pyc::seeds),
    ("splice", splice::run, splice::seeds),
    ("tar_stream", tar_stream::run, tar_stream::seeds),
];
