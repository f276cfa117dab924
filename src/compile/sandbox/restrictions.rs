//! Restrictions that apply in every mode: resource limits, no capabilities, and no new privileges.

use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Confinement, SandboxError};

/// Limits this process and every program that it executes.
pub(super) fn apply(confinement: &Confinement) -> Result<(), SandboxError> {
    let limits = confinement.limits;
    // SIGXCPU comes first, which the program may catch. SIGKILL follows one second later.
    limit(Resource::Cpu, limits.cpu_seconds, 1)?;
    limit(Resource::As, limits.memory_bytes, 0)?;
    limit(Resource::Nofile, limits.open_files, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Core, 0, 0)?;
    if !confinement.threads {
        // This limit does not bind root.
        limit(Resource::Nproc, 0, 0)?;
    }
    umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

/// Sets a resource limit, unless it is already lower.
fn limit(resource: Resource, value: u64, grace: u64) -> Result<(), SandboxError> {
    let present = getrlimit(resource);
    let at_most =
        |present: Option<u64>, value: u64| Some(present.map_or(value, |it| it.min(value)));
    let new = Rlimit {
        current: at_most(present.maximum, value),
        maximum: at_most(present.maximum, value.saturating_add(grace)),
    };
    setrlimit(resource, new).map_err(SandboxError::apply(format!("limit {resource:?}")))
}

/// Prevents `exec` from adding rights: set-user-ID bits and file capabilities have no effect.
pub(super) fn no_new_privileges() -> Result<(), SandboxError> {
    rustix::thread::set_no_new_privs(true).map_err(SandboxError::apply("set no_new_privs"))
}

/// Drops all capabilities. With [`no_new_privileges`], `exec` cannot regain them.
pub(super) fn drop_capabilities() -> Result<(), SandboxError> {
    drop_all().map_err(SandboxError::apply("drop capabilities"))
}

fn drop_all() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
}
