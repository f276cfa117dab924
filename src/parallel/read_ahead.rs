//! Reading on a separate thread, so that one thread produces bytes while another uses them.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

/// Bytes in each buffer, and the number of buffers.
const BUFFER: usize = 256 << 10;
const BUFFERS: usize = 4;

/// Reads `reader` a few buffers ahead of `consume`, on another thread.
///
/// `consume` sees the reader's bytes, its end, and its error once, with nothing after it. If `consume` returns before
/// the end, `reader` may have lost up to 1 MiB that `consume` did not take.
pub(crate) fn read_ahead<R: Read + Send, T>(
    reader: &mut R,
    consume: impl FnOnce(&mut ReadAhead) -> T,
) -> T {
    let (full, filled) = channel();
    let (spare, empty) = channel();
    for _ in 0..BUFFERS {
        // This cannot fail: the receiver lives until the thread takes it.
        let _ = spare.send(vec![0; BUFFER]);
    }
    std::thread::scope(|scope| {
        let producer = Builder::new().spawn_scoped(scope, move || produce(reader, &empty, &full));
        let mut ahead = ReadAhead {
            filled,
            spare,
            current: Filled {
                buffer: Vec::new(),
                end: 0,
                // If the thread could not start, the first read returns that error.
                result: producer.map(|_| ()),
            },
            position: 0,
        };
        consume(&mut ahead)
    })
}

/// A buffer of bytes, and how the read that filled it ended.
struct Filled {
    buffer: Vec<u8>,
    end: usize,
    result: io::Result<()>,
}

/// Reads until the reader ends or the consumer is gone.
fn produce(reader: &mut impl Read, empty: &Receiver<Vec<u8>>, full: &Sender<Filled>) {
    for mut buffer in empty {
        let mut end = 0;
        let mut is_at_end = false;
        let mut result = Ok(());
        while end < buffer.len() && !is_at_end && result.is_ok() {
            match reader.read(&mut buffer[end..]) {
                Ok(0) => is_at_end = true,
                Ok(count) => end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        let is_over = is_at_end || result.is_err();
        let sent = full.send(Filled {
            buffer,
            end,
            result,
        });
        if is_over || sent.is_err() {
            break;
        }
    }
}

/// Reads the bytes that another thread produces.
pub(crate) struct ReadAhead {
    filled: Receiver<Filled>,
    spare: Sender<Vec<u8>>,
    current: Filled,
    position: usize,
}

impl Read for ReadAhead {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.end {
            std::mem::replace(&mut self.current.result, Ok(()))?;
            let Ok(next) = self.filled.recv() else {
                return Ok(0);
            };
            let used = std::mem::replace(&mut self.current, next);
            self.position = 0;
            if !used.buffer.is_empty() {
                // Sending fails once the reader has ended, which does no harm.
                let _ = self.spare.send(used.buffer);
            }
        }
        let count = target.len().min(self.current.end - self.position);
        target[..count].copy_from_slice(&self.current.buffer[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7) as u8).collect();
        for length in [0, 1, BUFFER, BUFFER + 1, bytes.len()] {
            let mut found = Vec::new();
            read_ahead(&mut &bytes[..length], |ahead| ahead.read_to_end(&mut found)).unwrap();
            assert!(found == bytes[..length]);
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no more"))
            }
        }
        let mut found = Vec::new();
        let result = read_ahead(&mut (&b"some"[..]).chain(Failing), |ahead| {
            ahead.read_to_end(&mut found)
        });
        assert_eq!(result.unwrap_err().to_string(), "no more");
        assert_eq!(found, b"some");
    }

    #[test]
    fn whoever_stops_early_does_not_wait() {
        let mut endless = io::repeat(1);
        let mut byte = [0];
        read_ahead(&mut endless, |ahead| ahead.read_exact(&mut byte)).unwrap();
        assert_eq!(byte, [1]);
    }
}
