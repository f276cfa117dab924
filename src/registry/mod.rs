//! Registries: images by name, blobs that are fetched as they are read, and uploads (OCI distribution-spec 1.1).
//!
//! | part | what it does |
//! |---|---|
//! | `image_name` | names as people type them |
//! | `registries_conf`, `credentials`, `login`, `certificates`, `settings` | what the user's machine says |
//! | `http`, `address`, `connecting`, `no_proxy` | one request and its answer; addresses; certificates and proxies |
//! | `session`, `challenge`, `token`, `retry` | requests to one registry, with credentials, sent again after faults |
//! | `repository`, `tags` | manifests, blobs and tags of one repository |
//! | `download`, `remote_blob`, `store` | reading an image |
//! | `target`, `upload`, `upload_session`, `early`, `following`, `push` | writing an image |
//! | `referrers` | signatures and other artifacts about an image |

mod address;
mod certificates;
mod challenge;
mod connecting;
mod credential_helper;
mod credentials;
mod download;
mod early;
mod error;
mod following;
mod host;
mod http;
mod image_name;
mod login;
mod no_proxy;
mod push;
mod referrers;
mod registries_conf;
mod registries_conf_error;
mod registries_file;
mod remote_blob;
mod repository;
mod retry;
mod session;
mod settings;
mod store;
mod tags;
mod target;
#[cfg(test)]
mod testing;
mod token;
mod upload;
mod upload_session;

use std::sync::Arc;

use serde_json::{Value, json};

pub use credentials::AuthFile;
pub use error::{HttpError, ProxyHost, RegistryError};
use image_name::check_repository_follows;
pub use image_name::{ImageName, ImageNameError};
pub(crate) use image_name::{full_name, has_host, is_name};
pub use login::{CredentialError, Login};
pub(crate) use push::Push;
pub(crate) use referrers::{Referrer, ReferrerKind};
use registries_conf::{Endpoint, RegistriesConf};
pub(crate) use repository::Repository;
use session::Session;
pub use settings::{Proxies, ProxySetting, RegistrySettings, SILENCE};
pub use store::Keeping;
pub(crate) use store::RegistryStore;
pub(crate) use target::PushedBlob;

use certificates::CertificateFiles;
use host::is_loopback;
use http::{Connecting, Security};
use repository::Document;

/// An image that was found in a registry.
pub(crate) struct Found {
    /// The blobs of the image.
    pub(crate) store: RegistryStore,
    /// The descriptor of its manifest or index.
    pub(crate) root: Value,
}

/// The registries that the user's machine knows of.
pub(crate) struct Registries<'a> {
    settings: &'a RegistrySettings,
    conf: RegistriesConf,
}

impl<'a> Registries<'a> {
    /// Reads `registries.conf`.
    ///
    /// # Errors
    /// [`RegistryError::RegistriesConf`].
    pub(crate) fn new(settings: &'a RegistrySettings) -> Result<Self, RegistryError> {
        let (main, more) = (
            &settings.registries_conf,
            &settings.registries_conf_directories,
        );
        Ok(Self {
            settings,
            conf: RegistriesConf::load(main, more)?,
        })
    }

    /// Parses a name, with short names as `registries.conf` has them.
    ///
    /// # Errors
    /// [`RegistryError`] if the text is not a name, or is a short name that may stand for several images.
    pub(crate) fn name(&self, text: &str) -> Result<ImageName, RegistryError> {
        let first = text.split('/').next().unwrap_or_default();
        if let Some((_, host)) = first.rsplit_once('@')
            && text.contains('/')
        {
            return Err(RegistryError::LoginInName {
                host: host.to_owned(),
                auth_file: self.settings.chosen_auth_file.clone(),
            });
        }
        if !self.conf.has_alias(text) {
            check_repository_follows(text)?;
        }
        ImageName::parse(text, &|short| self.conf.resolve_short(short))
    }

    /// Finds an image by its name, on a mirror or on its own registry. `keeping` says which of its layers to
    /// keep for another reading.
    ///
    /// # Errors
    /// [`RegistryError`] of the image's own registry, if no mirror has the image either.
    pub(crate) fn find(&self, name: &ImageName, keeping: Keeping) -> Result<Found, RegistryError> {
        let mut last = None;
        for endpoint in self.conf.endpoints(name)? {
            match find_at(name, &endpoint, self.settings) {
                Ok((repository, document)) => return Ok(found(repository, document, keeping)),
                Err(error) => last = Some(error),
            }
        }
        // There is always an endpoint: the image's own registry.
        Err(last.unwrap_or_else(|| no_endpoint(name)))
    }

