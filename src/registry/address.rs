//! Addresses: those in a registry's answers, and whether two are one host.

use ureq::http::header::LOCATION;
use ureq::http::uri::Scheme;
use ureq::http::{self, Uri};

use super::error::HttpError;

/// Whether two addresses are on one host and port, with one scheme.
pub(super) fn is_same_host(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| {
        let usual = if scheme_of(uri) == "https" { 443 } else { 80 };
        uri.port_u16().unwrap_or(usual)
    };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    (scheme_of(one), host(one), port(one)) == (scheme_of(other), host(other), port(other))
}

pub(super) fn scheme_of(uri: &Uri) -> &str {
    uri.scheme_str().unwrap_or_default()
}

/// The address in the `Location` header of an answer to a request to `base`.
///
/// A registry behind a proxy may not know that its users come with encryption. On the same host, encryption stays.
///
/// # Errors
/// [`HttpError::InsecureRedirect`] if the address is on another host and would give up encryption.
pub(super) fn location(
    response: &http::Response<ureq::Body>,
    base: &Uri,
) -> Result<Uri, HttpError> {
    let text = response.headers().get(LOCATION);
    let text = text.and_then(|value| value.to_str().ok());
    let to = text.and_then(|text| resolved(base, text));
    let to = to.ok_or(HttpError::Malformed {
        what: "`Location` header",
    })?;
    match (scheme_of(base), scheme_of(&to)) {
        ("https", "http") if to.authority() == base.authority() => with_scheme(to, Scheme::HTTPS),
        ("https", "http") => Err(HttpError::InsecureRedirect {
            to: format!("http://{}", host_of(&to)),
        }),
        _ => Ok(to),
    }
}

fn with_scheme(uri: Uri, scheme: Scheme) -> Result<Uri, HttpError> {
    let mut parts = uri.into_parts();
    parts.scheme = Some(scheme);
    Uri::from_parts(parts).map_err(|_| HttpError::Malformed {
        what: "`Location` header",
    })
}

/// Resolves a reference to an address (RFC 3986, section 4.2): a whole address, or a path on the same host.
fn resolved(base: &Uri, text: &str) -> Option<Uri> {
    if text.contains("://") {
        let uri: Uri = text.parse().ok()?;
        return matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri);
    }
    let scheme = base.scheme_str()?;
    if let Some(rest) = text.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let directory = match text.starts_with('/') {
        true => "",
        false => base.path().rsplit_once('/')?.0,
    };
    let separator = if directory.is_empty() && text.starts_with('/') {
        ""
    } else {
        "/"
    };
    let authority = base.authority()?;
    format!("{scheme}://{authority}{directory}{separator}{text}")
        .parse()
        .ok()
}

pub(super) fn host_of(address: &Uri) -> String {
    address
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_the_request() {
        let base: Uri = "https://a.example:5000/v2/app/blobs/uploads/?mount=x"
            .parse()
            .unwrap();
        for (text, expected) in [
            ("https://b.example/x?y=1", Some("https://b.example/x?y=1")),
            (
                "/v2/app/x?y=a%2Fb",
                Some("https://a.example:5000/v2/app/x?y=a%2Fb"),
            ),
            ("//b.example/x", Some("https://b.example/x")),
            (
                "next",
                Some("https://a.example:5000/v2/app/blobs/uploads/next"),
            ),
            ("ftp://b.example/x", None),
            ("https://", None),
        ] {
            let found = resolved(&base, text).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
