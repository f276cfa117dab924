//! Credentials, and the errors of finding them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::image_name::is_docker_hub;
use crate::quoting::quoted;

/// What a user shows a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user name and a password or token.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that stands for a user, and that a server of tokens exchanges for one of its own.
    IdentityToken(String),
}

impl Login {
    /// Parses `USER:PASSWORD`. Only the password can contain a colon.
    ///
    /// # Errors
    /// [`CredentialError::Form`] if the colon, the user name or the password is missing.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self::basic(user, password).ok_or(CredentialError::Form)
    }

    /// As in podman, an empty user name or password means no credentials.
    pub(super) fn basic(user: &str, password: &str) -> Option<Self> {
        (!user.is_empty() && !password.is_empty()).then(|| Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    pub(super) fn identity_token(token: &str) -> Option<Self> {
        (!token.is_empty()).then(|| Self::IdentityToken(token.to_owned()))
    }
}

impl fmt::Debug for Login {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => f
                .debug_struct("Basic")
                .field("user", user)
                .finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
        }
    }
}

/// Credentials could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Credentials on the command line have the wrong form.
    #[error("credentials must have the form USER:PASSWORD")]
    Form,
    /// The file cannot be read.
    #[error("cannot read credentials from `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file that the user asked for does not exist.
    #[error("cannot read credentials from `{}`: there is no such file", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The registry's host.
        host: String,
    },
    /// The file is not JSON of the right form.
    #[error("`{}` is malformed at line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The file has an entry for the registry, but it is malformed.
    #[error("the entry `{key}` of `{}` is malformed: {reason}", path.display())]
    BadEntry {
        /// The file.
        path: PathBuf,
        /// The entry's key.
        key: String,
        /// What is wrong with the entry.
        reason: &'static str,
    },
    /// A credential helper is not installed.
    #[error("the credential helper `{program}` that `{}` names is not in PATH", file.display())]
    MissingHelper {
        /// The program.
        program: String,
        /// The file that names it.
        file: PathBuf,
    },
    /// A credential helper failed.
    #[error("the credential helper `{program}` that `{}` names failed: {reason}", file.display())]
    Helper {
        /// The program.
        program: String,
        /// The file that names it.
        file: PathBuf,
        /// What the program printed, or what else is wrong.
        reason: String,
    },
}

impl CredentialError {
    /// What the user can do about the error, if there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::MissingFile { path, host } => Some(format!(
                "log in first: {}",
                podman_login("", host, Some(path))
            )),
            Self::MissingHelper { program, file } => Some(format!(
                "install `{program}`, or remove its name from `{}`",
                file.display()
            )),
            Self::BadEntry { path, key, .. } => Some(format!(
                "log in again: {}",
                podman_login("", host_of(key), Some(path))
            )),
            _ => None,
        }
    }
}

/// The commands that log in to a registry. `option` is for podman. Only podman writes to a file that the user chose.
pub(super) fn log_in(option: &str, host: &str, auth_file: Option<&Path>) -> String {
    let podman = podman_login(option, host, auth_file);
    match auth_file {
        Some(_) => podman,
        None => format!(
            "{podman} or `docker login {}`",
            quoted(one_docker_hub(host))
        ),
    }
}

/// podman's command that logs in to a registry.
pub(super) fn podman_login(option: &str, host: &str, auth_file: Option<&Path>) -> String {
    let file = auth_file.map_or_else(String::new, |file| {
        format!("--authfile {} ", quoted(&file.display().to_string()))
    });
    format!(
        "`podman login {option}{file}{}`",
        quoted(one_docker_hub(host))
    )
}

/// The host in a key as docker once wrote it: `https://HOST/v1/`. Without a scheme, a path is a namespace.
pub(super) fn host_of(key: &str) -> &str {
    let address = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| key.strip_prefix(scheme));
    let (host, path) = match address.unwrap_or(key).split_once('/') {
        Some((host, path)) => (host, path),
        None => return address.unwrap_or(key),
    };
    match address.is_some() || matches!(path, "" | "v1/" | "v2/") {
        true => host,
        false => key,
    }
}

/// One name for the hosts of Docker Hub.
pub(super) fn one_docker_hub(host: &str) -> &str {
    match is_docker_hub(host) {
        true => "docker.io",
        false => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_to_log_in_names_the_file_that_the_user_chose() {
        assert_eq!(
            log_in("", "q.io", None),
            "`podman login q.io` or `docker login q.io`"
        );
        let file = Some(Path::new("my auth.json"));
        assert_eq!(
            log_in("--tls-verify=false ", "q.io:5000", file),
            "`podman login --tls-verify=false --authfile 'my auth.json' q.io:5000`"
        );
        // The credentials for Docker Hub have the name of its images.
        assert_eq!(
            log_in("", "registry-1.docker.io", None),
            "`podman login docker.io` or `docker login docker.io`"
        );
    }
}
