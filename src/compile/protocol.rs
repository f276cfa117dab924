//! The frames between pycull and a worker (worker.py). Numbers are little-endian.
//!
//! | frame | bytes |
//! |---|---|
//! | ready, once | `pycull-worker-1\n`, magic number (4), version (2), length (1), cache tag |
//! | job | levels (1, a bit for each), length of the path (4), of the source (4), path, source |
//! | answer, one for each level of the job | 0 or 1 (1), length (4), marshalled code or a message |

use std::io::{self, Read};

use crate::pyc::{Level, Magic, Runtime};

/// A source to be compiled.
#[derive(Debug, Clone)]
pub struct Job {
    /// The caller's number for it.
    pub index: usize,
    /// The absolute path that tracebacks name: that in the image.
    pub path: Vec<u8>,
    /// The source.
    pub source: Vec<u8>,
    /// The levels that are wanted, each once.
    pub levels: Vec<Level>,
}

/// What a worker says of its interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The magic number of its bytecode.
    pub magic: Magic,
    /// Its version.
    pub version: Runtime,
    /// `sys.implementation.cache_tag`; empty where it has none.
    pub cache_tag: Vec<u8>,
}

/// Marshalled code, or why a source does not compile.
pub(super) type Answer = Result<Vec<u8>, String>;

const GREETING: &[u8; 16] = b"pycull-worker-1\n";

/// Longest message of a source that does not compile: the worker cuts it at 1000 characters.
const LARGEST_MESSAGE: u32 = 16 << 10;

/// Most bytes of marshalled code for a source of so many: generously more than any real one has, and no more than
/// bytecode files are examined of.
fn largest_code(source_bytes: usize) -> u64 {
    ((1 << 20) + 64 * source_bytes as u64).min(64 << 20)
}

/// A job as the worker reads it.
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

/// Reads what a worker says once it is ready.
pub(super) fn read_ready(stream: &mut impl Read) -> io::Result<Ready> {
    let mut head = [0; 23];
    stream.read_exact(&mut head)?;
    let (greeting, rest) = head.split_at(GREETING.len());
    if greeting != GREETING {
        return Err(forged("it does not begin as a worker does"));
    }
    let magic = Magic::parse(rest).ok_or_else(|| forged("its magic number is none"))?;
    let mut cache_tag = vec![0; usize::from(rest[6])];
    stream.read_exact(&mut cache_tag)?;
    Ok(Ready {
        magic,
        version: Runtime::cpython(rest[4], rest[5]),
        cache_tag,
    })
}

/// Reads a worker's answer about one level of a source of so many bytes.
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
        0 | 1 => Err(forged("its answer is larger than any honest one")),
        _ => Err(forged("its answer is not a frame")),
    }
}

fn read_payload(stream: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    // Memory grows with what comes, not with what is announced.
    let mut payload = Vec::with_capacity(length.min(1 << 16) as usize);
    stream.take(u64::from(length)).read_to_end(&mut payload)?;
    match payload.len() == length as usize {
        true => Ok(payload),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Text from an image on one line, without what would steer a terminal.
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
