//! Decoders that read written layers back. They are not the implementations that read layers, so a decoder's fault
//! cannot hide itself.

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::compression::Compression;

/// A decoder for a layer that pycull wrote: one gzip member or one Zstandard frame.
pub(super) fn decode<'a>(
    blob: impl Read + Send + 'a,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(SingleGzip::new(blob)?),
        Compression::Zstd => Box::new(
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                BufReader::new(blob),
                LARGEST_WINDOW,
            )
            .map_err(io::Error::other)?,
        ),
    })
}

/// The window at Zstandard's level 22.
const LARGEST_WINDOW: u64 = 128 << 20;

/// The header of a gzip member without optional fields (RFC 1952, 2.3).
const PLAIN_HEADER_BYTES: usize = 10;

struct SingleGzip<R> {
    input: BufReader<R>,
    inflate: Decompress,
    crc: crc32fast::Hasher,
    done: bool,
}

impl<R: Read> SingleGzip<R> {
    fn new(blob: R) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(64 << 10, blob);
        let mut header = [0; PLAIN_HEADER_BYTES];
        input.read_exact(&mut header)?;
        if header[..4] != [0x1f, 0x8b, 8, 0] {
            return Err(corrupt("its gzip header is not the one that pycull wrote"));
        }
        Ok(Self {
            input,
            inflate: Decompress::new(false),
            crc: crc32fast::Hasher::new(),
            done: false,
        })
    }

    /// Checks CRC-32 and length, and that nothing follows the member.
    fn check_trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.input.read_exact(&mut trailer)?;
        let [a, b, c, d, length @ ..] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.clone().finalize()
            || u32::from_le_bytes(length) != self.inflate.total_out() as u32
        {
            return Err(corrupt("its gzip trailer does not match its data"));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(corrupt("bytes follow its gzip member"));
        }
        Ok(())
    }
}

impl<R: Read> Read for SingleGzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.done && !buffer.is_empty() {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|_| corrupt(BROKEN))?;
            let written = (self.inflate.total_out() - before.1) as usize;
            self.input
                .consume((self.inflate.total_in() - before.0) as usize);
            self.crc.update(&buffer[..written]);
            if status == Status::StreamEnd {
                self.done = true;
                self.check_trailer()?;
            } else if at_end && written == 0 {
                return Err(corrupt(BROKEN));
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

const BROKEN: &str = "its deflate stream is broken or cut short";

fn corrupt(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("cannot read the written layer back: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read_back(blob: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decode(blob, Compression::Gzip)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_written_gzip_member_reads_back() {
        for size in [0, 1, 100_000, 1_000_000] {
            let data: Vec<u8> = (0..size)
                .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 20) as u8)
                .collect();
            assert_eq!(read_back(&gzip(&data)).unwrap(), data);
        }
    }

    #[test]
    fn every_damage_to_a_gzip_member_is_noticed() {
        let blob = gzip(b"some bytes, some bytes, and other bytes");
        for cut in 0..blob.len() {
            assert!(read_back(&blob[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read_back(&[&blob[..], b"x"].concat()).is_err());
        let mut wrong_crc = blob.clone();
        let at = wrong_crc.len() - 8;
        wrong_crc[at] ^= 1;
        assert!(read_back(&wrong_crc).is_err());
    }
}
