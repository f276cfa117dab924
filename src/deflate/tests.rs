use std::io::{Read, Write};
use std::sync::Arc;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::read_at::ReadAt;

/// Bytes that compress like files: repeated words, and noise.
fn data(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        match next() % 5 {
            0 => bytes.extend_from_slice(&next().to_le_bytes()),
            1 => bytes.resize(bytes.len() + (next() % 600) as usize, next() as u8),
            2 if bytes.len() > 40_000 => {
                let from = bytes.len() - 1 - (next() % 39_000) as usize;
                let to = (from + 3 + (next() % 400) as usize).min(bytes.len());
                bytes.extend_from_within(from..to);
            }
            _ => {
                let words = [
                    "import ",
                    "self.",
                    "return None\n",
                    "    def __init__(",
                    "os.path",
                ];
                bytes.extend_from_slice(words[next() as usize % words.len()].as_bytes());
            }
        }
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn index(stream: &[u8], expected: &[u8]) -> BlockIndex {
    let mut reader = GzipReader::new(stream);
    let mut found = Vec::new();
    reader.read_to_end(&mut found).unwrap();
    assert!(found == expected);
    reader.into_index()
}

fn plain(stream: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::bufread::GzDecoder::new(stream)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// A change at an offset of a stream: the bytes to skip, and the bytes to put there.
type Change = (usize, usize, Vec<u8>);

/// The new stream, and the parts that it keeps of the old one.
fn changed(old: &[u8], changes: &[Change]) -> (Vec<u8>, Vec<Kept>) {
    let (mut new, mut kept, mut position) = (Vec::new(), Vec::new(), 0);
    let mut changes = changes.to_vec();
    changes.sort();
    for (start, length, inserted) in changes {
        let start = start.min(old.len()).max(position);
        kept.push(Kept {
            old: position as u64..start as u64,
            new_start: new.len() as u64,
        });
        new.extend_from_slice(&old[position..start]);
        new.extend_from_slice(&inserted);
        position = (start + length).min(old.len());
    }
    kept.push(Kept {
        old: position as u64..old.len() as u64,
        new_start: new.len() as u64,
    });
    new.extend_from_slice(&old[position..]);
    (new, kept)
}

/// The new stream, spliced. Skips bytes that the writer does not need.
fn spliced(old: &[u8], index: &BlockIndex, kept: &[Kept], new: &[u8], threads: usize) -> Vec<u8> {
    let old = Old {
        bytes: Arc::new(old.to_vec()),
        index,
        kept,
        new_length: new.len() as u64,
    };
    let mut writer = GzipWriter::splicing(Vec::new(), 6, threads, old).unwrap();
    let mut position = 0;
    while position < new.len() {
        match writer.unneeded().unwrap() {
            0 => position += writer.write(&new[position..]).unwrap(),
            unneeded => {
                writer.skip(unneeded).unwrap();
                position += unneeded as usize;
            }
        }
    }
    writer.finish().unwrap()
}

#[test]
fn bytes_after_the_stream_are_told_from_a_broken_header() {
    let error = |stream: &[u8]| {
        let error = GzipReader::new(stream).read_to_end(&mut Vec::new());
        error.unwrap_err().to_string()
    };
    let whole = gzip(b"data", 6);
    for tail in [&b"x"[..], &[0; 512], &whole[..5]] {
        let found = error(&[&whole, tail].concat());
        assert_eq!(found, DeflateError::TrailingBytes.to_string());
    }
    assert_eq!(error(&[0; 512]), DeflateError::Header.to_string());
}

#[test]
fn a_cut_leaves_all_blocks_but_those_around_it() {
    let old = data(3_000_000, 1);
    let stream = gzip(&old, 6);
    let index = index(&stream, &old);
    let (new, kept) = changed(&old, &[(1_000_000, 100_000, vec![])]);
    let runs = copied_blocks::divide(&index, &kept, new.len() as u64);
    let compressed: u64 = runs
        .iter()
        .map(|run| match run {
            copied_blocks::Run::Compress(length) => *length,
            copied_blocks::Run::Copy(_) => 0,
        })
        .sum();
    assert!(
        compressed < 700_000,
        "{compressed} bytes are compressed anew"
    );
    assert!(plain(&spliced(&stream, &index, &kept, &new, 1)) == new);
}

#[test]
fn a_stream_without_changes_is_copied_whole() {
    let old = data(500_000, 2);
    let stream = [
        gzip(&old[..200_000], 9),
        gzip(&[], 6),
        gzip(&old[200_000..], 1),
    ]
    .concat();
    let index = index(&stream, &old);
    let (new, kept) = changed(&old, &[]);
    let runs = copied_blocks::divide(&index, &kept, new.len() as u64);
    assert!(
        runs.iter()
            .all(|run| matches!(run, copied_blocks::Run::Copy(_))),
        "{runs:?}"
    );
    let copy = spliced(&stream, &index, &kept, &new, 2);
    assert!(plain(&copy) == new);
    assert!(copy.len() <= stream.len());
}

#[test]
fn what_is_skipped_is_not_decoded_and_what_is_read_is_the_same() {
    let old = noise(20_000_000);
    let stream = [gzip(&old[..9_000_000], 6), gzip(&old[9_000_000..], 9)].concat();
    let index = index(&stream, &old);
    struct Counting(Vec<u8>, std::sync::atomic::AtomicU64);
    impl ReadAt for Counting {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let count = self.0.read_at(buffer, offset)?;
            self.1
                .fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
            Ok(count)
        }
    }
    let bytes = Arc::new(Counting(stream.clone(), 0.into()));
    let mut reader = SparseReader::new(Arc::clone(&bytes) as Arc<dyn ReadAt>, &index);
    let mut position = 0;
    for skipped in [0, 1, 5_000_000, 10, 3_000_000, 2_000_000, 7_000_000, 0] {
        reader.skip(skipped as u64).unwrap();
        position += skipped;
        let mut found = vec![0; 70_000];
        reader.read_exact(&mut found).unwrap();
        assert!(found == old[position..position + found.len()]);
        position += found.len();
    }
    let read = bytes.1.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < stream.len() as u64 / 2, "{read} of {}", stream.len());
    assert!(reader.skip(old.len() as u64).is_err());
}

