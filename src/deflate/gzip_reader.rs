//! Reads gzip members (RFC 1952) as one stream, and records their deflate blocks.

use std::hash::Hasher as _;
use std::io::{self, Read};

use crc32fast::Hasher;
use twox_hash::XxHash3_64;

use super::DeflateError;
use super::bit_reader::BitReader;
use super::index::{Block, BlockIndex};
use super::inflate::{Inflate, Stop};

/// Decodes a gzip stream of one or more members. Checks the CRC-32 and length of each member, and records the places
/// of its deflate blocks.
pub struct GzipReader<R> {
    inflate: Inflate<R>,
    state: State,
    /// Bytes decoded from all members.
    decoded: u64,
    member: Option<Member>,
    /// The current block, or the current run of small blocks.
    open: OpenBlock,
    index: BlockIndex,
}

#[derive(PartialEq)]
enum State {
    FirstMember,
    NextMember,
    InMember,
    End,
}

/// The CRC-32 and the start of a member, to check its trailer. Only for a member that was read from its first byte.
struct Member {
    crc: Hasher,
    start: u64,
}

struct OpenBlock {
    bit: u64,
    /// The bit at which the newest block's header begins.
    newest: u64,
    data: u64,
    earliest: u64,
    crc: Hasher,
    fingerprint: XxHash3_64,
}

impl<R: Read> GzipReader<R> {
    /// Reads `inner`, which begins with the first member.
    pub fn new(inner: R) -> Self {
        Self::noting(inner, BlockIndex::default())
    }

    /// Reads `inner` a second time, without new resume points.
    pub(super) fn again(inner: R) -> Self {
        Self::noting(inner, BlockIndex::without_points())
    }

    /// Reads `inner` and adds its blocks to `index`.
    fn noting(inner: R, index: BlockIndex) -> Self {
        Self {
            inflate: Inflate::new(BitReader::new(inner, 0)),
            state: State::FirstMember,
            decoded: 0,
            member: None,
            open: OpenBlock::starting(0, 0),
            index,
        }
    }

    /// Continues with the block at bit `bit`, which decodes to bytes at offset `data`. `inner` begins with the byte
    /// of that bit; `history` is the data before the block.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn resume(inner: R, bit: u64, data: u64, history: &[u8]) -> io::Result<Self> {
        let mut input = BitReader::new(inner, bit / 8);
        input.take((bit % 8) as u32)?;
        Ok(Self {
            inflate: Inflate::resume(input, history),
            state: State::InMember,
            decoded: data,
            member: None,
            open: OpenBlock::starting(bit, data),
            index: BlockIndex::without_points(),
        })
    }

    /// Takes the blocks that ended since the last call, without resume points.
    pub(super) fn take_blocks(&mut self) -> BlockIndex {
        std::mem::replace(&mut self.index, BlockIndex::without_points())
    }

    /// The blocks so far: all blocks, once the stream was read to its end.
    pub fn into_index(self) -> BlockIndex {
        self.index
    }

    /// Decodes until data is available or the stream ends.
    pub(super) fn decode(&mut self) -> io::Result<()> {
        while self.inflate.decoded().is_empty() && self.state != State::End {
            if matches!(self.state, State::FirstMember | State::NextMember) {
                self.start_member()?;
            }
            let stop = self.inflate.run()?;
            let new = self.inflate.decoded();
            self.open.crc.update(new);
            self.open.fingerprint.write(new);
            self.decoded += new.len() as u64;
            let back = self.inflate.take_furthest_back() as u64;
            self.open.earliest = self.open.earliest.min(self.decoded - back);
            if let Stop::BlockEnd { last } = stop {
                self.end_block(last);
                if last {
                    self.end_member()?;
                }
            }
        }
        Ok(())
    }

    fn start_member(&mut self) -> io::Result<()> {
        let is_first = self.state == State::FirstMember;
        header(&mut self.inflate.input).map_err(|error| match is_first {
            false if is_no_header(&error) => DeflateError::TrailingBytes.into(),
            _ => error,
        })?;
        self.inflate.start_stream();
        self.member = Some(Member {
            crc: Hasher::new(),
            start: self.decoded,
        });
        self.open = OpenBlock::starting(self.inflate.input.bit_offset(), self.decoded);
        self.index.offer_point(self.decoded, || &[]);
        self.state = State::InMember;
        Ok(())
    }

    fn end_block(&mut self, last: bool) {
        let end = self.inflate.input.bit_offset();
        let (bits, data) = (self.open.bit..end, self.open.data..self.decoded);
        if !last && !BlockIndex::is_enough(end - bits.start, data.end - data.start) {
            self.open.newest = end;
            return;
        }
        if let Some(member) = &mut self.member {
            member.crc.combine(&self.open.crc);
        }
        self.index.push(Block {
            reach: (data.start - self.open.earliest) as u32,
            bits,
            data,
            crc: self.open.crc.clone().finalize(),
            fingerprint: self.open.fingerprint.finish(),
            last_mark: last.then_some(self.open.newest),
        });
        self.open = OpenBlock::starting(end, self.decoded);
        if !last {
            let inflate = &self.inflate;
            self.index.offer_point(self.decoded, || inflate.history());
        }
    }

    fn end_member(&mut self) -> io::Result<()> {
        let input = &mut self.inflate.input;
        input.align();
        let crc = input.take(32)?;
        let length = input.take(32)?;
        if let Some(member) = self.member.take() {
            let found = (self.decoded - member.start) as u32;
            if (crc, length) != (member.crc.finalize(), found) {
                return Err(DeflateError::Trailer.into());
            }
        }
        self.state = match input.is_at_end()? {
            true => State::End,
            false => State::NextMember,
        };
        Ok(())
    }
}

impl OpenBlock {
    fn starting(bit: u64, data: u64) -> Self {
        Self {
            bit,
            newest: bit,
            data,
            earliest: data,
            crc: Hasher::new(),
            fingerprint: XxHash3_64::new(),
        }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(error) = self.decode() {
            // After an error there is no more data.
            self.state = State::End;
            self.inflate.take(self.inflate.decoded().len());
            return Err(error);
        }
        let decoded = self.inflate.decoded();
        let count = decoded.len().min(buffer.len());
        buffer[..count].copy_from_slice(&decoded[..count]);
        self.inflate.take(count);
        Ok(count)
    }
}

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Whether an error of [`header`] is about the bytes rather than about reading them.
fn is_no_header(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    )
}

/// Reads past a member's header (RFC 1952, 2.3) and checks it.
fn header<R: Read>(input: &mut BitReader<R>) -> io::Result<()> {
    let mut crc = Hasher::new();
    let mut byte = || -> io::Result<u8> {
        let byte = input.take(8)? as u8;
        crc.update(&[byte]);
        Ok(byte)
    };
    let magic = [byte()?, byte()?, byte()?];
    let flags = byte()?;
    if magic != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
        return Err(DeflateError::Header.into());
    }
    // Time, extra flags, operating system.
    for _ in 0..6 {
        byte()?;
    }
    if flags & EXTRA != 0 {
        for _ in 0..u16::from_le_bytes([byte()?, byte()?]) {
            byte()?;
        }
    }
    for text in [NAME, COMMENT] {
        while flags & text != 0 && byte()? != 0 {}
    }
    if flags & HEADER_CRC != 0 {
        let found = crc.finalize() as u16;
        if input.take(16)? != u32::from(found) {
            return Err(DeflateError::Header.into());
        }
    }
    Ok(())
}
