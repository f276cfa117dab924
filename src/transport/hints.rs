//! What the user can do about an error of a reference or a path.

use std::io;
use std::path::Path;

use crate::quoting::quoted;
use crate::registry::{has_host, is_name};

use super::transports::{Engine, REGISTRY, Transport};

/// The transports that a mistyped name may stand for. The names `oci` and `dir` are left out, because they resemble too
/// many names of images.
const NEAR: [&str; 5] = [
    Transport::OciArchive.name(),
    Transport::DockerArchive.name(),
    Engine::Podman.transport(),
    Engine::Docker.transport(),
    REGISTRY,
];

/// The reference that was probably meant, if the transport is mistyped.
pub(super) fn mistyped(text: &str) -> Option<String> {
    let (name, rest) = text.split_once(':')?;
    if name.contains('/') {
        return None;
    }
    let meant = match name {
        "http" | "https" => REGISTRY,
        _ => nearest_transport(name)?,
    };
    if meant == REGISTRY {
        // A word such as `locker:v1` is more likely the name of an image.
        let has_slash = rest.starts_with('/') || name == REGISTRY;
        let image = rest.trim_matches('/');
        let is_meant = has_slash && is_name(image);
        let reference = format!("{REGISTRY}://{image}");
        return (is_meant && reference != text).then_some(reference);
    }
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    (name != meant && !rest.is_empty()).then(|| format!("{meant}:{rest}"))
}

/// The transport whose name is most similar, if it is similar enough.
fn nearest_transport(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let distances = NEAR.map(|known| (strsim::damerau_levenshtein(&name, known), known));
    let (distance, nearest) = distances.into_iter().min()?;
    (distance <= 3 && distance * 3 <= nearest.len()).then_some(nearest)
}

/// What to do about a transport that pycull does not have.
pub(super) fn of_unsupported(reference: &str) -> String {
    let text = quoted(reference);
    match mistyped(reference) {
        Some(meant) if reference.contains("://") => did_you_mean(&meant),
        Some(meant) => {
            let meant = quoted(&meant);
            format!("did you mean `{meant}`, or the file `./{text}`?")
        }
        None if matches!(reference.split_once(':'), Some(("http" | "https", _))) => {
            "for an image in a registry, write `docker://HOST/NAME:TAG`".to_owned()
        }
        None => format!("copy the image first: `skopeo copy {text} oci:DIR:TAG`"),
    }
}

pub(super) fn did_you_mean(reference: &str) -> String {
    format!("did you mean `{}`?", quoted(reference))
}

/// What to do about an output in a directory that does not exist.
pub(super) fn of_missing_directory(path: &Path, directory: &Path) -> Option<String> {
    let text = path.to_str()?;
    if has_host(text) && !text.starts_with('.') && is_name(text) {
        return Some(format!(
            "pycull reads a name without a transport as a path; for a registry, use `docker://{text}`"
        ));
    }
    let directory = quoted(directory.to_str()?);
    Some(format!("create it first: `mkdir -p {directory}`"))
}

/// How to unpack an archive that pycull does not unpack, with a command that writes to a free name.
pub(super) fn unpacking(path: &Path, tool: &str) -> String {
    if path == Path::new("-") {
        return format!("put `{tool} -dc |` before `pycull`");
    }
    let text = path.display().to_string();
    let plain = match text.rsplit_once('.') {
        Some((name, "gz" | "zst" | "xz" | "bz2" | "lz4")) if !Path::new(name).exists() => {
            name.to_owned()
        }
        _ => format!("{text}.unpacked"),
    };
    let (packed, plain) = (quoted(&text), quoted(&plain));
    format!("unpack it first: `{tool} -dc {packed} > {plain}`")
}

/// What to do about an I/O error on a path.
pub(super) fn of_io(action: &str, path: &Path, kind: io::ErrorKind) -> Option<String> {
    match kind {
        io::ErrorKind::NotFound => {
            let text = path.to_str()?;
            path_with_tag(text).or_else(|| name_of_image(text))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let hint = match action {
                "open" | "read" => "run pycull as a user who may read the file",
                _ => "choose a directory that you may write to",
            };
            Some(hint.to_owned()).filter(|_| path != Path::new("-"))
        }
        io::ErrorKind::StorageFull => {
            Some("free some disk space, or write to another disk".to_owned())
        }
        _ => None,
    }
}

fn path_with_tag(text: &str) -> Option<String> {
    let (file, tag) = text.rsplit_once(':')?;
    let transport = match Path::new(file).metadata().ok()?.is_dir() {
        true => "oci",
        false => "oci-archive",
    };
    Some(format!(
        "a bare path takes no tag; did you mean `{transport}:{file}:{tag}`?"
    ))
}

