//! A namespace for processes is for children: the helper starts itself once more, and ends as that ends.

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
use super::system_calls::{self, Whose};
use super::{ENTER, SandboxError};

/// The helper, whatever its path is in a namespace.
const HELPER: &str = "/proc/self/exe";

/// Runs the request in a child, the first process of its namespace, and ends as it ends.
pub(super) fn supervise(mut request: Request) -> SandboxError {
    let program = request.program.clone();
    let cpu_limit = Duration::from_secs(request.confinement.limits.cpu_seconds);
    match run(&mut request) {
        Ok(status) => end_as(status, cpu_limit),
        Err(source) => SandboxError::Run { program, source },
    }
}

fn run(request: &mut Request) -> io::Result<ExitStatus> {
    // Nothing is ever written: the child sees by it whether this process is there.
    let (read, _write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfd(&read, FdFlags::empty())?;
    request.supervisor = u32::try_from(read.as_fd().as_raw_fd()).ok();
    let mut child = Command::new(HELPER)
        .arg(ENTER)
        .args(request.to_arguments())
        .spawn()?;
    child.wait()
}

/// Has this process killed when its caller dies. To be asked for once no more capabilities are gained: that
/// takes it back (prctl(2)).
pub(super) fn die_with_caller(caller: Option<i32>) -> Result<(), SandboxError> {
    let Some(caller) = caller else {
        return Ok(());
    };
    die_with_parent()?;
    // It may have died before that: another process is the parent then.
    match getppid().map(Pid::as_raw_pid) {
        Some(parent) if parent == caller => Ok(()),
        _ => Err(SandboxError::apply("look for the caller")("it is gone")),
    }
}

fn die_with_parent() -> Result<(), SandboxError> {
    let action = "ask for a signal at the parent's death";
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(SandboxError::apply(action))
}

/// In the child: has it killed when its supervisor dies, and with it all of the namespace.
pub(super) fn die_with_supervisor(pipe: u32) -> Result<(), SandboxError> {
    die_with_parent()?;
    // It may have died before that: the pipe is then at its end, not merely empty.
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
        Err(error) => Err(SandboxError::apply("look for the supervisor")(error)),
        Ok(_) => Err(SandboxError::apply("look for the supervisor")("it is gone")),
    }
}

/// Ends this process with the same exit code or by the same signal.
fn end_as(status: ExitStatus, cpu_limit: Duration) -> ! {
    let Some(mut number) = status.signal() else {
        std::process::exit(status.code().unwrap_or_default());
    };
    // The first process of a namespace gets no signal that it does not handle, SIGXCPU neither:
    // what ends it is the SIGKILL that comes a second later.
    let used = system_calls::cpu_time(Whose::Children);
    let out_of_time = used.user + used.system >= cpu_limit;
    if number == Signal::KILL.as_raw() && out_of_time {
        number = Signal::XCPU.as_raw();
    }
    // A core dump of the helper would be of no use, and a handler of core dumps be misled.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Rust's runtime handles SIGSEGV and SIGBUS once, and then no more.
    for _ in 0..2 {
        if let Some(signal) = Signal::from_named_raw(number) {
            let _ = kill_process(getpid(), signal);
        }
    }
    // As shells say it: for SIGPIPE, which Rust ignores, and where the helper itself is a first process.
    std::process::exit(128 + number);
}
