//! A gzip stream from arbitrary bytes. pycull's reader agrees with flate2's, and a spliced stream decodes to the
//! written data.
//!
//! An input is a control byte, a parameter, edits of eight bytes each, and the subject. The subject is one of three
//! things:
//!
//! * a gzip stream;
//! * raw deflate streams, which get correct headers and trailers, because wrong checksums would stop nearly every
//!   mutation;
//! * data to compress.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::Arc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use pycull::deflate::{BlockIndex, GzipReader, GzipWriter, Kept, Old};
use zlib_rs::{DeflateConfig, Strategy, compress_bound, compress_slice};

use super::stepwise::Stepwise;
use crate::support::random::Random;

/// Maximum number of bytes to decode.
const LIMIT: usize = 1 << 20;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

pub fn run(input: &[u8]) {
    let Some((&[control, parameter], rest)) = input.split_first_chunk() else {
        return;
    };
    let edits = usize::from(control >> 3 & 7).min(rest.len() / 8);
    let (edits, subject) = rest.split_at(edits * 8);
    let stream = match control & 3 {
        0 => subject.to_vec(),
        1 => with_headers(subject),
        2 => compressed(subject, parameter),
        _ => compressed(&stretched(subject), parameter),
    };
    // The reader returns this many bytes at a time, so that the boundary between two reads is at every place.
    let step = match control >> 6 {
        0 => usize::MAX,
        1 => 1,
        2 => 7,
        _ => 1 + usize::from(parameter) * 5,
    };
    let Some((data, index)) = decoded(&stream, step) else {
        return;
    };
    assert_index_is_right(&index, &data, &stream);
    let (new, kept) = edited(&data, &index, edits);
    let once = spliced(&stream, &index, &kept, &new, parameter);
    let (found, index) = decoded(&once, step).expect("what was spliced can be read");
    assert!(found == new, "not what was written");
    if control & 4 != 0 {
        assert_index_is_right(&index, &new, &once);
        let (newer, kept) = edited(&new, &index, edits);
        let twice = spliced(&once, &index, &kept, &newer, parameter);
        let (found, _) = decoded(&twice, step).expect("what was spliced twice can be read");
        assert!(found == newer, "not what was written the second time");
    }
}

/// Decodes a stream. Returns its data and its index, or `None` if it is invalid or larger than the limit. Both readers
/// must agree.
fn decoded(stream: &[u8], step: usize) -> Option<(Vec<u8>, BlockIndex)> {
    let mut reader = GzipReader::new(Stepwise(stream, step));
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let own_result = (&mut reader)
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut own)
        .is_ok();
    let other_result = MultiGzDecoder::new(stream)
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut other)
        .is_ok();
    if own.len() > LIMIT || other.len() > LIMIT {
        // If an error follows the limit, one reader may report it before it returns the bytes, or not at all.
        let common = own.len().min(other.len());
        assert!(own[..common] == other[..common], "other bytes");
        assert!(!own_result || !other_result || own.len() == other.len());
        return None;
    }
    assert_eq!(own_result, other_result, "one of two readers fails");
    if !own_result {
        return None;
    }
    assert!(own == other, "other bytes");
    Some((own, reader.into_index()))
}

/// Wraps raw deflate streams as gzip members, as far as they are valid.
fn with_headers(mut raw: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while !raw.is_empty() || stream.is_empty() {
        let mut data = Vec::new();
        let mut decoder = DeflateDecoder::new(raw);
        let result = (&mut decoder)
            .take(LIMIT as u64)
            .read_to_end(&mut data)
            .is_ok();
        let length = decoder.total_in() as usize;
        stream.extend(HEADER);
        if !result || length == 0 {
            stream.extend_from_slice(raw);
            break;
        }
        let (member, rest) = raw.split_at(length);
        stream.extend_from_slice(member);
        stream.extend(crc32fast::hash(&data).to_le_bytes());
        stream.extend((data.len() as u32).to_le_bytes());
        raw = rest;
    }
    stream
}

/// Compresses data into a few members. Flushing makes several blocks.
fn compressed(data: &[u8], parameter: u8) -> Vec<u8> {
    let level = Compression::new(u32::from(parameter % 10));
    let parts = usize::from(parameter / 10).max(1);
    let part = data.len() / parts + 1;
    let mut members = data.chunks(part * 5);
    let mut stream = Vec::new();
    let first = members.next().unwrap_or_default();
    for member in std::iter::once(first).chain(members) {
        let mut encoder = GzEncoder::new(Vec::new(), level);
        for piece in member.chunks(part) {
            encoder.write_all(piece).unwrap();
            if parts > 1 {
                encoder.flush().unwrap();
            }
        }
        stream.extend(encoder.finish().unwrap());
    }
    stream
}

