//! The search path of dynamic loaders for libraries: ld.so(8), ldconfig(8), and musl's `ldso/dynlink.c`.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use crate::path;
use crate::rootfs::{InodeId, NodeId, Rootfs};

/// The configuration file of glibc's loader.
const CONFIGURATION: &[u8] = b"etc/ld.so.conf";
/// Maximum number of directories to search, and of files to include.
const MOST: usize = 200;

/// The kind of loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loader {
    /// glibc's loader, or one that behaves like it.
    Glibc,
    /// musl's loader, with its name for the architecture: `x86_64` in `ld-musl-x86_64.so.1`.
    Musl(Vec<u8>),
}

impl Loader {
    /// The kind of a loader, by its path in PT_INTERP.
    pub(super) fn of(path: &[u8]) -> Self {
        let name = path::file_name(path);
        name.strip_prefix(b"ld-musl-")
            .map(|rest| rest.split(|byte| *byte == b'.').next().unwrap_or(rest))
            .map_or(Self::Glibc, |architecture| Self::Musl(architecture.into()))
    }

    /// Whether a library name means the loader itself. musl's loader is also the C library, and has the names of all
    /// its parts.
    pub(super) fn is_itself(&self, library: &[u8]) -> bool {
        let parts = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];
        let part = library
            .strip_prefix(b"lib")
            .and_then(|rest| rest.split(|byte| *byte == b'.').next())
            .filter(|part| part.len() + 3 < library.len());
        matches!(self, Self::Musl(_))
            && part.is_some_and(|part| parts.iter().any(|it| it.as_bytes() == part))
    }
}

/// Returns the text of a file, or `None` if it is not read yet.
pub(super) type Text<'a> = &'a dyn Fn(InodeId) -> Option<Vec<u8>>;

/// The directories to search for any library, in order. Adds files that must be read first to `unread`: the result is
/// then preliminary.
pub(super) fn system_directories(
    rootfs: &Rootfs,
    loader: &Loader,
    text: Text<'_>,
    unread: &mut BTreeSet<InodeId>,
) -> Vec<Vec<u8>> {
    match loader {
        Loader::Glibc => {
            let mut configuration = Configuration {
                rootfs,
                text,
                unread,
                seen: BTreeSet::new(),
                directories: Vec::new(),
                budget: MOST_NAMES,
            };
            configuration.read(CONFIGURATION);
            let mut directories = configuration.directories;
            directories.extend(default_directories(rootfs));
            directories
        }
        Loader::Musl(architecture) => {
            let path = [b"etc/ld-musl-", architecture.as_slice(), b".path"].concat();
            let default = b"/lib:/usr/local/lib:/usr/lib".to_vec();
            let list = match rootfs.file_at(&path) {
                Some(inode) => text(inode).unwrap_or_else(|| {
                    unread.insert(inode);
                    Vec::new()
                }),
                None => default,
            };
            list.split(|byte| matches!(byte, b':' | b'\n'))
                .filter(|part| part.starts_with(b"/"))
                .take(MOST)
                .map(path::clean)
                .collect()
        }
    }
}

/// The default directories of glibc on all distributions. The search skips files for other architectures.
pub(super) fn default_directories(rootfs: &Rootfs) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    for parent in [&b"lib"[..], b"usr/lib"] {
        let multiarch = entries(rootfs, parent)
            .filter(|(name, _)| name.windows(7).any(|part| part == b"-linux-"))
            .map(|(name, _)| path::join(parent, name));
        directories.extend(multiarch.take(MOST));
    }
    for name in ["lib64", "usr/lib64", "lib", "usr/lib", "lib32", "usr/lib32"] {
        directories.push(name.as_bytes().to_vec());
    }
    directories
}

