//! One worker: a confined process that compiles what it is handed, and may do anything else instead.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::protocol::{self, Answer, Job, Ready};
use super::sandbox;
use super::timed_pipe::TimedPipe;
use crate::parallel::lock;
use crate::pyc::Level;

/// How long a worker may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// From its start until it is ready.
    pub start_up: Duration,
    /// For one source, at all its levels.
    pub source: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            start_up: Duration::from_secs(30),
            source: Duration::from_secs(60),
        }
    }
}

/// How a worker failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{end}{}", said(.stderr))]
pub struct WorkerFailure {
    /// What it did.
    pub end: WorkerEnd,
    /// The end of what it wrote to standard error, on one line.
    pub stderr: String,
}

fn said(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        text => format!("; it said: {text}"),
    }
}

/// What a worker did instead of its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// pycull itself could not be started to confine it.
    #[error("it could not be started: {0}")]
    Start(String),
    /// The sandbox did not run it.
    #[error("it could not be run in the sandbox")]
    NotRun,
    /// It was stopped: it gave no answer in time.
    #[error("it gave no answer within {} s", .0.as_secs_f32())]
    Time(Duration),
    /// It was stopped: what it answered is no answer.
    #[error("it was stopped: {0}")]
    Forged(String),
    /// It ended with this code.
    #[error("it ended with code {0}")]
    Exit(i32),
    /// It was stopped by the sandbox: it made a system call that a compiler has no use for.
    #[error("it was stopped: it made a system call that a compiler has no use for")]
    ForbiddenCall,
    /// It was stopped by the sandbox, or by the machine.
    #[error("it was killed: its CPU time or the machine's memory was used up")]
    Killed,
    /// It died of a signal.
    #[error("it died of signal {0}")]
    Signal(i32),
}

/// A running worker. It is gone, and reaped, once this is dropped.
pub(super) struct Worker {
    child: Child,
    jobs: TimedPipe<ChildStdin>,
    answers: BufReader<TimedPipe<ChildStdout>>,
    stderr: Tail,
    limits: TimeLimits,
}

/// How long a worker that closed its pipe has to end by itself, so that it can be told why it did.
const TIME_TO_END: Duration = Duration::from_secs(2);

impl Worker {
    /// Starts a worker and waits until it is ready.
    pub(super) fn start(
        mut command: Command,
        limits: TimeLimits,
    ) -> Result<(Self, Ready), WorkerFailure> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut worker = command
            .spawn()
            .and_then(|child| Self::new(child, limits))
            .map_err(|error| WorkerFailure {
                end: WorkerEnd::Start(error.to_string()),
                stderr: String::new(),
            })?;
        worker.answers.get_mut().allow(limits.start_up);
        match protocol::read_ready(&mut worker.answers) {
            Ok(ready) => Ok((worker, ready)),
            Err(error) => Err(worker.failure(&error, limits.start_up)),
        }
    }

    fn new(mut child: Child, limits: TimeLimits) -> io::Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(jobs), Some(answers), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            child,
            jobs: TimedPipe::new(jobs)?,
            answers: BufReader::with_capacity(64 << 10, TimedPipe::new(answers)?),
            stderr: Tail::follow(stderr),
            limits,
        })
    }

    /// Compiles a source at these levels. After an error the worker is gone.
    pub(super) fn compile(
        &mut self,
        job: &Job,
        levels: &[Level],
    ) -> Result<Vec<Answer>, WorkerFailure> {
        let time = self.limits.source;
        self.exchange(job, levels)
            .map_err(|error| self.failure(&error, time))
    }

    fn exchange(&mut self, job: &Job, levels: &[Level]) -> io::Result<Vec<Answer>> {
        if !self.answers.buffer().is_empty() {
            return Err(protocol::forged("it answered before it was asked"));
        }
        let time = self.limits.source;
        self.jobs.allow(time);
        self.answers.get_mut().allow(time);
        self.jobs.write_all(&protocol::encode(job, levels))?;
        let answer = |_| protocol::read_answer(&mut self.answers, job.source.len());
        levels.iter().map(answer).collect()
    }

    /// Ends the worker, and says how it failed.
    fn failure(&mut self, error: &io::Error, time: Duration) -> WorkerFailure {
        let end = match error.kind() {
            io::ErrorKind::TimedOut => WorkerEnd::Time(time),
            io::ErrorKind::InvalidData => WorkerEnd::Forged(error.to_string()),
            _ => self.wait().map_or(
                WorkerEnd::Forged("it closed its pipe and went on".to_owned()),
                describe,
            ),
        };
        WorkerFailure {
            end,
            stderr: protocol::printable(&self.stop()),
        }
    }

    /// How it ended, if it does so soon.
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

    /// Kills and reaps the process, and returns the end of what it said.
    fn stop(&mut self) -> Vec<u8> {
        // Both fail only where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn describe(status: ExitStatus) -> WorkerEnd {
    const SIGSYS: i32 = Signal::SYS.as_raw();
    const SIGKILL: i32 = Signal::KILL.as_raw();
    const SIGXCPU: i32 = Signal::XCPU.as_raw();
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(sandbox::FAILURE) => WorkerEnd::NotRun,
        (Some(code), _) => WorkerEnd::Exit(code),
        (_, Some(SIGSYS)) => WorkerEnd::ForbiddenCall,
        (_, Some(SIGKILL | SIGXCPU)) => WorkerEnd::Killed,
        (_, signal) => WorkerEnd::Signal(signal.unwrap_or_default()),
    }
}

/// The end of what a worker writes to standard error.
struct Tail {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// Bytes of standard error that are kept: the last ones say what went wrong.
const TAIL: usize = 1 << 10;

impl Tail {
    /// Reads to the end on a thread, and keeps the end.
    fn follow(mut stderr: ChildStderr) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let mut tail = lock(&kept);
                tail.extend_from_slice(&buffer[..count]);
                let surplus = tail.len().saturating_sub(TAIL);
                tail.drain(..surplus);
            }
        });
        Self { bytes, reader }
    }

    /// What there is once the process is gone. Without the sandbox it may have left a child that holds
    /// the pipe open: that is not waited for.
    fn take(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + TIME_TO_END;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut lock(&self.bytes))
    }
}
