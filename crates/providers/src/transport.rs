//! HTTP to one provider: connections, keys, retries before the first byte, and refusals.
//!
//! [`Client`](crate::Client) sends through it what the files of `wire` have encoded. Redirects are
//! not followed, replies of an error are read to a bound, and every wait has an end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use callboard_protocol::Timestamp;
use reqwest::{
    StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use crate::{
    ConfigError, ProviderConfig, ProviderError, ProviderErrorKind, ReplyHead, fault,
    reply::read_rate_limits,
    retry::{Failure, RetryBudget, with_retries},
};

/// An error reply is read this far: enough for its codes and a sentence.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// How long the body of an error reply may take.
const ERROR_GRACE: Duration = Duration::from_secs(2);

/// Below the minute after which load balancers drop an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a stream over HTTP/2 may send ahead of a reader that stands still.
const STREAM_WINDOW: u32 = 64 * 1024;

/// What all streams of an HTTP/2 connection may: readers that stand still must not stop the rest.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// The connections to one provider. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    /// What is sent with each key; one empty entry when there is none.
    keys: Vec<HeaderMap>,
    /// Of all its calls together.
    retries: Arc<RetryBudget>,
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Where to.
    pub(crate) url: Url,
    /// The JSON.
    pub(crate) body: Bytes,
    /// A stream is wanted.
    pub(crate) stream: bool,
}

/// How a key is shown to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer`.
    Bearer,
    /// Alone in this header.
    Plain(&'static str),
}

impl Transport {
    /// Reads the keys and prepares the connections; nothing is sent. `fixed` goes with every
    /// request.
    pub(crate) fn new(
        config: &ProviderConfig,
        target: &Url,
        key_header: KeyHeader,
        fixed: &[(&'static str, &'static str)],
    ) -> Result<Self, ConfigError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fixed {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut builder = reqwest::Client::builder()
            .tls_certs_merge(config.certificates()?)
            .user_agent(concat!("callboard/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(config.connect_timeout())
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(config.max_concurrency as usize)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            // A redirect would carry the key and the question to another place.
            .redirect(reqwest::redirect::Policy::none())
            // Attempts are counted in one place: `retry`.
            .retry(reqwest::retry::never());
        if is_loopback(target) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            ConfigError::new("base_url", format!("cannot be used, the HTTP client fails: {error}"))
        })?;
        let keys = config.keys()?;
        let mut headers = Vec::with_capacity(keys.len().max(1));
        for key in &keys {
            headers.push(key_header.with(key)?);
        }
        if headers.is_empty() {
            headers.push(HeaderMap::new());
        }
        Ok(Self { http, keys: headers, retries: Arc::new(RetryBudget::new()) })
    }

    /// How many keys there are to choose from: at least one, which may be none at all.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Sends; the reply has begun when this returns. Short hiccups before that are tried again.
    pub(crate) async fn send(
        &self,
        outgoing: &Outgoing,
        key: usize,
        deadline: Instant,
    ) -> Result<(reqwest::Response, ReplyHead), ProviderError> {
        let attempts = AtomicU32::new(0);
        let work = with_retries(&self.retries, || {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.attempt(outgoing, key)
        });
        let response = timeout_at(deadline, work).await.map_err(|_| {
            ProviderError::new(ProviderErrorKind::Timeout).because(if outgoing.stream {
                "no reply came within first_token_timeout_ms"
            } else {
                "no reply came within total_timeout_ms"
            })
        })??;
        let headers = response.headers();
        let id = ["x-request-id", "request-id", "apim-request-id"];
        let id = id.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        let head = ReplyHead {
            rate_limits: read_rate_limits(headers, Timestamp::now()),
            request_id: id.filter(|id| id.len() <= 256).map(str::to_owned),
            key,
            attempts: attempts.into_inner(),
        };
        Ok((response, head))
    }

    /// Whether anything but a failure of the server's own answers a GET at this address.
    pub(crate) async fn answers(&self, url: Url, within: Duration) -> bool {
        let key = self.keys.first().cloned().unwrap_or_default();
        let sent = self.http.get(url).headers(key).timeout(within).send().await;
        sent.is_ok_and(|response| !response.status().is_server_error())
    }

    /// One attempt, up to the head of the reply.
    async fn attempt(
        &self,
        outgoing: &Outgoing,
        key: usize,
    ) -> Result<reqwest::Response, Failure<ProviderError>> {
        let unknown = || ProviderError::new(ProviderErrorKind::Auth).because("no such key");
        let key_headers = self.keys.get(key).ok_or_else(|| Failure::Final(unknown()))?;
        let accept = if outgoing.stream {
            "text/event-stream, application/x-ndjson, application/json;q=0.5"
        } else {
            "application/json"
        };
        let mut request = self
            .http
            .post(outgoing.url.clone())
            .headers(key_headers.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept)
            .body(outgoing.body.clone());
        if outgoing.stream {
            // A compressor would hold tokens back.
            request = request.header(header::ACCEPT_ENCODING, "identity");
        }
        let response = request.send().await.map_err(|error| Failure::Again {
            error: ProviderError::new(ProviderErrorKind::Unreachable).because(error.without_url()),
            retry_after: None,
        })?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, mut response: reqwest::Response) -> Failure<ProviderError> {
        let status = response.status();
        let retry_after = fault::retry_after(response.headers(), Timestamp::now());
        let mut body = Vec::new();
        let deadline = Instant::now() + ERROR_GRACE;
        while let Ok(Ok(Some(bytes))) = timeout_at(deadline, response.chunk()).await {
            body.extend_from_slice(&bytes[..bytes.len().min(MAX_ERROR_BYTES - body.len())]);
            if body.len() == MAX_ERROR_BYTES {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body);
        let error = fault::from_status(status.as_u16(), retry_after, &body);
        let again = match error.kind {
            ProviderErrorKind::Overloaded => matches!(status.as_u16(), 500 | 502 | 503 | 529),
            // The key rests; the caller turns to another one, or waits.
            ProviderErrorKind::RateLimited { .. }
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::BadRequest
            | ProviderErrorKind::Auth
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => false,
        };
        if again {
            Failure::Again { retry_after: retry_after.or_else(|| error.retry_after()), error }
        } else {
            Failure::Final(error)
        }
    }
}

impl KeyHeader {
    fn with(self, key: &SecretString) -> Result<HeaderMap, ConfigError> {
        let (name, value) = match self {
            Self::Bearer => (header::AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
            Self::Plain(name) => (HeaderName::from_static(name), key.expose_secret().to_owned()),
        };
        let value = HeaderValue::try_from(value);
        let mut value = value.map_err(|_| ConfigError::new("api_key", "must be visible ASCII"))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(name, value)]))
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