/// Configuration files that are probably needed.
pub(super) fn likely_configuration(rootfs: &Rootfs) -> Vec<InodeId> {
    let included = entries(rootfs, b"etc/ld.so.conf.d").map(|(_, node)| node);
    let musl = entries(rootfs, b"etc")
        .filter(|(name, _)| name.starts_with(b"ld-musl-"))
        .map(|(_, node)| node);
    let own = rootfs.file_at(CONFIGURATION);
    let others = included.chain(musl).take(MOST);
    own.into_iter()
        .chain(others.filter_map(|node| rootfs.file_at(&rootfs.path(node))))
        .collect()
}

/// Expands the directories of a DT_RPATH or DT_RUNPATH. `origin` is the directory of the file that has it.
///
/// `$LIB` expands to every value that it has on some distribution. Entries with unknown variables are left out. So are
/// relative entries: they would depend on the working directory.
pub(super) fn expand(list: &[u8], origin: &[u8], rootfs: &Rootfs) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    for entry in list.split(|byte| *byte == b':').take(MOST) {
        let origin = [b"/", origin].concat();
        let entry = replace(&replace(entry, b"${ORIGIN}", &origin), b"$ORIGIN", &origin);
        let entry = replace(&entry, b"${LIB}", b"$LIB");
        let expanded: Vec<Vec<u8>> = match contains(&entry, b"$LIB") {
            true => library_names(rootfs)
                .iter()
                .map(|name| replace(&entry, b"$LIB", name))
                .collect(),
            false => vec![entry],
        };
        let usable = |entry: &Vec<u8>| entry.starts_with(b"/") && !entry.contains(&b'$');
        directories.extend(
            expanded
                .into_iter()
                .filter(usable)
                .map(|it| path::clean(&it)),
        );
    }
    directories.truncate(MOST);
    directories
}

/// The possible values of `$LIB`.
fn library_names(rootfs: &Rootfs) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = default_directories(rootfs)
        .into_iter()
        .filter(|directory| directory.starts_with(b"lib"))
        .collect();
    // The multiarch directory may exist only under `usr`.
    names.extend(default_directories(rootfs).iter().filter_map(|directory| {
        let name = directory.strip_prefix(b"usr/")?;
        name.contains(&b'/').then(|| name.to_vec())
    }));
    names
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn replace(text: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.windows(part.len()).position(|window| window == part) {
        result.extend_from_slice(&rest[..place]);
        result.extend_from_slice(by);
        rest = &rest[place + part.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// The entries of a directory, sorted by name. Empty if it is not a directory.
pub(super) fn entries<'a>(
    rootfs: &'a Rootfs,
    directory: &[u8],
) -> impl Iterator<Item = (&'a [u8], NodeId)> {
    let children = rootfs.follow(directory).map(|node| rootfs.children(node));
    let children = children.unwrap_or_default().into_iter();
    children.map(|node| (rootfs.name(node), node))
}

/// Reads `ld.so.conf` as ldconfig does (`elf/ldconfig.c`, `parse_conf`).
struct Configuration<'a> {
    rootfs: &'a Rootfs,
    text: Text<'a>,
    unread: &'a mut BTreeSet<InodeId>,
    seen: BTreeSet<InodeId>,
    directories: Vec<Vec<u8>>,
    /// Number of names that may still be compared with patterns.
    budget: usize,
}

/// Number of names that are compared with the patterns of one image. Real configuration files have one or two patterns.
const MOST_NAMES: usize = 1_000_000;

/// Maximum length of a file name in bytes (NAME_MAX in linux/limits.h). A longer pattern is not from a real
/// configuration.
const LONGEST_NAME: usize = 255;

impl Configuration<'_> {
    /// Reads a file and the files that it includes, each once.
    fn read(&mut self, file: &[u8]) {
        let Some(inode) = self.rootfs.file_at(file) else {
            return;
        };
        if self.seen.len() >= MOST || !self.seen.insert(inode) {
            return;
        }
        let Some(text) = (self.text)(inode) else {
            self.unread.insert(inode);
            return;
        };
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let line = line.trim_ascii();
            let patterns = line
                .strip_prefix(b"include")
                .filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
            if let Some(patterns) = patterns {
                self.include(path::parent(file), patterns);
            } else if line.starts_with(b"/") && self.directories.len() < MOST {
                // Very old configurations may add a type after `=`.
                let directory = line.split(|byte| *byte == b'=').next().unwrap_or(line);
                self.directories.push(path::clean(directory));
            }
        }
    }

    fn include(&mut self, directory: &[u8], patterns: &[u8]) {
        let patterns = patterns
            .split(u8::is_ascii_whitespace)
            .filter(|pattern| !pattern.is_empty());
        for pattern in patterns {
            let pattern = match pattern.starts_with(b"/") {
                true => pattern.to_vec(),
                false => path::join(directory, pattern),
            };
            for file in self.matching(&pattern) {
                self.read(&file);
            }
        }
    }

    /// The paths that match a pattern (glob(7)). Patterns match nothing after the budget of names is used up.
    fn matching(&mut self, pattern: &[u8]) -> Vec<Vec<u8>> {
        let mut found = vec![Vec::new()];
        for part in path::components(pattern) {
            let matcher = wildcard(part);
            let mut next = Vec::new();
            for directory in &found {
                match &matcher {
                    None => next.push(path::join(directory, part)),
                    Some(matcher) => {
                        let names = entries(self.rootfs, directory).take(self.budget);
                        for (name, _) in names {
                            self.budget -= 1;
                            if !name.starts_with(b".") && is_match(matcher, name) {
                                next.push(path::join(directory, name));
                            }
                        }
                    }
                }
            }
            next.truncate(MOST);
            found = next;
        }
        found
    }
}

