//! The Linux system calls that the sandbox allows, that end the program, or that do not exist in the sandbox. All
//! others fail with EPERM.

use libc::*;

/// A condition on an argument of a system call. Arguments are counted from 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// The low 32 bits of the argument equal this value. For integer arguments.
    Is(u8, u64),
    /// The low 32 bits of the argument differ from this value.
    IsNot(u8, u64),
    /// The argument has none of these bits.
    Without(u8, u64),
    /// The argument has all of these bits.
    With(u8, u64),
    /// The argument is the null pointer.
    Null(u8),
    /// The first argument is the ID of this process, so that a signal reaches no other process.
    Itself,
}

use Test::{Is, IsNot, Itself, Null, Without};

/// A system call and its conditions. One of them must hold. Without conditions, any arguments match.
type Call = (c_long, &'static [Test]);

const ANY: &[Test] = &[];

/// Flags of opening a file for writing. (O_TMPFILE requires one of the first two.)
const WRITING: u64 = (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) as u64;

/// glibc and musl give these constants different types.
#[allow(clippy::unnecessary_cast)]
const IOCTLS: &[Test] = &[
    Is(1, TCGETS as u64),
    Is(1, TIOCGWINSZ as u64),
    Is(1, FIOCLEX as u64),
    Is(1, FIONCLEX as u64),
];

/// The system calls that CPython 3.6 to 3.15 needs to start, import and compile, with glibc and musl. Also those that
/// an emulator needs to run it.
#[rustfmt::skip]
pub(super) const ALLOWED: &[Call] = &[
    // Reading files. Landlock and the mount namespace restrict this to the readable trees.
    (SYS_read, ANY), (SYS_readv, ANY), (SYS_pread64, ANY), (SYS_preadv, ANY),
    (SYS_write, ANY), (SYS_writev, ANY), (SYS_close, ANY), (SYS_close_range, ANY),
    (SYS_openat, &[Without(2, WRITING)]), (SYS_fstat, ANY), (SYS_newfstatat, ANY), (SYS_statx, ANY),
    (SYS_lseek, ANY), (SYS_getdents64, ANY), (SYS_readlinkat, ANY), (SYS_faccessat, ANY),
    (SYS_faccessat2, ANY), (SYS_getcwd, ANY), (SYS_dup, ANY), (SYS_dup3, ANY),
    (SYS_fadvise64, ANY), (SYS_statfs, ANY), (SYS_fstatfs, ANY), (SYS_umask, ANY),
    // F_SETOWN, F_SETLEASE and F_NOTIFY are missing because they send signals.
    (SYS_fcntl, &[
        Is(1, F_DUPFD as u64), Is(1, F_DUPFD_CLOEXEC as u64), Is(1, F_GETFD as u64),
        Is(1, F_SETFD as u64), Is(1, F_GETFL as u64), Is(1, F_SETFL as u64),
    ]),
    // For isatty, for the terminal's size, and for what CPython uses instead of F_SETFD.
    (SYS_ioctl, IOCTLS),
    (SYS_ppoll, ANY), (SYS_pselect6, ANY),
    // Memory.
    (SYS_mmap, ANY), (SYS_mprotect, ANY), (SYS_munmap, ANY), (SYS_mremap, ANY),
    (SYS_madvise, ANY), (SYS_brk, ANY), (SYS_membarrier, ANY),
    // The process itself. `exec` starts the program. It can only run files in the readable trees.
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
    // Threads, and what libc sets up even for a single one.
    (SYS_futex, ANY), (SYS_set_tid_address, ANY), (SYS_set_robust_list, ANY), (SYS_get_robust_list, ANY),
    (SYS_rseq, ANY), (SYS_sched_yield, ANY), (SYS_sched_getaffinity, ANY),
    // Time.
    (SYS_clock_gettime, ANY), (SYS_clock_getres, ANY), (SYS_clock_nanosleep, ANY), (SYS_nanosleep, ANY),
    (SYS_gettimeofday, ANY),
    // Older calls, which newer architectures do not have.
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

/// Calls whose arguments a filter cannot see, and calls that are too new. They fail with ENOSYS, so that libc falls
/// back to older ones.
#[rustfmt::skip]
pub(super) const UNKNOWN: &[Call] = &[
    (SYS_clone3, ANY), (SYS_openat2, ANY), (SYS_futex_waitv, ANY), (SYS_mseal, ANY),
];

/// Calls that a program for compiling never makes. They end the process with SIGSYS. (So does `clone` unless it makes a
/// thread.)
#[rustfmt::skip]
pub(super) const DEADLY: &[Call] = &[
    // An AF_UNIX socket only fails: libc asks the name service cache daemon about users.
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
    // Parts of the kernel with many past vulnerabilities.
    (SYS_bpf, ANY), (SYS_perf_event_open, ANY), (SYS_userfaultfd, ANY), (SYS_io_uring_setup, ANY),
    (SYS_io_uring_enter, ANY), (SYS_io_uring_register, ANY), (SYS_add_key, ANY), (SYS_request_key, ANY),
    (SYS_keyctl, ANY), (SYS_fanotify_init, ANY),
    // The machine.
    (SYS_init_module, ANY), (SYS_finit_module, ANY), (SYS_delete_module, ANY), (SYS_kexec_load, ANY),
    (SYS_reboot, ANY), (SYS_swapon, ANY), (SYS_swapoff, ANY), (SYS_syslog, ANY),
    (SYS_acct, ANY), (SYS_quotactl, ANY), (SYS_settimeofday, ANY), (SYS_clock_settime, ANY),
    (SYS_adjtimex, ANY), (SYS_clock_adjtime, ANY), (SYS_sethostname, ANY), (SYS_setdomainname, ANY),
    (SYS_vhangup, ANY),
    // aarch64 has this call too, but the libc crate does not define it for musl.
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
