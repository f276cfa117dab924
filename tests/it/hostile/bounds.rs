//! What a small image may cost: less than 300 MiB and ten seconds on the processors, whatever it is, or an error that
//! says what is wrong.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::cost::measured;
use crate::support::{ImageBuilder, LayerBuilder, Layered};

/// Bytes of memory and time of each command.
const MEMORY: u64 = 300 << 20;
const TIME: Duration = Duration::from_secs(10);

/// Bytes that an image on disk may have to count as small.
const SMALL: u64 = 5_000_000;

/// What becomes of an image.
#[derive(Clone, Copy)]
pub(super) enum Becomes<'a> {
    /// Every command takes it.
    Read,
    /// Every command refuses it, with an error that says so.
    Refused(&'a str),
}

/// Checks that every command stays within the bounds on an image, and does as it should.
#[track_caller]
pub(super) fn is_bounded(name: &str, becomes: Becomes<'_>, write: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    write(&input);
    let bytes = bytes_below(&input);
    assert!(bytes < SMALL, "{name}: {bytes} bytes are no small image");
    let output = directory.path().join("out");
    let [input, output] = [&input, &output].map(|path| path.to_str().unwrap());
    // What is refused has no output to be compared with.
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
            // None of them has an interpreter.
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

/// The same for an image of one layer.
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
