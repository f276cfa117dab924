//! The compile service: workers that compile sources in parallel. Each is a process, and is replaced if it dies.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::compile_cache::{Answer, Answers, CompileCache, Key};
use super::process::{ProcessEnd, ProcessFailure};
use super::protocol::{self, Job, Ready};
use super::worker::{TimeLimits, Worker};
use crate::limits::LimitError;
use crate::parallel::lock;
use crate::pyc::{Level, MarshalError, canonical_body, level_one_is_level_zero};

/// The worker's program for `python -c`.
pub const SCRIPT: &str = include_str!("worker.py");

/// Number of dead workers after which a run stops. A few sources may crash an interpreter, but so many deaths mean that
/// the interpreter does not work.
const MOST_DEATHS: usize = 20;

/// A code object in canonical marshalled form, or why there is none.
pub type Body = Result<Arc<[u8]>, Failure>;

/// The result for one source.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The number of the job.
    pub index: u32,
    /// The body for each level of the job.
    pub levels: Vec<(Level, Body)>,
}

/// Why a source has no bytecode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The source does not compile. This is the interpreter's exception.
    #[error("{0}")]
    Source(String),
    /// The worker died while it compiled the source, or pycull stopped it.
    #[error("the interpreter failed: {0}")]
    Worker(ProcessFailure),
    /// The worker's answer is not a code object.
    #[error("the interpreter's answer is not bytecode: {0}")]
    Answer(MarshalError),
}

/// Why compiling stopped for all sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError<E> {
    /// The caller could not give a job, or take a result.
    #[error(transparent)]
    Caller(E),
    /// A worker did not become ready.
    #[error("the interpreter does not start: {0}")]
    Start(ProcessFailure),
    /// Too many workers died. This is the last failure.
    #[error("the interpreter failed {MOST_DEATHS} times; the last time: {0}")]
    Deaths(ProcessFailure),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Compiling exceeded the time limit.
    #[error(transparent)]
    Time(LimitError),
}

/// A compile cache, and the part of its keys that all sources share.
pub struct Memory<'a> {
    cache: &'a CompileCache,
    /// A digest of everything that compiles: the interpreter and the worker's program.
    compiler: [u8; 32],
    debug_ranges: bool,
}

impl<'a> Memory<'a> {
    /// Uses a cache for one interpreter. `interpreter` is a digest of everything that the interpreter consists of.
    /// `debug_ranges` says whether code has column numbers.
    pub fn new(cache: &'a CompileCache, interpreter: &[u8; 32], debug_ranges: bool) -> Self {
        // Another version of the worker's program may compile differently.
        let compiler = Sha256::new().chain_update(interpreter).chain_update(SCRIPT);
        Self {
            cache,
            compiler: compiler.finalize().into(),
            debug_ranges,
        }
    }

    fn key(&self, job: &Job) -> Key {
        Key::new(&self.compiler, self.debug_ranges, &job.path, &job.source)
    }
}

/// Creates the command that starts a worker.
pub(super) type NewCommand<'a> = Box<dyn Fn() -> Command + Send + Sync + 'a>;

/// Starts workers, all with the same command.
pub struct Service<'a> {
    command: NewCommand<'a>,
    memory: Option<Memory<'a>>,
    limits: TimeLimits,
    ready: Ready,
    first: Mutex<Option<Worker>>,
    started: Instant,
}

impl<'a> Service<'a> {
    /// Starts the first worker, and reads what its interpreter is. Later runs do not compile what is in `memory`.
    ///
    /// # Errors
    /// [`ProcessFailure`] if the worker does not become ready.
    pub fn start(
        command: NewCommand<'a>,
        limits: TimeLimits,
        memory: Option<Memory<'a>>,
    ) -> Result<Self, ProcessFailure> {
        let (worker, ready) = Worker::start(command(), limits)?;
        Ok(Self {
            command,
            memory,
            limits,
            ready,
            first: Mutex::new(Some(worker)),
            started: Instant::now(),
        })
    }

