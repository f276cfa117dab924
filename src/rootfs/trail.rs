//! The way that a path takes through the merged view.

use super::path;
use super::tree::{Content, MOST_SYMLINKS, NodeId, ROOT, Rootfs, push_parts};

/// Paths that a pattern is expanded to at most.
const MOST_MATCHES: usize = 10_000;

impl Rootfs {
    /// Every node on the way to where a path leads, that last, as the kernel walks it: symlinks are followed
    /// in all parts, and `..` is the directory above wherever the parts before it led. None where it leads nowhere.
    pub fn trail(&self, path: &[u8]) -> Option<Vec<NodeId>> {
        let mut pending = Vec::new();
        push_parts(&mut pending, path);
        let mut trail = vec![ROOT];
        self.walk_parts(pending, true, &mut |node| trail.push(node))?;
        Some(trail)
    }

    /// Walks parts, the next one last, and tells of every node: those on the way, and where they lead.
    pub(super) fn walk_parts(
        &self,
        mut pending: Vec<Vec<u8>>,
        follow_last: bool,
        visit: &mut dyn FnMut(NodeId),
    ) -> Option<NodeId> {
        let mut current = ROOT;
        let mut followed = 0;
        while let Some(part) = pending.pop() {
            if part == b".." {
                // Only a directory has one.
                self.is_directory(current).then_some(())?;
                current = self.node(current).parent.unwrap_or(ROOT);
                continue;
            }
            let child = self.child(current, &part)?;
            visit(child);
            let target = self
                .symlink(child)
                .filter(|_| follow_last || !pending.is_empty());
            let Some(target) = target else {
                current = child;
                continue;
            };
            followed += 1;
            if followed > MOST_SYMLINKS {
                return None;
            }
            if target.starts_with(b"/") {
                current = ROOT;
            }
            push_parts(&mut pending, target);
        }
        visit(current);
        Some(current)
    }

    fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.node(node).content, Content::Directory(_))
    }

    /// The paths that a shell would put in the place of a pattern with `*`, `?` and `[…]`; a path without
    /// is itself. A bracket is taken for any one character.
    pub fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        if !has_wildcard(pattern) {
            return vec![pattern.to_vec()];
        }
        let mut found = vec![Vec::new()];
        for part in pattern
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
        {
            let expanded = found
                .iter()
                .flat_map(|directory| self.step(directory, part));
            found = expanded.take(MOST_MATCHES).collect();
        }
        // Outside of a shell, it is a name like any other.
        if self.trail(pattern).is_some() {
            found.push(pattern.to_vec());
        }
        found
    }

    fn step(&self, directory: &[u8], part: &[u8]) -> Vec<Vec<u8>> {
        if !has_wildcard(part) {
            return vec![path::join(directory, part)];
        }
        let children =
            self.trail(directory)
                .and_then(|trail| match &self.node(*trail.last()?).content {
                    Content::Directory(children) => Some(children),
                    Content::Leaf(_) => None,
                });
        let names = children.into_iter().flat_map(|children| children.keys());
        let matching = names.filter(|name| is_match(part, name));
        matching.map(|name| path::join(directory, name)).collect()
    }
}

fn has_wildcard(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"*?[".contains(byte))
}

/// Whether a name fits a pattern. Each `*` takes as little as it can, and more once the rest does not fit.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        let next = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, place));
                at += 1;
                continue;
            }
            Some(b'?') => Some(at + 1),
            Some(b'[') => {
                let end = pattern[at..].iter().position(|byte| *byte == b']');
                Some(end.map_or(at + 1, |end| at + end + 1))
            }
            Some(byte) if *byte == name[place] => Some(at + 1),
            _ => None,
        };
        match (next, star) {
            (Some(next), _) => (at, place) = (next, place + 1),
            (None, Some((after, taken))) => {
                star = Some((after, taken + 1));
                (at, place) = (after, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_as_a_shell_has_it() {
        for (pattern, name, expected) in [
            ("*.pyc", "bot.cpython-311.pyc", true),
            ("bot.*.pyc", "bot.cpython-311.pyc", true),
            ("bot.*", "bots.pyc", false),
            ("b?t", "bot", true),
            ("b?t", "bt", false),
            ("b[aeo]t", "bot", true),
            ("*a*b", "xaxab", true),
            ("*a*b", "xaxac", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            let found = is_match(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }
}
