//! Certificates and proxies, as the connections need them.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ureq::Proxy;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use super::error::{HttpError, ProxyHost};
use super::settings::ProxySetting;

pub(super) fn crypto() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(provider)
}

/// The certificates that the system trusts. Where they cannot be read there are none, and connecting fails with the
/// reason.
pub(super) fn system_roots() -> &'static [Certificate<'static>] {
    static ROOTS: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        found
            .iter()
            .map(|it| Certificate::from_der(it).to_owned())
            .collect()
    })
}

fn read_pem(path: &Path) -> Result<Vec<PemItem<'static>>, HttpError> {
    let bad = |reason: String| HttpError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let items: Result<Vec<_>, _> = parse_pem(&text).collect();
    items.map_err(|error| bad(error.to_string()))
}

pub(super) fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HttpError> {
    let items = read_pem(path)?.into_iter();
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    match found.is_empty() {
        true => Err(no_pem(path, "it has no certificate in PEM format")),
        false => Ok(found),
    }
}

pub(super) fn read_client(chain: &Path, key: &Path) -> Result<ClientCert, HttpError> {
    let certificates = read_certificates(chain)?;
    let found: Option<PrivateKey<'static>> =
        read_pem(key)?.into_iter().find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        });
    let key = found.ok_or_else(|| no_pem(key, "it has no private key in PEM format"))?;
    Ok(ClientCert::new_with_certs(&certificates, key))
}

fn no_pem(path: &Path, reason: &str) -> HttpError {
    HttpError::Certificate {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

pub(super) fn read_proxy(setting: &ProxySetting) -> Result<(Proxy, ProxyHost), HttpError> {
    let address = setting.address.as_str();
    let named = |host: String| ProxyHost {
        host,
        variable: setting.variable,
    };
    let bad = || HttpError::Proxy {
        proxy: named(without_password(address)),
    };
    let whole = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = whole.parse().map_err(|_| bad())?;
    let protocol = uri.scheme_str().unwrap_or("http");
    let protocol = ureq::ProxyProtocol::try_from(protocol).map_err(|_| bad())?;
    let given = Proxy::new(&whole).map_err(|_| bad())?;
    let mut proxy = Proxy::builder(protocol)
        .host(given.host())
        .port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    let proxy = proxy.build().map_err(|_| bad())?;
    let host = named(format!("{}:{}", given.host(), given.port()));
    Ok((proxy, host))
}

/// An address for messages.
fn without_password(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_password_of_a_proxy() {
        assert_eq!(
            without_password("http://user:secret@proxy:3128"),
            "proxy:3128"
        );
        assert_eq!(without_password("proxy:3128"), "proxy:3128");
    }
}