    /// The repository to which an image is written. `source` is the repository of the image that it is made from, if that
    /// is in a registry.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry cannot be asked.
    pub(crate) fn target(
        &self,
        name: &ImageName,
        source: Option<&Repository>,
    ) -> Result<Repository, RegistryError> {
        let known = source.map(|repository| &repository.session);
        open(name, &self.conf.primary(name)?, self.settings, known)
    }
}

fn no_endpoint(name: &ImageName) -> RegistryError {
    RegistryError::Request {
        action: "find a registry for".to_owned(),
        image: name.to_string(),
        cause: Box::new(HttpError::Malformed { what: "address" }),
    }
}

fn found(repository: Repository, document: Document, keeping: Keeping) -> Found {
    let root = json!({
        "mediaType": document.media_type,
        "digest": document.digest.as_ref(),
        "size": document.bytes.len(),
    });
    Found {
        store: RegistryStore::new(Arc::new(repository), document, keeping),
        root,
    }
}

fn find_at(
    name: &ImageName,
    endpoint: &Endpoint,
    settings: &RegistrySettings,
) -> Result<(Repository, Document), RegistryError> {
    let repository = open(name, endpoint, settings, None)?;
    let failed = |cause| match endpoint.is_mirror {
        true => repository.error("read the manifest of", cause),
        // No other endpoint follows, so there is time for a better error.
        false => repository.without_manifest(name, cause),
    };
    let document = match (&name.tag, &name.digest) {
        (_, None) => repository.document(name.tag_or_latest()).map_err(failed)?,
        (None, Some(digest)) => {
            let document = repository.document(digest.as_ref());
            document.map_err(|cause| repository.error("read the manifest of", cause))?
        }
        (Some(tag), Some(digest)) => {
            let document = repository.document(tag).map_err(failed)?;
            if document.digest != *digest {
                let tagged = ImageName {
                    digest: None,
                    ..name.clone()
                };
                return Err(RegistryError::Moved {
                    image: tagged.to_string(),
                    expected: digest.clone(),
                    found: document.digest,
                });
            }
            document
        }
    };
    Ok((repository, document))
}

/// Connects to a registry. `known` is a session that serves for it too if it is with the same host in the same way.
fn open(
    name: &ImageName,
    endpoint: &Endpoint,
    settings: &RegistrySettings,
    known: Option<&Arc<Session>>,
) -> Result<Repository, RegistryError> {
    let there = ImageName {
        host: endpoint.host.clone(),
        repository: endpoint.repository.clone(),
        ..name.clone()
    };
    let login = login_for(name, &there, endpoint, settings)?;
    let host = there.api_host();
    let image = name.to_string();
    let security = Security {
        may_be_plain: match settings.tls_verify {
            Some(verifies) => !verifies,
            None => endpoint.is_insecure || is_loopback(host),
        },
        accepts_any_certificate: settings.tls_verify == Some(false)
            || (settings.tls_verify.is_none() && endpoint.is_insecure),
    };
    let is_same = |it: &&Arc<Session>| it.is_with(host, login.as_ref(), security);
    if let Some(session) = known.filter(is_same) {
        let session = Arc::clone(session);
        return Ok(Repository::new(session, there.repository, image));
    }
    let connecting = Connecting {
        security,
        certificates: certificate_files(&there.host, settings)?,
        proxies: &settings.proxies,
        auth_file: settings.chosen_auth_file.as_deref(),
        silence: settings.silence,
    };
    let session = Session::begin(host, login, &connecting);
    let session = session.map_err(|cause| RegistryError::Request {
        action: "connect to the registry of".to_owned(),
        image: image.clone(),
        cause: Box::new(cause),
    })?;
    Ok(Repository::new(Arc::new(session), there.repository, image))
}

/// The credentials for an endpoint of an image: those of the command line, which no mirror and no second registry gets, or
/// those of the files.
fn login_for(
    name: &ImageName,
    there: &ImageName,
    endpoint: &Endpoint,
    settings: &RegistrySettings,
) -> Result<Option<Login>, RegistryError> {
    let Some(login) = settings.login.as_ref().filter(|_| !endpoint.is_mirror) else {
        return Ok(credentials::find(&settings.auth_files, there)?);
    };
    let host = settings.login_host.get_or_init(|| name.host.clone());
    match *host == name.host {
        true => Ok(Some(login.clone())),
        false => Err(RegistryError::TwoRegistries {
            one: host.clone(),
            other: name.host.clone(),
            auth_file: settings.chosen_auth_file.clone(),
        }),
    }
}

fn certificate_files(
    host: &str,
    settings: &RegistrySettings,
) -> Result<CertificateFiles, RegistryError> {
    Ok(match &settings.certificate_directory {
        Some(directory) => certificates::read(directory)?,
        None => certificates::find(&settings.certificates_by_host, host)?,
    })
}
