//! gzip members (RFC 1952) read as one stream, their deflate blocks noted.

use std::io::{self, Read};

use crc32fast::Hasher;

use super::DeflateError;
use super::bit_reader::BitReader;
use super::index::{Block, BlockIndex};
use super::inflate::{Inflate, Stop};

/// Decodes a gzip stream of one or more members, checks each one's CRC-32 and length, and notes
/// where its deflate blocks are.
pub struct GzipReader<R> {
    inflate: Inflate<R>,
    state: State,
    /// Bytes decoded, of all members.
    decoded: u64,
    member: Hasher,
    member_start: u64,
    /// The block that is being decoded, or the run of small ones.
    open: OpenBlock,
    index: BlockIndex,
}

#[derive(PartialEq)]
enum State {
    MemberHeader,
    InMember,
    End,
}

struct OpenBlock {
    bit: u64,
    /// The bit of the last block's header.
    newest: u64,
    data: u64,
    earliest: u64,
    crc: Hasher,
}

impl<R: Read> GzipReader<R> {
    /// Reads `inner` from the first member's first byte.
    pub fn new(inner: R) -> Self {
        Self {
            inflate: Inflate::new(BitReader::new(inner)),
            state: State::MemberHeader,
            decoded: 0,
            member: Hasher::new(),
            member_start: 0,
            open: OpenBlock::starting(0, 0),
            index: BlockIndex::default(),
        }
    }

    /// The blocks met so far: all of them once the stream was read to its end.
    pub fn into_index(self) -> BlockIndex {
        self.index
    }

    /// Goes on until there is something to take, or the stream ends.
    fn decode(&mut self) -> io::Result<()> {
        while self.inflate.decoded().is_empty() && self.state != State::End {
            if self.state == State::MemberHeader {
                self.start_member()?;
            }
            let stop = self.inflate.run()?;
            let new = self.inflate.decoded();
            self.open.crc.update(new);
            self.decoded += new.len() as u64;
            let back = self.inflate.furthest_back() as u64;
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
        header(&mut self.inflate.input)?;
        self.inflate.start_stream();
        self.member = Hasher::new();
        self.member_start = self.decoded;
        self.open = OpenBlock::starting(self.inflate.input.bit_offset(), self.decoded);
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
        self.member.combine(&self.open.crc);
        self.index.push(Block {
            reach: (data.start - self.open.earliest) as u32,
            bits,
            data,
            crc: self.open.crc.clone().finalize(),
            last_mark: last.then_some(self.open.newest),
        });
        self.open = OpenBlock::starting(end, self.decoded);
    }

    fn end_member(&mut self) -> io::Result<()> {
        let input = &mut self.inflate.input;
        input.align();
        let crc = input.take(32)?;
        let length = input.take(32)?;
        let found = (self.decoded - self.member_start) as u32;
        if (crc, length) != (self.member.clone().finalize(), found) {
            return Err(DeflateError::Trailer.into());
        }
        self.state = match input.is_at_end()? {
            true => State::End,
            false => State::MemberHeader,
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
        }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decode()?;
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

/// Reads a member's header (RFC 1952, 2.3), of which nothing matters but where it ends.
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