/// Repeats parts of the data with noise in between. The result has a few hundred kilobytes, which gives many blocks.
fn stretched(data: &[u8]) -> Vec<u8> {
    let mut state = u64::from(crc32fast::hash(data)) | 1;
    let mut long = data.to_vec();
    while !data.is_empty() && long.len() < 300_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let start = state as usize % data.len();
        let length = (state >> 32) as usize % (data.len() - start).min(700);
        long.extend_from_slice(&data[start..start + length]);
        long.extend_from_slice(&state.to_le_bytes()[..1 + (state >> 61) as usize]);
    }
    long
}

/// Edits the data. Returns the result and the kept ranges of the old data, in order. A range may be empty.
fn edited(data: &[u8], index: &BlockIndex, edits: &[u8]) -> (Vec<u8>, Vec<Kept>) {
    let mut places: Vec<(usize, usize, &[u8])> = edits
        .chunks_exact(8)
        .map(|edit| {
            let number = |at: usize| usize::from(u16::from_le_bytes([edit[at], edit[at + 1]]));
            let mut start = data.len() * number(0) / 0xffff;
            let mut length = (data.len() - start) * number(2) / 0xffff;
            if edit[4] & 1 != 0 {
                // Small edits keep more blocks.
                length %= 300;
            }
            if edit[4] & 2 != 0 {
                // At the start of a block, or at the earliest byte to which the block may refer.
                let after = index
                    .blocks()
                    .partition_point(|block| block.data.start < start as u64);
                if let Some(block) = index.blocks().get(after) {
                    let back = u64::from(block.reach) * u64::from(edit[4] >> 2 & 1);
                    let place = (block.data.start - back + u64::from(edit[4] >> 3 & 1)) as usize;
                    start = place.min(data.len()).saturating_sub(length);
                }
            }
            let inserted = &edit[6..6 + usize::from(edit[5] % 3)];
            (start, start + length, inserted)
        })
        .collect();
    places.sort_unstable();
    let (mut new, mut kept, mut position) = (Vec::new(), Vec::new(), 0);
    let end = (data.len(), data.len(), &[][..]);
    for (start, end, inserted) in places.into_iter().chain([end]) {
        let start = start.max(position);
        kept.push(Kept {
            old: position as u64..start as u64,
            new_start: new.len() as u64,
        });
        new.extend_from_slice(&data[position..start]);
        new.extend_from_slice(inserted);
        position = end.max(start).min(data.len());
    }
    (new, kept)
}

/// Splices a stream. Only this function uses pycull's writer.
fn spliced(old: &[u8], index: &BlockIndex, kept: &[Kept], new: &[u8], parameter: u8) -> Vec<u8> {
    let old = Old {
        bytes: Arc::new(old.to_vec()),
        index,
        kept,
        new_length: new.len() as u64,
    };
    let (level, threads) = (u32::from(parameter % 10), usize::from(parameter % 3));
    let mut writer = GzipWriter::splicing(Vec::new(), level, threads, old).unwrap();
    let step = (1 + usize::from(parameter) * 997).max(new.len() / 1000);
    let mut position = 0;
    while position < new.len() {
        // Half of the inputs skip what the writer does not need. The others write everything.
        if parameter & 1 != 0 {
            let skipped = writer.unneeded().unwrap();
            writer.skip(skipped).unwrap();
            position += skipped as usize;
        }
        let piece = &new[position..new.len().min(position + step)];
        position += writer.write(piece).unwrap();
    }
    writer.finish().unwrap()
}

/// Checks that the blocks follow each other without gaps, cover all data, and describe it correctly.
fn assert_index_is_right(index: &BlockIndex, data: &[u8], stream: &[u8]) {
    let (mut bit, mut byte) = (0, 0);
    for block in index.blocks() {
        assert!(block.bits.start >= bit && block.bits.end > block.bits.start);
        assert_eq!(block.data.start, byte, "a gap in the data");
        let bytes = &data[block.data.start as usize..block.data.end as usize];
        assert_eq!(block.crc, crc32fast::hash(bytes));
        assert!(block.reach <= 32 << 10 && u64::from(block.reach) <= block.data.start);
        if let Some(mark) = block.last_mark {
            assert!(block.bits.contains(&mark));
            assert_eq!(stream[(mark / 8) as usize] >> (mark % 8) & 1, 1);
        }
        (bit, byte) = (block.bits.end, block.data.end);
    }
    assert_eq!(byte as usize, data.len(), "data in no block");
    assert!(bit <= stream.len() as u64 * 8);
}

