//! Errors of talking to a registry.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::StatusCode;

use super::certificates::CertificatesError;
use super::image_name::{DOCKER_HUB, ImageNameError, full_name, may_be_host, of_registry};
use super::login::{CredentialError, log_in, podman_login};
use super::registries_conf_error::RegistriesConfError;
use super::retry;
use crate::oci::Digest;
use crate::scratch;
use crate::size;

/// A registry could not be asked, or refused what pycull asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The text does not name an image.
    #[error(transparent)]
    Name(#[from] ImageNameError),
    /// Credentials could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// `registries.conf` could not be read, or does not permit the image.
    #[error(transparent)]
    RegistriesConf(#[from] RegistriesConfError),
    /// The certificates for a host could not be found.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The registry could not do something.
    #[error("cannot {action} `{image}`")]
    Request {
        /// What failed, as in "cannot …".
        action: String,
        /// The image.
        image: String,
        /// The cause.
        #[source]
        cause: Box<HttpError>,
    },
    /// A repository does not have a tag, but others.
    #[error("`{repository}` has no tag `{tag}`; the nearest tags are {}", nearest.join(", "))]
    NoSuchTag {
        /// The host and the repository.
        repository: String,
        /// The tag.
        tag: String,
        /// The tags that resemble it most.
        nearest: Vec<String>,
        /// The registry's answer.
        #[source]
        cause: Box<HttpError>,
    },
    /// A tag does not lead to the digest beside it.
    #[error("`{image}` now has the digest {found}, not {expected}")]
    Moved {
        /// The image, without the digest.
        image: String,
        /// The digest in the reference.
        expected: Digest,
        /// The digest that the tag leads to.
        found: Digest,
    },
    /// A name has credentials in it, as in `docker://USER:PASSWORD@HOST/NAME`.
    #[error("the name of the image contains credentials for `{host}`")]
    LoginInName {
        /// The host.
        host: String,
        /// The file with credentials that the user chose.
        auth_file: Option<PathBuf>,
    },
    /// Credentials on the command line would go to more than one registry.
    #[error("`--creds` is for one registry only, but the images are in two: `{one}` and `{other}`")]
    TwoRegistries {
        /// The host of one registry.
        one: String,
        /// The host of another.
        other: String,
        /// The file with credentials that the user chose.
        auth_file: Option<PathBuf>,
    },
    /// The temporary directory has no room for the layers.
    #[error(
        "cannot store the layers of `{image}` in `{}`: they need {}, and {} is free",
        directory.display(), size::bytes(*needed), size::bytes(*free)
    )]
    NoRoom {
        /// The image.
        image: String,
        /// The temporary directory.
        directory: PathBuf,
        /// Bytes of the layers.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
}

