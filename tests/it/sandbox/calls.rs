//! System calls that only attackers make, and calls that no program needs.

use pycull::compile::sandbox::Layer;

use super::scene::Scene;

/// Each of these calls ends the process. The list is a copy, so that the test notices a call that pycull's list lost.
#[rustfmt::skip]
const DEADLY: &[libc::c_long] = &[
    // Sockets. (The arguments are zero, so the first is not AF_UNIX.)
    libc::SYS_socket, libc::SYS_socketpair, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept,
    libc::SYS_accept4, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg, libc::SYS_recvfrom,
    libc::SYS_recvmsg, libc::SYS_recvmmsg,
    // Other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal, libc::SYS_kcmp,
    // Mounts, roots and namespaces.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_move_mount, libc::SYS_open_tree, libc::SYS_fsopen,
    libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr, libc::SYS_pivot_root,
    libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare, libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Risky parts of the kernel.
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_keyctl, libc::SYS_fanotify_init,
    // The machine.
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load,
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_syslog, libc::SYS_acct, libc::SYS_quotactl,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime,
    libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_vhangup,
    // A new process: its flags are zero.
    libc::SYS_clone,
];

#[cfg(target_arch = "x86_64")]
const DEADLY_ON_X86: &[libc::c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const DEADLY_ON_X86: &[libc::c_long] = &[];

#[test]
fn calls_that_only_attackers_make_are_deadly() {
    let mut scene = Scene::new();
    for call in DEADLY.iter().chain(DEADLY_ON_X86) {
        let call = ["call", &call.to_string()];
        scene.with_all().run(&call).signal(libc::SIGSYS);
        scene
            .without(Layer::Namespaces)
            .run(&call)
            .signal(libc::SIGSYS);
        scene.only(Layer::Seccomp).run(&call).signal(libc::SIGSYS);
    }
}

/// Applications try some of these calls when they are imported.
#[test]
fn where_the_sandbox_is_forgiving_they_fail() {
    let mut scene = Scene::new();
    scene.confinement.forgiving = true;
    for call in DEADLY.iter().chain(DEADLY_ON_X86) {
        scene.run(&["call", &call.to_string()]).code(libc::EPERM);
    }
}

#[test]
fn calls_that_are_not_needed_are_not_there() {
    let scene = Scene::new();
    for (call, error) in [
        (libc::SYS_memfd_create, libc::EPERM),
        (libc::SYS_execveat, libc::EPERM),
        (libc::SYS_fchmodat, libc::EPERM),
        (libc::SYS_ftruncate, libc::EPERM),
        (libc::SYS_clone3, libc::ENOSYS),
        (libc::SYS_openat2, libc::ENOSYS),
        (libc::SYS_futex_waitv, libc::ENOSYS),
        (libc::SYS_mseal, libc::ENOSYS),
    ] {
        scene.run(&["call", &call.to_string()]).code(error);
    }
}
