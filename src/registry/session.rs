//! Requests to one registry, with the credentials that it asks for, sent again after temporary faults.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use data_encoding::BASE64;
use serde::Deserialize;
use ureq::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::http::{HeaderValue, Method, StatusCode, Uri};

use super::challenge::Challenge;
use super::error::HttpError;
use super::host::is_loopback;
use super::http::{
    Answer, Body, Connecting, Http, Request, Response, Security, drain, read_limited,
};
use super::login::Login;
use super::retry::{Retries, is_temporary, retry_after};
use super::token::{Grant, TokenRequest, read_token};
use crate::parallel::lock;

/// What requests may do, as a server of tokens needs to hear it: `repository:NAME:ACTIONS`, one or more.
pub(super) type Scope = Vec<String>;

/// Most bytes to read of an answer that only says what is wrong, and of a token.
const MOST_TEXT: u64 = 1 << 20;

/// How a registry takes the bytes of blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In one request.
    Whole,
    /// In chunks of this many bytes at most.
    Chunks(u64),
}

/// A registry, and what it granted so far.
pub(super) struct Session {
    /// The host with its port, without a path.
    host: String,
    scheme: &'static str,
    security: Security,
    http: Http,
    login: Option<Login>,
    /// The file with credentials that the user chose, for messages.
    auth_file: Option<PathBuf>,
    granted: Mutex<HashMap<Scope, Grant>>,
    /// Held while a grant is asked for, so that parallel requests wait for one and do not ask again.
    asking: Mutex<()>,
    way: Mutex<Way>,
}

impl Session {
    /// Finds out how to speak to a host. A host that need not be encrypted is asked with encryption first.
    ///
    /// # Errors
    /// [`HttpError`] if certificates cannot be read, or if a host that need not be encrypted cannot be reached.
    pub(super) fn begin(
        host: &str,
        login: Option<Login>,
        connecting: &Connecting<'_>,
    ) -> Result<Self, HttpError> {
        let session = |scheme| -> Result<Self, HttpError> {
            let base = format!("{scheme}://{host}/").parse();
            let base = base.map_err(|_| HttpError::Malformed { what: "address" })?;
            Ok(Self {
                host: host.to_owned(),
                scheme,
                security: connecting.security,
                http: Http::new(base, connecting)?,
                login: login.clone(),
                auth_file: connecting.auth_file.map(Path::to_owned),
                granted: Mutex::default(),
                asking: Mutex::default(),
                way: Mutex::new(Way::Whole),
            })
        };
        let encrypted = session("https")?;
        if !connecting.security.may_be_plain {
            return Ok(encrypted);
        }
        let ping = |session: &Self| {
            let request = Request::new(Method::GET, session.address("/v2/")?);
            session.http.send(&request, None)
        };
        let Err(error) = ping(&encrypted) else {
            return Ok(encrypted);
        };
        let plain = session("http")?;
        match ping(&plain) {
            // A server that wants encryption also answers a request without it, with 400.
            Ok(answer) if answer.response.status() != StatusCode::BAD_REQUEST => Ok(plain),
            // The registry may be down for a moment. The caller's requests are sent again.
            Err(_) if error.is_temporary() => Ok(plain),
            _ => Err(error),
        }
    }

    /// The host with its port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether this is a session with a host, under a login and with as much protection.
    pub(super) fn is_with(&self, host: &str, login: Option<&Login>, security: Security) -> bool {
        (&*self.host, self.login.as_ref(), self.security) == (host, login, security)
    }

    /// Whether requests go without encryption.
    pub(super) fn is_plain(&self) -> bool {
        self.scheme == "http"
    }

    /// The file with credentials that the user chose.
    pub(super) fn auth_file(&self) -> Option<&Path> {
        self.auth_file.as_deref()
    }

    /// How the registry takes blobs.
    pub(super) fn way(&self) -> Way {
        *lock(&self.way)
    }

    /// Notes how the registry takes blobs.
    pub(super) fn set_way(&self, way: Way) {
        *lock(&self.way) = way;
    }