    /// What the interpreter reports about itself.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Compiles the jobs from `feed` in `workers` parallel processes. Gives results to `take` as they arrive, in no
    /// particular order. If compiling stops early, the function that `feed` calls returns `Break`.
    ///
    /// # Errors
    /// [`ServiceError`] if `feed` or `take` failed, or if compiling stopped for all sources. A source that does not
    /// compile is not an error, but a result.
    pub fn run<E: Send>(
        &self,
        workers: usize,
        feed: impl FnOnce(&mut dyn FnMut(Job) -> ControlFlow<()>) -> Result<(), E> + Send,
        take: &mut dyn FnMut(Compiled) -> Result<(), E>,
    ) -> Result<(), ServiceError<E>> {
        let workers = workers.max(1);
        let (job_sender, jobs) = sync_channel(2 * workers);
        let (result_sender, results) = sync_channel(2 * workers);
        let deaths = AtomicUsize::new(0);
        let jobs = Arc::new(Mutex::new(jobs));
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..workers {
                let (jobs, results) = (Arc::clone(&jobs), result_sender.clone());
                let deaths = &deaths;
                let work = move || self.work(&jobs, &results, deaths);
                match Builder::new().spawn_scoped(scope, work) {
                    Ok(thread) => threads.push(thread),
                    // If the machine allows no more threads, fewer workers do the work.
                    Err(_) if !threads.is_empty() => break,
                    Err(error) => return Err(ServiceError::Thread(error)),
                }
            }
            let feed = move || {
                feed(&mut |job| match job_sender.send(job) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                })
            };
            let feeder = Builder::new()
                .spawn_scoped(scope, feed)
                .map_err(ServiceError::Thread)?;
            // Then the queues close when the last worker is gone.
            drop((jobs, result_sender));
            let taken = results.iter().try_for_each(take);
            // Without results, the workers stop as well.
            drop(results);
            let outcomes: Vec<_> = threads.into_iter().map(joined).collect();
            let fed = joined(feeder);
            taken.map_err(ServiceError::Caller)?;
            let outcome: Result<(), Fatal> = outcomes.into_iter().collect();
            outcome.map_err(|fatal| match fatal {
                Fatal::Start(failure) => ServiceError::Start(failure),
                Fatal::Deaths(failure) => ServiceError::Deaths(failure),
                Fatal::Time(error) => ServiceError::Time(error),
            })?;
            fed.map_err(ServiceError::Caller)
        })
    }

    /// A thread with its own worker, which runs until there are no more jobs.
    fn work(
        &self,
        jobs: &Mutex<Receiver<Job>>,
        results: &SyncSender<Compiled>,
        deaths: &AtomicUsize,
    ) -> Result<(), Fatal> {
        let mut worker = lock(&self.first).take();
        loop {
            let job = lock(jobs).recv();
            let Ok(job) = job else { return Ok(()) };
            self.limits.whole.check(self.started).map_err(Fatal::Time)?;
            if deaths.load(Ordering::Relaxed) >= MOST_DEATHS {
                return Ok(());
            }
            let (answers, death) = self.answers(&mut worker, &job)?;
            let result = compiled(&job, &answers, death.as_ref());
            if results.send(result).is_err() {
                return Ok(());
            }
            let Some(failure) = death else { continue };
            worker = None;
            if deaths.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_DEATHS {
                return Err(Fatal::Deaths(failure));
            }
        }
    }

    /// The bodies for a source, from the cache or else from a worker. If the worker failed, also returns how.
    fn answers(
        &self,
        worker: &mut Option<Worker>,
        job: &Job,
    ) -> Result<(BTreeMap<Level, Body>, Option<ProcessFailure>), Fatal> {
        let key = self.memory.as_ref().map(|memory| memory.key(job));
        let mut known = match (&self.memory, &key) {
            (Some(memory), Some(key)) => memory.cache.get(key),
            _ => Answers::default(),
        };
        let wanted = levels_to_compile(job);
        let levels: Vec<Level> = wanted
            .iter()
            .copied()
            .filter(|level| known.get(*level).is_none())
            .collect();
        let mut bodies: BTreeMap<Level, Body> = BTreeMap::new();
        if !levels.is_empty() {
            let answers = match self.ask(worker, job, &levels)? {
                Ok(answers) => answers,
                Err(failure) => return Ok((bodies, Some(failure))),
            };
            for (level, answer) in levels.iter().zip(answers) {
                let body = self.body(answer);
                remember(&mut known, *level, &body);
                bodies.insert(*level, body);
            }
            if let (Some(memory), Some(key)) = (&self.memory, &key) {
                memory.cache.put(key, &known);
            }
        }
        for level in wanted {
            if let Some(answer) = known.get(level) {
                bodies.entry(level).or_insert_with(|| recalled(answer));
            }
        }
        Ok((bodies, None))
    }

    /// Asks the worker to compile a source. Starts a worker if there is none.
    fn ask(
        &self,
        worker: &mut Option<Worker>,
        job: &Job,
        levels: &[Level],
    ) -> Result<Result<Vec<protocol::Answer>, ProcessFailure>, Fatal> {
        let worker = match worker {
            Some(worker) => worker,
            None => worker.insert(self.another().map_err(Fatal::Start)?),
        };
        Ok(worker.compile(job, levels))
    }

    fn another(&self) -> Result<Worker, ProcessFailure> {
        let (worker, ready) = Worker::start((self.command)(), self.limits)?;
        match ready == self.ready {
            true => Ok(worker),
            false => Err(ProcessFailure {
                end: ProcessEnd::Forged(
                    "its version, magic number or cache tag changed since the first start"
                        .to_owned(),
                ),
                stderr: String::new(),
            }),
        }
    }

    fn body(&self, answer: protocol::Answer) -> Body {
        let body = answer.map_err(Failure::Source)?;
        let canonical = canonical_body(self.ready.version, &body).map_err(Failure::Answer)?;
        Ok(canonical.into())
    }
}

