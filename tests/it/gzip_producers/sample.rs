//! What the producers compress, and random edits of it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;
use pycull::deflate::Kept;

use super::super::support::builder::LayerBuilder;
use super::super::support::layout::Layout;
use super::super::support::tools::real_image;

/// Random numbers, the same on every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: impl AsRef<[u8]>) -> Self {
        Self(u64::from(crc32fast::hash(seed.as_ref())) << 1 | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 8) as usize % end
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A tar stream of Python's sources and caches, shared objects, noise and zeros.
pub fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let layout = Layout::new(real_image("py3.11"));
        let mut random = Random::new("sample");
        let layers = layout.manifest()["layers"].as_array().unwrap().clone();
        let files = first_megabytes(&layout, &layers[1]["digest"]);
        let programs = first_megabytes(&layout, &layers[0]["digest"]);
        let mut layer = LayerBuilder::new();
        let texts = members(&files, 0..1_200_000);
        let binaries = members(&programs, 1_000_000..1_600_000);
        for (number, bytes) in texts.into_iter().chain(binaries).enumerate() {
            layer = layer.file(&format!("sample/{number}"), bytes);
        }
        layer = layer.file("sample/noise", random.bytes(150_000));
        layer.file("sample/zeros", vec![0; 150_000]).build()
    })
}

/// The start of a layer's stream.
fn first_megabytes(layout: &Layout, digest: &serde_json::Value) -> Vec<u8> {
    let digest = digest.as_str().unwrap().replace(':', "/");
    let blob = File::open(layout.0.join("blobs").join(Path::new(&digest))).unwrap();
    let mut bytes = Vec::new();
    let mut stream = MultiGzDecoder::new(blob).take(2 << 20);
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The contents of the files that lie whole in a part of a stream.
fn members(tar: &[u8], part: Range<usize>) -> Vec<&[u8]> {
    let mut at = 0;
    let mut found = Vec::new();
    while at + 512 < part.end {
        let size = std::str::from_utf8(&tar[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).unwrap();
        let content = at + 512..at + 512 + size;
        if content.end > part.end {
            break;
        }
        if at >= part.start && size > 0 {
            found.push(&tar[content.clone()]);
        }
        at = content.end.next_multiple_of(512);
    }
    assert!(
        at > part.start,
        "the image's layers are smaller than was thought"
    );
    found
}

/// A stream with random edits.
pub struct Edited {
    pub bytes: Vec<u8>,
    pub kept: Vec<Kept>,
    /// Bytes that were put in.
    pub inserted: usize,
}

/// Cuts, insertions and replacements at so many places of a stream. Some cuts end at one of the `edges`.
pub fn edited(old: &[u8], places: usize, edges: &[u64], random: &mut Random) -> Edited {
    let mut edits: Vec<(usize, usize, Vec<u8>)> = (0..places)
        .map(|_| {
            let start = random.below(old.len() + 1);
            let cut = match random.below(4) {
                0 => 0,
                1 => random.below(100),
                2 => 512 * random.below(40),
                _ => random.below(60_000),
            };
            let from = random.below(old.len().saturating_sub(6000).max(1));
            let inserted = match random.below(4) {
                0 => random.bytes(1 + cut % 3000),
                1 => old[from..old.len().min(from + cut % 6000)].to_vec(),
                _ => Vec::new(),
            };
            if edges.is_empty() || random.below(2) == 0 {
                return (start, cut, inserted);
            }
            let edge = edges[random.below(edges.len())] as usize;
            let start = edge.saturating_sub(cut);
            (start, edge - start, inserted)
        })
        .collect();
    edits.sort();
    let mut new = Edited {
        bytes: Vec::with_capacity(old.len() + 8000 * places),
        kept: Vec::new(),
        inserted: 0,
    };
    let mut position = 0;
    let end = (old.len(), 0, Vec::new());
    for (start, cut, inserted) in edits.into_iter().chain([end]) {
        let start = start.max(position);
        new.kept.push(Kept {
            old: position as u64..start as u64,
            new_start: new.bytes.len() as u64,
        });
        new.bytes.extend_from_slice(&old[position..start]);
        new.bytes.extend_from_slice(&inserted);
        new.inserted += inserted.len();
        position = (start + cut).min(old.len());
    }
    new
}
