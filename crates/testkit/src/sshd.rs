//! A real OpenSSH server, whose files are read by SFTP.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{PATIENCE, eventually_some};

/// Set by `scripts/with-services`: the program.
const VARIABLE: &str = "CALLBOARD_TEST_SSHD";

/// Where it puts away what has no rights, when it runs as root.
const EMPTY_FOLDER: &str = "/run/sshd";

/// Ends it with its connections, each of which is a process or two in a session of its own, when the
/// input of the guard ends, however the test ends.
const GUARD: &str = r#"
children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
"$0" -D -e -f "$1" & sshd=$!
cat >/dev/null
for child in $(children "$sshd"); do kill -KILL $(children "$child") "$child" 2>/dev/null; done
kill -KILL "$sshd"
wait"#;

/// A server on a port of 127.0.0.1 that lets in whoever runs the test with a key of its own. Dropping it
/// ends it.
#[derive(Debug)]
pub struct Sshd {
    guard: Option<Child>,
    program: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Sshd {
    /// Starts one. `None`, with a word on stderr, when no sshd is named by `CALLBOARD_TEST_SSHD`.
    /// `make test` always names one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os(VARIABLE) else {
            eprintln!("{VARIABLE} is not set: not tested with OpenSSH");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "user", "stranger"] {
            make_key(&folder.path().join(name));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sshd = Self { guard: None, program: program.into(), port, folder };
        fs::copy(sshd.path("user.pub"), sshd.path("authorized_keys")).unwrap();
        sshd.write_config();
        sshd.know("host");
        sshd.resume().await;
        Some(sshd)
    }

    /// What of its address comes before the path: `ssh://user@127.0.0.1:port`.
    ///
    /// # Panics
    /// When nobody knows who runs the test.
    #[must_use]
    pub fn url(&self) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        format!("ssh://{}@127.0.0.1:{}", user.trim(), self.port)
    }

    /// The key that it lets in.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path("user")
    }

    /// A key that it does not let in.
    #[must_use]
    pub fn other_key(&self) -> PathBuf {
        self.path("stranger")
    }

    /// Its own key, as others know it.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// Writes into [`Sshd::known_hosts`] that its key is another one, or that it is its own again.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn is_known_by_its_own_key(&self, own: bool) {
        self.know(if own { "host" } else { "stranger" });
    }

    /// Ends it, and every connection with it.
    pub fn end(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            drop(guard.wait());
        }
    }

    /// Starts it again, on the same port and with the same key.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn resume(&mut self) {
        self.end();
        let guard = Command::new("sh")
            .args(["-c", GUARD])
            .args([&self.program, &self.path("sshd_config")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        self.guard = Some(guard);
        let listens = async || TcpStream::connect(("127.0.0.1", self.port)).await.ok().map(drop);
        eventually_some(PATIENCE, listens).await;
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn know(&self, name: &str) {
        let key = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        let mut words = key.split_whitespace();
        let (algorithm, key) = (words.next().unwrap(), words.next().unwrap());
        let line = format!("[127.0.0.1]:{} {algorithm} {key}\n", self.port);
        fs::write(self.known_hosts(), line).unwrap();
    }

    fn write_config(&self) {
        // Root alone may, and needs it.
        drop(fs::create_dir(EMPTY_FOLDER));
        let mut file = fs::File::create(self.path("sshd_config")).unwrap();
        let folder = self.folder.path().display();
        write!(
            file,
            "ListenAddress 127.0.0.1:{}
            HostKey {folder}/host
            AuthorizedKeysFile {folder}/authorized_keys
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin yes
            MaxStartups 100
            Subsystem sftp internal-sftp\n",
            self.port
        )
        .unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
    }
}

/// An Ed25519 key without a passphrase.
fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner alone");
}
