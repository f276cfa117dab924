//! The code of the fuzz targets. The integration tests include the same files (tests/it/fuzz).

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
pub mod targets;