/// A text that could be the name of an image and is not the name of a file.
fn name_of_image(text: &str) -> Option<String> {
    let is_path = text.starts_with(['.', '/', '~']) || text.ends_with('/');
    let extension = Path::new(text).extension();
    let is_file = extension.is_some_and(|it| {
        ["tar", "gz", "tgz", "zst", "oci"]
            .iter()
            .any(|end| it == *end)
    });
    if is_path || is_file || !is_name(text) {
        return None;
    }
    let text = quoted(text);
    Some(format!(
        "pycull reads a name without a transport as a path; for a registry, use `docker://{text}`, for podman's store `containers-storage:{text}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::error::TransportError;
    use super::super::reference::Reference;
    use super::*;

    #[test]
    fn a_mistyped_transport_is_told_with_the_one_that_was_meant() {
        for (text, meant) in [
            ("dokcer://x", "docker://x"),
            ("docker:/x", "docker://x"),
            ("docker:app:v1", "docker://app:v1"),
            ("Docker://x", "docker://x"),
            ("http://host:5000/app", "docker://host:5000/app"),
            ("https://ghcr.io/me/app:v1/", "docker://ghcr.io/me/app:v1"),
            ("container-storage:x", "containers-storage:x"),
            ("containers-storge://x", "containers-storage:x"),
            ("docker-deamon:x:1", "docker-daemon:x:1"),
            ("oci_archive:a.tar", "oci-archive:a.tar"),
            ("dockerarchive:a.tar:b", "docker-archive:a.tar:b"),
        ] {
            assert_eq!(mistyped(text).as_deref(), Some(meant), "{text}");
            let error = text.parse::<Reference>().unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.contains(&format!("`{meant}`")), "{hint}");
            assert!(meant.parse::<Reference>().is_ok(), "{meant}");
        }
        for text in [
            "app:v1",
            "locker:v1",
            "docker-app:v1",
            "ocis:v1",
            "./dokcer://x",
            "./docker-deamon:x",
            "./oci-archive:x",
            "localhost:5000/app",
        ] {
            assert_eq!(mistyped(text), None, "{text}");
            assert!(text.parse::<Reference>().is_ok(), "{text}");
        }
        for text in ["ftp://a/b", "https://Host/App?x", "docker://", "dokcer://"] {
            assert_eq!(mistyped(text), None, "{text}");
        }
    }

    #[test]
    fn an_output_in_a_directory_that_does_not_exist_may_be_meant_for_a_registry() {
        let hint = |text: &str| {
            let source = io::ErrorKind::NotFound.into();
            let error = TransportError::io("write to directory", Path::new("x"))(source);
            error.of_output(Path::new(text)).hint().unwrap()
        };
        for name in ["localhost:5000/app:v1", "ghcr.io/me/app", "localhost/app"] {
            assert!(hint(name).contains(&format!("`docker://{name}`")));
        }
        assert_eq!(hint("no/way/app"), "create it first: `mkdir -p no/way`");
        assert_eq!(hint("/no/a b/app"), "create it first: `mkdir -p '/no/a b'`");
        assert_eq!(hint("../no/app"), "create it first: `mkdir -p ../no`");
    }

    #[test]
    fn a_bare_path_with_a_tag_is_told_how_to_say_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image:latest");
        std::fs::create_dir(directory.path().join("image")).unwrap();
        let error = TransportError::io("open", &path)(io::ErrorKind::NotFound.into());
        let hint = error.hint().unwrap();
        assert!(hint.contains("oci:"), "{hint}");
        assert!(hint.contains("image:latest"), "{hint}");
    }

    #[test]
    fn a_bare_name_of_an_image_is_told_how_to_say_it() {
        for (name, is_hinted) in [
            ("python:3.12", true),
            ("localhost/app", true),
            ("ghcr.io/x/y", true),
            ("missing.tar", false),
            ("./missing", false),
            ("/a/b", false),
            ("Not/A name", false),
        ] {
            let error = TransportError::io("open", Path::new(name))(io::ErrorKind::NotFound.into());
            let hint = error.hint();
            assert_eq!(hint.is_some(), is_hinted, "{name}: {hint:?}");
            if let Some(hint) = hint {
                assert!(hint.contains(&format!("`docker://{name}`")), "{hint}");
                assert!(
                    hint.contains(&format!("`containers-storage:{name}`")),
                    "{hint}"
                );
            }
        }
    }

    #[test]
    fn only_http_is_an_address_in_a_registry() {
        for (reference, expected) in [
            ("https://Host/App?x", "docker://"),
            ("httpd-archive://x", "skopeo copy"),
        ] {
            let hint = of_unsupported(reference);
            assert!(hint.contains(expected), "{hint}");
        }
    }

    #[test]
    fn what_is_forbidden_or_full_is_told_by_what_was_done() {
        let hint = |action, path: &str, kind| of_io(action, Path::new(path), kind);
        let forbidden = io::ErrorKind::PermissionDenied;
        for (action, expected) in [
            ("open", "may read the file"),
            ("read", "may read the file"),
            ("write", "directory that you may write to"),
            ("create", "directory that you may write to"),
        ] {
            let hint = hint(action, "a.tar", forbidden).unwrap();
            assert!(hint.contains(expected), "{action}: {hint}");
        }
        assert_eq!(hint("read", "-", forbidden), None);
    }

    #[test]
    fn an_archive_is_unpacked_under_a_name_that_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let packed = directory.path().join("a.tar.gz");
        let plain = packed.with_extension("");
        let becomes = |name: &Path| format!(" > {}`", quoted(&name.display().to_string()));
        let hint = unpacking(&packed, "gzip");
        assert!(hint.ends_with(&becomes(&plain)), "{hint}");
        let xz = packed.with_extension("xz");
        let hint = unpacking(&xz, "xz");
        assert!(hint.ends_with(&becomes(&plain)), "{hint}");
        std::fs::write(&plain, "").unwrap();
        let hint = unpacking(&packed, "gzip");
        assert!(
            hint.ends_with(&becomes(&directory.path().join("a.tar.gz.unpacked"))),
            "{hint}"
        );
    }
}