#[test]
fn a_stream_that_changed_since_it_was_indexed_is_not_read() {
    let old = data(3_000_000, 7);
    let stream = gzip(&old, 6);
    let index = index(&stream, &old);
    let mut other = old.clone();
    other[2_900_000] ^= 1;
    let other = gzip(&other, 6);
    let mut reader = SparseReader::new(Arc::new(other), &index);
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// A block that exactly fills the decoder's buffer, followed by others.
fn full_buffer_then_noise(byte: u8) -> (Vec<u8>, Vec<u8>) {
    let first = vec![byte; inflate::WINDOW + inflate::CHUNK];
    let data = [first.clone(), noise(8 << 20)].concat();
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(&first).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(&data[first.len()..]).unwrap();
    (encoder.finish().unwrap(), data)
}

#[test]
fn a_block_whose_end_was_not_decoded_is_checked_before_others_are_skipped() {
    let (stream, data) = full_buffer_then_noise(100);
    let (other, other_data) = full_buffer_then_noise(101);
    assert_eq!(stream.len(), other.len());
    let index = index(&stream, &data);
    let end = inflate::WINDOW + inflate::CHUNK;
    assert_eq!(index.blocks()[0].data, 0..end as u64);
    for (stream, data, is_right) in [(stream, data, true), (other, other_data, false)] {
        let mut reader = SparseReader::new(Arc::new(stream), &index);
        let mut found = vec![0; end];
        let read = reader.read_exact(&mut found);
        assert!(read.is_err() || found == data[..end]);
        assert_eq!(read.and_then(|()| reader.skip(6 << 20)).is_ok(), is_right);
    }
}

#[test]
fn millions_of_empty_blocks_take_no_long_time_and_no_memory() {
    // Four empty blocks of fixed codes have ten bits each, together five bytes.
    let blocks = [0b0000_0010, 0b0000_1000, 0b0010_0000, 0b1000_0000, 0];
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    stream.extend(blocks.repeat(1 << 20));
    stream.extend([0b11, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let index = index(&stream, &[]);
    assert!(index.blocks().len() < stream.len() / 1000);
}

#[test]
fn a_long_stream_has_a_bounded_number_of_resume_points() {
    let old = noise(200 << 20);
    let index = index(&gzip(&old, 0), &old);
    let mut starts = std::collections::BTreeSet::new();
    for data in (0..old.len() as u64).step_by(1 << 20) {
        let start = index
            .point_before(data)
            .map_or(0, |point| index.blocks()[point.block].data.start);
        assert!(
            start <= data && data - start < 9 << 20,
            "{start} for {data}"
        );
        starts.insert(start);
    }
    assert!(starts.len() <= 64, "{} points", starts.len());
}

#[test]
fn a_block_is_copied_where_all_that_it_refers_to_is_kept_and_not_a_byte_less() {
    let old = data(1_000_000, 3);
    let stream = gzip(&old, 6);
    let index = index(&stream, &old);
    for block in index.blocks().iter().filter(|block| block.reach > 0) {
        let first = (block.data.start - u64::from(block.reach)) as usize;
        let copies = |from: usize| {
            // Put other bytes where the kept ones would refer to.
            let other: Vec<u8> = old[..from].iter().map(|byte| !byte).collect();
            let (new, kept) = changed(&old, &[(0, from, other)]);
            assert!(plain(&spliced(&stream, &index, &kept, &new, 1)) == new);
            let runs = copied_blocks::divide(&index, &kept, new.len() as u64);
            runs.iter().any(
                |run| matches!(run, copied_blocks::Run::Copy(copy) if copy.bits.start == block.bits.start),
            )
        };
        assert!(copies(first));
        assert!(!copies(first + 1));
    }
}

#[test]
fn a_stream_of_another_length_than_was_said_is_refused() {
    let old = data(300_000, 4);
    let stream = gzip(&old, 6);
    let index = index(&stream, &old);
    let (new, kept) = changed(&old, &[(5, 5, vec![])]);
    for (said, written) in [(new.len(), new.len() - 1), (new.len() - 1, new.len())] {
        let old = Old {
            bytes: Arc::new(stream.clone()),
            index: &index,
            kept: &kept[..1],
            new_length: said as u64,
        };
        let mut writer = GzipWriter::splicing(Vec::new(), 6, 1, old).unwrap();
        let result = writer
            .write_all(&new[..written])
            .and_then(|()| writer.finish());
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn damage_to_a_stream_is_noticed_and_never_a_panic() {
    let old = data(60_000, 5);
    let stream = gzip(&old, 6);
    for at in 0..stream.len() {
        let mut damaged = stream.clone();
        damaged[at] ^= 1 << (at % 8);
        let mut found = Vec::new();
        let result = GzipReader::new(&damaged[..]).read_to_end(&mut found);
        // Some bits may have either value, such as the header's time or a distance into equal bytes.
        assert!(result.is_err() || found == old, "byte {at}");
        let cut = GzipReader::new(&stream[..at]).read_to_end(&mut Vec::new());
        assert_eq!(
            cut.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof,
            "cut at {at}"
        );
    }
}

proptest! {
    #[test]
    fn streams_read_as_other_decoders_read_them(
        length in 0usize..400_000, seed: u64, level in 0u32..=9, step in 1usize..70_000,
    ) {
        let data = data(length, seed);
        let stream = gzip(&data, level);
        let mut reader = GzipReader::new(&stream[..]);
        let mut found = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            let count = reader.read(&mut buffer).unwrap();
            if count == 0 { break }
            found.extend_from_slice(&buffer[..count]);
        }
        prop_assert!(found == data);
    }

    #[test]
    fn random_changes_give_the_stream_that_was_written(
        length in 0usize..600_000, seed: u64, level in 0u32..=9,
        members in proptest::collection::vec(0usize..600_000, 0..3),
        changes in proptest::collection::vec(
            (0usize..600_000, 0usize..90_000, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let old = data(length, seed);
        let mut members = members;
        members.sort();
        let (mut stream, mut start) = (Vec::new(), 0);
        for end in members.into_iter().chain([length]) {
            let end = end.min(length);
            stream.extend(gzip(&old[start..end], level));
            start = end;
        }
        let index = index(&stream, &old);
        let (new, kept) = changed(&old, &changes);
        let one = spliced(&stream, &index, &kept, &new, 1);
        prop_assert!(plain(&one) == new);
        // A spliced stream can be spliced again.
        let _ = self::index(&one, &new);
        prop_assert!(spliced(&stream, &index, &kept, &new, 3) == one);
    }

    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let stream = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff][..], &bytes].concat();
        let mut own = Vec::new();
        let mut other = Vec::new();
        let result = GzipReader::new(&stream[..]).read_to_end(&mut own);
        let expected = flate2::bufread::MultiGzDecoder::new(&stream[..]).read_to_end(&mut other);
        prop_assert_eq!(result.is_ok(), expected.is_ok());
        if result.is_ok() {
            prop_assert_eq!(own, other);
        }
    }
}
