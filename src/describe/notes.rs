//! Notes about an image that do not depend on what is done to it.

use crate::inventory::{Inventory, other_pythons};
use crate::path;
use crate::size;

/// Notes about other Pythons in the image, which pycull does not handle, and about PYTHONPYCACHEPREFIX.
pub(super) fn notes(inventory: &Inventory) -> Vec<String> {
    let others = other_pythons(inventory).into_iter().map(|other| {
        let (name, files) = (
            other.name,
            files(other.bytecode.files, other.bytecode.bytes),
        );
        format!("pycull does not handle {name}, and leaves its {files} unchanged")
    });
    others.chain(cache_prefix(inventory)).collect()
}

fn cache_prefix(inventory: &Inventory) -> Option<String> {
    let prefix = inventory.launch.pycache_prefix.as_deref()?;
    let directory = path::clean(prefix.as_bytes());
    let (mut count, mut bytes) = (0, 0);
    for (path, node) in inventory.rootfs.walk() {
        if !path.ends_with(b".pyc") || !path::is_at_or_below(&path, &directory) {
            continue;
        }
        if let Some(inode) = inventory.rootfs.regular_file(node) {
            count += 1;
            bytes += inventory.rootfs.inode(inode).size;
        }
    }
    Some(format!(
        "Python reads caches only below /{} (PYTHONPYCACHEPREFIX), and never those beside sources; pycull leaves {} there unchanged",
        path::text(&directory),
        files(count, bytes)
    ))
}

fn files(count: u64, bytes: u64) -> String {
    let word = if count == 1 { "file" } else { "files" };
    format!("{count} bytecode {word} ({})", size::bytes(bytes))
}
