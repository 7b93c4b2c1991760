//! A connection to another machine, over which its files are read (SSH File Transfer Protocol,
//! draft-ietf-secsh-filexfer-02, as OpenSSH speaks it).
//!
//! A machine is believed when it shows the key that the known hosts have for it (RFC 4251, section 4.1);
//! there is no trust at first sight.

use std::{path::Path, sync::Arc, time::Duration};

use callboard_logs::SshConfig;
use russh::{
    client,
    keys::{
        PrivateKeyWithHashAlg, PublicKeyOrCertificate,
        agent::{AgentIdentity, client::AgentClient},
        known_hosts, load_secret_key,
    },
};
use russh_sftp::client::{SftpSession, error::Error as SftpError, fs::File};
use tokio::time::timeout;

use super::Address;

/// Connecting and signing in take no longer than this.
const PATIENCE: Duration = Duration::from_secs(15);

/// A machine that says nothing is asked whether it is there …
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// … so often.
const UNANSWERED: usize = 3;

/// Why a machine, or a file of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    #[error("logs.ssh.known_hosts is not set")]
    NotConfigured,
    #[error("the known hosts have no key of {0}")]
    UnknownHost(String),
    #[error(
        "the machine shows another key than the known hosts have: it is another one, or was made anew"
    )]
    OtherKey,
    #[error("the known hosts cannot be read: {0}")]
    KnownHosts(russh::keys::Error),
    #[error("the private key cannot be read: {0}")]
    PrivateKey(russh::keys::Error),
    #[error("the agent does not answer: {0}")]
    Agent(String),
    #[error("{0} is not let in")]
    Refused(String),
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Silent,
    #[error("{0}")]
    Ssh(#[from] russh::Error),
    #[error("{0}")]
    Sftp(#[from] SftpError),
    #[error("{0}")]
    Read(std::io::Error),
    #[error("more than {0} bytes wait to be indexed")]
    Full(u64),
    #[error("the copy of the file cannot be written: {0}")]
    Copy(std::io::Error),
}

impl SshError {
    /// Whether the machine answered, and only one file is concerned.
    pub(super) fn is_of_file(&self) -> bool {
        matches!(self, Self::Sftp(SftpError::Status(_)) | Self::Copy(_) | Self::Full(_))
    }
}

/// See the module.
pub(super) struct Session {
    sftp: SftpSession,
    /// Ends the connection when it is dropped.
    _connection: client::Handle<Stranger>,
}

/// A file of a folder.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) len: u64,
    /// When it was changed last, in seconds since 1970.
    pub(super) changed: u32,
}

impl Session {
    /// Connects and signs in.
    ///
    /// # Errors
    /// When nobody answers, who answers is not known, or lets nobody in.
    pub(super) async fn open(address: &Address, config: &SshConfig) -> Result<Self, SshError> {
        timeout(PATIENCE, connect(address, config)).await.map_err(|_| SshError::Silent)?
    }

    /// The files of a folder; links to files count as files.
    ///
    /// # Errors
    /// When the machine does not answer, or refuses.
    pub(super) async fn list(&self, address: &Address) -> Result<Vec<Listed>, SshError> {
        let mut files = Vec::new();
        for entry in self.sftp.read_dir(address.folder.as_str()).await? {
            let (name, mut metadata) = (entry.file_name(), entry.metadata());
            if metadata.is_symlink() {
                // One that leads nowhere is no file.
                let Ok(of_target) = self.sftp.metadata(address.path_of(&name)).await else {
                    continue;
                };
                metadata = of_target;
            }
            if metadata.is_regular() {
                let (len, changed) = (metadata.len(), metadata.mtime.unwrap_or_default());
                files.push(Listed { name, len, changed });
            }
        }
        Ok(files)
    }

    /// A file, and how long it is now.
    ///
    /// # Errors
    /// When the machine does not answer, or refuses.
    pub(super) async fn file(&self, path: String) -> Result<(File, u64), SshError> {
        let file = self.sftp.open(path).await?;
        let len = file.metadata().await?.len();
        Ok((file, len))
    }
}

async fn connect(address: &Address, config: &SshConfig) -> Result<Session, SshError> {
    let stranger = Stranger::new(address, config)?;
    let mut preferred = russh::Preferred::default();
    // A machine with several keys shows the one that is known of it.
    let known: Vec<_> = preferred
        .key
        .iter()
        .filter(|algorithm| stranger.keys.iter().any(|key| key.algorithm() == **algorithm))
        .cloned()
        .collect();
    preferred.key = known.into();
    let settings = client::Config {
        preferred,
        keepalive_interval: Some(KEEP_ALIVE),
        keepalive_max: UNANSWERED,
        nodelay: true,
        ..client::Config::default()
    };
    let target = (address.host.as_str(), address.port);
    let mut connection = client::connect(Arc::new(settings), target, stranger).await?;
    sign_in(&mut connection, &address.user, config).await?;
    let channel = connection.channel_open_session().await?;
    channel.request_subsystem(true, "sftp").await?;
    let sftp = SftpSession::new(channel.into_stream()).await?;
    Ok(Session { sftp, _connection: connection })
}

async fn sign_in(
    connection: &mut client::Handle<Stranger>,
    user: &str,
    config: &SshConfig,
) -> Result<(), SshError> {
    if let Some(path) = &config.private_key {
        let key = load_secret_key(path, None).map_err(SshError::PrivateKey)?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        if connection.authenticate_publickey(user, key).await?.success() {
            return Ok(());
        }
    }
    if let Some(socket) = &config.agent
        && ask_agent(connection, user, socket).await?
    {
        return Ok(());
    }
    Err(SshError::Refused(user.to_owned()))
}

/// Shows the keys of an agent; whether one of them was taken.
async fn ask_agent(
    connection: &mut client::Handle<Stranger>,
    user: &str,
    socket: &Path,
) -> Result<bool, SshError> {
    let failed = |error: russh::keys::Error| SshError::Agent(error.to_string());
    let mut agent = AgentClient::connect_uds(socket).await.map_err(failed)?;
    for identity in agent.request_identities().await.map_err(failed)? {
        let AgentIdentity::PublicKey { key, .. } = identity else { continue };
        let is_rsa = key.algorithm().is_rsa();
        let hash =
            if is_rsa { connection.best_supported_rsa_hash().await?.flatten() } else { None };
        let shown = connection.authenticate_publickey_with(user, key, hash, &mut agent).await;
        if shown.map_err(|error| SshError::Agent(error.to_string()))?.success() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The machine, until it has shown its key.
struct Stranger {
    /// Those that are known of it.
    keys: Vec<russh::keys::PublicKey>,
}

impl Stranger {
    fn new(address: &Address, config: &SshConfig) -> Result<Self, SshError> {
        let path = config.known_hosts.as_ref().ok_or(SshError::NotConfigured)?;
        // The library takes a file that is not there for an empty one.
        let there = std::fs::metadata(path).map(drop).map_err(Into::into);
        let known = there
            .and_then(|()| known_hosts::known_host_keys_path(&address.host, address.port, path));
        let known = known.map_err(SshError::KnownHosts)?;
        let keys: Vec<_> = known.into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() {
            Err(SshError::UnknownHost(address.host.clone()))
        } else {
            Ok(Self { keys })
        }
    }
}

impl client::Handler for Stranger {
    type Error = SshError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, SshError> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let known = self.keys.iter().any(|known| known.key_data() == key.key_data());
        if known { Ok(true) } else { Err(SshError::OtherKey) }
    }
}
