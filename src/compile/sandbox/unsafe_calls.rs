//! System calls that no safe crate wraps. All of pycull's `unsafe` code is here.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::thread::UnshareFlags;

/// Moves this process into new namespaces.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    assert_no_shared_descriptors(namespaces)?;
    // SAFETY: the unsafe case is a separate table of descriptors (CLONE_FILES), which was refused above.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }?;
    Ok(())
}

fn assert_no_shared_descriptors(namespaces: UnshareFlags) -> io::Result<()> {
    if namespaces.contains(UnshareFlags::FILES) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(())
}

/// Closes all descriptors except the standard ones. Kernels before 5.9 and old container engines lack that call: `exec`
/// then closes them.
pub(super) fn close_descriptors() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: no memory is passed. The caller ([`super::enter`]) owns none of these descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if result == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // SAFETY: no memory is passed. If the descriptor is gone, the call returns an error.
        if number > 2 && unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `struct mount_attr` of linux/mount.h, first version.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes a mount and everything below it read-only, without devices and without set-user-ID.
pub(super) fn make_read_only(mount: impl AsFd) -> io::Result<()> {
    use rustix::mount::MountAttrFlags as Flags;
    let set = Flags::MOUNT_ATTR_RDONLY | Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NODEV;
    let attributes = MountAttributes {
        set: u64::from(set.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the path is a constant that ends with NUL. The kernel reads as many bytes of the attributes as their size
    // says, and keeps no pointer. The descriptor is borrowed for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// CPU time in user mode and in the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuTime {
    pub(super) user: Duration,
    pub(super) system: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// This process.
    Own = libc::RUSAGE_SELF as isize,
    /// All children that were waited for.
    Children = libc::RUSAGE_CHILDREN as isize,
}

/// The CPU time used so far.
pub(super) fn cpu_time(whose: Whose) -> CpuTime {
    // SAFETY: the structure consists of integers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such structure to this place. The call fails only if its arguments are wrong.
    unsafe { libc::getrusage(whose as libc::c_int, &raw mut usage) };
    let duration = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let microseconds = u64::try_from(time.tv_usec).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_micros(microseconds)
    };
    CpuTime {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
    }
}
