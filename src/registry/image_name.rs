//! Names of images in registries, as people type them: `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` (the reference grammar
//! of the distribution project).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::oci::Digest;

/// Most characters of a repository. Registries refuse longer ones.
const LONGEST_REPOSITORY: usize = 255;

/// Most characters of a tag.
const LONGEST_TAG: usize = 128;

/// The host in names of images on Docker Hub.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// An older name of [`DOCKER_HUB`], which docker still accepts.
const OLD_DOCKER_HUB: &str = "index.docker.io";

/// The host that serves the images of [`DOCKER_HUB`].
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// The namespace of images on Docker Hub whose name has one part.
const OFFICIAL_NAMESPACE: &str = "library";

/// The name of an image in a registry. `Display` gives the full form, which parses to the same name everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The registry's host, with its port if the name has one.
    pub host: String,
    /// The path of the repository on the registry.
    pub repository: String,
    /// The tag, if the name has one.
    pub tag: Option<String>,
    /// The digest, if the name has one.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Parses a name. `resolve` turns a short name, which has no host, into a full name without a tag; see
    /// [`on_docker_hub`].
    ///
    /// The error can be that of a caller who also handles the errors of `resolve`.
    ///
    /// # Errors
    /// [`ImageNameError`] if the text does not follow the grammar. The error of `resolve` if that fails.
    pub(crate) fn parse<E, R>(
        text: &str,
        resolve: &dyn Fn(&str) -> Result<String, R>,
    ) -> Result<Self, E>
    where
        E: From<ImageNameError> + From<R>,
    {
        let parts = Parts::of(text).map_err(|fault| fault.of(text))?;
        let name = match has_host(parts.name) {
            true => parts.name.to_owned(),
            false => {
                check_short(parts.name).map_err(|fault| fault.of(text))?;
                resolve(parts.name)?
            }
        };
        let (host, repository) =
            host_and_repository(&name).map_err(|fault| match has_host(parts.name) {
                true => fault.of(text),
                false => fault.of(&name),
            })?;
        Ok(Self {
            host,
            repository,
            tag: parts.tag.map(str::to_owned),
            digest: parts.digest,
        })
    }

    /// The tag to ask the registry for if the name has no digest.
    pub(crate) fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The host to connect to. Docker Hub has another one than its images' names.
    pub(crate) fn api_host(&self) -> &str {
        match is_docker_hub(&self.host) {
            true => DOCKER_HUB_API,
            false => &self.host,
        }
    }

    /// The host and the repository, without the tag and the digest.
    pub(super) fn without_version(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The full name of a short name on Docker Hub, which docker assumes for every short name.
pub(super) fn on_docker_hub(short: &str) -> String {
    full_name(DOCKER_HUB, short)
}

/// The full name of a short name on a registry.
pub(crate) fn full_name(host: &str, short: &str) -> String {
    match [DOCKER_HUB, OLD_DOCKER_HUB].contains(&host) && !short.contains('/') {
        true => format!("{host}/{OFFICIAL_NAMESPACE}/{short}"),
        false => format!("{host}/{short}"),
    }
}

/// Whether the host is one of Docker Hub's.
pub(super) fn is_docker_hub(host: &str) -> bool {
    [DOCKER_HUB, OLD_DOCKER_HUB, DOCKER_HUB_API].contains(&host)
}

/// Whether a name starts with a host, as docker decides it: by a dot or a colon, or by `localhost`. All other first
/// parts are namespaces on a registry that the name leaves out.
pub(crate) fn has_host(name: &str) -> bool {
    let first = name.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}

/// Whether a name without a slash is surely a registry's host: this machine, or a name with a dot and a port of four
/// digits or more. `node.js:20` is an image on Docker Hub. docker would look for all of these there.
fn is_host_alone(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let is_local = name == "localhost" || name.parse::<Ipv4Addr>().is_ok();
    is_host(text) && (is_local || (name.contains('.') && port.len() >= 4))
}

/// Whether a name without a slash may be a registry's host: it has a dot, or a tag like a port.
pub(super) fn may_be_host(text: &str) -> bool {
    let port = text.split_once(':').map_or("", |(_, port)| port);
    is_host(text) && (text.contains('.') || port.len() >= 4)
}

/// What to do if a host was meant, and not an image.
pub(super) fn of_registry(host: &str) -> String {
    format!("if `{host}` is a registry, add the name of an image: `docker://{host}/NAME:TAG`")
}

/// Fails if a name is only a host.
pub(super) fn check_repository_follows(text: &str) -> Result<(), ImageNameError> {
    match is_host_alone(text) {
        true => Err(NameFault::NoRepository.of(text)),
        false => Ok(()),
    }
}

/// Splits a full name without tag and digest. Any first part is a host here.
pub(super) fn host_and_repository(name: &str) -> Result<(String, String), NameFault> {
    let (host, repository) = name.split_once('/').ok_or(NameFault::NoRepository)?;
    if !is_host(host) {
        let host = host.to_owned();
        return Err(NameFault::BadHost { host });
    }
    if repository.is_empty() {
        return Err(NameFault::NoRepository);
    }
    check_repository(repository)?;
    let host = match host {
        OLD_DOCKER_HUB => DOCKER_HUB,
        other => other,
    };
    let full = full_name(host, repository);
    let repository = full[host.len() + 1..].to_owned();
    match repository.len() > LONGEST_REPOSITORY {
        true => Err(NameFault::TooLong),
        false => Ok((host.to_owned(), repository)),
    }
}

/// What the grammar separates before it looks for a host.
struct Parts<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<Digest>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, NameFault> {
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let scheme = format!("{scheme}://");
            return Err(NameFault::Scheme { scheme });
        }
        let (text, digest) = match text.split_once('@') {
            Some((text, digest)) => (text, Some(parse_digest(digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(text)?;
        Ok(Self { name, tag, digest })
    }
}

/// A colon before the last slash belongs to a host's port. Without a slash there is no host, and it starts a tag.
fn split_tag(text: &str) -> Result<(&str, Option<&str>), NameFault> {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    if last == 0 && text.starts_with('[') {
        return Err(NameFault::NoRepository);
    }
    let Some((end, tag)) = text[last..].split_once(':') else {
        return Ok((text, None));
    };
    match is_tag(tag) {
        true => Ok((&text[..last + end.len()], Some(tag))),
        false => Err(NameFault::BadTag {
            tag: tag.to_owned(),
        }),
    }
}

/// Of digests, pycull can check those whose algorithm has a known length.
fn parse_digest(text: &str) -> Result<Digest, NameFault> {
    let digest: Option<Digest> = text.parse().ok();
    let known = digest.filter(|digest| digest.algorithm().digest_hexlen().is_some());
    known.ok_or_else(|| NameFault::BadDigest {
        digest: text.to_owned(),
    })
}

/// Whether a text has the form of a tag.
pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(is_word)
        && text.len() <= LONGEST_TAG
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

/// Checks a name without a host before it is resolved.
fn check_short(name: &str) -> Result<(), NameFault> {
    // docker uses the same text for the ID of an image, and refuses it as a name.
    if name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(NameFault::Id);
    }
    check_repository(name)
}

fn check_repository(path: &str) -> Result<(), NameFault> {
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(NameFault::Uppercase);
    }
    if !path.split('/').all(is_path_component) {
        let path = path.to_owned();
        return Err(NameFault::BadRepository { path });
    }
    match path.len() > LONGEST_REPOSITORY {
        true => Err(NameFault::TooLong),
        false => Ok(()),
    }
}

fn is_path_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    // Between two plain characters side by side there is an empty text, which consists of dashes too.
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_separator)
}

