//! The Landlock layer: it allows reading some files, and writing none.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::SandboxError;

/// The newest Landlock version that the rights below were checked against. An older kernel handles fewer rights.
const NEWEST: ABI = ABI::V7;

/// Restricts this process to reading these trees. Returns the version of the kernel's Landlock interface, or `None` if
/// the kernel has none.
pub(super) fn apply(readable: &[PathBuf]) -> Result<Option<u32>, SandboxError> {
    let mut rules = Vec::new();
    for path in readable {
        let action = || format!("open `{}`", path.display());
        let descriptor = PathFd::new(path).map_err(SandboxError::apply(action()))?;
        let mut access = make_bitflags!(AccessFs::{ReadFile | Execute});
        if path.is_dir() {
            access |= AccessFs::ReadDir;
        }
        rules.push(PathBeneath::new(descriptor, access));
    }
    restrict(rules).map_err(SandboxError::apply("apply Landlock"))
}

fn restrict(rules: Vec<PathBeneath<PathFd>>) -> Result<Option<u32>, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(rules.into_iter().map(Ok::<_, RulesetError>))?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Ok(None);
    }
    Ok(match status.landlock {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => Some(kernel_abi.unwrap_or(effective_abi as i32).unsigned_abs()),
        _ => None,
    })
}
