//! Pass 2: applies edits to the tar stream of a layer. It copies every byte that no edit covers, including extension
//! headers, padding, and the bytes after the end marker.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use tempfile::SpooledTempFile;

use super::edits::{Edit, Piece};
use crate::deflate::{SparseReader, discard};
use crate::oci::layer_writer::LayerWriter;
use crate::read_at::{ReadAt, ReadFrom};
use crate::scratch;

/// A stream to edit.
pub(crate) trait Input: Read {
    /// Skips this many bytes.
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::UnexpectedEof`] if the stream has fewer bytes.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

impl Input for SparseReader<'_> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        SparseReader::skip(self, bytes)
    }
}

/// A stream without random access. It reads and discards the bytes that it skips.
pub(crate) struct Whole<R>(pub R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Input for Whole<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        discard(&mut self.0, bytes)
    }
}

/// The destination of the edited stream.
pub(crate) trait Output: Write {
    /// How many of the next bytes the caller may [skip](Self::skip).
    ///
    /// # Errors
    /// I/O errors.
    fn unneeded(&mut self) -> io::Result<u64>;

    /// Continues after bytes that are [not needed](Self::unneeded).
    ///
    /// # Errors
    /// I/O errors.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

impl Output for LayerWriter {
    fn unneeded(&mut self) -> io::Result<u64> {
        LayerWriter::unneeded(self)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        LayerWriter::skip(self, bytes)
    }
}

/// Why [`apply`] failed.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// Reading the input failed.
    Input(io::Error),
    /// Writing the output failed.
    Output(io::Error),
}

/// Copies a stream of `length` bytes and applies the edits. It skips the bytes that neither the output nor a later edit
/// needs. `spool` has the bytes of every [`Piece::Spooled`].
///
/// # Errors
/// I/O errors of either side, and [`io::ErrorKind::UnexpectedEof`] if the input is shorter.
pub(crate) fn apply(
    input: &mut dyn Input,
    length: u64,
    edits: &[Edit<'_>],
    spool: &dyn ReadAt,
    output: &mut dyn Output,
) -> Result<(), ApplyError> {
    let mut stream = Stream {
        input,
        position: 0,
        captures: Captures::new(edits),
        buffer: vec![0; 128 << 10],
    };
    for edit in edits {
        stream.copy(edit.range.start, output)?;
        stream.leave_out(edit.range.end)?;
        for piece in edit.replacement.iter() {
            match piece {
                Piece::Bytes(bytes) => output.write_all(bytes),
                Piece::Earlier(range) => stream.captures.replay(range, output),
                Piece::Spooled(range) => copy_stretch(spool, range, output),
            }
            .map_err(ApplyError::Output)?;
        }
    }
    stream.copy(length, output)
}

fn copy_stretch(
    bytes: &dyn ReadAt,
    range: &Range<u64>,
    mut output: &mut dyn Output,
) -> io::Result<()> {
    let length = range.end - range.start;
    let mut stretch = ReadFrom::new(bytes, range.start).take(length);
    match io::copy(&mut stretch, &mut output)? == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

struct Stream<'a> {
    input: &'a mut dyn Input,
    position: u64,
    captures: Captures,
    buffer: Vec<u8>,
}

impl Stream<'_> {
    /// Copies the input up to `end`.
    fn copy(&mut self, end: u64, output: &mut dyn Output) -> Result<(), ApplyError> {
        while self.position < end {
            let unneeded = output.unneeded().map_err(ApplyError::Output)?;
            let unneeded = unneeded.min(self.captures.unneeded(self.position));
            if unneeded > 0 {
                let unneeded = unneeded.min(end - self.position);
                output.skip(unneeded).map_err(ApplyError::Output)?;
                self.skip(unneeded)?;
                continue;
            }
            let count = self.read(end)?;
            let written = output.write_all(&self.buffer[..count]);
            written.map_err(ApplyError::Output)?;
        }
        Ok(())
    }

    /// Moves the input to `end` without copying.
    fn leave_out(&mut self, end: u64) -> Result<(), ApplyError> {
        while self.position < end {
            let unneeded = self.captures.unneeded(self.position);
            match unneeded.min(end - self.position) {
                0 => {
                    self.read(end)?;
                }
                unneeded => self.skip(unneeded)?,
            }
        }
        Ok(())
    }

    /// Reads into the buffer, at most up to `end`.
    fn read(&mut self, end: u64) -> Result<usize, ApplyError> {
        let wanted = usize::try_from(end - self.position)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let count = self
            .input
            .read(&mut self.buffer[..wanted])
            .map_err(ApplyError::Input)?;
        if count == 0 {
            return Err(ApplyError::Input(io::ErrorKind::UnexpectedEof.into()));
        }
        self.captures
            .see(self.position, &self.buffer[..count])
            .map_err(ApplyError::Output)?;
        self.position += count as u64;
        Ok(count)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ApplyError> {
        self.input.skip(bytes).map_err(ApplyError::Input)?;
        self.position += bytes;
        Ok(())
    }
}

/// Bytes to hold in memory for later edits. More bytes go to an unlinked temporary file.
const CAPTURES_IN_MEMORY: usize = 4 << 20;

/// Keeps the stretches of the input that later edits repeat.
struct Captures {
    /// The wanted stretches, sorted, each with its offset in the spool once it was read.
    wanted: Vec<(Range<u64>, u64)>,
    /// Index of the first stretch that was not read completely.
    next: usize,
    spool: SpooledTempFile,
    spooled: u64,
}

impl Captures {
    fn new(edits: &[Edit<'_>]) -> Self {
        let pieces = edits.iter().flat_map(|edit| edit.replacement.iter());
        let mut wanted: Vec<_> = pieces
            .filter_map(|piece| match piece {
                Piece::Earlier(range) if !range.is_empty() => Some((range.clone(), 0)),
                _ => None,
            })
            .collect();
        wanted.sort_by_key(|(range, _)| (range.start, range.end));
        wanted.dedup();
        Self {
            wanted,
            next: 0,
            spool: SpooledTempFile::new(CAPTURES_IN_MEMORY),
            spooled: 0,
        }
    }

    /// How many bytes from `position` on no later edit wants.
    fn unneeded(&self, position: u64) -> u64 {
        let next = self.wanted.get(self.next);
        next.map_or(u64::MAX, |(range, _)| range.start.saturating_sub(position))
    }

    fn see(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        while let Some((range, place)) = self
            .wanted
            .get_mut(self.next)
            .filter(|(range, _)| range.start < end)
        {
            if range.start >= position {
                *place = self.spooled;
            }
            let from = range.start.max(position) - position;
            let to = range.end.min(end) - position;
            self.spool.seek(SeekFrom::Start(self.spooled))?;
            let stretch = &bytes[from as usize..to as usize];
            self.spool.write_all(stretch).map_err(scratch::failed)?;
            self.spooled += to - from;
            if range.end > end {
                break;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn replay(&mut self, range: &Range<u64>, output: &mut dyn Output) -> io::Result<()> {
        let length = range.end - range.start;
        if length == 0 {
            return Ok(());
        }
        let seen = &self.wanted[..self.next];
        let first = seen.partition_point(|(wanted, _)| wanted.start < range.start);
        let found = seen[first..]
            .iter()
            .take_while(|(wanted, _)| wanted.start == range.start);
        let mut found = found.filter(|(wanted, _)| wanted == range);
        let (_, place) = found.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.spool.seek(SeekFrom::Start(*place))?;
        let mut output: &mut dyn Write = output;
        io::copy(&mut Read::by_ref(&mut self.spool).take(length), &mut output)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rewrite::edits::kept;

    /// An output that records where it skipped. Of every `period` bytes, it does not need the first `unneeded`.
    struct Sparse {
        bytes: Vec<Option<u8>>,
        period: u64,
        unneeded: u64,
    }

    impl Write for Sparse {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.bytes.extend(buffer.iter().copied().map(Some));
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Sparse {
        fn unneeded(&mut self) -> io::Result<u64> {
            let place = self.bytes.len() as u64 % self.period;
            Ok(self.unneeded.saturating_sub(place))
        }

        fn skip(&mut self, bytes: u64) -> io::Result<()> {
            self.bytes.resize(self.bytes.len() + bytes as usize, None);
            Ok(())
        }
    }

    fn try_apply(input: &[u8], length: u64, edits: &[Edit<'_>], output: &mut Sparse) -> bool {
        apply(&mut Whole(input), length, edits, &Vec::new(), output).is_ok()
    }

    fn applied(input: &[u8], edits: &[Edit<'_>]) -> Vec<u8> {
        let mut output = Sparse {
            bytes: Vec::new(),
            period: 1,
            unneeded: 0,
        };
        assert!(try_apply(input, input.len() as u64, edits, &mut output));
        output.bytes.into_iter().map(Option::unwrap).collect()
    }

    #[test]
    fn cuts_replacements_and_what_comes_from_earlier_are_applied_in_order() {
        let edits = [
            Edit {
                range: 2..4,
                replacement: vec![].into(),
            },
            Edit {
                range: 6..6,
                replacement: vec![Piece::Bytes(b"--".to_vec()), Piece::Earlier(2..4)].into(),
            },
            Edit {
                range: 8..9,
                replacement: vec![Piece::Earlier(2..4), Piece::Earlier(0..1)].into(),
            },
        ];
        assert_eq!(applied(b"0123456789", &edits), b"0145--23672309");
    }

    #[test]
    fn a_stream_that_ends_before_an_edit_is_an_error() {
        let edits = [Edit {
            range: 8..12,
            replacement: vec![].into(),
        }];
        let mut output = Sparse {
            bytes: Vec::new(),
            period: 1,
            unneeded: 0,
        };
        assert!(!try_apply(b"0123456789", 12, &edits, &mut output));
    }

    #[test]
    fn bytes_that_neither_the_output_nor_a_later_edit_needs_are_skipped() {
        let edits = [Edit {
            range: 20..20,
            replacement: vec![Piece::Earlier(2..4)].into(),
        }];
        let mut output = Sparse {
            bytes: Vec::new(),
            period: 10,
            unneeded: 6,
        };
        assert!(try_apply(&[0; 30], 30, &edits, &mut output));
        let skipped = (0..output.bytes.len()).filter(|place| output.bytes[*place].is_none());
        // What comes before the stretch that the edit repeats, and what comes after the edit.
        assert_eq!(skipped.collect::<Vec<_>>(), [0, 1, 22, 23, 24, 25]);
    }

    proptest! {
        #[test]
        fn edits_agree_with_splicing_a_vector(
            input in proptest::collection::vec(any::<u8>(), 0..5000),
            cuts in proptest::collection::vec((0usize..5000, 0usize..400, any::<bool>()), 0..20),
            period in 1u64..900,
            unneeded in 0u64..900,
        ) {
            let mut cuts = cuts;
            cuts.sort();
            let mut edits: Vec<Edit> = Vec::new();
            let mut expected = Vec::new();
            let mut position = 0;
            for (start, length, moves) in cuts {
                let (start, end) = (start.min(input.len()).max(position), (start + length).min(input.len()));
                if start > end {
                    continue;
                }
                expected.extend_from_slice(&input[position..start]);
                let mut replacement = Vec::new();
                // The bytes of the last cut come back here.
                if let (true, Some(earlier)) = (moves, edits.last().map(|edit: &Edit| edit.range.clone())) {
                    expected.extend_from_slice(&input[earlier.start as usize..earlier.end as usize]);
                    replacement.push(Piece::Earlier(earlier));
                }
                edits.push(Edit { range: start as u64..end as u64, replacement: replacement.into() });
                position = end;
            }
            expected.extend_from_slice(&input[position..]);
            let (_, new_length) = kept(&edits, input.len() as u64);
            prop_assert_eq!(new_length, expected.len() as u64);
            prop_assert_eq!(&applied(&input, &edits), &expected);
            let mut output = Sparse { bytes: Vec::new(), period, unneeded };
            prop_assert!(try_apply(&input, input.len() as u64, &edits, &mut output));
            prop_assert_eq!(output.bytes.len(), expected.len());
            let is_right = |(found, expected): (&Option<u8>, &u8)| found.is_none_or(|found| found == *expected);
            prop_assert!(output.bytes.iter().zip(&expected).all(is_right));
        }
    }

    #[test]
    fn a_stretch_that_is_longer_than_the_buffer_comes_back_whole() {
        let input: Vec<u8> = (0..1_000_000_u32).map(|it| (it / 7 % 251) as u8).collect();
        let earlier = [1_000..600_000, 600_500..999_000];
        let pieces: Vec<Piece> = earlier.iter().cloned().map(Piece::Earlier).collect();
        let edits = [Edit {
            range: 999_900..999_950,
            replacement: pieces.into(),
        }];
        let mut expected = input[..999_900].to_vec();
        for range in earlier {
            expected.extend(&input[range.start as usize..range.end as usize]);
        }
        expected.extend(&input[999_950..]);
        assert!(applied(&input, &edits) == expected);
    }
}
