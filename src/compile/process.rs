//! A confined process: how it ends, and its output if it fails.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::protocol;
use super::sandbox;
use super::timed_pipe::TimedPipe;
use crate::parallel::lock;

/// How a process failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{end}{}", stderr_note(.stderr))]
pub struct ProcessFailure {
    /// How the process ended.
    pub end: ProcessEnd,
    /// The end of its standard error, on one line.
    pub stderr: String,
}

fn stderr_note(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        text => format!("; its error output: {text}"),
    }
}

/// How a process ended without doing its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessEnd {
    /// pycull could not start itself to confine the process.
    #[error("it could not be started: {0}")]
    Start(String),
    /// The sandbox did not run the program.
    #[error("the sandbox could not run it")]
    NotRun,
    /// The process gave no answer in time, and pycull stopped it.
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Time(Duration),
    /// The process gave an invalid answer, and pycull stopped it.
    #[error("pycull stopped it: {0}")]
    Forged(String),
    /// The process ended with this exit code.
    #[error("it exited with code {0}")]
    Exit(i32),
    /// The sandbox stopped the process because of a system call that a compiler does not need.
    #[error("the sandbox stopped it: it made a system call that a compiler does not need")]
    ForbiddenCall,
    /// The sandbox or the machine killed the process.
    #[error("it was killed: it reached its limit of CPU time, or the machine ran out of memory")]
    Killed,
    /// Another signal ended the process.
    #[error("signal {0} killed it")]
    Signal(i32),
}

/// A running process with pipes. Dropping it kills and reaps the process.
pub(super) struct Process {
    child: Child,
    stderr: Tail,
}

/// The pipes to and from a process.
pub(super) type Pipes = (TimedPipe<ChildStdin>, TimedPipe<ChildStdout>);

/// How long a process that closed its pipe may take to end. Its exit status then shows the reason.
const TIME_TO_END: Duration = Duration::from_secs(2);

/// Runs a command to its end, and returns its standard output.
///
/// # Errors
/// [`ProcessFailure`] if the command takes longer than `time`, does not exit with code 0, or writes more than `most`
/// bytes.
pub fn output(command: Command, time: Duration, most: u64) -> Result<Vec<u8>, ProcessFailure> {
    let (mut process, (stdin, mut stdout)) = Process::start(command)?;
    drop(stdin);
    stdout.allow(time);
    let mut bytes = Vec::new();
    let read = (&mut stdout).take(most + 1).read_to_end(&mut bytes);
    let read = match read {
        Ok(count) if count as u64 > most => Err(protocol::forged("its answer is too long")),
        Ok(_) if process.wait().is_some_and(|status| status.success()) => return Ok(bytes),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error),
    };
    read.map_err(|error| process.failure(&error, time))
}

impl Process {
    pub(super) fn start(mut command: Command) -> Result<(Self, Pipes), ProcessFailure> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .spawn()
            .and_then(Self::new)
            .map_err(|error| ProcessFailure {
                end: ProcessEnd::Start(error.to_string()),
                stderr: String::new(),
            })
    }

    fn new(mut child: Child) -> io::Result<(Self, Pipes)> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let stderr = match Tail::follow(stderr) {
            Ok(stderr) => stderr,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        let process = Self { child, stderr };
        Ok((process, (TimedPipe::new(stdin)?, TimedPipe::new(stdout)?)))
    }

    /// Kills the process, and describes how it failed. `error` occurred on one of its pipes, and `time` was the time
    /// limit of that pipe.
    pub(super) fn failure(&mut self, error: &io::Error, time: Duration) -> ProcessFailure {
        let end = match error.kind() {
            io::ErrorKind::TimedOut => ProcessEnd::Time(time),
            io::ErrorKind::InvalidData => ProcessEnd::Forged(error.to_string()),
            _ => self.wait().map_or(
                ProcessEnd::Forged("it closed its pipe and kept running".to_owned()),
                describe,
            ),
        };
        ProcessFailure {
            end,
            stderr: protocol::printable(&self.stop()),
        }
    }

    /// The exit status, if the process ends within [`TIME_TO_END`].
    fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + TIME_TO_END;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                _ => return None,
            }
        }
    }

    /// Kills and reaps the process, and returns the end of its standard error.
    fn stop(&mut self) -> Vec<u8> {
        // Both calls fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn describe(status: ExitStatus) -> ProcessEnd {
    const SIGSYS: i32 = Signal::SYS.as_raw();
    const SIGKILL: i32 = Signal::KILL.as_raw();
    const SIGXCPU: i32 = Signal::XCPU.as_raw();
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(sandbox::FAILURE) => ProcessEnd::NotRun,
        (Some(code), _) => ProcessEnd::Exit(code),
        (_, Some(SIGSYS)) => ProcessEnd::ForbiddenCall,
        (_, Some(SIGKILL | SIGXCPU)) => ProcessEnd::Killed,
        (_, signal) => ProcessEnd::Signal(signal.unwrap_or_default()),
    }
}

/// The end of a process's standard error.
struct Tail {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// Bytes of standard error to keep. The last ones show what went wrong.
const TAIL: usize = 1 << 10;

impl Tail {
    /// Reads standard error to its end on a thread, and keeps the last bytes.
    fn follow(mut stderr: ChildStderr) -> io::Result<Self> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = Builder::new().spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let mut tail = lock(&kept);
                tail.extend_from_slice(&buffer[..count]);
                let surplus = tail.len().saturating_sub(TAIL);
                tail.drain(..surplus);
            }
        })?;
        Ok(Self { bytes, reader })
    }

    /// The last bytes, after the process is gone. Without the sandbox, a child of the process may hold the pipe open.
    /// This does not wait for such a child.
    fn take(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + TIME_TO_END;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut lock(&self.bytes))
    }
}