/// Whether the text is a host, with or without a port.
pub(super) fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let in_brackets = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_name = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_domain_component),
    };
    is_name && port.is_none_or(is_port)
}

fn is_domain_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text.chars().all(|c| is_plain(c) || c == '-')
}

/// A text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an image name: {fault}")]
pub struct ImageNameError {
    /// The text.
    name: String,
    /// What is wrong with it.
    fault: NameFault,
}

impl ImageNameError {
    /// How to write the name instead, if that is clear.
    pub(crate) fn hint(&self) -> Option<String> {
        match &self.fault {
            NameFault::Scheme { scheme } => {
                let name = self.name.strip_prefix(scheme)?.trim_matches('/');
                is_name(name).then(|| format!("leave out `{scheme}`: `{name}`"))
            }
            NameFault::NoRepository => Some(of_registry(self.name.trim_end_matches('/'))),
            NameFault::Uppercase => {
                let name = Parts::of(&self.name).ok()?.name;
                let rest = &self.name[name.len()..];
                let lower = format!("{}{rest}", name.to_ascii_lowercase());
                is_name(&lower).then(|| format!("write `{lower}`"))
            }
            _ => None,
        }
    }
}

/// Whether a text has the form of an image's name.
pub(crate) fn is_name(text: &str) -> bool {
    let resolve = |short: &str| Ok::<_, ImageNameError>(on_docker_hub(short));
    ImageName::parse::<ImageNameError, _>(text, &resolve).is_ok()
}

