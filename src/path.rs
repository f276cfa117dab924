//! Member paths as bytes: their parts, and what whiteout names mean (image-spec layer.md, "Whiteouts").

/// Prefix of a whiteout's file name.
const WHITEOUT: &[u8] = b".wh.";
/// Prefix of names that AUFS reserves for itself.
const AUFS: &[u8] = b".wh..wh.";
/// File name of an opaque whiteout.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The kind of a member, which its file name determines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind<'a> {
    /// A file of the image.
    Plain,
    /// Deletes the sibling with this name from the layers below.
    Whiteout(&'a [u8]),
    /// Deletes everything that the layers below have in the marker's directory.
    Opaque,
    /// AUFS bookkeeping (`.wh..wh.plnk` and so on): neither a file nor a whiteout.
    Aufs,
    /// Exactly `.wh.`: a whiteout that names no sibling.
    Invalid,
}

/// Classifies a file name, the last part of a path.
pub fn name_kind(name: &[u8]) -> NameKind<'_> {
    match name.strip_prefix(WHITEOUT) {
        None => NameKind::Plain,
        Some(_) if name == OPAQUE => NameKind::Opaque,
        Some(_) if name.starts_with(AUFS) => NameKind::Aufs,
        Some(b"") => NameKind::Invalid,
        Some(target) => NameKind::Whiteout(target),
    }
}

/// Splits a path as extraction below a root directory sees it. Empty and `.` parts are dropped, and `..` never goes
/// above the root. Absolute names are legal and lie below the root.
pub fn components(raw: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Normalizes a path to the form that pycull prints and compares: no leading slash, no `.` or `..`.
pub fn clean(raw: &[u8]) -> Vec<u8> {
    components(raw).join(&b'/')
}

/// The part after the last slash of a clean path.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The part before the last slash of a clean path; empty for a name at the root.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(&[], |slash| &path[..slash])
}

/// A clean path and its parents up to the root, which is empty.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| parent(path)))
}

/// `directory/name`, or the name alone at the root.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, name].join(&b'/')
    }
}

/// Whether `path` is `directory` or lies below it. Both are clean paths.
pub fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Formats a path for reports. A UTF-8 path stays as it is. In other paths, `%` and all bytes outside ASCII are
/// percent-encoded.
pub fn text(path: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(path) {
        return text.to_owned();
    }
    path.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'%' | 0x80.. => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(*byte)),
        }
        text
    })
}

/// Shows the root, which is an empty path, as `/`.
pub fn or_root(path: &str) -> &str {
    match path {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(name_kind(b"a.wh."), NameKind::Plain);
        assert_eq!(name_kind(b".wh.a"), NameKind::Whiteout(b"a"));
        assert_eq!(name_kind(b".wh..wh..opq"), NameKind::Opaque);
        assert_eq!(name_kind(b".wh..wh.plnk"), NameKind::Aufs);
        assert_eq!(name_kind(b".wh."), NameKind::Invalid);
        // A whiteout of a file whose name begins with a dot.
        assert_eq!(name_kind(b".wh..profile"), NameKind::Whiteout(b".profile"));
    }

    #[test]
    fn ancestors_go_up_to_the_root() {
        let all: Vec<&[u8]> = ancestors(b"usr/lib/x").collect();
        assert_eq!(all, [&b"usr/lib/x"[..], b"usr/lib", b"usr", b""]);
        assert_eq!(ancestors(b"").count(), 1);
    }

    #[test]
    fn names_are_cleaned_below_the_root() {
        for (raw, expected) in [
            (&b"./usr//lib/./x"[..], &b"usr/lib/x"[..]),
            (b"/usr/lib/", b"usr/lib"),
            (b"../../etc/../etc/passwd", b"etc/passwd"),
            (b"./", b""),
            (b" a ", b" a "),
        ] {
            assert_eq!(clean(raw), expected);
        }
    }

    #[test]
    fn below_means_a_whole_part() {
        assert!(
            is_at_or_below(b"a/b", b"a") && is_at_or_below(b"a", b"a") && is_at_or_below(b"a", b"")
        );
        assert!(!is_at_or_below(b"ab", b"a"));
    }

    #[test]
    fn paths_are_encoded_only_where_they_are_not_utf8() {
        assert_eq!(text("usr/100%/é".as_bytes()), "usr/100%/é");
        assert_eq!(text(b"usr/100%/\xff"), "usr/100%25/%FF");
    }
}