    /// How long the registry may be silent.
    pub(super) fn silence(&self) -> Duration {
        self.http.silence()
    }

    /// The address of a path on this registry.
    pub(super) fn address(&self, path: &str) -> Result<Uri, HttpError> {
        let address = format!("{}://{}{path}", self.scheme, self.host);
        address
            .parse()
            .map_err(|_| HttpError::Malformed { what: "address" })
    }

    /// Sends a request until it is answered without a temporary fault, or too often.
    ///
    /// # Errors
    /// [`HttpError`] if there is no answer. An answer with an error status is not an error.
    pub(super) fn send(&self, request: &Request<'_>, scope: &Scope) -> Result<Response, HttpError> {
        self.send_within(Retries::new(), request, scope)
    }

    /// As [`Self::send`], with a bound on the attempts.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_within(
        &self,
        retries: Retries,
        request: &Request<'_>,
        scope: &Scope,
    ) -> Result<Response, HttpError> {
        retrying(retries, || self.send_once(request, scope))
    }

    /// Sends a request once, and once more if the registry wants other credentials.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_once(
        &self,
        request: &Request<'_>,
        scope: &Scope,
    ) -> Result<Response, HttpError> {
        let grant = self.granted(scope);
        let header = grant.as_ref().map(|grant| &grant.header);
        let answer = self.http.send(request, header)?;
        // Another host, to which the registry redirects, asks in vain.
        let wants_grant =
            |it: &Answer| it.is_home && it.response.status() == StatusCode::UNAUTHORIZED;
        if !wants_grant(&answer) {
            return Ok(answer.response);
        }
        let asking = lock(&self.asking);
        let other = self
            .granted(scope)
            .filter(|now| Some(&now.header) != header);
        let grant = match other {
            None => self.grant(&answer.response, scope)?,
            // Another request got it while this one waited.
            other => other,
        };
        drop(asking);
        let Some(grant) = grant else {
            return Err(self.unauthorized(answer.response));
        };
        drain(answer.response);
        let answer = self.http.send(request, Some(&grant.header))?;
        match wants_grant(&answer) {
            true => Err(self.unauthorized(answer.response)),
            false => Ok(answer.response),
        }
    }

    fn granted(&self, scope: &Scope) -> Option<Grant> {
        let granted = lock(&self.granted);
        let grant = granted.get(scope).or_else(|| granted.get(ANY))?;
        let is_valid = grant.until.is_none_or(|until| Instant::now() < until);
        is_valid.then(|| grant.clone())
    }

    /// Gets what an answer with 401 asks for. `None` if there is no way to.
    fn grant(&self, response: &Response, scope: &Scope) -> Result<Option<Grant>, HttpError> {
        let challenge = match challenge(response) {
            // Some registries say it only under the address that clients ask first.
            None => {
                let request = Request::new(Method::GET, self.address("/v2/")?);
                challenge(&self.http.send(&request, None)?.response)
            }
            found => found,
        };
        let (key, grant) = match (challenge, &self.login) {
            (None, _) | (Some(Challenge::Basic), None | Some(Login::IdentityToken(_))) => {
                return Ok(None);
            }
            (Some(Challenge::Basic), Some(Login::Basic { user, password })) => {
                let header = basic(user, password)?;
                (
                    Scope::new(),
                    Grant {
                        header,
                        until: None,
                    },
                )
            }
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope: asked,
                }),
                login,
            ) => {
                let mut scopes = scope.clone();
                // Some requests need more than pycull knows of, such as the right to delete.
                let asked = asked.unwrap_or_default();
                scopes.extend(asked.split_whitespace().map(str::to_owned));
                scopes.dedup();
                let request = TokenRequest {
                    realm: &realm,
                    service: service.as_deref(),
                    scopes: &scopes,
                };
                (scope.clone(), self.token(&request, login.as_ref())?)
            }
        };
        lock(&self.granted).insert(key, grant.clone());
        Ok(Some(grant))
    }

    /// Asks a server of tokens.
    fn token(&self, request: &TokenRequest<'_>, login: Option<&Login>) -> Result<Grant, HttpError> {
        let realm: Result<Uri, _> = request.realm.parse();
        let realm = realm.map_err(|_| HttpError::Malformed { what: "realm" })?;
        let host = realm.authority().map_or("", |host| host.as_str());
        // Only the registry itself, or this machine, may be without encryption.
        let may_be_plain = self.is_plain() && (host == self.host || is_loopback(host));
        if realm.scheme_str() != Some("https") && !may_be_plain {
            return Err(HttpError::InsecureRedirect {
                to: format!("http://{host}"),
            });
        }
        let (form, header);
        let request = match login {
            Some(Login::IdentityToken(token)) => {
                (form, header) = (request.form(token), None);
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                Request::new(Method::POST, realm)
                    .header(CONTENT_TYPE, form_type)
                    .body(Body::Bytes(form.as_bytes()))
            }
            Some(Login::Basic { user, password }) => {
                header = Some(basic(user, password)?);
                Request::new(Method::GET, request.address()?)
            }
            None => {
                header = None;
                Request::new(Method::GET, request.address()?)
            }
        };
        let ask = || {
            Ok(self
                .http
                .send_elsewhere(&request, header.as_ref())?
                .response)
        };
        let response = retrying(Retries::new(), ask)?;
        match response.status().as_u16() {
            200 => read_token(&read_limited(response)?),
            400 | 401 | 403 => Err(self.unauthorized(response)),
            _ => Err(refused(response)),
        }
    }

    fn unauthorized(&self, response: Response) -> HttpError {
        HttpError::Unauthorized {
            host: self.host.clone(),
            had_login: self.login.is_some(),
            is_plain: self.is_plain(),
            auth_file: self.auth_file.clone(),
            detail: words(response).1,
        }
    }
}

