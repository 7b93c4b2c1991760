//! A real nginx: in front of a provider, with TLS and HTTP/2 as vendors have, or in front of
//! Callboard, as `deploy/nginx` has it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{PATIENCE, eventually_some};

/// Set by `scripts/with-services`: the program.
const VARIABLE: &str = "CALLBOARD_TEST_NGINX";

/// Ports may be taken between when they were found and when nginx binds them.
const TRIES: usize = 5;

/// Ends its child when its own input ends, however the test ends.
const GUARD: &str = r#""$0" -c "$1" & nginx=$!; cat >/dev/null; kill "$nginx"; wait "$nginx""#;

/// Its process. Dropping it ends it, by its id.
#[derive(Debug)]
pub struct Nginx {
    guard: Child,
    place: Place,
    folder: TempDir,
}

/// What its configuration may name.
#[derive(Clone, Debug)]
pub struct Place {
    /// Ports of 127.0.0.1 to listen on; the first must be.
    pub ports: [u16; 3],
    /// A certificate for `localhost` and 127.0.0.1, signed by itself …
    pub certificate: PathBuf,
    /// … and its key.
    pub key: PathBuf,
}

impl Nginx {
    /// With TLS, and HTTP/2 for those who want it, in front of `upstream` (host and port); it hands
    /// on every byte at once, and keeps a log of the protocols of requests. `None`, with a word on
    /// stderr, when no nginx is named by `CALLBOARD_TEST_NGINX`. `make test` always names one.
    pub async fn before(upstream: &str) -> Option<Self> {
        Self::start(|place| {
            let Place { ports: [port, ..], certificate, key } = place;
            format!(
                "server {{
                    listen 127.0.0.1:{port} ssl http2;
                    ssl_certificate {};
                    ssl_certificate_key {};
                    http2_max_concurrent_streams 1000;
                    keepalive_requests 100000;
                    location / {{
                        proxy_pass http://{upstream};
                        proxy_http_version 1.1;
                        proxy_set_header Connection '';
                        proxy_buffering off;
                        proxy_read_timeout 600s;
                    }}
                }}",
                certificate.display(),
                key.display()
            )
        })
        .await
    }

    /// With these servers in its `http` block; see [`Nginx::before`].
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(servers: impl Fn(&Place) -> String) -> Option<Self> {
        let Some(program) = std::env::var_os(VARIABLE) else {
            eprintln!("{VARIABLE} is not set: not tested with nginx");
            return None;
        };
        for _ in 0..TRIES {
            if let Some(nginx) = Self::once(Path::new(&program), &servers).await {
                return Some(nginx);
            }
        }
        panic!("nginx does not start");
    }

    async fn once(program: &Path, servers: &impl Fn(&Place) -> String) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            ports: free_ports(),
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        sign(&place);
        let config = folder.path().join("nginx.conf");
        fs::write(&config, around(&servers(&place), folder.path())).unwrap();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .args([program, &config])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let [port, ..] = place.ports;
        let error_log = folder.path().join("error.log");
        let started = eventually_some(PATIENCE, async || {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(true);
            }
            let log = fs::read_to_string(&error_log).unwrap_or_default();
            assert!(!log.contains("[emerg]") || log.contains("in use"), "{log}");
            log.contains("[emerg]").then_some(false)
        });
        let started = started.await;
        if !started {
            end(&mut guard);
            return None;
        }
        Some(Self { guard, place, folder })
    }

    /// Where it listens, and with what.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its first port, by TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.place.ports[0])
    }

    /// Each request that ended: its connection's number and its protocol, `HTTP/2.0` or `HTTP/1.1`.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let pair = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        log.lines().filter_map(pair).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end(&mut self.guard);
    }
}

/// The guard ends nginx when its input is closed.
fn end(guard: &mut Child) {
    drop(guard.stdin.take());
    drop(guard.wait());
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A certificate of this test's own.
fn sign(place: &Place) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&place.key)
        .arg("-out")
        .arg(&place.certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The rest of the configuration: one process, and all its files in the test's own folder.
fn around(servers: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
        master_process off;
        pid {folder}/pid;
        error_log {folder}/error.log notice;
        events {{ worker_connections 4096; }}
        http {{
            log_format protocols '$connection $server_protocol';
            access_log {folder}/access.log protocols;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {servers}
        }}"
    )
}
