//! Estimates the Zstandard level of a layer. The stream does not state its level, but its size shows it.

use std::io::{self, Read, Write};

use super::compression::{Encoder, Encoding};

/// Bytes of the tar stream to compress again.
const SAMPLE: usize = 4 << 20;

/// The levels to try, from low to high. Each gives smaller output and takes more time than the one before.
const LADDER: [i32; 7] = [3, 6, 9, 12, 15, 17, 19];

/// Bytes of a frame's header and checksum, which do not depend on the level.
const FRAME: u64 = 16;

/// The levels of the ladder above `level`, lowest first.
pub fn levels_above(level: i32) -> impl Iterator<Item = i32> {
    LADDER.into_iter().filter(move |other| *other > level)
}

/// The decoded frames at the start of a layer, and their compressed size in bytes.
struct Sample {
    frames: Vec<Vec<u8>>,
    compressed: u64,
}

/// The lowest level whose output for the start of `blob` is not larger than the blob's own. If there is none, the
/// highest level that every reader accepts. Reads only the start of the blob.
///
/// # Errors
/// I/O errors of `blob`, and [`io::ErrorKind::InvalidData`] if it is not Zstandard.
pub fn nearest_level(blob: impl Read) -> io::Result<i32> {
    let sample = sample(blob)?;
    // Another compressor's output differs a little at the same effort.
    let slack = sample.compressed / 400 + FRAME * sample.frames.len() as u64;
    let fits =
        |level| -> io::Result<bool> { Ok(size_at(&sample, level)? <= sample.compressed + slack) };
    let mut too_large = 0;
    for step in LADDER {
        if !fits(step)? {
            too_large = step;
            continue;
        }
        for level in too_large + 1..step {
            if fits(level)? {
                return Ok(level);
            }
        }
        return Ok(step);
    }
    Ok(too_large)
}

fn size_at(sample: &Sample, level: i32) -> io::Result<u64> {
    if let [frame] = &sample.frames[..] {
        // The same encoder as for the layer itself.
        let mut encoder = Encoder::new(Vec::new(), Encoding::Zstd(level), 1)?;
        encoder.write_all(frame)?;
        return Ok(encoder.finish()?.len() as u64);
    }
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    let mut sum = 0;
    for frame in &sample.frames {
        sum += compressor.compress(frame)?.len() as u64;
    }
    Ok(sum)
}

/// Reads whole blocks until the sample is large enough (RFC 8878, 3.1.1).
fn sample(blob: impl Read) -> io::Result<Sample> {
    let mut input = Input {
        inner: blob,
        read: Vec::new(),
    };
    let mut sample = Sample {
        frames: Vec::new(),
        compressed: 0,
    };
    let mut decoded = 0;
    while decoded < SAMPLE {
        match input.magic()? {
            None => break,
            Some(0x184d_2a50..=0x184d_2a5f) => {
                let length = u32::from_le_bytes(input.array()?);
                input.skip(u64::from(length))?;
            }
            Some(0xfd2f_b528) => {
                let (frame, compressed) = input.frame(SAMPLE - decoded)?;
                decoded += frame.len();
                sample.compressed += compressed;
                sample.frames.push(frame);
            }
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(sample)
}

/// A blob, and the bytes read from its current frame.
struct Input<R> {
    inner: R,
    read: Vec<u8>,
}

impl<R: Read> Input<R> {
    fn take(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let start = self.read.len();
        self.read.resize(start + bytes, 0);
        self.inner.read_exact(&mut self.read[start..])?;
        Ok(&self.read[start..])
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.inner.by_ref().take(bytes), &mut io::sink())?;
        match skipped == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A frame's magic number; `None` at the end of the blob.
    fn magic(&mut self) -> io::Result<Option<u32>> {
        self.read.clear();
        let mut first = [0];
        if self.inner.read(&mut first)? == 0 {
            return Ok(None);
        }
        self.read.push(first[0]);
        self.take(3)?;
        let magic: Result<[u8; 4], _> = self.read[..].try_into();
        Ok(magic.ok().map(u32::from_le_bytes))
    }

    /// Decodes the blocks of a frame until there are `enough` bytes or the frame ends. Returns the compressed size of
    /// these blocks too.
    fn frame(&mut self, enough: usize) -> io::Result<(Vec<u8>, u64)> {
        let descriptor = self.take(1)?[0];
        let is_single_segment = descriptor & 0x20 != 0;
        let window = usize::from(!is_single_segment);
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_size = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        self.take(window + dictionary + content_size)?;
        let mut decoder = zstd::stream::write::Decoder::new(Vec::new())?;
        let mut compressed = 0;
        loop {
            let [a, b, c]: [u8; 3] = self.array()?;
            let header = u32::from_le_bytes([a, b, c, 0]);
            let is_repeated = (header >> 1) & 3 == 1;
            let bytes = if is_repeated { 1 } else { header as usize >> 3 };
            self.take(bytes)?;
            let is_last = header & 1 == 1;
            if is_last && descriptor & 4 != 0 {
                self.take(4)?;
            }
            decoder.write_all(&self.read)?;
            decoder.flush()?;
            compressed += self.read.len() as u64;
            self.read.clear();
            if is_last || decoder.get_ref().len() >= enough {
                return Ok((decoder.into_inner(), compressed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic text that compresses better with more effort.
    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = move |bound: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % bound
        };
        let words: Vec<String> = (0..4000)
            .map(|_| {
                (0..2 + next(8))
                    .map(|_| (b'a' + next(20) as u8) as char)
                    .collect()
            })
            .collect();
        let mut text = Vec::with_capacity(bytes + 100);
        while text.len() < bytes {
            // Make some words more frequent.
            let word = next(4000) * next(4000) / 4000;
            text.extend_from_slice(words[word as usize].as_bytes());
            text.push(b" \n(.,"[next(5) as usize]);
        }
        text
    }

    fn size(data: &[u8], level: i32) -> u64 {
        let mut encoder = Encoder::new(Vec::new(), Encoding::Zstd(level), 2).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().len() as u64
    }

    #[test]
    fn what_is_written_again_is_about_as_large_as_it_was() {
        let data = text(3 << 20);
        for level in [1, 3, 9, 19] {
            let original = zstd::encode_all(&data[..], level).unwrap();
            let found = nearest_level(&original[..]).unwrap();
            let (new, old) = (size(&data, found), original.len() as u64);
            assert!(
                new <= old + old / 400 + FRAME,
                "{level}: {old}, at level {found} {new}"
            );
            assert!(found <= level + 3, "{level}: {found}");
        }
    }

    #[test]
    fn frames_of_their_own_and_skippable_ones_are_compared_with_frames() {
        let data = text(1 << 20);
        let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"junk"].concat();
        let mut blob = skippable.clone();
        for part in data.chunks(100_000) {
            blob.extend(zstd::bulk::compress(part, 9).unwrap());
            blob.extend(&skippable);
        }
        let level = nearest_level(&blob[..]).unwrap();
        assert!((6..=9).contains(&level), "{level}");
        assert!(size(&data, level) <= blob.len() as u64);
    }

    #[test]
    fn what_is_cut_short_or_another_format_is_an_error_and_nothing_is_the_lowest() {
        let blob = zstd::encode_all(&text(300_000)[..], 3).unwrap();
        assert!(nearest_level(&blob[..blob.len() / 2]).is_err());
        assert!(nearest_level(&b"tar archive"[..]).is_err());
        assert_eq!(nearest_level(&b""[..]).unwrap(), 1);
    }
}