/// What is wrong with a name, as in "it is not an image name: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameFault {
    #[error("it is empty")]
    Empty,
    #[error("a name does not start with `{scheme}`")]
    Scheme { scheme: String },
    #[error("`{host}` is not a valid host name")]
    BadHost { host: String },
    #[error("no repository follows the host")]
    NoRepository,
    #[error("the repository has upper-case letters")]
    Uppercase,
    #[error(
        "each part of `{path}` must have lower-case letters and digits, separated by `.`, `_`, `__` or dashes"
    )]
    BadRepository { path: String },
    #[error("the repository has more than {LONGEST_REPOSITORY} characters")]
    TooLong,
    #[error("it is the ID of an image, which registries do not know")]
    Id,
    #[error(
        "the tag `{tag}` must have 1 to {LONGEST_TAG} letters, digits, `_`, `.` or `-`, and not start with `.` or `-`"
    )]
    BadTag { tag: String },
    #[error(
        "the digest `{digest}` must have the form `sha256:HEX`, with 64 lower-case hexadecimal digits"
    )]
    BadDigest { digest: String },
}

impl NameFault {
    fn of(self, name: &str) -> ImageNameError {
        ImageNameError {
            name: name.to_owned(),
            fault: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageName, ImageNameError> {
        ImageName::parse(text, &|short| Ok::<_, ImageNameError>(on_docker_hub(short)))
    }

    fn fault(text: &str) -> NameFault {
        parse(text).unwrap_err().fault
    }

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn names_have_a_full_form() {
        let cases = [
            ("app", "docker.io/library/app"),
            ("app:1", "docker.io/library/app:1"),
            ("ns/app", "docker.io/ns/app"),
            ("docker.io/app", "docker.io/library/app"),
            ("docker.io/ns/app", "docker.io/ns/app"),
            ("index.docker.io/app:1", "docker.io/library/app:1"),
            ("registry-1.docker.io/app", "registry-1.docker.io/app"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000", "docker.io/library/localhost:5000"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
            ("example.com", "docker.io/library/example.com"),
            ("example.com/app", "example.com/app"),
            ("Example.COM:80/app", "Example.COM:80/app"),
            ("local/app", "docker.io/local/app"),
            ("127.0.0.1:5000/app:x", "127.0.0.1:5000/app:x"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
            ("[2001:db8::1]/a/b", "[2001:db8::1]/a/b"),
            ("a__b/c.d/e---f/g_h", "docker.io/a__b/c.d/e---f/g_h"),
            ("app:_A.b-c", "docker.io/library/app:_A.b-c"),
        ];
        for (text, full) in cases {
            let name = parse(text).unwrap();
            assert_eq!(name.to_string(), full, "{text}");
            assert_eq!(parse(full).unwrap(), name, "{full}");
        }
    }

    #[test]
    fn a_host_alone_is_no_image() {
        for text in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "10.0.0.1:5000",
            "q.example.com:5000",
        ] {
            let error = check_repository_follows(text).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("no repository follows the host")
            );
            let expected = format!(
                "if `{text}` is a registry, add the name of an image: `docker://{text}/NAME:TAG`"
            );
            assert_eq!(error.hint().unwrap(), expected);
        }
        for text in [
            "python:3",
            "app",
            "example.com",
            "my.app:v1",
            "node.js:20",
            "localhost/app",
        ] {
            assert_eq!(check_repository_follows(text), Ok(()), "{text}");
        }
        assert!(may_be_host("ghcr.io") && may_be_host("registry:5000"));
        assert!(!may_be_host("python:3") && !may_be_host("app"));
        assert!(
            parse("q.io/")
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("`docker://q.io/NAME:TAG`")
        );
    }

    #[test]
    fn tags_and_digests_are_taken_apart() {
        let digest = digest();
        for (text, tag) in [
            (format!("q.io/n/app@{digest}"), None),
            (format!("q.io/n/app:v1@{digest}"), Some("v1")),
        ] {
            let name = parse(&text).unwrap();
            assert_eq!(name.host, "q.io");
            assert_eq!(name.repository, "n/app");
            assert_eq!(name.tag.as_deref(), tag);
            assert_eq!(name.digest.as_ref().unwrap().as_ref(), digest);
            assert_eq!(name.to_string(), text);
        }
        let short = parse(&format!("app:1@{digest}")).unwrap();
        assert_eq!(short.without_version(), "docker.io/library/app");
        assert_eq!(short.tag.as_deref(), Some("1"));
    }

    #[test]
    fn without_a_tag_the_registry_is_asked_for_latest() {
        assert_eq!(parse("app").unwrap().tag, None);
        assert_eq!(parse("app").unwrap().tag_or_latest(), "latest");
        assert_eq!(parse("app:1").unwrap().tag_or_latest(), "1");
    }

    #[test]
    fn docker_hub_is_reached_under_another_name() {
        for text in [
            "app",
            "docker.io/a/b",
            "index.docker.io/a",
            "registry-1.docker.io/a",
        ] {
            assert_eq!(parse(text).unwrap().api_host(), "registry-1.docker.io");
        }
        assert_eq!(
            parse("localhost:5000/a").unwrap().api_host(),
            "localhost:5000"
        );
        let mirror = ImageName {
            host: "index.docker.io".to_owned(),
            ..parse("a").unwrap()
        };
        assert_eq!(mirror.api_host(), "registry-1.docker.io");
    }

    #[test]
    fn short_names_are_resolved_without_tag_and_digest() {
        let digest = digest();
        let text = format!("ns/app:1@{digest}");
        let resolve = |short: &str| {
            assert_eq!(short, "ns/app");
            Ok::<_, ImageNameError>("quay.io/other".to_owned())
        };
        let name: Result<_, ImageNameError> = ImageName::parse(&text, &resolve);
        assert_eq!(
            name.unwrap().to_string(),
            format!("quay.io/other:1@{digest}")
        );
        let unused = |_: &str| -> Result<String, ImageNameError> { panic!("it is not short") };
        let name: Result<_, ImageNameError> = ImageName::parse("q.io/app", &unused);
        assert_eq!(name.unwrap().to_string(), "q.io/app");
    }

    #[test]
    fn a_resolved_name_is_checked_too() {
        let resolve = |_: &str| Ok::<_, ImageNameError>("quay.io/Other".to_owned());
        let error: Result<_, ImageNameError> = ImageName::parse("app:1", &resolve);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("`quay.io/Other` is not"), "{error}");
    }

    #[test]
    fn errors_of_the_resolver_come_through() {
        #[derive(Debug, PartialEq)]
        enum Any {
            Name,
            Resolver,
        }
        impl From<ImageNameError> for Any {
            fn from(_: ImageNameError) -> Self {
                Self::Name
            }
        }
        impl From<fmt::Error> for Any {
            fn from(_: fmt::Error) -> Self {
                Self::Resolver
            }
        }
        let parse = |text| ImageName::parse::<Any, _>(text, &|_| Err(fmt::Error));
        assert_eq!(parse("app"), Err(Any::Resolver));
        assert_eq!(parse("App"), Err(Any::Name));
        assert!(parse("q.io/app").is_ok());
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_with_the_reason() {
        assert_eq!(fault(""), NameFault::Empty);
        for text in ["App", "q.io/A/b", "Ns/app", "localhost/aB:1"] {
            assert_eq!(fault(text), NameFault::Uppercase, "{text}");
        }
        for text in ["https://q.io/app", "docker://app", "oci://a:1"] {
            assert!(matches!(fault(text), NameFault::Scheme { .. }), "{text}");
        }
        let long = format!("app:{}", "a".repeat(129));
        for text in [
            "app:",
            "app:.a",
            "app:-a",
            "app:a:b",
            "app:a b",
            "app:ä",
            long.as_str(),
        ] {
            assert!(matches!(fault(text), NameFault::BadTag { .. }), "{text}");
        }
        let upper = format!("app@sha256:{}", "0A".repeat(32));
        let unknown = format!("app@md5:{}", "0a".repeat(16));
        for text in [
            "app@",
            "app@sha256:00",
            "app@1",
            upper.as_str(),
            unknown.as_str(),
        ] {
            assert!(matches!(fault(text), NameFault::BadDigest { .. }), "{text}");
        }
        for text in [
            "a..b", "a/-b", "a_/b", "a___b", "a//b", "/a", "a/", "a b", "q.io/a/", "a._b", ":1",
        ] {
            assert!(
                matches!(fault(text), NameFault::BadRepository { .. }),
                "{text}"
            );
        }
        for text in [
            "-a.b/c",
            "a.b:x/c",
            "a.b:/c",
            "a.b:70000/c",
            "[::z]/c",
            "[::1/c",
            "a_b.c/d",
            ".a/b",
            "a.b:+1/c",
        ] {
            assert!(matches!(fault(text), NameFault::BadHost { .. }), "{text}");
        }
        for text in ["[::1]", "[::1]:5000", "q.io/", "q.io:80/"] {
            assert_eq!(fault(text), NameFault::NoRepository, "{text}");
        }
        assert_eq!(fault(&"0a".repeat(32)), NameFault::Id);
    }

    #[test]
    fn length_is_that_of_the_repository_on_the_registry() {
        let text = |length: usize| format!("example.com:5000/{}", "a".repeat(length));
        assert!(parse(&text(255)).is_ok());
        assert_eq!(fault(&text(256)), NameFault::TooLong);
        assert!(parse(&"a".repeat(247)).is_ok());
        assert_eq!(fault(&"a".repeat(248)), NameFault::TooLong);
        assert!(parse(&format!("app:{}", "a".repeat(128))).is_ok());
    }

    #[test]
    fn hints_can_be_pasted() {
        let hint = |text: &str| parse(text).unwrap_err().hint();
        assert_eq!(
            hint("https://q.io/app:1/").unwrap(),
            "leave out `https://`: `q.io/app:1`"
        );
        let text = format!("q.io/App:V1@{}", digest());
        assert_eq!(
            hint(&text).unwrap(),
            format!("write `q.io/app:V1@{}`", digest())
        );
        assert_eq!(hint("App:1").unwrap(), "write `app:1`");
        for text in ["a..b", "A..b", "https://", "https://q.io/_/app"] {
            assert_eq!(hint(text), None, "{text}");
        }
        let error = parse("App").unwrap_err().to_string();
        assert_eq!(
            error,
            "`App` is not an image name: the repository has upper-case letters"
        );
    }
}
