//! Decoders that share no code with pycull. Each runs once for several streams.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::super::support::builder::ImageBuilder;
use super::super::support::tools::tool;

const PYTHON: &str = "\
import gzip, sys
for name in sys.argv[1:]:
    sys.stdout.buffer.write(gzip.open(name).read())
";

/// A stream, and the data that it should decode to.
pub struct Case {
    pub stream: Vec<u8>,
    pub data: Vec<u8>,
}

/// Checks that zlib-rs, GNU gzip, libdeflate, Python's zlib and Go decode the streams to the expected data.
#[track_caller]
pub fn all_decode(cases: &[Case]) {
    for case in cases {
        let mut found = Vec::new();
        MultiGzDecoder::new(&case.stream[..])
            .read_to_end(&mut found)
            .unwrap();
        assert!(found == case.data, "flate2 finds other bytes");
    }
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..cases.len())
        .map(|number| directory.path().join(format!("{number}.gz")))
        .collect();
    for (file, case) in files.iter().zip(cases) {
        fs::write(file, &case.stream).unwrap();
    }
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let expected: Vec<u8> = cases.iter().flat_map(|case| &case.data).copied().collect();
    let commands: [(&str, &[&str]); 3] = [
        ("gzip", &["-dc"]),
        ("libdeflate-gunzip", &["-c"]),
        ("python3", &["-c", PYTHON]),
    ];
    for (name, arguments) in commands {
        let found = tool(name, arguments.iter().chain(&files)).success();
        assert!(found.stdout == expected, "{name} finds other bytes");
    }
    go_decodes(cases, directory.path());
}

/// Has skopeo unpack layers that consist of these streams.
#[track_caller]
fn go_decodes(cases: &[Case], directory: &Path) {
    let (layout, flat) = (directory.join("layout"), directory.join("flat"));
    let image = cases.iter().fold(ImageBuilder::new(), |image, case| {
        image.layer_blob(&case.data, case.stream.clone(), "+gzip")
    });
    image.write(&layout);
    let (from, to) = (
        format!("oci:{}:latest", layout.display()),
        format!("dir:{}", flat.display()),
    );
    tool(
        "skopeo",
        ["copy", "--quiet", "--dest-decompress", &from, &to],
    )
    .success();
    let manifest = fs::read(flat.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), cases.len());
    for (layer, case) in layers.iter().zip(cases) {
        let digest = layer["digest"].as_str().unwrap();
        let found = fs::read(flat.join(digest.trim_start_matches("sha256:"))).unwrap();
        assert!(found == case.data, "Go finds other bytes");
    }
}
