//! The fuzz targets (fuzz/README.md) on their seeds and on a fixed number of mutations.

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
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use self::mutations::mutated;
use super::support::random::Random;

#[test]
fn docker_archives_read_back() {
    holds(
        "docker_archive",
        docker_archive::run,
        docker_archive::seeds(),
        6000,
    );
}

#[test]
fn what_interpreters_need_is_found_or_refused() {
    holds(
        "interpreter",
        interpreter::run,
        interpreter::seeds(),
        20_000,
    );
}

#[test]
fn json_documents_are_edited_and_loaded() {
    holds(
        "json_documents",
        json_documents::run,
        json_documents::seeds(),
        12_000,
    );
}

#[test]
fn random_layers_are_minimized_and_verified() {
    holds("layers", reaching(layers::run), layers::seeds(), 400);
}

#[test]
fn the_merged_view_is_that_of_a_naive_model() {
    holds(
        "merged_view",
        reaching(merged_view::run),
        merged_view::seeds(),
        280_000,
    );
}

#[test]
fn bytecode_files_read_back() {
    holds("pyc", reaching(pyc::run), pyc::seeds(), 1_000_000);
}

#[test]
fn gzip_streams_are_spliced() {
    holds("splice", reaching(splice::run), splice::seeds(), 6000);
}

#[test]
fn tar_streams_read_back() {
    holds(
        "tar_stream",
        reaching(tar_stream::run),
        tar_stream::seeds(),
        60_000,
    );
}

/// cargo-fuzz finds a target by its file, and `just fuzz` finds its seeds in the table.
#[test]
fn every_target_has_a_program_and_seeds() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let programs = fs::read_dir(programs).unwrap();
    let mut names: Vec<String> = programs
        .map(|program| program.unwrap().path())
        .map(|program| program.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, targets::TARGETS.map(|(name, ..)| name));
    for (name, run, seeds) in targets::TARGETS {
        let seeds = seeds();
        assert!(!seeds.is_empty(), "{name}");
        run(&seeds[0]);
    }
}

/// Runs a target on its seeds, then on mutations of them. A fixed number of mutations replaces a time limit: they take
/// about ten seconds. At least one seed must reach the assertions of the target.
#[track_caller]
fn holds(name: &str, run: impl Fn(&[u8]) -> bool, seeds: Vec<Vec<u8>>, mutations: usize) {
    let mut has_reached = false;
    for number in 0..seeds.len() + mutations {
        let input = match number.checked_sub(seeds.len()) {
            None => seeds[number].clone(),
            Some(number) => mutated(&seeds, &mut Random::new(format!("{name} {number}"))),
        };
        let Ok(reaches) = catch_unwind(AssertUnwindSafe(|| run(&input))) else {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}"));
            fs::write(&file, &input).unwrap();
            panic!("{name}: input {number} fails; it is in {}", file.display());
        };
        has_reached |= reaches && number < seeds.len();
    }
    assert!(has_reached, "{name}: no seed is taken");
}

/// A target whose assertions apply to every input.
fn reaching(run: fn(&[u8])) -> impl Fn(&[u8]) -> bool {
    move |input| {
        run(input);
        true
    }
}
