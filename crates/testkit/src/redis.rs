//! A corner of a Redis of a test's own.

use callboard_protocol::RequestId;
use url::Url;

use crate::FlakyProxy;

/// Set by the Makefile: a server that holds nothing of value.
const VARIABLE: &str = "CALLBOARD_TEST_REDIS_URL";

/// A Redis behind a proxy that can break it for this test alone, and a prefix for its keys.
#[derive(Debug)]
pub struct Redis {
    /// The way to the server: cut, stall and resume it here.
    pub proxy: FlakyProxy,
    url: String,
    prefix: String,
}

impl Redis {
    /// Makes one; `None`, with a word on stderr, when no server is named by
    /// `CALLBOARD_TEST_REDIS_URL`. `make test` always names one.
    pub async fn create() -> Option<Self> {
        let Ok(server) = std::env::var(VARIABLE) else {
            eprintln!("{VARIABLE} is not set: not tested with Redis");
            return None;
        };
        let server = Url::parse(&server).expect("CALLBOARD_TEST_REDIS_URL is a URL");
        let host = server.host_str().expect("CALLBOARD_TEST_REDIS_URL names a host");
        let proxy = FlakyProxy::start(host, server.port().unwrap_or(6_379)).await;
        let url = proxy.url(server.as_str());
        Some(Self { proxy, url, prefix: format!("test-{}:", RequestId::new()) })
    }

    /// What to configure as `redis.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What to configure as the prefix of all keys, so that tests do not meet.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn ping(url: &Url) -> std::io::Result<[u8; 7]> {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(address).await?;
        // The server that `make test` starts has a password.
        if let Some(password) = url.password() {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await?;
            stream.read_exact(&mut [0; 5]).await?;
        }
        stream.write_all(b"PING\r\n").await?;
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    #[tokio::test]
    async fn it_is_broken_for_one_test_alone() {
        let Some(one) = Redis::create().await else { return };
        let Some(two) = Redis::create().await else { return };
        assert_ne!(one.prefix(), two.prefix());
        let (one_url, two_url) = (Url::parse(one.url()).unwrap(), Url::parse(two.url()).unwrap());
        one.proxy.cut();
        assert!(ping(&one_url).await.is_err());
        assert_eq!(&ping(&two_url).await.unwrap(), b"+PONG\r\n");
        one.proxy.resume();
        assert_eq!(&ping(&one_url).await.unwrap(), b"+PONG\r\n");
    }
}
