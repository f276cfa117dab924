//! Streams from all common gzip writers, spliced with random edits and read by other decoders.

mod decoders;
mod generator;
mod go;
mod sample;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::write::GzEncoder;
use pycull::deflate::{Block, BlockIndex, GzipReader, GzipWriter, Kept, Old};

use self::decoders::{Case, all_decode};
use self::sample::{Edited, edited, sample};
use super::support::random::Random;
use super::support::tools::{tool, tool_command};

/// Maximum number of bytes between blocks from different places (docs/architecture.md).
const LARGEST_SEAM: usize = 17;

/// Number of edits, and the level for data that is compressed again. Each makes a stream.
const ROUNDS: [(usize, u32); 3] = [(0, 6), (3, 6), (20, 1)];

#[test]
fn streams_of_gnu_gzip_are_spliced() {
    for level in ["-1", "-6", "-9"] {
        splices(&filtered("gzip", &["-c", level]), sample());
    }
}

#[test]
fn streams_of_pigz_are_spliced() {
    for level in ["-0", "-1", "-6", "-9"] {
        splices(&filtered("pigz", &["-c", "-p2", level]), sample());
    }
    // Pieces without a dictionary, and of another size.
    let independent = ["-c", "-p2", "-i", "-b", "64"];
    splices(&filtered("pigz", &independent), sample());
}

#[test]
fn streams_of_zopfli_are_spliced() {
    let part = &sample()[1_000_000..1_400_000];
    let file = written(part);
    let path = file.path().to_str().unwrap();
    let once = tool("zopfli", ["-c", "--i1", path]).success().stdout;
    splices(&once, part);
    let in_pigz = tool("pigz", ["-c", "-11", "-I", "1", "-p2", path]).success();
    splices(&in_pigz.stdout, part);
}

#[test]
fn streams_of_libdeflate_are_spliced() {
    for level in 1..=12 {
        let level = format!("-{level}");
        let stream = filtered("libdeflate-gzip", &["-c", &level]);
        splices(&stream, sample());
    }
}

#[test]
fn streams_of_isa_l_are_spliced() {
    for level in ["-0", "-1", "-2", "-3"] {
        splices(&filtered("igzip", &["-c", level]), sample());
    }
}

#[test]
fn streams_of_bgzip_are_spliced() {
    splices(&filtered("bgzip", &["-c"]), sample());
}

#[test]
fn streams_of_zlib_in_python_are_spliced() {
    for level in ["1", "6", "9"] {
        splices(&by_python(&["gzip", level], sample()), sample());
    }
    // Level, strategy, memory level and window bits.
    for options in [
        ["6", "Z_FIXED", "8", "15"],
        ["6", "Z_HUFFMAN_ONLY", "9", "15"],
        ["6", "Z_RLE", "1", "15"],
        ["6", "Z_FILTERED", "9", "10"],
        ["0", "Z_DEFAULT_STRATEGY", "8", "15"],
        ["0", "Z_DEFAULT_STRATEGY", "1", "9"],
    ] {
        let arguments = [&["zlib"][..], &options].concat();
        splices(&by_python(&arguments, sample()), sample());
    }
    for mode in ["Z_SYNC_FLUSH", "Z_FULL_FLUSH", "Z_PARTIAL_FLUSH", "Z_BLOCK"] {
        splices(&by_python(&["flushed", mode], sample()), sample());
    }
}

#[test]
fn streams_of_zlib_ng_are_spliced() {
    for level in ["0", "1", "2", "3", "6", "9"] {
        let stream = by_python(&["zlib-ng", level], sample());
        splices(&stream, sample());
    }
}

#[test]
fn streams_of_many_members_are_spliced() {
    for size in ["700", "50000", "1000000"] {
        let stream = by_python(&["members", size], sample());
        splices(&stream, sample());
    }
    splices(&by_python(&["estargz"], sample()), sample());
}

#[test]
fn a_stream_of_one_giant_block_is_spliced() {
    let data = generator::far_repeats(1_500_000);
    splices(&generator::one_block(&data), &data);
    // Two members, each with one block: cuts in one leave the other intact.
    let (first, second) = data.split_at(700_000);
    let members = [generator::one_block(first), generator::one_block(second)];
    splices(&members.concat(), &data);
}

/// Splices a stream that decodes to `data` in several ways. Checks that all decoders can read the results.
#[track_caller]
fn splices(stream: &[u8], data: &[u8]) {
    let index = indexed(stream, data);
    let edges: Vec<u64> = index.blocks().iter().flat_map(edges).collect();
    let mut random = Random::new("edits");
    let mut cases = Vec::new();
    for (places, level) in ROUNDS {
        let new = edited(data, places, &edges, &mut random);
        let spliced = spliced(stream, &index, &new, level);
        let untouched = untouched(&index, &new.kept);
        assert_are_copied(&untouched, stream, &spliced);
        let allowed = size_with_copies(&untouched, &new, level);
        assert!(spliced.len() <= allowed, "{} > {allowed}", spliced.len());
        // A spliced stream can be spliced again.
        indexed(&spliced, &new.bytes);
        cases.push(Case {
            stream: spliced,
            data: new.bytes,
        });
    }
    all_decode(&cases);
}

