//! Compiled bodies do not depend on the order of the sources or on a worker's earlier jobs.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::tempdir;

use crate::support::real::bare;
use crate::support::stream::cut;
use crate::support::tools::{pycull_command, run};
use crate::support::{ImageBuilder, LayerBuilder, Layered, Layout};

const LIBRARY: &str = "usr/lib/python3.9/";
/// Compiles enough sources to keep eight workers busy. They share many strings and numbers.
const INCLUDE: &str =
    "include=[\"usr/lib/python3.9/{asyncio,email,importlib,json,multiprocessing,unittest}/**\"]";
/// The number of workers, and the name of the compile cache. A cache is cold in the first run that uses it.
const RUNS: [(&str, &str); 10] = [
    ("1", "a"),
    ("1", "b"),
    ("2", "c"),
    ("2", "d"),
    ("3", "e"),
    ("8", "f"),
    ("8", "g"),
    ("1", "c"),
    ("2", "a"),
    ("8", "b"),
];

/// Whether Python 3.9 needs the file to start or to be compiled.
fn is_kept(name: &str) -> bool {
    let trees = [
        LIBRARY,
        "usr/bin/python3",
        "lib/",
        "lib64/",
        "usr/lib/x86_64-linux-gnu/",
    ];
    trees.iter().any(|tree| name.starts_with(tree))
}

fn is_source(name: &str) -> bool {
    name.starts_with(LIBRARY) && name.ends_with(".py")
}

/// Shuffles a list. The same seed gives the same order.
fn shuffle<T>(list: &mut [T], seed: usize) {
    let mut state = seed + 1;
    for last in (1..list.len()).rev() {
        // Knuth's MMIX generator. Its low bits are poor.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        list.swap(last, (state >> 33) % (last + 1));
    }
}

/// The required part of the layer, and sources whose marshalled form depends on earlier compilations: once a character
/// is interned as a name, it is also interned as text.
fn with_neighbours(layer: &[u8]) -> Vec<u8> {
    let sources = LayerBuilder::new();
    let sources = "\u{e0}\u{e9}\u{ee}\u{f1}\u{f5}\u{fc}"
        .chars()
        .enumerate()
        .fold(sources, |sources, (number, character)| {
            sources
                .file(
                    &format!("{LIBRARY}json/name{number}.py"),
                    format!("{character} = 1\n"),
                )
                .file(
                    &format!("{LIBRARY}json/text{number}.py"),
                    format!("x = '{character}'\n"),
                )
        });
    let (members, _) = cut(layer);
    let kept = members.iter().filter(|(name, _)| is_kept(name));
    let kept = kept.flat_map(|(_, slice)| slice.bytes).copied();
    kept.chain(sources.build()).collect()
}

/// The layer with its sources shuffled among their own places.
fn shuffled(layer: &[u8], seed: usize) -> Vec<u8> {
    let (members, end) = cut(layer);
    let is_moved = |place: &usize| is_source(&members[*place].0);
    let places: Vec<usize> = (0..members.len()).filter(is_moved).collect();
    let mut slices: Vec<&[u8]> = members.iter().map(|(_, slice)| slice.bytes).collect();
    let mut sources: Vec<&[u8]> = places.iter().map(|place| slices[*place]).collect();
    shuffle(&mut sources, seed);
    for (place, source) in places.into_iter().zip(sources) {
        slices[place] = source;
    }
    slices.push(end);
    slices.concat()
}

/// Compiles an image with this layer. Returns the compiled layer, whose order does not depend on that of the sources.
fn compiled(tar: Vec<u8>, directory: &Path, jobs: &str, cache: &str) -> Vec<u8> {
    let work = tempdir().unwrap();
    let [image, output] = ["image", "out"].map(|name| work.path().join(name));
    ImageBuilder::new()
        .layer_tar(tar, Layered::Plain)
        .write(&image);
    let mut command = pycull_command();
    command
        .env("PYCULL_CACHE_DIR", directory.join(cache))
        .args(["minimize", image.to_str().unwrap(), "--profile", "all"])
        .args(["--set", INCLUDE, "--jobs", jobs])
        .args(["--output", output.to_str().unwrap()]);
    run(&mut command).success();
    Layout::new(&output).layer_tar(1)
}

/// Promise 7, for sources in any order.
#[test]
fn ten_runs_in_ten_orders_compile_to_the_same_bytes() {
    let directory = tempdir().unwrap();
    let layer = with_neighbours(&Layout::new(bare("py3.9")).layer_tar(0));
    let mut orders = BTreeSet::new();
    let mut results = Vec::new();
    for (seed, (jobs, cache)) in RUNS.into_iter().enumerate() {
        let tar = shuffled(&layer, seed);
        let names: Vec<String> = cut(&tar).0.into_iter().map(|(name, _)| name).collect();
        orders.insert(names);
        results.push(compiled(tar, directory.path(), jobs, cache));
    }
    assert_eq!(orders.len(), RUNS.len());
    let compiled = cut(&results[0]).0;
    let caches = compiled.iter().filter(|(name, _)| name.ends_with(".pyc"));
    assert!(caches.count() > 250);
    for (run, result) in RUNS.iter().zip(&results) {
        assert!(*result == results[0], "{run:?}");
    }
}
