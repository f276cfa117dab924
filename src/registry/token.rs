//! Tokens: how they are asked for, and what a server of tokens answers (distribution's token authentication).

use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{HeaderValue, Uri};

use super::error::HttpError;

/// The life of a token whose server does not say (distribution's token specification).
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    pub(super) until: Option<Instant>,
}

/// A request for a token.
pub(super) struct TokenRequest<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
}

impl TokenRequest<'_> {
    fn query(&self) -> String {
        let service = self.service.map(|service| ("service", service));
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
        encoded(service.into_iter().chain(scopes))
    }

    pub(super) fn address(&self) -> Result<Uri, HttpError> {
        let separator = if self.realm.contains('?') { '&' } else { '?' };
        let address = format!("{}{separator}{}", self.realm, self.query());
        address
            .parse()
            .map_err(|_| HttpError::Malformed { what: "realm" })
    }

    /// The body of a request with an identity token (RFC 6749, section 6).
    pub(super) fn form(&self, token: &str) -> String {
        let scopes = self.scopes.join(" ");
        let service = self.service.unwrap_or_default();
        encoded(
            [
                ("grant_type", "refresh_token"),
                ("client_id", "pycull"),
                ("refresh_token", token),
                ("service", service),
                ("scope", &scopes),
            ]
            .into_iter(),
        )
    }
}

/// Names and values as in the query of an address.
fn encoded<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.map(|(name, value)| {
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

pub(super) fn read_token(text: &[u8]) -> Result<Grant, HttpError> {
    let malformed = || HttpError::Malformed { what: "token" };
    let token: Token = serde_json::from_slice(text).map_err(|_| malformed())?;
    let life = token.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
    let token = token.token.or(token.access_token).ok_or_else(malformed)?;
    let mut header: HeaderValue = format!("Bearer {token}").parse().map_err(|_| malformed())?;
    header.set_sensitive(true);
    Ok(Grant {
        header,
        // Renew a token shortly before it ends, because a request takes time.
        until: Instant::now().checked_add(life.mul_f64(0.8)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_under_either_name_and_ends() {
        for text in [
            r#"{"token":"abc","expires_in":300}"#,
            r#"{"access_token":"abc"}"#,
        ] {
            let grant = read_token(text.as_bytes()).unwrap();
            assert_eq!(grant.header, "Bearer abc");
            assert!(grant.until.is_some());
        }
        for text in ["", "{}", r#"{"token":"a\nb"}"#] {
            assert!(read_token(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_of_tokens_hears_every_scope() {
        let scopes = [
            "repository:a/b:pull,push".to_owned(),
            "repository:c:pull".to_owned(),
        ];
        let request = TokenRequest {
            realm: "https://auth.example/token",
            service: Some("a b"),
            scopes: &scopes,
        };
        assert_eq!(
            request.address().unwrap(),
            "https://auth.example/token?service=a%20b&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"
        );
        assert!(request.form("x&y").contains("refresh_token=x%26y&"));
    }
}
