//! The data that all producers compress, and random edits of it.

use std::sync::OnceLock;

use pycull::deflate::Kept;

use super::super::support::builder::LayerBuilder;
use super::super::support::random::Random;

/// A tar stream with files that resemble Python sources, caches and shared objects, and with noise and zeros.
pub fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let mut random = Random::new("sample");
        let names: Vec<String> = (0..3000).map(|_| random.name()).collect();
        let mut layer = LayerBuilder::new();
        for number in 0..60 {
            let length = 2_000 + random.below(30_000);
            let source = random.source(&names, length);
            layer = layer.file(&format!("sample/{number}.py"), source);
            let cache = random.cache(&names, length / 2);
            layer = layer.file(&format!("sample/__pycache__/{number}.pyc"), cache);
        }
        layer = layer.file("sample/program", random.machine_code(600_000));
        layer = layer.file("sample/noise", random.bytes(150_000));
        layer.file("sample/zeros", vec![0; 150_000]).build()
    })
}

impl Random {
    /// A number below `end`. Small numbers are much more likely.
    fn small(&mut self, end: usize) -> usize {
        let bound = 1 + self.below(end);
        let bound = 1 + self.below(bound);
        self.below(bound)
    }

    fn name(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "re", "get", "_", "name", "in", "path", "er", "to", "s", "val", "_is", "at", "ex",
            "on", "id", "list",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| SYLLABLES[self.below(16)]).collect()
    }

    /// Lines of code and comments.
    fn source(&mut self, names: &[String], length: usize) -> Vec<u8> {
        let mut text = String::with_capacity(length + 200);
        while text.len() < length {
            let mut name = || &*names[self.small(names.len())];
            let (one, two, three) = (name(), name(), name());
            let line = match self.below(8) {
                0 => format!("\n\ndef {one}(self, {two}, {three}=None):\n"),
                1 => format!("    # {one} {two} the {three} of {one}\n"),
                2 => format!("    if {one} is not None and {two}.{three}:\n"),
                3 => format!("        return self.{one}({two}, {})\n", self.below(1000)),
                4 => format!("        raise ValueError(\"{one} {two}: {{!r}}\".format({three}))\n"),
                5 => format!("    for {one} in {two}:\n        self.{three}.append({one})\n"),
                _ => format!("        {one} = {two}[{three}]\n"),
            };
            text.push_str(&line);
        }
        text.into_bytes()
    }

    /// A few kinds of instructions, then names with their lengths.
    fn cache(&mut self, names: &[String], length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 200);
        while bytes.len() < length {
            for _ in 0..20 + self.below(200) {
                bytes.extend([100 + self.small(60) as u8, self.small(256) as u8]);
            }
            for _ in 0..self.below(30) {
                let name = &names[self.small(names.len())];
                bytes.extend([0xda, name.len() as u8]);
                bytes.extend(name.as_bytes());
            }
        }
        bytes
    }

    /// A few instructions with many operands.
    fn machine_code(&mut self, length: usize) -> Vec<u8> {
        let operations = self.bytes(600);
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            let operation = 3 * self.small(200);
            bytes.extend(&operations[operation..operation + 3]);
            let length = self.below(4);
            bytes.extend(self.bytes(length));
        }
        bytes
    }
}

/// A stream with random edits.
pub struct Edited {
    pub bytes: Vec<u8>,
    pub kept: Vec<Kept>,
    /// Number of inserted bytes.
    pub inserted: usize,
}

/// Cuts, inserts and replaces data at `places` places of a stream. Some cuts end at one of the `edges`.
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
