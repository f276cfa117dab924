//! Images in memory: archives of the files in an input, and pycull's output for them.

use std::path::PathBuf;

use pycull::compile::InterpreterOptions;
use pycull::compile::sandbox::Mode;
use pycull::limits::Limits;
use pycull::oci::CompressionSetting;
use pycull::oci::digest::sha256_digest;
use pycull::pipeline::{
    self, CompileOptions, Input, MinimizeOptions, Options, Output, PipelineError,
};
use pycull::profile::Profile;
use pycull::progress::Unobserved;
use pycull::registry::RegistrySettings;
use pycull::transport::{Source, TransportError, prepare};

use super::choices::Choices;
use crate::support::LayerBuilder;
use crate::support::pyc::STDLIB;

const OPTIONS: Options<'static> = Options {
    platform: None,
    jobs: 1,
    limits: Limits::NONE,
    observer: &Unobserved,
};

/// Names of files. The first byte of a file in an input is an index into this list.
const NAMES: [&str; 8] = [
    "index.json",
    "oci-layout",
    "manifest.json",
    "repositories",
    "blobs/sha256/HEX",
    "HEX.json",
    "HEX.tar",
    "again/layer.tar",
];

/// Index of the symlink in [`NAMES`]. Its content is its target.
const SYMLINK: usize = 7;

/// Maximum number of files.
const MOST_FILES: usize = 9;

/// A layer that every archive has, as a blob and as a file. Documents refer to it by number 9.
fn layer() -> Vec<u8> {
    let stdlib = LayerBuilder::new().stdlib(STDLIB);
    stdlib.module_of_three(STDLIB, "m").build()
}

/// Makes an archive of files. In the input, each file has one byte for its name, two for its length, and then its
/// content.
///
/// In the content, `%N` stands for the digest of file number N, `~N` for its hexadecimal digits, and `#N` for its size.
pub fn archive(input: &[u8]) -> Vec<u8> {
    let mut choices = Choices::new(input);
    let layer = layer();
    let mut archive = LayerBuilder::new();
    let mut known = vec![(b'9', described(&layer))];
    for name in [NAMES[4], NAMES[6]] {
        archive = archive.file(&name.replace("HEX", &known[0].1.0), &layer);
    }
    for number in b'0'..b'0' + MOST_FILES as u8 {
        if choices.is_empty() {
            break;
        }
        let kind = choices.below(NAMES.len());
        let length = choices.number();
        let content = filled_in(choices.take(length), &known);
        let (hex, size) = described(&content);
        let name = NAMES[kind].replace("HEX", &hex);
        archive = match kind {
            SYMLINK => {
                let target = String::from_utf8_lossy(&content[..content.len().min(100)]);
                archive.symlink(&name, &target.replace('\0', ""))
            }
            _ => archive.file(&name, &content),
        };
        known.push((number, (hex, size)));
    }
    archive.build()
}

fn described(content: &[u8]) -> (String, String) {
    let digest = sha256_digest(content);
    (digest.digest().to_owned(), content.len().to_string())
}

/// Replaces these placeholders by digests and sizes.
fn filled_in(content: &[u8], known: &[(u8, (String, String))]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = content;
    while let Some((&byte, after)) = rest.split_first() {
        let number = after.first();
        let found = known.iter().find(|(it, _)| Some(it) == number);
        let text = found.and_then(|(_, (hex, size))| match byte {
            b'%' => Some(format!("sha256:{hex}")),
            b'~' => Some(hex.clone()),
            b'#' => Some(size.clone()),
            _ => None,
        });
        match text {
            Some(text) => {
                filled.extend(text.into_bytes());
                rest = &after[1..];
            }
            None => {
                filled.push(byte);
                rest = after;
            }
        }
    }
    filled
}

/// Makes an input for [`archive`].
pub fn archive_seed(files: &[(&str, &str)]) -> Vec<u8> {
    let file = |(name, content): &(&str, &str)| {
        let kind = NAMES.iter().position(|it| it == name).unwrap() as u8;
        let length = (content.len() as u16).to_le_bytes();
        [&[kind][..], &length, content.as_bytes()].concat()
    };
    files.iter().flat_map(file).collect()
}

/// Opens the image on standard input that a reference names.
pub fn open(reference: &str, archive: &[u8]) -> Result<Source, TransportError> {
    Source::open(&reference.parse()?, archive)
}

/// Minimizes an image with a profile. The output is an OCI archive.
pub fn minimized(source: &Source, profile: &Profile) -> Result<Vec<u8>, PipelineError> {
    let compile = CompileOptions {
        interpreter: InterpreterOptions {
            helper: PathBuf::new(),
            sandbox: Mode::Required,
            python: None,
            emulator: Vec::new(),
            cache: None,
        },
        strict: false,
    };
    let minimize = MinimizeOptions {
        profile,
        compression: CompressionSetting::Keep,
        steps: true,
        require_unsigned: false,
        compile: &compile,
    };
    let mut archive = Vec::new();
    let input = Input {
        source,
        reference: "before",
    };
    let output = Output {
        sink: prepare(
            &"oci-archive:-".parse()?,
            source,
            &RegistrySettings::default(),
            &mut archive,
        )?,
        reference: "after",
    };
    pipeline::minimize(input, output, &minimize, &OPTIONS)?;
    Ok(archive)
}

/// Checks that `verify` finds only differences in bytecode.
pub fn assert_verified(before: &Source, after: &Source) {
    let input = |source, reference| Input { source, reference };
    let (before, after) = (input(before, "before"), input(after, "after"));
    let report = pipeline::verify(before, after, None, &OPTIONS).unwrap();
    assert!(report.is_same(), "{:?}", report.images);
}
