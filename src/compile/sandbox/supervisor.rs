//! Only children of a process enter its new process namespace. So the helper starts itself once more, and ends as that
//! child ends.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, getpid, getppid, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal,
};

use super::request::Request;
use super::unsafe_calls::{self, Whose};
use super::{ENTER, SandboxError};

/// The helper's binary. This path works in any namespace.
const HELPER: &str = "/proc/self/exe";

/// Runs the request in a child, which is the first process of its namespace. Ends as the child ends.
pub(super) fn supervise(mut request: Request) -> SandboxError {
    let program = request.program.clone();
    let cpu_limit = Duration::from_secs(request.confinement.limits.cpu_seconds);
    match run(&mut request) {
        Ok(status) => end_as(status, cpu_limit),
        Err(source) => SandboxError::Run { program, source },
    }
}

fn run(request: &mut Request) -> io::Result<ExitStatus> {
    // Nothing is written to this pipe. The child uses it to see whether this process is alive.
    let (read, _write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfd(&read, FdFlags::empty())?;
    request.supervisor = u32::try_from(read.as_fd().as_raw_fd()).ok();
    let mut child = Command::new(HELPER)
        .arg(ENTER)
        .args(request.to_arguments())
        .spawn()?;
    child.wait()
}

/// Makes the kernel kill this process when its caller dies. Call it after the last change of capabilities, because such
/// changes reset it (prctl(2)).
pub(super) fn die_with_caller(caller: Option<i32>) -> Result<(), SandboxError> {
    let Some(caller) = caller else {
        return Ok(());
    };
    die_with_parent()?;
    // If the caller died before that, this process now has another parent.
    match getppid().map(Pid::as_raw_pid) {
        Some(parent) if parent == caller => Ok(()),
        _ => Err(SandboxError::apply("find the caller")("it has ended")),
    }
}

fn die_with_parent() -> Result<(), SandboxError> {
    let action = "request a signal at the parent's death";
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(SandboxError::apply(action))
}

/// Called in the child: makes the kernel kill it when its supervisor dies. All other processes of the namespace die
/// with it.
pub(super) fn die_with_supervisor(pipe: u32) -> Result<(), SandboxError> {
    die_with_parent()?;
    // If the supervisor died before that, the pipe is at its end instead of empty.
    let mut options = std::fs::OpenOptions::new();
    let nonblocking = options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let path = format!("/proc/self/fd/{pipe}");
    match nonblocking
        .open(path)
        .and_then(|mut file| file.read(&mut [0]))
    {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(SandboxError::apply("find the supervisor")(error)),
        Ok(_) => Err(SandboxError::apply("find the supervisor")("it has ended")),
    }
}

/// Ends this process with the same exit code or signal.
fn end_as(status: ExitStatus, cpu_limit: Duration) -> ! {
    let Some(mut number) = status.signal() else {
        std::process::exit(status.code().unwrap_or_default());
    };
    // The first process of a namespace does not get signals without a handler, and SIGXCPU is one. The SIGKILL one
    // second later ends it.
    let used = unsafe_calls::cpu_time(Whose::Children);
    let out_of_time = used.user + used.system >= cpu_limit;
    if number == Signal::KILL.as_raw() && out_of_time {
        number = Signal::XCPU.as_raw();
    }
    // A core dump of the helper would be useless, and would mislead handlers of core dumps.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Rust's runtime handles the first SIGSEGV or SIGBUS, so send the signal twice.
    for _ in 0..2 {
        if let Some(signal) = Signal::from_named_raw(number) {
            let _ = kill_process(getpid(), signal);
        }
    }
    // The process is still alive if the signal was SIGPIPE, which Rust ignores, or if the helper is itself the first
    // process of a namespace. Use the exit code that shells use.
    std::process::exit(128 + number);
}
