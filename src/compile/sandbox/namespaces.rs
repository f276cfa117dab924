//! The namespace layer. The process sees no other processes and no network. Its file system is a new, read-only root
//! that has only the readable trees.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, getegid, geteuid, pivot_root};
use rustix::thread::UnshareFlags;

use super::unsafe_calls::{make_read_only, unshare};

/// The directory in which to build the new root. Every system has it, and it is not needed at that point.
const WORKSHOP: &str = "/proc";

/// Moves this process into new namespaces, and its children into a new process namespace. If the kernel or a container
/// engine refuses, returns an error and changes nothing.
pub(super) fn separate() -> io::Result<()> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(
        UnshareFlags::NEWUSER
            | UnshareFlags::NEWNS
            | UnshareFlags::NEWPID
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS,
    )?;
    // Become root in the namespace. Any other user would lose the capabilities for mounting when the helper runs again.
    // If the kernel refuses these maps, it refuses the mounts too.
    let _ = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {group} 1")));
    Ok(())
}

/// Replaces the file system that this process sees by the readable trees, at their original paths. On an error, nothing
/// changes.
pub(super) fn confine(readable: &[PathBuf]) -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    // Copy the trees before the mount at the workshop hides what is below it.
    let trees = outermost(readable)
        .into_iter()
        .map(|path| Ok((path, copy(path)?)))
        .collect::<io::Result<Vec<_>>>()?;
    let root = new_file_system()?;
    attach(&root, Path::new(WORKSHOP))?;
    furnish(&trees, root).inspect_err(|_| {
        // Report the first error, not this one. The namespace belongs to this process and has no other use.
        let _ = unmount(WORKSHOP, UnmountFlags::DETACH);
    })
}

/// The trees that are not inside another one.
fn outermost(readable: &[PathBuf]) -> Vec<&Path> {
    let mut sorted: Vec<&Path> = readable.iter().map(PathBuf::as_path).collect();
    sorted.sort_unstable();
    let mut outermost: Vec<&Path> = Vec::new();
    for path in sorted {
        if !outermost.iter().any(|tree| path.starts_with(tree)) {
            outermost.push(path);
        }
    }
    outermost
}

/// A mount of a tree that is not attached yet.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    // The copy must be recursive: the kernel does not let an unprivileged process see what a mount hides.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

fn new_file_system() -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", "755")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

fn attach(mount: &OwnedFd, path: &Path) -> io::Result<()> {
    move_mount(
        mount,
        c"",
        CWD,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    Ok(())
}

/// Mounts the trees in the workshop, and makes the workshop the root.
fn furnish(trees: &[(&Path, OwnedFd)], root: OwnedFd) -> io::Result<()> {
    for (path, tree) in trees {
        let place = Path::new(WORKSHOP).join(path.strip_prefix("/").unwrap_or(path));
        // A mount follows symlinks, so the mount point must match their target.
        if path.is_dir() {
            fs::create_dir_all(&place)?;
        } else {
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            fs::File::create(&place)?;
        }
        attach(tree, &place)?;
    }
    // This includes the trees attached to the root.
    make_read_only(&root)?;
    drop(root);
    chdir(WORKSHOP)?;
    // The old root is then mounted over the new one, at the same place (pivot_root(2)).
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_in_a_tree_is_mounted_with_it() {
        let readable = ["/usr/lib", "/usr-local", "/usr", "/opt/a", "/usr"].map(PathBuf::from);
        let expected = ["/opt/a", "/usr", "/usr-local"].map(Path::new);
        assert_eq!(outermost(&readable), expected);
    }
}