/// Streams and data for every kind of subject, without edits and with a few.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut random = Random::new("splice");
    let mut seeds = Vec::new();
    for (number, (kind, subject)) in subjects(&mut random).into_iter().enumerate() {
        for edits in BTreeSet::from([0, number % 4]) {
            let step = *random.pick(&[0, 0, 1, 2, 3]);
            let control = kind | (random.below(2) << 2 | edits << 3 | step << 6) as u8;
            let start = [control, random.below(256) as u8];
            let edits = random.bytes(8 * edits);
            seeds.push([&start[..], &edits, &subject].concat());
        }
    }
    seeds
}

/// Kinds of subjects: the two lowest bits of the control byte.
const STREAM: u8 = 0;
const RAW: u8 = 1;
const DATA: u8 = 2;
const LONG: u8 = 3;

fn subjects(random: &mut Random) -> Vec<(u8, Vec<u8>)> {
    let (mut subjects, mut raw) = (Vec::new(), Vec::new());
    for length in [0, 1, 40, 700, 6000, 40_000] {
        let content = text(length);
        raw.extend(deflated_in_many_ways(&content));
        subjects.push((DATA, content.clone()));
        subjects.push((LONG, content[..length.min(3000)].to_vec()));
        subjects.push((STREAM, compressed(&content, 6)));
    }
    for _ in 0..20 {
        let three: Vec<&[u8]> = (0..3).map(|_| &**random.pick(&raw)).collect();
        raw.push(three.concat());
    }
    let many = (900..1500).step_by(50);
    raw.push(
        many.flat_map(|size| deflated(&text(size), 6, Strategy::Default, 8))
            .collect(),
    );
    subjects.extend(raw.into_iter().map(|stream| (RAW, stream)));
    let [one, two] = [b"one", b"two"].map(|data| compressed(data, 6));
    subjects.push((STREAM, [&one[..], &two].concat()));
    subjects.push((STREAM, [&one[..], b"garbage"].concat()));
    subjects.push((STREAM, with_every_header_field(&one)));
    subjects
}

/// A stream with a name, a comment, an extra field and a checksum in its header.
fn with_every_header_field(stream: &[u8]) -> Vec<u8> {
    let mut header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x04\0AB\0\0name\0comment\0".to_vec();
    let checksum = crc32fast::hash(&header) as u16;
    header.extend(checksum.to_le_bytes());
    header.extend_from_slice(&stream[HEADER.len()..]);
    header
}

/// Python words with noise in between.
fn text(length: usize) -> Vec<u8> {
    let mut random = Random::new(format!("text {length}"));
    let words: [&[u8]; 6] = [
        b"import ",
        b"self.",
        b"return None\n",
        b"    def __init__(",
        b"os.path",
        &[0; 90],
    ];
    let mut text = Vec::new();
    while text.len() < length {
        match random.below(10) {
            0..7 => text.extend_from_slice(words[random.below(words.len())]),
            _ => {
                let noise = random.below(60);
                text.extend(random.bytes(noise));
            }
        }
    }
    text.truncate(length);
    text
}

/// Raw deflate streams of every kind of block.
fn deflated_in_many_ways(data: &[u8]) -> Vec<Vec<u8>> {
    let strategies = [
        Strategy::Default,
        Strategy::Fixed,
        Strategy::HuffmanOnly,
        Strategy::Rle,
    ];
    let mut streams: Vec<Vec<u8>> = strategies
        .map(|strategy| deflated(data, 6, strategy, 8))
        .into();
    streams.push(deflated(data, 0, Strategy::Default, 8));
    streams.push(deflated(data, 9, Strategy::Default, 1));
    let flushes = [
        FlushCompress::Sync,
        FlushCompress::Full,
        FlushCompress::Partial,
    ];
    streams.extend(flushes.map(|flush| flushed(data, flush)));
    streams
}

fn deflated(data: &[u8], level: i32, strategy: Strategy, mem_level: i32) -> Vec<u8> {
    let config = DeflateConfig {
        window_bits: -15,
        strategy,
        mem_level,
        ..DeflateConfig::new(level)
    };
    let mut buffer = vec![0; compress_bound(data.len()) + 64];
    compress_slice(&mut buffer, data, config).0.to_vec()
}

/// A raw deflate stream that is flushed three times.
fn flushed(data: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut engine = Compress::new(Compression::new(6), false);
    let mut stream = Vec::with_capacity(data.len() * 2 + 1000);
    for piece in data.chunks(data.len() / 4 + 1) {
        engine.compress_vec(piece, &mut stream, flush).unwrap();
    }
    let end = engine.compress_vec(&[], &mut stream, FlushCompress::Finish);
    assert_eq!(end.unwrap(), Status::StreamEnd);
    stream
}
