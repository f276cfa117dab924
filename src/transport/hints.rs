//! What the user can do about an error of a reference or a path.

use std::ffi::OsStr;
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
        "podman" => Engine::Podman.transport(),
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
    let rest = match Engine::from_transport(meant) {
        Some(_) => rest.trim_start_matches('/'),
        None => rest.strip_prefix("//").unwrap_or(rest),
    };
    let reference = format!("{meant}:{rest}");
    (reference != text && !rest.is_empty()).then_some(reference)
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
        None => match reference.split_once(':') {
            Some(("http" | "https", _)) => {
                "for an image in a registry, write `docker://HOST/NAME:TAG`".to_owned()
            }
            Some(("file", path)) => format!("write the path alone: `{}`", path_alone(path)),
            _ => format!("copy the image first: `skopeo copy {text} oci:DIR:TAG`"),
        },
    }
}

/// The path in a `file:` URL: `//HOST/PATH` with an empty host or this machine, `/PATH`, or `PATH`.
fn path_alone(rest: &str) -> String {
    let path = rest
        .strip_prefix("//localhost/")
        .map(|path| format!("/{path}"));
    quoted(&path.unwrap_or_else(|| rest.strip_prefix("//").unwrap_or(rest).to_owned()))
}

pub(super) fn did_you_mean(reference: &str) -> String {
    format!("did you mean `{}`?", quoted(reference))
}

/// What to do about an output in a directory that does not exist.
pub(super) fn of_missing_directory(directory: &Path) -> Option<String> {
    let directory = quoted(directory.to_str()?);
    Some(format!("create it first: `mkdir -p {directory}`"))
}

/// Whether a bare path at which nothing exists is surely meant as the name of an image. It has a tag or digest and no
/// directory, or it begins with a host and has a tag or no directory to be in.
pub(super) fn is_name_and_no_path(path: &Path) -> bool {
    let Some(text) = path.to_str().filter(|text| may_be_name(text)) else {
        return false;
    };
    let has_version = |part: &str| part.contains([':', '@']);
    match text.rsplit_once('/') {
        None => has_version(text),
        Some((directory, last)) => {
            has_host(text) && (has_version(last) || !Path::new(directory).is_dir())
        }
    }
}

/// What to do about an output that is the name of an image.
pub(super) fn of_name_as_output(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    path_with_tag(text).or_else(|| {
        let text = quoted(text);
        Some(format!(
            "for a registry, use `docker://{text}`, for podman's store `containers-storage:{text}`, for a file `./{text}`"
        ))
    })
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
            let is_input = matches!(action, "open" | "read");
            let meant = || did_you_mean_one_of(&near_names(path));
            path_with_tag(text)
                .or_else(|| meant().filter(|_| is_input))
                .or_else(|| name_of_image(text))
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
    may_be_name(text).then(|| {
        let text = quoted(text);
        format!(
            "pycull reads a name without a transport as a path; for a registry, use `docker://{text}`, for podman's store `containers-storage:{text}`"
        )
    })
}

/// Extensions of files. The name of an image could end with them too, but rarely does.
const FILE_EXTENSIONS: [&str; 9] = ["tar", "gz", "tgz", "zst", "tzst", "xz", "bz2", "oci", "zip"];

/// Whether a text has the form of an image's name, and not that of a path.
fn may_be_name(text: &str) -> bool {
    let extension = Path::new(text).extension();
    let is_file = extension.is_some_and(|it| FILE_EXTENSIONS.iter().any(|end| it == *end));
    !is_file && is_name(text)
}

/// Most entries of a directory to compare with a name.
const MOST_ENTRIES: usize = 10_000;

/// The paths beside a path that does not exist whose names resemble its name, the nearest first.
pub(super) fn near_names(path: &Path) -> Vec<String> {
    let (Some(name), Some(directory)) = (path.file_name().and_then(OsStr::to_str), path.parent())
    else {
        return Vec::new();
    };
    let place = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let entries = place.read_dir().into_iter().flatten().flatten();
    let names = entries.take(MOST_ENTRIES);
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut near: Vec<(usize, String)> = names
        .map(|other| (strsim::damerau_levenshtein(name, &other), other))
        .filter(|(distance, _)| distance * 3 <= name.chars().count())
        .collect();
    near.sort();
    near.truncate(MOST_NEAR);
    let paths = near.into_iter().map(|(_, name)| directory.join(name));
    paths.map(|path| path.display().to_string()).collect()
}

