//! One request and its answer: connections, certificates, proxies, time limits and redirects.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ureq::http::header::AUTHORIZATION;
use ureq::http::{self, HeaderMap, HeaderValue, Method, StatusCode, Uri};
use ureq::tls::{ClientCert, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, SendBody};

use super::address::{host_of, is_same_host, location, scheme_of};
use super::certificates::CertificateFiles;
use super::connecting::{crypto, read_certificates, read_client, read_proxy, system_roots};
use super::error::{HttpError, ProxyHost};
use super::no_proxy::NoProxy;
use super::settings::Proxies;
use crate::oci::Blob;
use crate::oci::blob::DOCUMENT_LIMIT;
use crate::parallel::lock;
use crate::read_at::ReadFrom;

/// Most redirects to follow. Registries use one, to a store of blobs.
const MOST_REDIRECTS: usize = 5;

/// Connections to keep for the next request, for each host.
const IDLE_CONNECTIONS: usize = 16;

/// The least that a registry reads again of a blob in a second before it answers.
const BYTES_A_SECOND: u64 = 20_000_000;

/// Most bytes of a body to read only so that its connection can be used again.
const MOST_DRAINED: u64 = 64 << 10;

/// The time to connect to a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A registry's answer.
pub(super) type Response = http::Response<ureq::Body>;

/// The body of a request. It can be sent again, unless it is a stream.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// This many bytes of a blob, from an offset on.
    Part {
        blob: &'a Blob,
        offset: u64,
        size: u64,
    },
    /// Bytes that come one after another. This one can be sent only once.
    Stream(&'a Mutex<Stream>),
}

/// Bytes whose number is not known yet.
pub(super) struct Stream {
    bytes: Box<dyn Read + Send>,
    is_begun: bool,
}

impl Stream {
    pub(super) fn new(bytes: Box<dyn Read + Send>) -> Self {
        let is_begun = false;
        Self { bytes, is_begun }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_begun = true;
        self.bytes.read(buffer)
    }
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) address: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, address: Uri) -> Self {
        Self {
            method,
            address,
            headers: HeaderMap::new(),
            body: Body::None,
        }
    }

    pub(super) fn header(mut self, name: http::HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.append(name, value.into());
        self
    }

    pub(super) fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }
}

/// An answer, and who gave it.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Whether the server that was asked gave it, and not one that it redirected to.
    pub(super) is_home: bool,
}

/// The bytes of a blob on their way up.
struct Part<R> {
    inner: R,
    left: u64,
    error: Option<io::Error>,
}

impl<R> Part<R> {
    fn new(inner: R, left: u64) -> Self {
        Self {
            inner,
            left,
            error: None,
        }
    }

    /// The error of reading the bytes, if there was one. It is not the connection's.
    fn check(self) -> Result<(), HttpError> {
        match self.error {
            Some(source) => Err(HttpError::Local {
                action: "read the bytes to upload",
                source,
            }),
            None => Ok(()),
        }
    }
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        let result = match result {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            result => result,
        };
        match result {
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// How little a connection may be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Security {
    /// Whether it need not be encrypted.
    pub(super) may_be_plain: bool,
    /// Whether to accept any certificate.
    pub(super) accepts_any_certificate: bool,
}

/// How to connect to a registry.
pub(super) struct Connecting<'a> {
    pub(super) security: Security,
    /// Certificates in addition to those of the system.
    pub(super) certificates: CertificateFiles,
    /// The user's proxies.
    pub(super) proxies: &'a Proxies,
    /// The file with credentials that the user chose, for messages.
    pub(super) auth_file: Option<&'a Path>,
    /// How long the other side may be silent.
    pub(super) silence: Duration,
}

/// Connections to a registry, and to the hosts that it redirects to.
pub(super) struct Http {
    /// The registry's own address. Credentials and the client certificate go nowhere else.
    base: Uri,
    silence: Duration,
    own: Agents,
    /// For other hosts. They show no client certificate.
    other: Agents,
    /// The proxy of the usual connections, for messages.
    proxy: Option<ProxyHost>,
    exceptions: NoProxy,
}

/// Connections with the same certificates.
struct Agents {
    /// Through the proxy, if there is one.
    usual: Agent,
    direct: Agent,
}

