//! Programs that only pretend to be interpreters. pycull stops each one, reports what it did, and leaves no process.

use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

use pycull::compile::{Failure, Job, ProcessEnd, Service, ServiceError, TimeLimits};
use pycull::limits::Limits;
use pycull::pyc::Level;

fn limits() -> TimeLimits {
    TimeLimits {
        start_up: Duration::from_secs(3),
        source: Duration::from_secs(3),
        whole: Limits::NONE.time(),
    }
}

/// The shell command for what a worker for Python 3.11 prints when it is ready.
const READY: &str = r"printf 'pycull-worker-1\n\247\r\r\n\003\013\003tag'";

fn shell(script: &str) -> impl Fn() -> Command + Sync + use<> {
    let script = script.to_owned();
    move || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    }
}

fn start_failure(script: &str) -> ProcessEnd {
    let command = shell(script);
    match Service::start(Box::new(command), limits(), None) {
        Ok(_) => panic!("{script}"),
        Err(failure) => failure.end,
    }
}

fn job(index: u32) -> Job {
    Job {
        index,
        path: b"/m.py".to_vec(),
        source: b"x = 1\n".to_vec(),
        levels: vec![Level::Zero],
    }
}

/// The failure of one source, if a ready worker then runs this script.
fn job_failure(script: &str) -> Failure {
    let command = shell(&format!("{READY}; {script}"));
    let service = Service::start(Box::new(command), limits(), None).unwrap();
    let mut failures = Vec::new();
    let feed = |hand_over: &mut dyn FnMut(Job) -> ControlFlow<()>| {
        let _ = hand_over(job(0));
        Ok::<(), std::io::Error>(())
    };
    service
        .run(1, feed, &mut |compiled| {
            failures.extend(compiled.levels);
            Ok(())
        })
        .unwrap();
    assert_eq!(failures.len(), 1, "{script}");
    failures.remove(0).1.unwrap_err()
}

fn worker_end(script: &str) -> ProcessEnd {
    match job_failure(script) {
        Failure::Worker(failure) => failure.end,
        other => panic!("{script}: {other:?}"),
    }
}

#[test]
fn what_never_becomes_ready_is_told_apart() {
    assert!(matches!(start_failure("sleep 60"), ProcessEnd::Time(_)));
    assert!(matches!(start_failure("exit 3"), ProcessEnd::Exit(3)));
    assert!(matches!(start_failure("exit 125"), ProcessEnd::NotRun));
    assert!(matches!(
        start_failure("kill -SYS $$"),
        ProcessEnd::ForbiddenCall
    ));
    assert!(matches!(start_failure("kill -KILL $$"), ProcessEnd::Killed));
    assert!(matches!(
        start_failure("kill -SEGV $$"),
        ProcessEnd::Signal(11)
    ));
    assert!(matches!(start_failure("yes"), ProcessEnd::Forged(_)));
    assert!(matches!(
        start_failure("exec >&-; sleep 60"),
        ProcessEnd::Forged(_)
    ));
}

#[test]
fn what_does_not_answer_as_a_worker_does_is_told_apart() {
    assert!(matches!(worker_end("sleep 60"), ProcessEnd::Time(_)));
    assert!(matches!(
        worker_end("head -c 5 >/dev/null; exit 7"),
        ProcessEnd::Exit(7)
    ));
    // The answer announces ten GiB, then writes them.
    let announced = r"printf '\000\377\377\377\377'; cat /dev/zero";
    assert!(matches!(worker_end(announced), ProcessEnd::Forged(_)));
    assert!(matches!(
        worker_end("cat /dev/zero | tr '\\0' '\\7'"),
        ProcessEnd::Forged(_)
    ));
    // A correct frame without code in it.
    let no_code = r"head -c 20 >/dev/null; printf '\000\003\000\000\000abc'; sleep 60";
    assert!(matches!(job_failure(no_code), Failure::Answer(_)));
}

#[test]
fn what_it_says_last_is_kept_and_cannot_steer_a_terminal() {
    let command = shell("yes x | head -c 100000 >&2; printf 'no \\033[2Jway' >&2; exit 1");
    let failure = Service::start(Box::new(command), limits(), None)
        .err()
        .unwrap();
    assert!(failure.stderr.ends_with("no  [2Jway"), "{failure}");
    assert!(failure.stderr.len() <= 1024);
}

/// Hands over jobs until nobody takes them. Counts them in `fed`.
fn feed(
    fed: &mut u32,
    hand_over: &mut dyn FnMut(Job) -> ControlFlow<()>,
) -> Result<(), std::io::Error> {
    while *fed < 10_000 && hand_over(job(*fed)).is_continue() {
        *fed += 1;
    }
    Ok(())
}

#[test]
fn a_result_that_cannot_be_stored_ends_the_run() {
    let command = shell(&format!("{READY}; exit 1"));
    let service = Service::start(Box::new(command), limits(), None).unwrap();
    let (mut fed, mut taken) = (0, 0);
    let mut take = |_| {
        taken += 1;
        Err(std::io::ErrorKind::StorageFull.into())
    };
    let error = service
        .run(2, |take| feed(&mut fed, take), &mut take)
        .unwrap_err();
    assert!(matches!(error, ServiceError::Caller(_)), "{error}");
    assert!(fed < 100 && taken == 1, "{fed} {taken}");
}

#[test]
fn an_interpreter_that_always_dies_is_given_up() {
    let command = shell(&format!("{READY}; exit 1"));
    let service = Service::start(Box::new(command), limits(), None).unwrap();
    let mut fed = 0;
    let error = service
        .run(2, |take| feed(&mut fed, take), &mut |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, ServiceError::Deaths(_)), "{error}");
    assert!(fed < 1000, "{fed}");
}
