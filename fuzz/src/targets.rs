//! All targets.

use super::{
    docker_archive, interpreter, json_documents, layers, merged_view, pyc, splice, tar_stream,
};

/// A target: its name, the function that it runs on an input, and its seeds.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

pub const TARGETS: [Target; 8] = [
    (
        "docker_archive",
        |input| {
            docker_archive::run(input);
        },
        docker_archive::seeds,
    ),
    (
        "interpreter",
        |input| {
            interpreter::run(input);
        },
        interpreter::seeds,
    ),
    (
        "json_documents",
        |input| {
            json_documents::run(input);
        },
        json_documents::seeds,
    ),
    ("layers", layers::run, layers::seeds),
    ("merged_view", merged_view::run, merged_view::seeds),
    ("pyc", pyc::run, pyc::seeds),
    ("splice", splice::run, splice::seeds),
    ("tar_stream", tar_stream::run, tar_stream::seeds),
];