/// Number of near names to offer.
const MOST_NEAR: usize = 3;

/// What to do about an image that does not exist in a file or directory. `references` lead to near names.
pub(super) fn did_you_mean_one_of(references: &[String]) -> Option<String> {
    let quoted: Vec<String> = references
        .iter()
        .map(|it| format!("`{}`", quoted(it)))
        .collect();
    let (last, others) = quoted.split_last()?;
    Some(match others {
        [] => format!("did you mean {last}?"),
        others => format!("did you mean {} or {last}?", others.join(", ")),
    })
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
            ("containers-storage://x", "containers-storage:x"),
            (
                "containers-storage:///q.io/x:1",
                "containers-storage:q.io/x:1",
            ),
            ("docker-daemon://x:1", "docker-daemon:x:1"),
            ("podman:x", "containers-storage:x"),
            ("podman://q.io/x", "containers-storage:q.io/x"),
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
            "container-stor:x",
        ] {
            assert_eq!(mistyped(text), None, "{text}");
            assert!(text.parse::<Reference>().is_ok(), "{text}");
        }
        for text in [
            "ftp://a/b",
            "https://Host/App?x",
            "docker://",
            "dokcer://",
            "doc:/x",
            "oci-archive:x",
            "oci_archive:",
        ] {
            assert_eq!(mistyped(text), None, "{text}");
        }
    }

    #[test]
    fn an_output_in_a_directory_that_does_not_exist_is_told_how_to_make_it() {
        let hint = |text: &str| {
            let source = io::ErrorKind::NotFound.into();
            let error = TransportError::io("write to directory", Path::new("x"))(source);
            error.of_output(Path::new(text)).hint().unwrap()
        };
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
            ("~/missing", false),
            (".missing", false),
            ("missing/", false),
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
    fn an_output_that_is_surely_a_name_is_no_path() {
        for (text, expected) in [
            ("app:v1-small", true),
            ("q.io/x/y:z", true),
            ("localhost:5000/app:v1", true),
            ("localhost/app", true),
            ("./app:v1", false),
            ("/tmp/app:v1", false),
            ("out.tar", false),
            ("out:v1.tar", false),
            ("a.io/out.tar.gz", false),
            ("dir/", false),
            ("dir", false),
            ("a/b:v1", false),
            ("App:v1", false),
        ] {
            assert_eq!(is_name_and_no_path(Path::new(text)), expected, "{text}");
        }
    }

    #[test]
    fn names_that_resemble_a_missing_one_are_offered() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        for name in ["layout", "layuot1", "other"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let near = near_names(Path::new(&path("layuot")));
        assert_eq!(near, [path("layout"), path("layuot1")]);
        let hint = did_you_mean_one_of(&near).unwrap();
        assert_eq!(
            hint,
            format!(
                "did you mean `{}` or `{}`?",
                path("layout"),
                path("layuot1")
            )
        );
        assert_eq!(did_you_mean_one_of(&near_names(Path::new("/none/x"))), None);
    }

    #[test]
    fn only_http_is_an_address_in_a_registry() {
        for (reference, expected) in [
            ("https://Host/App?x", "docker://"),
            ("httpd-archive://x", "skopeo copy"),
            ("file:///a/b.tar", "write the path alone: `/a/b.tar`"),
            ("file://localhost/a b", "write the path alone: `'/a b'`"),
            ("file:/a", "write the path alone: `/a`"),
            ("file:a.tar", "write the path alone: `a.tar`"),
        ] {
            let hint = of_unsupported(reference);
            assert!(hint.contains(expected), "{hint}");
        }
    }

    #[test]
    fn a_mistyped_transport_without_slashes_may_also_be_a_file() {
        assert_eq!(of_unsupported("dokcer://x"), "did you mean `docker://x`?");
        assert_eq!(
            of_unsupported("docker-deamon:x:1"),
            "did you mean `docker-daemon:x:1`, or the file `./docker-deamon:x:1`?"
        );
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
        let full = hint("write", "a.tar", io::ErrorKind::StorageFull).unwrap();
        assert_eq!(full, "free some disk space, or write to another disk");
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
