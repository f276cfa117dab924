//! A low limit on open files.

use std::process::Command;

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::tools::run;
use crate::support::{ImageBuilder, LayerBuilder};

/// Limit on open files, and number of layers. pycull reads one blob and writes one blob for each layer.
const FILES: u32 = 64;
const LAYERS: u32 = 200;

#[test]
fn an_image_can_have_more_blobs_than_a_process_may_have_open_files() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let before = place("before");
    let layers = (0..LAYERS).map(|n| {
        let cache = cache_path(STDLIB, &format!("m{n}"), 1);
        LayerBuilder::new()
            .stdlib(STDLIB)
            .file(&cache, "no bytecode")
    });
    ImageBuilder::of(layers).write(directory.path().join("before").as_path());
    for output in ["oci", "oci-archive", "docker-archive"] {
        let after = format!("{output}:{}", place(output));
        limited(&["minimize", &before, "--output", &after]);
        limited(&["verify", &before, &after]);
    }
}

/// Runs pycull with a low limit on open files.
#[track_caller]
fn limited(arguments: &[&str]) {
    let script = format!("ulimit -n {FILES}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_pycull")]);
    run(command.args(arguments)).success();
}