/// The key of a grant for every scope: a password.
const ANY: &[String] = &[];

/// Sends a request until it is answered without a temporary fault, or too often.
fn retrying(
    mut retries: Retries,
    send: impl Fn() -> Result<Response, HttpError>,
) -> Result<Response, HttpError> {
    loop {
        let result = send();
        let asked = match &result {
            Ok(response) if is_temporary(response.status().as_u16()) => asked_pause(response),
            Err(error) if error.is_temporary() => None,
            _ => return result,
        };
        if !retries.wait(asked) {
            return result;
        }
    }
}

fn challenge(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    let headers = headers.iter().filter_map(|value| value.to_str().ok());
    Challenge::first(headers)
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, HttpError> {
    let text = BASE64.encode(format!("{user}:{password}").as_bytes());
    let header: Result<HeaderValue, _> = format!("Basic {text}").parse();
    let mut header = header.map_err(|_| HttpError::Malformed { what: "user name" })?;
    header.set_sensitive(true);
    Ok(header)
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, SystemTime::now())
}

/// The error for an answer with an error status.
pub(super) fn refused(response: Response) -> HttpError {
    let (status, pause) = (response.status(), asked_pause(&response));
    let (code, detail) = words(response);
    HttpError::Status {
        status,
        code,
        detail,
        pause,
    }
}

/// Most characters of a registry's own words to repeat.
const MOST_DETAIL: usize = 200;

/// What a registry says about an error (distribution-spec, error codes): the code of the first error, and its message
/// with the code.
fn words(mut response: Response) -> (String, String) {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        code: String,
        #[serde(default)]
        message: String,
    }
    let limited = response.body_mut().with_config().limit(MOST_TEXT);
    let text = limited.read_to_vec().unwrap_or_default();
    let errors: Result<Errors, _> = serde_json::from_slice(&text);
    let first = errors
        .ok()
        .and_then(|errors| errors.errors.into_iter().next());
    let Some(Entry { code, message }) = first else {
        return Default::default();
    };
    let words = match message.is_empty() {
        true => code.clone(),
        false => format!("{message} ({code})"),
    };
    (code, words.chars().take(MOST_DETAIL).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_as_rfc_7617_has_it() {
        let header = basic("Aladdin", "open sesame").unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
    }
}