impl Http {
    /// Reads the certificates. Connects to nothing yet. `base` is the address of the registry.
    ///
    /// # Errors
    /// [`HttpError::Certificate`] or [`HttpError::Proxy`].
    pub(super) fn new(base: Uri, connecting: &Connecting<'_>) -> Result<Self, HttpError> {
        let mut roots = system_roots().to_vec();
        for path in &connecting.certificates.roots {
            roots.extend(read_certificates(path)?);
        }
        let roots = RootCerts::Specific(Arc::new(roots));
        let proxies = connecting.proxies;
        let proxy = proxies.of(scheme_of(&base)).map(read_proxy).transpose()?;
        let (proxy, proxy_host) = proxy.unzip();
        let agent = |client: Option<&ClientCert>, proxy: Option<&Proxy>| {
            let tls = TlsConfig::builder()
                .root_certs(roots.clone())
                .client_cert(client.cloned())
                .disable_verification(connecting.security.accepts_any_certificate)
                .unversioned_rustls_crypto_provider(crypto())
                .build();
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections_per_host(IDLE_CONNECTIONS)
                .user_agent(concat!("pycull/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_per_read(Some(connecting.silence))
                .timeout_per_write(Some(connecting.silence))
                .tls_config(tls)
                .proxy(proxy.cloned());
            config.build().new_agent()
        };
        let agents = |client: Option<&ClientCert>| Agents {
            usual: agent(client, proxy.as_ref()),
            direct: agent(client, None),
        };
        let client = match &connecting.certificates.client {
            Some((chain, key)) => Some(read_client(chain, key)?),
            None => None,
        };
        Ok(Self {
            base,
            silence: connecting.silence,
            own: agents(client.as_ref()),
            other: agents(None),
            proxy: proxy_host,
            exceptions: proxies.exceptions(),
        })
    }

    /// How long the other side may be silent.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// Sends a request to the registry and follows redirects. `authorization` goes to the registry itself only.
    ///
    /// # Errors
    /// [`HttpError`] if there is no answer. An answer with an error status is not an error here.
    pub(super) fn send(
        &self,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, HttpError> {
        self.send_for(&self.base, request, authorization)
    }

    /// Sends a request to another server, such as one of tokens. `authorization` goes to that server only.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_elsewhere(
        &self,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, HttpError> {
        self.send_for(&request.address, request, authorization)
    }

    fn send_for(
        &self,
        home: &Uri,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, HttpError> {
        let mut address = request.address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let agents = match is_same_host(&address, &self.base) {
                true => &self.own,
                false => &self.other,
            };
            let (agent, proxy) = match self.exceptions.covers(&address) {
                true => (&agents.direct, None),
                false => (&agents.usual, self.proxy.as_ref()),
            };
            let is_home = is_same_host(&address, home);
            let authorization = authorization.filter(|_| is_home);
            let response = self.exchange(agent, request, &address, authorization);
            let response = response.and_then(|it| past_proxy(it, &address));
            let response = response.map_err(|error| error.through(proxy))?;
            let Some(next) = redirect(request, &address, &response)? else {
                return Ok(Answer { response, is_home });
            };
            drain(response);
            address = next;
        }
        Err(HttpError::TooManyRedirects)
    }

    fn exchange(
        &self,
        agent: &Agent,
        request: &Request<'_>,
        address: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, HttpError> {
        let mut head = http::Request::builder()
            .method(request.method.clone())
            .uri(address.clone());
        if let Some(headers) = head.headers_mut() {
            headers.extend(request.headers.clone());
            if let Some(value) = authorization {
                headers.insert(AUTHORIZATION, value.clone());
            }
        }
        let malformed = |_| HttpError::Malformed { what: "address" };
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
        let result = match request.body {
            Body::None if has_body => agent.run(head.body(&[][..]).map_err(malformed)?),
            Body::None => agent.run(head.body(()).map_err(malformed)?),
            Body::Bytes(bytes) => agent.run(head.body(bytes).map_err(malformed)?),
            Body::Part { blob, offset, size } => {
                let head = head.header(http::header::CONTENT_LENGTH, size);
                let mut part = Part::new(ReadFrom::new(blob.part(offset, size), 0), size);
                let body = head.body(SendBody::from_reader(&mut part));
                // A registry may read a large blob again before it answers.
                let patience = self.silence + Duration::from_secs(size / BYTES_A_SECOND);
                let request = agent.configure_request(body.map_err(malformed)?);
                let request = request.timeout_per_read(Some(patience)).build();
                let result = agent.run(request);
                part.check()?;
                result
            }
            Body::Stream(stream) => {
                let mut stream = lock(stream);
                if stream.is_begun {
                    return Err(HttpError::Local {
                        action: "read the bytes to upload",
                        source: io::ErrorKind::NotSeekable.into(),
                    });
                }
                let body = head.body(SendBody::from_reader(&mut *stream));
                agent.run(body.map_err(malformed)?)
            }
        };
        result.map_err(|source| unreachable(address, source))
    }
}

fn unreachable(address: &Uri, source: ureq::Error) -> HttpError {
    HttpError::Unreachable {
        host: host_of(address),
        proxy: None,
        source: Box::new(source),
    }
}

/// Returns the answer, unless it is that of a proxy that wants other credentials. With encryption, the connection fails
/// in that case.
fn past_proxy(response: Response, address: &Uri) -> Result<Response, HttpError> {
    match response.status() {
        status @ StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let error = ureq::Error::ConnectProxyFailed(status.to_string());
            Err(unreachable(address, error))
        }
        _ => Ok(response),
    }
}

/// Where an answer redirects a request to, if it does.
///
/// A request that changes something is repeated elsewhere only if the status asks for that (RFC 9110, section 15.4).
fn redirect(
    request: &Request<'_>,
    from: &Uri,
    response: &Response,
) -> Result<Option<Uri>, HttpError> {
    let is_read = request.method == Method::GET || request.method == Method::HEAD;
    let follows = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => is_read,
        _ => false,
    };
    if !follows {
        return Ok(None);
    }
    location(response, from).map(Some)
}

/// Reads the body of an answer that is a document.
pub(super) fn read_limited(mut response: Response) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    let body = response.body_mut().as_reader();
    let read = body.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|source| HttpError::Broken { source })?;
    match bytes.len() as u64 > DOCUMENT_LIMIT {
        true => Err(HttpError::TooLarge {
            limit: DOCUMENT_LIMIT,
        }),
        false => Ok(bytes),
    }
}

/// Reads the rest of a short body.
pub(super) fn drain(mut response: Response) {
    let body = response.body_mut().as_reader();
    let _ = io::copy(&mut body.take(MOST_DRAINED), &mut io::sink());
}
