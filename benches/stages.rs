//! Measures what each stage of the work costs. `cargo bench` uses a layer made here, and
//! `PYCULL_LAYER=FILE cargo bench` uses a layer compressed with gzip.
//!
//! `just bench` compares whole runs with other tools.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, LazyLock};

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use flate2::write::GzEncoder;
use pycull::compile::compile_cache::{Answer, Answers, CompileCache, Key};
use pycull::deflate::{BlockIndex, GzipReader, GzipWriter, Kept, Old, SparseReader};
use pycull::limits::Limits;
use pycull::pyc::{Header, Level};
use pycull::read_at::ReadAt;
use pycull::rootfs::squash;
use pycull::tar::{self, Member};

fn main() {
    divan::main();
}

const MODULES: u64 = 4000;

fn given() -> Option<OsString> {
    std::env::var_os("PYCULL_LAYER")
}

/// A layer's archive: modules of 4 KiB that look like Python, each with a cache.
static LAYER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    if given().is_some() {
        let mut layer = Vec::new();
        GzipReader::new(&**BLOB).read_to_end(&mut layer).unwrap();
        return layer;
    }
    let mut builder = ::tar::Builder::new(Vec::new());
    for module in 0..MODULES {
        let source = source(module);
        let mut add = |path: String, data: &[u8]| {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, data).unwrap();
        };
        add(
            format!("usr/lib/python3.9/p{}/m{module}.py", module % 50),
            &source,
        );
        let cache = [&CACHE_HEADER[..], &source].concat();
        let name = format!(
            "usr/lib/python3.9/p{}/__pycache__/m{module}.cpython-39.pyc",
            module % 50
        );
        add(name, &cache);
    }
    builder.into_inner().unwrap()
});

/// The 16 bytes before the code in a cache of CPython 3.9.
const CACHE_HEADER: [u8; 16] = [
    0x61, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0x10, 0, 0,
];

fn source(seed: u64) -> Vec<u8> {
    let words = [
        "import ", "self.", "return ", "def ", "None\n", "    ", "os.path", "(", "):\n",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = Vec::new();
    while text.len() < 4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(words[(state % 9) as usize].as_bytes());
        if state.is_multiple_of(4) {
            text.extend_from_slice(format!("name_{}", state % 9973).as_bytes());
        }
    }
    text
}

static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    if let Some(file) = given() {
        return std::fs::read(file).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(&LAYER).unwrap();
    encoder.finish().unwrap()
});

static MEMBERS: LazyLock<Vec<Member>> = LazyLock::new(|| members(&LAYER));

fn members(layer: &[u8]) -> Vec<Member> {
    let mut reader = tar::Reader::new(layer);
    let mut members = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        members.push(member);
    }
    members
}

fn index(blob: &[u8]) -> BlockIndex {
    let mut reader = GzipReader::new(blob);
    io::copy(&mut reader, &mut io::sink()).unwrap();
    reader.into_index()
}

#[divan::bench]
fn inflate_with_block_index(bencher: Bencher<'_, '_>) {
    let blob = &*BLOB;
    bencher
        .counter(BytesCount::new(LAYER.len()))
        .bench(|| index(black_box(blob)));
}

/// The same with zlib-rs, which tells of no blocks.
#[divan::bench]
fn inflate_with_zlib_rs(bencher: Bencher<'_, '_>) {
    let blob = &**BLOB;
    bencher.counter(BytesCount::new(LAYER.len())).bench(|| {
        let mut reader = flate2::bufread::GzDecoder::new(black_box(blob));
        io::copy(&mut reader, &mut io::sink())
    });
}

/// What is left of the layer after so many cuts, an eighth of it together.
fn kept(cuts: u64) -> Vec<Kept> {
    let length = LAYER.len() as u64;
    let (each, cut) = (length / cuts, length / cuts / 8);
    let stretch = |number| Kept {
        old: number * each..(number + 1) * each - cut,
        new_start: number * (each - cut),
    };
    (0..cuts).map(stretch).collect()
}

#[divan::bench(args = [1, 10, 150])]
fn splice(bencher: Bencher<'_, '_>, cuts: u64) {
    let (index, kept) = (index(&BLOB), kept(cuts));
    let stretches = kept
        .iter()
        .map(|kept| &LAYER[kept.old.start as usize..kept.old.end as usize]);
    let new: Vec<u8> = stretches.collect::<Vec<_>>().concat();
    let bytes: Arc<dyn ReadAt> = Arc::new(BLOB.clone());
    bencher.counter(BytesCount::new(new.len())).bench(|| {
        let old = Old {
            bytes: Arc::clone(&bytes),
            index: &index,
            kept: &kept,
            new_length: new.len() as u64,
        };
        let mut writer = GzipWriter::splicing(io::sink(), 6, 1, old).unwrap();
        writer.write_all(&new).unwrap();
        writer.finish().unwrap()
    });
}