/// A matcher for a path component with wildcards. Long components have none, because globset panics if its regular
/// expression becomes too large.
fn wildcard(part: &[u8]) -> Option<GlobMatcher> {
    if !part.iter().any(|byte| b"*?[".contains(byte)) || part.len() > LONGEST_NAME {
        return None;
    }
    let text = std::str::from_utf8(part).ok()?;
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

fn is_match(matcher: &GlobMatcher, name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| matcher.is_match(name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::samples::{file, merged, symlink};
    use super::*;
    use crate::tar::Member;

    fn strings(paths: &[Vec<u8>]) -> Vec<&str> {
        paths
            .iter()
            .map(|path| std::str::from_utf8(path).unwrap())
            .collect()
    }

    /// The directories to search with these configuration files, without glibc's default directories.
    fn configured(texts: &[(&str, &str)], others: Vec<Member>) -> Vec<String> {
        let mut members: Vec<Member> = texts.iter().map(|(path, _)| file(path)).collect();
        members.extend(others);
        let rootfs = merged(&members);
        let held: HashMap<InodeId, Vec<u8>> = texts
            .iter()
            .map(|(path, text)| {
                let inode = rootfs.file_at(path.as_bytes()).unwrap();
                (inode, text.as_bytes().to_vec())
            })
            .collect();
        let mut unread = BTreeSet::new();
        let text = |inode: InodeId| held.get(&inode).cloned();
        let found = system_directories(&rootfs, &Loader::Glibc, &text, &mut unread);
        assert!(unread.is_empty());
        let own = default_directories(&rootfs).len();
        strings(&found[..found.len() - own])
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn patterns_of_any_length_and_number_are_read_quickly() {
        let long = format!("include /etc/{}\n/opt/a\n", "*a".repeat(240_000));
        assert_eq!(configured(&[("etc/ld.so.conf", &long)], vec![]), ["opt/a"]);
        let many = format!("{}/opt/a\n", "include /d/*/*/*.conf\n".repeat(20_000));
        let files: Vec<String> = (0..1000).map(|n| format!("d/{}/{n}/x", n % 10)).collect();
        let files = files.iter().map(|path| file(path)).collect();
        assert_eq!(configured(&[("etc/ld.so.conf", &many)], files), ["opt/a"]);
    }

    #[test]
    fn configuration_includes_by_patterns_in_order() {
        let found = configured(
            &[
                (
                    "etc/ld.so.conf",
                    "# first\n/opt/a  # why\n\tinclude ld.so.conf.d/*.conf /etc/other\ninclude none/*\n/opt/z/=libc6\n",
                ),
                ("etc/ld.so.conf.d/b.conf", "/opt/b\nrelative\nhwcap 0 x\n"),
                ("etc/ld.so.conf.d/a.conf", "/opt/../opt/c"),
                ("etc/ld.so.conf.d/.hidden.conf", "/no"),
                ("etc/ld.so.conf.d/readme", "/no"),
                ("etc/other", "/opt/d"),
            ],
            vec![],
        );
        assert_eq!(found, ["opt/a", "opt/c", "opt/b", "opt/d", "opt/z"]);
    }

    #[test]
    fn configuration_that_includes_itself_ends() {
        let found = configured(
            &[
                ("etc/ld.so.conf", "include ld.so.conf.d/*\n/a\n"),
                ("etc/ld.so.conf.d/x", "include ../*.conf\ninclude *\n/b\n"),
            ],
            vec![symlink("etc/ld.so.conf.d/y", "x")],
        );
        assert_eq!(found, ["b", "a"]);
    }

    #[test]
    fn what_is_unread_is_asked_for() {
        let rootfs = merged(&[file("etc/ld.so.conf"), file("etc/ld-musl-x86_64.path")]);
        for loader in [Loader::Glibc, Loader::Musl(b"x86_64".to_vec())] {
            let mut unread = BTreeSet::new();
            system_directories(&rootfs, &loader, &|_| None, &mut unread);
            assert_eq!(unread.len(), 1);
        }
        assert_eq!(likely_configuration(&rootfs).len(), 2);
    }

    #[test]
    fn musl_has_its_own_list() {
        let loader = Loader::of(b"/lib/ld-musl-x86_64.so.1");
        assert_eq!(loader, Loader::Musl(b"x86_64".to_vec()));
        let find = |members: &[Member], text: &'static [u8]| {
            let mut unread = BTreeSet::new();
            let rootfs = merged(members);
            system_directories(&rootfs, &loader, &|_| Some(text.to_vec()), &mut unread)
        };
        let found = find(&[], b"");
        assert_eq!(strings(&found), ["lib", "usr/local/lib", "usr/lib"]);
        let found = find(&[file("etc/ld-musl-x86_64.path")], b"/a:/b\n/c\nd\n");
        assert_eq!(strings(&found), ["a", "b", "c"]);
        for name in ["libc.so", "libc.musl-x86_64.so.1", "libpthread.so.0"] {
            assert!(loader.is_itself(name.as_bytes()), "{name}");
            assert!(!Loader::Glibc.is_itself(name.as_bytes()));
        }
        for name in ["libcrypt.so", "libpython3.so", "libc", "c.so"] {
            assert!(!loader.is_itself(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn search_paths_of_files_are_expanded() {
        let rootfs = merged(&[file("usr/lib/x86_64-linux-gnu/libc.so.6")]);
        let found = |list: &str| expand(list.as_bytes(), b"opt/x/bin", &rootfs);
        assert_eq!(
            strings(&found(
                "$ORIGIN/../lib:${ORIGIN}:/a/./b:relative::$PLATFORM/x:/y$ORIGIN"
            )),
            ["opt/x/lib", "opt/x/bin", "a/b", "y/opt/x/bin"]
        );
        assert_eq!(
            strings(&found("/usr/$LIB/p:${LIB}")),
            [
                "usr/lib64/p",
                "usr/lib/p",
                "usr/lib32/p",
                "usr/lib/x86_64-linux-gnu/p"
            ]
        );
        assert_eq!(found(&"/a:".repeat(10_000)).len(), MOST);
    }

    #[test]
    fn the_default_directories_include_those_of_multiarch() {
        let rootfs = merged(&[
            symlink("lib", "usr/lib"),
            file("usr/lib/x86_64-linux-gnu/libc.so.6"),
            file("usr/lib/python3.11/os.py"),
        ]);
        let found = default_directories(&rootfs);
        assert_eq!(
            strings(&found)[..3],
            ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64"]
        );
    }
}
