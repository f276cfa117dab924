//! What the user's machine says about registries: credentials, certificates, configuration and proxies.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::credentials::AuthFile;
use super::login::Login;
use super::no_proxy::NoProxy;

/// Where to find credentials, certificates and configuration, and what the user wants of connections. The paths follow
/// containers-auth.json(5), containers-certs.d(5) and containers-registries.conf(5).
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Credentials for the one registry that a command needs, before those of any file.
    pub login: Option<Login>,
    /// The registry that these credentials are for: the first one that is asked.
    pub login_host: Arc<OnceLock<String>>,
    /// Files with credentials. The first one that has some for a registry counts.
    pub auth_files: Vec<AuthFile>,
    /// The one of these files that the user chose. Hints to log in name it.
    pub chosen_auth_file: Option<PathBuf>,
    /// Whether to require encryption and a valid certificate. `None` leaves it to `registries.conf`.
    pub tls_verify: Option<bool>,
    /// The directory with the certificates for every registry.
    pub certificate_directory: Option<PathBuf>,
    /// Directories with a directory of certificates for each host.
    pub certificates_by_host: Vec<PathBuf>,
    /// Places of `registries.conf`. The first file that exists counts.
    pub registries_conf: Vec<PathBuf>,
    /// Directories of files that add to it.
    pub registries_conf_directories: Vec<PathBuf>,
    /// The user's proxies.
    pub proxies: Proxies,
    /// How long a registry may be silent before pycull gives the connection up.
    pub silence: Duration,
    /// Number of parallel uploads.
    pub jobs: usize,
}

/// How long a registry may be silent, in seconds, unless the user says otherwise.
pub const SILENCE: u16 = 60;

impl Default for RegistrySettings {
    /// No credentials, configuration or proxies, and the certificates of the system.
    fn default() -> Self {
        Self {
            login: None,
            login_host: Arc::default(),
            auth_files: Vec::new(),
            chosen_auth_file: None,
            tls_verify: None,
            certificate_directory: None,
            certificates_by_host: Vec::new(),
            registries_conf: Vec::new(),
            registries_conf_directories: Vec::new(),
            proxies: Proxies::default(),
            silence: Duration::from_secs(SILENCE.into()),
            jobs: 1,
        }
    }
}

/// The address of a proxy, and where it comes from.
#[derive(Clone)]
pub struct ProxySetting {
    /// The address. It may contain a password.
    pub address: String,
    /// The variable that has the address, for messages.
    pub variable: &'static str,
}

/// Proxies, as `HTTPS_PROXY` and the like name them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// The proxy for `https` addresses.
    pub https: Option<ProxySetting>,
    /// The proxy for `http` addresses.
    pub http: Option<ProxySetting>,
    /// Hosts to connect to without a proxy, as `NO_PROXY` lists them.
    pub exceptions: String,
}

impl Proxies {
    /// The proxy for addresses with this scheme.
    pub(super) fn of(&self, scheme: &str) -> Option<&ProxySetting> {
        let proxy = match scheme {
            "https" => &self.https,
            _ => &self.http,
        };
        proxy.as_ref().filter(|proxy| !proxy.address.is_empty())
    }

    /// The addresses to connect to without a proxy.
    pub(super) fn exceptions(&self) -> NoProxy {
        NoProxy::parse(&self.exceptions)
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxies")
    }
}
