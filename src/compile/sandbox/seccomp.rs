//! The seccomp layer: which system calls are allowed, and which end the process.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

use super::SandboxError;
use super::seccomp_lists::{ALLOWED, DEADLY, Test, UNKNOWN};

/// The conditions on the arguments of each system call. An empty list matches any arguments.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Filters the system calls of this process. Returns `false` if the kernel cannot.
pub(super) fn apply(threads: bool, forgiving: bool) -> Result<bool, SandboxError> {
    let filters =
        filters(threads, forgiving).map_err(SandboxError::apply("make seccomp filters"))?;
    for (number, filter) in filters.iter().enumerate() {
        match apply_filter(filter) {
            Ok(()) => {}
            Err(Error::Prctl(_) | Error::Seccomp(_)) if number == 0 => return Ok(false),
            Err(error) => return Err(SandboxError::apply("apply seccomp filters")(error)),
        }
    }
    Ok(true)
}

/// Makes three filters, because each filter has one action. If filters disagree, the stricter action wins. If two
/// filters return an error, the later one wins.
///
/// The last filter denies everything that it does not list. It lists the unknown calls too, so that they get their own
/// error. It comes last because it denies applying filters.
fn filters(threads: bool, forgiving: bool) -> Result<[BpfProgram; 3], BackendError> {
    let process = std::process::id();
    let mut deadly = rules(DEADLY, process)?;
    // `clone` is deadly only if it does not make a thread. A program that may not start threads gets an error if it
    // tries: this does not prove an attack.
    let not_a_thread = Test::Without(0, libc::CLONE_THREAD.cast_unsigned().into());
    deadly.insert(libc::SYS_clone, vec![rule(&[not_a_thread], process)?]);
    let unknown = rules(UNKNOWN, process)?;
    let mut allowed = rules(ALLOWED, process)?;
    allowed.extend(unknown.clone());
    if threads {
        let a_thread = Test::With(0, libc::CLONE_THREAD.cast_unsigned().into());
        allowed.insert(libc::SYS_clone, vec![rule(&[a_thread], process)?]);
    }
    let deny = |error: i32| SeccompAction::Errno(error.unsigned_abs());
    let end = match forgiving {
        true => deny(libc::EPERM),
        false => SeccompAction::KillProcess,
    };
    Ok([
        compile(deadly, end, SeccompAction::Allow)?,
        compile(unknown, deny(libc::ENOSYS), SeccompAction::Allow)?,
        compile(allowed, SeccompAction::Allow, deny(libc::EPERM))?,
    ])
}

fn compile(
    rules: Rules,
    matching: SeccompAction,
    other: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, other, matching, architecture)?.try_into()
}

fn rules(calls: &[(c_long, &[Test])], process: u32) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for (call, tests) in calls {
        // Each condition becomes a rule. A call matches if one of its rules does.
        let any = tests.iter().map(|test| rule(&[*test], process));
        rules.insert(*call, any.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

fn rule(tests: &[Test], process: u32) -> Result<SeccompRule, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let conditions = tests.iter().map(|test| {
        let (argument, length, operator, value) = match *test {
            Test::Is(argument, value) => (argument, Dword, SeccompCmpOp::Eq, value),
            Test::IsNot(argument, value) => (argument, Dword, SeccompCmpOp::Ne, value),
            Test::Without(argument, bits) => (argument, Dword, SeccompCmpOp::MaskedEq(bits), 0),
            Test::With(argument, bits) => (argument, Dword, SeccompCmpOp::MaskedEq(bits), bits),
            Test::Null(argument) => (argument, Qword, SeccompCmpOp::Eq, 0),
            Test::Itself => (0, Dword, SeccompCmpOp::Eq, process.into()),
        };
        SeccompCondition::new(argument, length, operator, value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_in_two_lists_or_twice_in_one() {
        let all: Vec<c_long> = [ALLOWED, DEADLY, UNKNOWN]
            .into_iter()
            .flatten()
            .map(|(call, _)| *call)
            .chain([libc::SYS_clone])
            .collect();
        let distinct: BTreeSet<c_long> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len());
    }

    #[test]
    fn the_filters_fit_into_the_kernel() {
        for threads in [false, true] {
            for filter in filters(threads, threads).unwrap() {
                // BPF_MAXINSNS of linux/bpf_common.h.
                assert!((10..4096).contains(&filter.len()), "{}", filter.len());
            }
        }
    }
}