/// The blocks that lie in one kept range together with everything that they refer to. Each has its place in the new
/// data.
fn untouched<'a>(index: &'a BlockIndex, kept: &[Kept]) -> Vec<(&'a Block, usize)> {
    let mut found = Vec::new();
    for Kept { old, new_start } in kept {
        let inside = index.blocks().iter().filter(|block| {
            let first = block.data.start - u64::from(block.reach);
            !block.data.is_empty() && old.start <= first && block.data.end <= old.end
        });
        found.extend(inside.map(|block| {
            let place = new_start + block.data.start - old.start;
            (block, place as usize)
        }));
    }
    found
}

/// Checks that the new stream has the blocks in their order, except for bits that share a byte with other blocks.
#[track_caller]
fn assert_are_copied(blocks: &[(&Block, usize)], old: &[u8], new: &[u8]) {
    let mut at = 0;
    for (block, _) in blocks {
        let inside = block.bits.start.div_ceil(8) as usize..(block.bits.end / 8) as usize;
        // The flag of the last block is cleared.
        let inside = match block.last_mark {
            Some(mark) => inside.start.max(mark as usize / 8 + 1)..inside.end,
            None => inside,
        };
        let bytes = old.get(inside).unwrap_or_default();
        let place = find(&new[at..], bytes);
        at += bytes.len() + place.unwrap_or_else(|| panic!("{block:?} is not copied"));
    }
}

/// The maximum size of a stream that copies these blocks and compresses the rest with zlib.
fn size_with_copies(blocks: &[(&Block, usize)], new: &Edited, level: u32) -> usize {
    let mut size = 100;
    let mut position = 0;
    let end = new.bytes.len();
    let places = blocks.iter().map(|(block, start)| {
        let length = (block.data.end - block.data.start) as usize;
        let bytes = (block.bits.end - block.bits.start).div_ceil(8) as usize;
        (*start, length, bytes + LARGEST_SEAM)
    });
    for (start, length, bytes) in places.chain([(end, 0, 0)]) {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(&new.bytes[position..start]).unwrap();
        let anew = match start - position {
            0 => 0,
            // Pieces are compressed separately, and each starts with its own tables.
            rest => encoder.finish().unwrap().len() * 101 / 100 + 300 * rest.div_ceil(128 << 10),
        };
        size += bytes + anew;
        position = start + length;
    }
    size
}

/// Positions at which a kept range has just enough for a block, or one byte too little.
fn edges(block: &Block) -> [u64; 2] {
    let first = block.data.start - u64::from(block.reach);
    [first, (first + 1).min(block.data.end)]
}

/// Indexes the blocks of a stream. Checks that pycull decodes the expected data.
#[track_caller]
fn indexed(stream: &[u8], data: &[u8]) -> BlockIndex {
    let mut reader = GzipReader::new(stream);
    let mut found = Vec::new();
    reader.read_to_end(&mut found).unwrap();
    assert!(found == data, "pycull finds other bytes");
    reader.into_index()
}

/// Splices a stream. Only this function uses pycull's writer.
fn spliced(stream: &[u8], index: &BlockIndex, new: &Edited, level: u32) -> Vec<u8> {
    let old = Old {
        bytes: Arc::new(stream.to_vec()),
        index,
        kept: &new.kept,
        new_length: new.bytes.len() as u64,
    };
    let mut writer = GzipWriter::splicing(Vec::new(), level, 2, old).unwrap();
    let mut rest = &new.bytes[..];
    while !rest.is_empty() {
        let skipped = writer.unneeded().unwrap();
        writer.skip(skipped).unwrap();
        rest = &rest[skipped as usize..];
        let written = writer.write(rest).unwrap();
        rest = &rest[written..];
    }
    writer.finish().unwrap()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let head = &needle[..needle.len().min(16)];
    if head.is_empty() {
        return Some(0);
    }
    let mut places = haystack.windows(head.len()).enumerate();
    places.find_map(|(place, window)| {
        (window == head && haystack[place..].starts_with(needle)).then_some(place)
    })
}

/// Compresses the sample with a tool that takes a file and writes to standard output.
#[track_caller]
fn filtered(name: &str, arguments: &[&str]) -> Vec<u8> {
    let file = written(sample());
    let path = file.path().to_str().unwrap();
    let output = tool(name, arguments.iter().copied().chain([path]));
    output.success().stdout
}

#[track_caller]
fn by_python(arguments: &[&str], data: &[u8]) -> Vec<u8> {
    const SCRIPT: &str = include_str!("produce.py");
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python");
    assert!(
        packages.join("zlib_ng").is_dir(),
        "the test needs zlib-ng for Python in {}; run `.ci/setup-tests`",
        packages.display()
    );
    let input = written(data);
    let output = tool_command("python3")
        .env("PYTHONPATH", packages)
        .args(["-c", SCRIPT])
        .args(arguments)
        .stdin(File::open(input.path()).unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output.stdout
}

fn written(data: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), data).unwrap();
    file
}