/// Why an exchange with a registry failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection, or the connection broke.
    #[error("the connection to `{host}`{} failed", through(proxy.as_ref()))]
    Unreachable {
        /// The host.
        host: String,
        /// The proxy that the connection went through.
        proxy: Option<ProxyHost>,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The registry answered with an error.
    #[error("the registry returned {status}{}", after_colon(detail))]
    Status {
        /// The status.
        status: StatusCode,
        /// The registry's code for the error, for example `MANIFEST_UNKNOWN`. It may be empty.
        code: String,
        /// What the registry says about it, on one line.
        detail: String,
        /// How long the registry asks to wait.
        pause: Option<Duration>,
    },
    /// The connection ended in the middle of a body.
    #[error("the connection closed before the response was complete")]
    Broken {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The registry wants credentials, and there are none or it refused them.
    #[error("the registry `{host}` {}{}", wants(*had_login), after_colon(detail))]
    Unauthorized {
        /// The host.
        host: String,
        /// Whether pycull sent credentials.
        had_login: bool,
        /// Whether the registry does without encryption.
        is_plain: bool,
        /// The file with credentials that the user chose.
        auth_file: Option<PathBuf>,
        /// What the registry says about it, on one line.
        detail: String,
    },
    /// A redirect from an encrypted address to one that is not.
    #[error("the registry redirects to `{to}`, which does not use HTTPS")]
    InsecureRedirect {
        /// The address.
        to: String,
    },
    /// Redirects without end.
    #[error("the registry redirects too often")]
    TooManyRedirects,
    /// Part of an answer is missing or wrong.
    #[error("the registry's response has no valid {what}")]
    Malformed {
        /// The part.
        what: &'static str,
    },
    /// The registry sent other bytes than it should.
    #[error("the registry sent content with the digest {found}, not {expected}")]
    Digest {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A document is larger than the limit.
    #[error("the registry sent a document of more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A body came too slowly.
    #[error("the registry sent less than {} in {seconds} seconds", size::bytes(*bytes))]
    TooSlow {
        /// Bytes that should have come.
        bytes: u64,
        /// The time in seconds.
        seconds: u64,
    },
    /// A certificate or key could not be read.
    #[error("cannot read the certificate `{}`: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy's address is wrong.
    #[error("`{}` of {} is not a valid proxy address", proxy.host, proxy.variable)]
    Proxy {
        /// The address without a password.
        proxy: ProxyHost,
    },
    /// The bytes to upload could not be read.
    #[error("cannot {action}")]
    Local {
        /// What failed, as in "cannot …".
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A proxy, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHost {
    /// The host with its port, without a user name and a password.
    pub host: String,
    /// The variable that names the proxy.
    pub variable: &'static str,
}

fn through(proxy: Option<&ProxyHost>) -> String {
    proxy.map_or_else(String::new, |ProxyHost { host, variable }| {
        format!(" through the proxy `{host}` ({variable})")
    })
}

fn after_colon(detail: &str) -> String {
    match detail.is_empty() {
        true => String::new(),
        false => format!(": {detail}"),
    }
}

fn wants(had_login: bool) -> &'static str {
    match had_login {
        true => "refused the credentials",
        false => "requires credentials",
    }
}

impl RegistryError {
    /// Whether a registry refused a manifest because it lacks a blob that the manifest names.
    pub(crate) fn lacks_blob(&self) -> bool {
        let Self::Request { cause, .. } = self else {
            return false;
        };
        let HttpError::Status { code, .. } = &**cause else {
            return false;
        };
        matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN")
    }

    /// What the user can do about the error, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(error) => error.hint(),
            Self::Credentials(error) => error.hint(),
            Self::RegistriesConf(error) => error.hint(),
            Self::Certificates(error) => error.hint(),
            Self::Request { image, cause, .. } => {
                of_host_alone(image, cause).or_else(|| cause.hint())
            }
            Self::NoSuchTag {
                repository,
                nearest,
                ..
            } => Some(format!(
                "choose one, for example `docker://{repository}:{}`",
                nearest.first()?
            )),
            Self::Moved { image, .. } => Some(format!("leave out the digest to use `{image}`")),
            Self::LoginInName { host, auth_file } => Some(format!(
                "remove the credentials from the name and log in: {}",
                log_in("", host, auth_file.as_deref())
            )),
            Self::TwoRegistries {
                one,
                other,
                auth_file,
            } => {
                let [one, other] =
                    [one, other].map(|it| podman_login("", it, auth_file.as_deref()));
                Some(format!(
                    "leave out `--creds` and log in to each: {one} and {other}"
                ))
            }
            Self::NoRoom { .. } => Some(scratch::advice(io::ErrorKind::StorageFull)),
        }
    }
}

/// Docker Hub lacks an image whose name is probably a registry's host.
fn of_host_alone(image: &str, cause: &HttpError) -> Option<String> {
    let is_lacking = match cause {
        HttpError::Status { status, .. } => *status == StatusCode::NOT_FOUND,
        HttpError::Unauthorized { .. } | HttpError::Unreachable { .. } => true,
        _ => false,
    };
    let text = image.strip_prefix(&*full_name(DOCKER_HUB, ""))?;
    (is_lacking && may_be_host(text)).then(|| of_registry(text))
}

impl HttpError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized {
                host,
                had_login,
                is_plain,
                auth_file,
                ..
            } => {
                let option = if *is_plain { "--tls-verify=false " } else { "" };
                let first = match had_login {
                    true => "check the user name and the password, or log in again",
                    false => "log in first",
                };
                let commands = log_in(option, host, auth_file.as_deref());
                Some(format!("{first}: {commands}"))
            }
            Self::Unreachable { source, .. } if source.to_string().contains("CaUsedAsEndEntity") => Some(
                "the registry uses a CA certificate as its server certificate; create a server certificate (`CA:FALSE`), or use `--tls-verify=false` for a registry that you trust"
                    .to_owned(),
            ),
            Self::Unreachable { source, .. } if source.to_string().contains("InvalidContentType") => Some(
                "the registry seems not to use HTTPS; if you trust it and the network, use `--tls-verify=false`"
                    .to_owned(),
            ),
            Self::Unreachable { host, source, .. } if is_of_certificate(source) => Some(format!(
                "add the registry's CA certificate as `/etc/containers/certs.d/{host}/ca.crt`, or use `--tls-verify=false` for a registry that you trust"
            )),
            Self::Unreachable {
                host,
                proxy: Some(proxy),
                ..
            } => {
                let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
                let name = port.map_or(&**host, |(name, _)| name);
                Some(format!(
                    "correct {}, or add `{name}` to NO_PROXY to connect without the proxy",
                    proxy.variable
                ))
            }
            Self::Proxy { proxy } => Some(format!(
                "write {} as `http://HOST:PORT`, or unset it",
                proxy.variable
            )),
            _ => None,
        }
    }

    /// Notes the proxy that a connection went through.
    pub(super) fn through(mut self, through: Option<&ProxyHost>) -> Self {
        if let Self::Unreachable { proxy, .. } = &mut self {
            *proxy = through.cloned();
        }
        self
    }

    /// How long the registry asks to wait before another attempt.
    pub(super) fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Status { pause, .. } => *pause,
            _ => None,
        }
    }

    /// Whether another attempt may succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => match &**source {
                ureq::Error::Io(error) => !is_of_tls(error) && !is_of_lookup(error),
                ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => true,
                // The other side ended in the middle of an answer.
                ureq::Error::Protocol(_) => true,
                _ => false,
            },
            Self::TooSlow { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => retry::is_temporary(status.as_u16()),
            _ => false,
        }
    }
}

fn is_of_certificate(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => is_of_tls(error),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        _ => false,
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Whether a host has no address. std has no public kind for this.
fn is_of_lookup(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().starts_with("failed to lookup address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_looked_for_on_docker_hub_is_hinted_at() {
        let hint = |image: &str| {
            let cause = HttpError::Unauthorized {
                host: "registry-1.docker.io".to_owned(),
                had_login: false,
                is_plain: false,
                auth_file: None,
                detail: String::new(),
            };
            let error = RegistryError::Request {
                action: "read the manifest of".to_owned(),
                image: image.to_owned(),
                cause: Box::new(cause),
            };
            error.hint().unwrap()
        };
        for host in ["ghcr.io", "registry:5000"] {
            let hint = hint(&format!("docker.io/library/{host}"));
            assert!(
                hint.contains(&format!("`docker://{host}/NAME:TAG`")),
                "{hint}"
            );
        }
        for image in ["docker.io/library/python:3.13", "docker.io/me/app:2024"] {
            assert!(hint(image).starts_with("log in first: "), "{image}");
        }
    }
}
