//! The system calls of Linux, as far as they are allowed, deadly or unknown in the sandbox. All
//! others fail with EPERM.

use libc::*;

/// What is asked of a system call's arguments, counted from 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// The argument's low 32 bits are this: for arguments that are integers.
    Is(u8, u64),
    /// They are anything else.
    IsNot(u8, u64),
    /// They have none of these bits.
    Without(u8, u64),
    /// They have all of these bits.
    With(u8, u64),
    /// The argument is the null pointer.
    Null(u8),
    /// The first argument is this process's number: a signal goes nowhere else.
    Itself,
}

use Test::{Is, IsNot, Itself, Null, Without};

/// A system call, and the tests of which one must hold; none: it is meant whatever its arguments.
type Call = (c_long, &'static [Test]);

const ANY: &[Test] = &[];

/// What a file is opened with that is to be written. (O_TMPFILE goes with one of the first.)
const WRITING: u64 = (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) as u64;

/// Of this type on glibc, and of another on musl.
#[allow(clippy::unnecessary_cast)]
const IOCTLS: &[Test] = &[
    Is(1, TCGETS as u64),
    Is(1, TIOCGWINSZ as u64),
    Is(1, FIOCLEX as u64),
    Is(1, FIONCLEX as u64),
];

/// What CPython 3.6 to 3.15 need, on glibc and musl, to start, import and compile, and an emulator to run it.
#[rustfmt::skip]
pub(super) const ALLOWED: &[Call] = &[
    // Files to read, which Landlock and the mount namespace keep to the readable trees.
    (SYS_read, ANY), (SYS_readv, ANY), (SYS_pread64, ANY), (SYS_preadv, ANY),
    (SYS_write, ANY), (SYS_writev, ANY), (SYS_close, ANY), (SYS_close_range, ANY),
    (SYS_openat, &[Without(2, WRITING)]), (SYS_fstat, ANY), (SYS_newfstatat, ANY), (SYS_statx, ANY),
    (SYS_lseek, ANY), (SYS_getdents64, ANY), (SYS_readlinkat, ANY), (SYS_faccessat, ANY),
    (SYS_faccessat2, ANY), (SYS_getcwd, ANY), (SYS_dup, ANY), (SYS_dup3, ANY),
    (SYS_fadvise64, ANY), (SYS_statfs, ANY), (SYS_fstatfs, ANY), (SYS_umask, ANY),
    // Not F_SETOWN, F_SETLEASE and F_NOTIFY, which send signals.
    (SYS_fcntl, &[
        Is(1, F_DUPFD as u64), Is(1, F_DUPFD_CLOEXEC as u64), Is(1, F_GETFD as u64),
        Is(1, F_SETFD as u64), Is(1, F_GETFL as u64), Is(1, F_SETFL as u64),
    ]),
    // isatty, the terminal's size, and what CPython does where F_SETFD would do.
    (SYS_ioctl, IOCTLS),
    (SYS_ppoll, ANY), (SYS_pselect6, ANY),
    // Memory.
    (SYS_mmap, ANY), (SYS_mprotect, ANY), (SYS_munmap, ANY), (SYS_mremap, ANY),
    (SYS_madvise, ANY), (SYS_brk, ANY), (SYS_membarrier, ANY),
    // The process itself. `exec` is how it begins; what it can become lies in the readable trees.
    (SYS_execve, ANY), (SYS_exit, ANY), (SYS_exit_group, ANY), (SYS_restart_syscall, ANY),
    (SYS_getpid, ANY), (SYS_getppid, ANY), (SYS_gettid, ANY), (SYS_getuid, ANY), (SYS_geteuid, ANY),
    (SYS_getgid, ANY), (SYS_getegid, ANY), (SYS_getgroups, ANY), (SYS_uname, ANY), (SYS_sysinfo, ANY),
    (SYS_getrusage, ANY), (SYS_times, ANY), (SYS_getrlimit, ANY), (SYS_prlimit64, &[Null(2)]),
    (SYS_getrandom, ANY), (SYS_getcpu, ANY),
    (SYS_prctl, &[
        Is(0, PR_SET_NAME as u64), Is(0, PR_GET_NAME as u64), Is(0, PR_SET_VMA as u64),
        Is(0, PR_GET_DUMPABLE as u64),
    ]),
    // Signals.
    (SYS_rt_sigaction, ANY), (SYS_rt_sigprocmask, ANY), (SYS_rt_sigreturn, ANY),
    (SYS_rt_sigpending, ANY), (SYS_rt_sigtimedwait, ANY), (SYS_rt_sigsuspend, ANY), (SYS_sigaltstack, ANY),
    (SYS_kill, &[Itself]), (SYS_tgkill, &[Itself]), (SYS_tkill, &[Itself]),
    // Threads, and what libc sets up where there is one.
    (SYS_futex, ANY), (SYS_set_tid_address, ANY), (SYS_set_robust_list, ANY), (SYS_get_robust_list, ANY),
    (SYS_rseq, ANY), (SYS_sched_yield, ANY), (SYS_sched_getaffinity, ANY),
    // Time.
    (SYS_clock_gettime, ANY), (SYS_clock_getres, ANY), (SYS_clock_nanosleep, ANY), (SYS_nanosleep, ANY),
    (SYS_gettimeofday, ANY),
    // Older calls, which newer processors do not have.
    #[cfg(target_arch = "x86_64")]
    (SYS_open, &[Without(1, WRITING)]),
    #[cfg(target_arch = "x86_64")]
    (SYS_stat, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_lstat, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_access, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_readlink, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_getdents, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_dup2, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_poll, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_select, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_time, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_arch_prctl, ANY),
];

/// Calls whose arguments a filter cannot see, or that are too new: libc then uses older ones.
#[rustfmt::skip]
pub(super) const UNKNOWN: &[Call] = &[
    (SYS_clone3, ANY), (SYS_openat2, ANY), (SYS_futex_waitv, ANY), (SYS_mseal, ANY),
];

/// What a program that compiles sources never does: the process ends with SIGSYS. (`clone` is one
/// more where it makes no thread.)
#[rustfmt::skip]
pub(super) const DEADLY: &[Call] = &[
    // An AF_UNIX socket is an error alone: libc looks up users at the name service cache daemon.
    (SYS_socket, &[IsNot(0, AF_UNIX as u64)]),
    (SYS_socketpair, ANY), (SYS_connect, ANY), (SYS_bind, ANY), (SYS_listen, ANY), (SYS_accept, ANY),
    (SYS_accept4, ANY), (SYS_sendto, ANY), (SYS_sendmsg, ANY), (SYS_sendmmsg, ANY),
    (SYS_recvfrom, ANY), (SYS_recvmsg, ANY), (SYS_recvmmsg, ANY),
    // Other processes.
    (SYS_ptrace, ANY), (SYS_process_vm_readv, ANY), (SYS_process_vm_writev, ANY), (SYS_process_madvise, ANY),
    (SYS_pidfd_getfd, ANY), (SYS_pidfd_send_signal, ANY), (SYS_kcmp, ANY),
    // Mounts, roots and namespaces.
    (SYS_mount, ANY), (SYS_umount2, ANY), (SYS_move_mount, ANY), (SYS_open_tree, ANY), (SYS_fsopen, ANY),
    (SYS_fsconfig, ANY), (SYS_fsmount, ANY), (SYS_fspick, ANY), (SYS_mount_setattr, ANY),
    (SYS_pivot_root, ANY), (SYS_chroot, ANY), (SYS_setns, ANY), (SYS_unshare, ANY),
    (SYS_name_to_handle_at, ANY), (SYS_open_by_handle_at, ANY),
    // Parts of the kernel that had many faults.
    (SYS_bpf, ANY), (SYS_perf_event_open, ANY), (SYS_userfaultfd, ANY), (SYS_io_uring_setup, ANY),
    (SYS_io_uring_enter, ANY), (SYS_io_uring_register, ANY), (SYS_add_key, ANY), (SYS_request_key, ANY),
    (SYS_keyctl, ANY), (SYS_fanotify_init, ANY),
    // The machine.
    (SYS_init_module, ANY), (SYS_finit_module, ANY), (SYS_delete_module, ANY), (SYS_kexec_load, ANY),
    (SYS_reboot, ANY), (SYS_swapon, ANY), (SYS_swapoff, ANY), (SYS_syslog, ANY),
    (SYS_acct, ANY), (SYS_quotactl, ANY), (SYS_settimeofday, ANY), (SYS_clock_settime, ANY),
    (SYS_adjtimex, ANY), (SYS_clock_adjtime, ANY), (SYS_sethostname, ANY), (SYS_setdomainname, ANY),
    (SYS_vhangup, ANY),
    // aarch64 has it too, but the crate libc does not for musl.
    #[cfg(target_arch = "x86_64")]
    (SYS_kexec_file_load, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_fork, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_vfork, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_iopl, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_ioperm, ANY),
    #[cfg(target_arch = "x86_64")]
    (SYS_modify_ldt, ANY),
];
