//! A medium without files: the image is read from memory and written to memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pycull::oci::{Blob, BlobError, BlobStore, CompressionSetting, Digest};
use pycull::pipeline::{self, Input, MinimizeOptions, Output};
use pycull::profile;
use pycull::progress::Observer;
use pycull::registry::RegistrySettings;
use pycull::transport::{Committed, Medium, OutputImage, Sink, Source, TransportError, prepare};
use serde_json::Value;

use super::{file, python};
use crate::support::ImageBuilder;
use crate::support::options::{compile_options, options};

/// Blobs in memory.
#[derive(Default)]
struct Memory(HashMap<String, Arc<Vec<u8>>>);

impl BlobStore for Memory {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        let bytes = self.0.get(digest.as_ref());
        let bytes = bytes.ok_or_else(|| BlobError::Missing {
            digest: digest.clone(),
        })?;
        Ok(Blob::new(bytes.clone(), bytes.len() as u64))
    }
}

/// The result in memory: the blobs in order, and the root.
type Written = Arc<Mutex<(Vec<(String, Vec<u8>)>, Value)>>;

struct MemorySink {
    staging: tempfile::TempDir,
    written: Written,
}

impl Sink for MemorySink {
    fn medium(&self) -> Medium {
        Medium::OciLayout
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, _source: &Source) -> bool {
        false
    }

    fn commit(
        self: Box<Self>,
        output: OutputImage,
        _observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        let mut written = self.written.lock().unwrap();
        for blob in &output.blobs {
            let mut bytes = Vec::new();
            std::io::copy(&mut blob.bytes.reader(), &mut bytes).unwrap();
            written.0.push((blob.digest.to_string(), bytes));
        }
        written.1 = output.root;
        Ok(Committed::default())
    }
}

/// Minimizes an image from one medium to another.
fn minimize<'a>(source: &'a Source, sink: Box<dyn Sink + 'a>) {
    let minimize = MinimizeOptions {
        profile: &profile::load("default", &[]).unwrap(),
        compression: CompressionSetting::Keep,
        steps: false,
        require_unsigned: false,
        compile: &compile_options(),
    };
    let options = options();
    let input = Input {
        source,
        reference: "memory",
    };
    let output = Output {
        sink,
        reference: "memory",
    };
    let report = pipeline::minimize(input, output, &minimize, &options).unwrap();
    assert!(report.images[0].removed.files > 0);
}

/// A store and a sink need not use files. Also checks that each blob comes before the documents that name it.
#[test]
fn an_image_goes_from_memory_to_memory() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("in");
    let image = ImageBuilder::of([file("below"), python()]);
    image.write(&layout);
    let on_disk = Source::open(&layout.to_str().unwrap().parse().unwrap(), std::io::empty());
    let on_disk = on_disk.unwrap();
    let mut memory = Memory::default();
    for blob in walk(&layout.join("blobs/sha256")) {
        let name = blob.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&blob).unwrap();
        memory.0.insert(format!("sha256:{name}"), Arc::new(bytes));
    }
    let root = on_disk.root.clone();
    let name = "memory".to_owned();
    let source = Source::in_store(Arc::new(memory), root, Medium::OciLayout, name);
    let written = Written::default();
    let sink = MemorySink {
        staging: tempfile::tempdir().unwrap(),
        written: written.clone(),
    };
    minimize(&source, Box::new(sink));

    let output = format!("oci:{}", directory.path().join("out").display());
    let sink = prepare(
        &output.parse().unwrap(),
        &on_disk,
        &RegistrySettings::default(),
        std::io::sink(),
    )
    .unwrap();
    minimize(&on_disk, sink);
    let expected = Source::open(&output.parse().unwrap(), std::io::empty()).unwrap();
    let (blobs, root) = &*written.lock().unwrap();
    assert_eq!(root["digest"], expected.root["digest"]);
    let mut known: Vec<&str> = Vec::new();
    for (digest, bytes) in blobs {
        if let Ok(document) = serde_json::from_slice::<Value>(bytes) {
            let layers = document["layers"].as_array().into_iter().flatten();
            for named in layers.chain([&document["config"]]) {
                let is_known = named["digest"]
                    .as_str()
                    .is_none_or(|it| known.contains(&it));
                assert!(is_known, "{digest} comes before {named}");
            }
        }
        known.push(digest);
    }
    assert_eq!(known.len(), 4);
    assert_eq!(*known.last().unwrap(), root["digest"]);
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
