//! The fuzz targets (fuzz/README.md) on their seeds and on a fixed number of mutations of those.

mod mutations;

#[path = "../../../fuzz/src/choices.rs"]
mod choices;
#[path = "../../../fuzz/src/docker_archive.rs"]
mod docker_archive;
#[path = "../../../fuzz/src/image.rs"]
mod image;
#[path = "../../../fuzz/src/interpreter.rs"]
mod interpreter;
#[path = "../../../fuzz/src/json_documents/mod.rs"]
mod json_documents;
#[path = "../../../fuzz/src/layers.rs"]
mod layers;
#[path = "../../../fuzz/src/merged_view/mod.rs"]
mod merged_view;
#[path = "../../../fuzz/src/pyc/mod.rs"]
mod pyc;
#[path = "../../../fuzz/src/splice.rs"]
mod splice;
#[path = "../../../fuzz/src/stepwise.rs"]
mod stepwise;
#[path = "../../../fuzz/src/tar_stream.rs"]
mod tar_stream;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use self::mutations::mutated;
use super::support::random::Random;

#[test]
fn docker_archives() {
    holds(
        "docker_archive",
        docker_archive::run,
        docker_archive::seeds(),
        6000,
    );
}

#[test]
fn the_files_of_interpreters() {
    holds(
        "interpreter",
        interpreter::run,
        interpreter::seeds(),
        20_000,
    );
}

#[test]
fn json_documents() {
    holds(
        "json_documents",
        json_documents::run,
        json_documents::seeds(),
        60_000,
    );
}

#[test]
fn random_layers() {
    holds("layers", layers::run, layers::seeds(), 300);
}

#[test]
fn the_merged_view() {
    holds(
        "merged_view",
        merged_view::run,
        merged_view::seeds(),
        300_000,
    );
}

#[test]
fn bytecode_files() {
    holds("pyc", pyc::run, pyc::seeds(), 1_000_000);
}

#[test]
fn spliced_gzip_streams() {
    holds("splice", splice::run, splice::seeds(), 6000);
}

#[test]
fn tar_streams() {
    holds("tar_stream", tar_stream::run, tar_stream::seeds(), 60_000);
}

/// Runs a target on its seeds, then on so many mutations of them. The number makes up for a clock: it takes about ten
/// seconds.
#[track_caller]
fn holds(name: &str, run: fn(&[u8]), seeds: Vec<Vec<u8>>, mutations: usize) {
    for number in 0..seeds.len() + mutations {
        let input = match number.checked_sub(seeds.len()) {
            None => seeds[number].clone(),
            Some(number) => mutated(&seeds, &mut Random::new(format!("{name} {number}"))),
        };
        if catch_unwind(|| run(&input)).is_err() {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}"));
            fs::write(&file, &input).unwrap();
            panic!("{name}: input {number} fails; it is in {}", file.display());
        }
    }
}