/// Pass 2's reading as it is, from windows kept in pass 1: about 96 KiB before each cut and 128 KiB
/// after it, as blocks usually are. Reading all again is [`inflate_with_block_index`].
#[divan::bench(args = [1, 10, 150])]
fn read_again_around_cuts(bencher: Bencher<'_, '_>, cuts: u64) {
    let (index, kept) = (index(&BLOB), kept(cuts));
    let bytes: Arc<dyn ReadAt> = Arc::new(BLOB.clone());
    bencher.counter(BytesCount::new(LAYER.len())).bench(|| {
        let mut reader = SparseReader::new(Arc::clone(&bytes), &index);
        let mut position = 0;
        for stretch in &kept {
            for (from, to) in [
                (stretch.old.start, stretch.old.start + (128 << 10)),
                (stretch.old.end.saturating_sub(96 << 10), stretch.old.end),
            ] {
                let (from, to) = (from.max(position), to.min(stretch.old.end).max(position));
                reader.skip(from - position).unwrap();
                io::copy(&mut reader.by_ref().take(to - from), &mut io::sink()).unwrap();
                position = to;
            }
        }
    });
}

/// Pass 2's reading, if pass 1 kept what it decoded in an unlinked temporary file.
#[divan::bench]
fn read_again_from_a_file(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::new(LAYER.len())).bench(|| {
        let mut file = tempfile::tempfile().unwrap();
        for chunk in LAYER.chunks(256 << 10) {
            file.write_all(chunk).unwrap();
        }
        file.rewind().unwrap();
        let mut buffer = vec![0; 256 << 10];
        while file.read(&mut buffer).unwrap() > 0 {}
    });
}

#[divan::bench]
fn tar_stream(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::new(LAYER.len()))
        .bench(|| members(black_box(&LAYER)));
}

/// The same archive upon itself ten times.
#[divan::bench]
fn merged_view(bencher: Bencher<'_, '_>) {
    let members = &**MEMBERS;
    bencher.bench(|| {
        squash(
            std::iter::repeat_n(black_box(members), 10),
            &Limits::NONE.of_layers(0),
        )
    });
}

#[divan::bench]
fn cache_header(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Header::parse(black_box(&CACHE_HEADER)));
}

/// The keys of 2000 sources, none of them in the cache.
fn keys() -> Vec<Key> {
    (0..2000)
        .map(|module| Key::new(&[1; 32], true, format!("/m{module}.py").as_bytes(), b""))
        .collect()
}

/// A body of 40 KiB for levels 0 and 1, and another for level 2.
fn answers() -> Answers {
    let body: Vec<u8> = (0..10).flat_map(source).collect();
    let mut answers = Answers::default();
    answers.set(Level::Zero, Answer::Body(body[..40 << 10].into()));
    answers.set(Level::One, Answer::Body(body[..40 << 10].into()));
    answers.set(Level::Two, Answer::Body(body[..36 << 10].into()));
    answers
}

/// What a first image pays: each source is missed, then put.
#[divan::bench(sample_count = 20)]
fn compile_cache_cold(bencher: Bencher<'_, '_>) {
    let (keys, answers) = (keys(), answers());
    bencher
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_refs(|directory| {
            let cache = CompileCache::open(directory.path().to_owned(), u64::MAX).unwrap();
            for key in &keys {
                assert!(cache.get(key).is_empty());
                cache.put(key, &answers);
            }
            cache.finish().unwrap();
        });
}

/// What the next image with the same base pays.
#[divan::bench(args = [1, 3])]
fn compile_cache_warm(bencher: Bencher<'_, '_>, levels: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut known = Answers::default();
    for level in &Level::ALL[..levels] {
        known.set(*level, answers().get(*level).unwrap().clone());
    }
    let open = || CompileCache::open(directory.path().to_owned(), u64::MAX).unwrap();
    let (keys, cache) = (keys(), open());
    keys.iter().for_each(|key| cache.put(key, &known));
    bencher.bench_local(|| {
        let cache = open();
        for key in &keys {
            assert!(!black_box(cache.get(key)).is_empty());
        }
        cache.finish().unwrap();
    });
}

/// Trimming 2000 entries, of which nothing has to go.
#[divan::bench]
fn compile_cache_trim(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().unwrap();
    let open = || CompileCache::open(directory.path().to_owned(), u64::MAX).unwrap();
    let mut answer = Answers::default();
    let cache = open();
    let keys = keys();
    answer.set(Level::Zero, Answer::Failure("".into()));
    keys.iter().for_each(|key| cache.put(key, &answer));
    let mut count = 0;
    bencher.bench_local(|| {
        count += 1;
        answer.set(Level::One, Answer::Failure(format!("{count}").into()));
        let cache = open();
        cache.put(&keys[0], &answer);
        cache.finish().unwrap();
    });
}
