//! Pipes to a worker with a deadline for reading and writing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// A pipe that fails with [`io::ErrorKind::TimedOut`] after its deadline.
pub(super) struct TimedPipe<P> {
    pipe: P,
    deadline: Instant,
}

impl<P: AsFd> TimedPipe<P> {
    /// Wraps a pipe. Its deadline has passed already, until [`Self::allow`] sets another.
    pub(super) fn new(pipe: P) -> io::Result<Self> {
        let flags = fcntl_getfl(&pipe)?;
        // Otherwise, writing more than fits in the pipe would block without a limit.
        fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        Ok(Self {
            pipe,
            deadline: Instant::now(),
        })
    }

    /// Sets the deadline to this time from now.
    pub(super) fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// Waits until the pipe is ready, or the other end is closed.
    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(&self.pipe, flags)];
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<P: AsFd + Read> Read for TimedPipe<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::IN)?;
            match self.pipe.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

impl<P: AsFd + Write> Write for TimedPipe<P> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::OUT)?;
            match self.pipe.write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_waits_only_as_long_as_it_may() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut reader, mut writer) = (
            TimedPipe::new(reader).unwrap(),
            TimedPipe::new(writer).unwrap(),
        );
        let over = |error: io::Error| error.kind() == io::ErrorKind::TimedOut;
        assert!(over(reader.read(&mut [0]).unwrap_err()));
        writer.allow(Duration::from_millis(50));
        reader.allow(Duration::from_millis(50));
        writer.write_all(b"x").unwrap();
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 1);
        // Nobody reads, so the pipe fills up.
        assert!(over(writer.write_all(&[0; 1 << 20]).unwrap_err()));
        drop(writer);
        reader.allow(Duration::from_secs(9));
        assert!(reader.read_to_end(&mut Vec::new()).unwrap() > 0);
    }
}