/// The result of a job. A level that was not compiled is equal to level 0.
fn compiled(job: &Job, bodies: &BTreeMap<Level, Body>, death: Option<&ProcessFailure>) -> Compiled {
    let body = |level: &Level| match death {
        Some(failure) => Some(Err(Failure::Worker(failure.clone()))),
        None => bodies
            .get(level)
            .or_else(|| bodies.get(&Level::Zero))
            .cloned(),
    };
    let levels = job.levels.iter();
    Compiled {
        index: job.index,
        levels: levels.filter_map(|it| Some((*it, body(it)?))).collect(),
    }
}

/// Adds an answer to `known`, if it depends only on the source.
fn remember(known: &mut Answers, level: Level, body: &Body) {
    match body {
        Ok(body) => known.set(level, Answer::Body(Arc::clone(body))),
        // A `MemoryError` may mean only that this machine was short of memory.
        Err(Failure::Source(message)) if !message.starts_with("MemoryError") => {
            known.set(level, Answer::Failure(message.as_str().into()));
        }
        Err(_) => {}
    }
}

fn recalled(answer: &Answer) -> Body {
    match answer {
        Answer::Body(body) => Ok(Arc::clone(body)),
        Answer::Failure(message) => Err(Failure::Source(message.to_string())),
    }
}

/// The levels to compile, sorted. Leaves out level 1 if it is certainly equal to level 0, and level 0 is wanted too.
fn levels_to_compile(job: &Job) -> Vec<Level> {
    let mut levels = job.levels.clone();
    levels.sort_unstable();
    if levels.starts_with(&[Level::Zero, Level::One]) && level_one_is_level_zero(&job.source) {
        levels.remove(1);
    }
    levels
}

enum Fatal {
    Start(ProcessFailure),
    Deaths(ProcessFailure),
    Time(LimitError),
}

/// The result of a thread. If the thread panicked, this panics too.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_of_one_interpreter_one_worker_program_and_one_setting() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(directory.path().to_owned(), 0).unwrap();
        let job = Job {
            index: 0,
            path: b"/m.py".to_vec(),
            source: b"x = 1\n".to_vec(),
            levels: vec![Level::Zero],
        };
        let key = |interpreter, debug_ranges| {
            Memory::new(&cache, &[interpreter; 32], debug_ranges).key(&job)
        };
        assert_eq!(key(1, true), key(1, true));
        assert_ne!(key(1, true), key(2, true));
        assert_ne!(key(1, true), key(1, false));
        // The text of the worker's program is part of the key, because another version of pycull may have another
        // program.
        let compiler = Sha256::digest([&[1; 32], SCRIPT.as_bytes()].concat()).into();
        let expected = Key::new(&compiler, true, &job.path, &job.source);
        assert_eq!(key(1, true), expected);
    }
}
