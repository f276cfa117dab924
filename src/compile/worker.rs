//! A worker: a confined process that compiles the sources it gets. It may be hostile, and do anything else instead.

use std::io::{self, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::Duration;

use super::process::{Process, ProcessFailure};
use super::protocol::{self, Answer, Job, Ready};
use super::timed_pipe::TimedPipe;
use crate::limits::TimeLimit;
use crate::pyc::Level;

/// Time limits of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// Time from the start until the worker is ready.
    pub start_up: Duration,
    /// Time for one source at all its levels.
    pub source: Duration,
    /// Time for all sources together.
    pub whole: TimeLimit,
}

impl TimeLimits {
    /// The usual limits, with `whole` for all sources together.
    pub fn of(whole: TimeLimit) -> Self {
        Self {
            start_up: Duration::from_secs(30),
            source: Duration::from_secs(60),
            whole,
        }
    }
}

/// A running worker. Dropping it kills and reaps the process.
pub(super) struct Worker {
    process: Process,
    jobs: TimedPipe<ChildStdin>,
    answers: BufReader<TimedPipe<ChildStdout>>,
    limits: TimeLimits,
}

impl Worker {
    /// Starts a worker, and waits until it is ready.
    pub(super) fn start(
        command: Command,
        limits: TimeLimits,
    ) -> Result<(Self, Ready), ProcessFailure> {
        let (process, (jobs, answers)) = Process::start(command)?;
        let mut worker = Self {
            process,
            jobs,
            answers: BufReader::with_capacity(64 << 10, answers),
            limits,
        };
        worker.answers.get_mut().allow(limits.start_up);
        match protocol::read_ready(&mut worker.answers) {
            Ok(ready) => Ok((worker, ready)),
            Err(error) => Err(worker.process.failure(&error, limits.start_up)),
        }
    }

    /// Compiles a source at these levels. After an error, the worker is gone.
    pub(super) fn compile(
        &mut self,
        job: &Job,
        levels: &[Level],
    ) -> Result<Vec<Answer>, ProcessFailure> {
        let time = self.limits.source;
        self.exchange(job, levels)
            .map_err(|error| self.process.failure(&error, time))
    }

    fn exchange(&mut self, job: &Job, levels: &[Level]) -> io::Result<Vec<Answer>> {
        if !self.answers.buffer().is_empty() {
            return Err(protocol::forged("it answered before pycull sent a source"));
        }
        let time = self.limits.source;
        self.jobs.allow(time);
        self.answers.get_mut().allow(time);
        self.jobs.write_all(&protocol::encode(job, levels))?;
        let answer = |_| protocol::read_answer(&mut self.answers, job.source.len());
        levels.iter().map(answer).collect()
    }
}
