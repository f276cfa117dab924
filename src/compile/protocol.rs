//! The frames between pycull and a worker (worker.py). Numbers are little-endian.
//!
//! | frame | bytes |
//! |---|---|
//! | ready, once | `pycull-worker-1\n`, magic number (4), version (2), length (1), cache tag |
//! | job | levels (1, a bit for each), length of the path (4), of the source (4), path, source |
//! | answer, one for each level of the job | 0 or 1 (1), length (4), marshalled code or a message |

use std::io::{self, Read};

use crate::pyc::{Level, Magic, Runtime};

/// A source to compile.
#[derive(Debug, Clone)]
pub struct Job {
    /// A number that the caller chooses, and gets back with the result.
    pub index: u32,
    /// The absolute path of the source in the image. Tracebacks name it.
    pub path: Vec<u8>,
    /// The text of the source.
    pub source: Vec<u8>,
    /// The wanted levels, without duplicates.
    pub levels: Vec<Level>,
}

/// What a worker reports about its interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The magic number of its bytecode.
    pub magic: Magic,
    /// The version of the interpreter.
    pub version: Runtime,
    /// `sys.implementation.cache_tag`; empty if it is `None`.
    pub cache_tag: Vec<u8>,
}

/// Marshalled code, or why the source does not compile.
pub(super) type Answer = Result<Vec<u8>, String>;

const GREETING: &[u8; 16] = b"pycull-worker-1\n";

/// Maximum size in bytes of a message about a source that does not compile. The worker cuts messages at 1000
/// characters.
const LARGEST_MESSAGE: u32 = 16 << 10;

/// Maximum size in bytes of the marshalled code of a source. It is well above real sizes. Like pass 1, pycull accepts
/// at most 64 MiB.
fn largest_code(source_bytes: usize) -> u64 {
    ((1 << 20) + 64 * source_bytes as u64).min(64 << 20)
}

/// Encodes a job as a frame.
pub(super) fn encode(job: &Job, levels: &[Level]) -> Vec<u8> {
    let mask = levels
        .iter()
        .fold(0, |mask, level| mask | 1 << level.index());
    let mut frame = Vec::with_capacity(9 + job.path.len() + job.source.len());
    frame.push(mask);
    frame.extend_from_slice(&(job.path.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(job.source.len() as u32).to_le_bytes());
    frame.extend_from_slice(&job.path);
    frame.extend_from_slice(&job.source);
    frame
}

/// Reads the frame of a worker that is ready.
pub(super) fn read_ready(stream: &mut impl Read) -> io::Result<Ready> {
    let mut head = [0; 23];
    stream.read_exact(&mut head)?;
    let (greeting, rest) = head.split_at(GREETING.len());
    if greeting != GREETING {
        return Err(forged("it does not speak the protocol of a worker"));
    }
    let magic = Magic::parse(rest).ok_or_else(|| forged("its magic number is not valid"))?;
    let mut cache_tag = vec![0; usize::from(rest[6])];
    stream.read_exact(&mut cache_tag)?;
    Ok(Ready {
        magic,
        version: Runtime::cpython(rest[4], rest[5]),
        cache_tag,
    })
}

/// Reads a worker's answer for one level of a source of `source_bytes` bytes.
pub(super) fn read_answer(stream: &mut impl Read, source_bytes: usize) -> io::Result<Answer> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [status, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    match status {
        0 if u64::from(length) <= largest_code(source_bytes) => {
            read_payload(stream, length).map(Ok)
        }
        1 if length <= LARGEST_MESSAGE => {
            let message = read_payload(stream, length)?;
            Ok(Err(printable(&message)))
        }
        0 | 1 => Err(forged("its answer is larger than any valid one")),
        _ => Err(forged("its answer is malformed")),
    }
}

fn read_payload(stream: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    // Memory grows with the bytes that arrive, not with the announced length.
    let mut payload = Vec::with_capacity(length.min(1 << 16) as usize);
    stream.take(u64::from(length)).read_to_end(&mut payload)?;
    match payload.len() == length as usize {
        true => Ok(payload),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Text from an image on one line, without control characters that could affect a terminal.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub(super) fn forged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_ready_is_understood_and_another_is_not() {
        let ready = [&GREETING[..], b"\xa7\x0d\r\n", &[3, 11, 3], b"tag"].concat();
        let found = read_ready(&mut &ready[..]).unwrap();
        assert_eq!(
            (found.magic, found.version),
            (Magic(3495), Runtime::cpython(3, 11))
        );
        assert_eq!(found.cache_tag, b"tag");
        for wrong in [&b"Python 3.11.2 ready for anything"[..], &ready[..20], b""] {
            assert!(read_ready(&mut &wrong[..]).is_err());
        }
    }

    #[test]
    fn forged_answers_are_refused_before_they_are_held() {
        let answer = |bytes: &[u8]| read_answer(&mut &bytes[..], 10);
        assert_eq!(answer(b"\0\x03\0\0\0abc").unwrap(), Ok(b"abc".to_vec()));
        let message = answer(b"\x01\x04\0\0\0a\x1b\nb").unwrap();
        assert_eq!(message, Err("a  b".to_owned()));
        for wrong in [
            &b"\0\xff\xff\xff\xff"[..],
            b"\x01\0\0\x01\0",
            b"\x02\0\0\0\0",
            b"\0\x03\0\0\0ab",
            b"\0\x03",
        ] {
            assert!(answer(wrong).is_err(), "{wrong:?}");
        }
    }
}
