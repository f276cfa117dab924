//! The steps by which the helper enters the sandbox.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{chdir, getpid};
use rustix::time::{ClockId, clock_gettime};

use super::request::Request;
use super::unsafe_calls::{self, Whose};
use super::{
    Defences, Layer, Mode, STARTED, SandboxError, filesystem, namespaces, restrictions, seccomp,
    supervisor,
};

/// Finds the sandbox layers that this process can use, by applying them. Afterwards the process can do little but
/// report the result.
pub fn defences() -> Defences {
    let namespaces = namespaces::separate().and_then(|()| namespaces::confine(&[]));
    Defences {
        namespaces: namespaces.is_ok(),
        landlock: filesystem::apply(&[]).ok().flatten(),
        seccomp: seccomp::apply(false, false).unwrap_or(false),
    }
}

pub(super) fn enter(request: Request) -> SandboxError {
    match confine(&request) {
        Ok(Next::Supervise) => supervisor::supervise(request),
        Ok(Next::Become) => {
            let mut command = Command::new(&request.program);
            command.args(&request.arguments);
            if request.confinement.timed {
                command.env(STARTED, now());
            }
            let source = command.exec();
            SandboxError::Run {
                program: request.program,
                source,
            }
        }
        Err(error) => error,
    }
}

/// The value of [`STARTED`].
fn now() -> String {
    let clock = clock_gettime(ClockId::Monotonic);
    let used = unsafe_calls::cpu_time(Whose::Own);
    format!(
        "{}.{:09} {} {}",
        clock.tv_sec,
        clock.tv_nsec,
        used.user.as_secs_f64(),
        used.system.as_secs_f64()
    )
}

/// The next step of a confined process.
enum Next {
    /// Run the helper again, inside the new namespaces.
    Supervise,
    /// Execute the program.
    Become,
}

fn confine(request: &Request) -> Result<Next, SandboxError> {
    if let Some(pipe) = request.supervisor {
        supervisor::die_with_supervisor(pipe)?;
        // Only the first process of a new namespace may go on: the steps below must not change a mount namespace that
        // other processes use.
        if !getpid().is_init() {
            return Err(SandboxError::Argument {
                argument: format!("supervisor={pipe}"),
            });
        }
    }
    unsafe_calls::close_descriptors()
        .map_err(SandboxError::apply("close inherited descriptors"))?;
    restrictions::no_new_privileges()?;
    let wants_namespaces = request.wants(Layer::Namespaces);
    if request.supervisor.is_none() && wants_namespaces && namespaces::separate().is_ok() {
        supervisor::die_with_caller(request.caller)?;
        return Ok(Next::Supervise);
    }
    let readable = &request.confinement.readable;
    let mut applied = Defences {
        namespaces: request.supervisor.is_some() && namespaces::confine(readable).is_ok(),
        ..Defences::default()
    };
    let directory = &request.confinement.directory;
    chdir(directory).map_err(SandboxError::apply(format!(
        "go to `{}`",
        directory.display()
    )))?;
    restrictions::apply(&request.confinement)?;
    if request.wants(Layer::Landlock) {
        applied.landlock = filesystem::apply(readable)?;
    }
    restrictions::drop_capabilities()?;
    if request.supervisor.is_none() {
        supervisor::die_with_caller(request.caller)?;
    }
    // seccomp comes last because it denies all of the steps above.
    if request.wants(Layer::Seccomp) {
        applied.seccomp =
            seccomp::apply(request.confinement.threads, request.confinement.forgiving)?;
    }
    if request.mode == Mode::Required && !applied.any() {
        return Err(SandboxError::Undefended {
            program: request.program.clone(),
        });
    }
    Ok(Next::Become)
}
