//! Limits on what a small image may cost: 300 MiB of memory and ten seconds of CPU time. Every image must stay within
//! them, or be refused with an error that says what is wrong.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::cost::measured;
use crate::support::{ImageBuilder, LayerBuilder, Layered};

/// Maximum memory in bytes, and maximum CPU time, of each command.
const MEMORY: u64 = 300 << 20;
const TIME: Duration = Duration::from_secs(10);

/// Maximum size on disk of an image that counts as small, in bytes.
const SMALL: u64 = 5_000_000;

/// The expected result for an image.
#[derive(Clone, Copy)]
pub(super) enum Becomes<'a> {
    /// Every command accepts it.
    Read,
    /// Every command refuses it, with an error that contains this text.
    Refused(&'a str),
}

/// Checks that every command stays within the limits for an image, and has the expected result.
#[track_caller]
pub(super) fn is_bounded(name: &str, becomes: Becomes<'_>, write: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    write(&input);
    let bytes = bytes_below(&input);
    assert!(bytes < SMALL, "{name}: {bytes} bytes are no small image");
    let output = directory.path().join("out");
    let [input, output] = [&input, &output].map(|path| path.to_str().unwrap());
    // A refused image has no output to compare with.
    let after = match becomes {
        Becomes::Read => output,
        Becomes::Refused(_) => input,
    };
    let commands: [&[&str]; 5] = [
        &["inspect", input, "--format", "json"],
        &[
            "minimize",
            input,
            "--output",
            output,
            "--profile",
            "minimal",
        ],
        &["verify", input, output],
        &["compare", input, after],
        &["bench", input],
    ];
    for command in commands {
        let measured = measured(command);
        let (code, error) = (measured.output.code, &measured.output.stderr);
        let (memory, time) = (measured.memory, measured.processors);
        let start: String = error.chars().take(500).collect();
        assert!(
            error.len() < 4000,
            "{name}: {command:?} says {} bytes: {start}",
            error.len()
        );
        assert!(
            memory < MEMORY,
            "{name}: {command:?} takes {memory} bytes: {start}"
        );
        assert!(time < TIME, "{name}: {command:?} takes {time:?}: {start}");
        match becomes {
            // These images have no interpreter.
            Becomes::Read if command[0] == "bench" => {
                assert_eq!(code, Some(2), "{name}: {command:?}: {start}");
            }
            Becomes::Read => assert_eq!(code, Some(0), "{name}: {command:?}: {start}"),
            Becomes::Refused(what) => {
                assert_eq!(code, Some(2), "{name}: {command:?}: {start}");
                assert!(error.starts_with("error: "), "{name}: {command:?}: {start}");
                let says_so = error.contains(what) || command[0] == "verify";
                assert!(
                    says_so,
                    "{name}: {command:?} does not say `{what}`: {start}"
                );
                assert!(
                    !Path::new(output).exists(),
                    "{name}: {command:?} left an output"
                );
            }
        }
    }
}

/// As [`is_bounded`], for an image of one layer.
#[track_caller]
pub(super) fn layer_is_bounded(name: &str, becomes: Becomes<'_>, layer: LayerBuilder) {
    let image = ImageBuilder::new().layer_as(layer, Layered::Zstd);
    is_bounded(name, becomes, |path| image.write(path));
}

fn bytes_below(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().unwrap().len();
    }
    let entries = fs::read_dir(path).unwrap();
    entries
        .map(|entry| bytes_below(&entry.unwrap().path()))
        .sum()
}
