//! The helper's way into the sandbox, step by step.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{chdir, getpid};
use rustix::time::{ClockId, clock_gettime};

use super::request::Request;
use super::system_calls::{self, Whose};
use super::{
    Defences, Layer, Mode, STARTED, SandboxError, filesystem, limits, namespaces, seccomp,
    supervisor,
};

/// The layers of defence that this process can put around itself, found out by doing it: it is good
/// for nothing but saying so afterwards.
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
    let used = system_calls::cpu_time(Whose::Own);
    format!(
        "{}.{:09} {} {}",
        clock.tv_sec,
        clock.tv_nsec,
        used.user.as_secs_f64(),
        used.system.as_secs_f64()
    )
}

/// What a process that is confined as far as it needs to be does next.
enum Next {
    /// Runs the helper again, in the namespaces that were made.
    Supervise,
    /// Becomes the program.
    Become,
}

fn confine(request: &Request) -> Result<Next, SandboxError> {
    if let Some(pipe) = request.supervisor {
        supervisor::die_with_supervisor(pipe)?;
        // Never in a mount namespace that others use.
        if !getpid().is_init() {
            return Err(SandboxError::Argument {
                argument: format!("supervisor={pipe}"),
            });
        }
    }
    system_calls::close_descriptors()
        .map_err(SandboxError::apply("close inherited descriptors"))?;
    limits::no_new_privileges()?;
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
    limits::apply(&request.confinement)?;
    if request.wants(Layer::Landlock) {
        applied.landlock = filesystem::apply(readable)?;
    }
    limits::drop_capabilities()?;
    if request.supervisor.is_none() {
        supervisor::die_with_caller(request.caller)?;
    }
    // Last, for it denies all of the above.
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
