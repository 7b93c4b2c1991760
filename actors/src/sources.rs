//! The sources that somebody configured: an actor for each, made, changed, paused and deleted while
//! the server runs.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use actix::ArbiterHandle;
use callboard_entities::{
    StoreError,
    queries::sources::{self, FILES},
};
use callboard_logs::ReadAs;
use callboard_protocol::{
    ClientError, ErrorCode, FollowedSource, NewSource, SourceChange, SourceId, SourceState,
    Timestamp,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    journal::Entries,
    keeper::{Keeper, Placement},
    log_source::{self, Followed, LogSource, SourceSeed, Standing},
    ssh::Address,
    storage::store_failed,
    system::Shared,
};

/// Sources that may be configured.
const MOST: usize = 200;

/// The longest name, in bytes …
const LONGEST_NAME: usize = 200;

/// … and the longest path.
const LONGEST_PATH: usize = 1_000;

/// A source that is behind by more than this says so.
const BEHIND: Duration = Duration::from_secs(60);

/// What is stored of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Configured {
    path: String,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    zone: Option<String>,
}

/// A source as it runs.
struct Running {
    source: sources::LogSource,
    configured: Configured,
    standing: Arc<Mutex<Standing>>,
    /// Ends its actor; none when it is paused.
    stopping: Option<CancellationToken>,
}

/// See the module.
pub struct Sources {
    shared: Arc<Shared>,
    keeper: Keeper,
    arbiters: Arc<[ArbiterHandle]>,
    /// Holds the copies of files of other machines.
    mirrors: PathBuf,
    /// Cancelled when the server ends.
    stopping: CancellationToken,
    /// Changed by one at a time: what is stored, and then what runs.
    running: tokio::sync::Mutex<BTreeMap<SourceId, Running>>,
}

impl Sources {
    /// Starts those that are stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn start(
        shared: Arc<Shared>,
        keeper: Keeper,
        arbiters: Arc<[ArbiterHandle]>,
        (mirrors, stopping): (PathBuf, CancellationToken),
    ) -> Result<Self, StoreError> {
        let stored = sources::of_kind(&shared.store, FILES).await?;
        let running = Default::default();
        let started = Self { shared, keeper, arbiters, mirrors, stopping, running };
        let mut running = started.running.lock().await;
        for source in stored {
            running.insert(source.id, started.run(source));
        }
        drop(running);
        Ok(started)
    }

    /// All of them, by name.
    pub async fn list(&self) -> Vec<FollowedSource> {
        let running = self.running.lock().await;
        let mut items: Vec<FollowedSource> = running.values().map(Running::show).collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items
    }

    /// One of them.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, id: SourceId) -> Result<FollowedSource, ClientError> {
        let running = self.running.lock().await;
        running.get(&id).map(Running::show).ok_or_else(|| ErrorCode::NotFound.into())
    }

    /// Makes one, and follows it.
    ///
    /// # Errors
    /// `validation_failed` for a bad name or path, `conflict` for a name that is taken, and that the
    /// database is away.
    pub async fn create(&self, new: NewSource) -> Result<FollowedSource, ClientError> {
        let name = new.name.trim();
        if !(1..=LONGEST_NAME).contains(&name.len()) || name.chars().any(char::is_control) {
            let problem = format!("has 1 to {LONGEST_NAME} bytes and no control characters");
            return Err(invalid(format!("A name {problem}.")));
        }
        let (format, zone) = (said(new.format), said(new.zone));
        self.read_as(format.as_deref(), zone.as_deref())?;
        let path = self.checked(&new.path)?;
        let configured = Configured { path, paused: false, format, zone };
        let mut running = self.running.lock().await;
        if running.len() >= MOST {
            return Err(invalid(format!("There are at most {MOST} sources.")));
        }
        let config = stored(&configured)?;
        let made =
            sources::create(&self.shared.store, FILES, name, &config, Timestamp::now()).await;
        let source = made.map_err(|error| failed(&error))?;
        let started = self.run(source);
        let shown = started.show();
        running.insert(shown.id, started);
        Ok(shown)
    }

    /// Changes one. It goes on where it was.
    ///
    /// # Errors
    /// `not_found`, `validation_failed` for a bad path, and that the database is away.
    pub async fn change(
        &self,
        id: SourceId,
        change: SourceChange,
    ) -> Result<FollowedSource, ClientError> {
        let path = change.path.map(|path| self.checked(&path)).transpose()?;
        let mut running = self.running.lock().await;
        let former = running.get(&id).ok_or(ErrorCode::NotFound)?;
        let configured = Configured {
            path: path.unwrap_or_else(|| former.configured.path.clone()),
            paused: change.paused.unwrap_or(former.configured.paused),
            format: change.format.map_or(former.configured.format.clone(), |new| said(Some(new))),
            zone: change.zone.map_or(former.configured.zone.clone(), |new| said(Some(new))),
        };
        self.read_as(configured.format.as_deref(), configured.zone.as_deref())?;
        if configured == former.configured {
            return Ok(former.show());
        }
        let (store, now) = (&self.shared.store, Timestamp::now());
        let changed = sources::configure(store, (id, FILES), &stored(&configured)?, now).await;
        let source = changed.map_err(|error| failed(&error))?;
        if let Some(former) = running.remove(&id) {
            former.end();
        }
        let started = self.run(source);
        let shown = started.show();
        running.insert(id, started);
        Ok(shown)
    }

    /// Forgets one; its lines stay.
    ///
    /// # Errors
    /// `not_found`, and that the database is away.
    pub async fn delete(&self, id: SourceId) -> Result<(), ClientError> {
        let mut running = self.running.lock().await;
        if !running.contains_key(&id) {
            return Err(ErrorCode::NotFound.into());
        }
        let deleted = sources::delete(&self.shared.store, (id, FILES)).await;
        deleted.map_err(|error| failed(&error))?;
        if let Some(former) = running.remove(&id) {
            former.end();
        }
        Ok(())
    }

    /// A path that may be followed.
    fn checked(&self, path: &str) -> Result<String, ClientError> {
        let path = path.trim();
        if !(1..=LONGEST_PATH).contains(&path.len()) {
            return Err(invalid(format!("A path has 1 to {LONGEST_PATH} bytes.")));
        }
        let no = |problem| invalid(format!("This path cannot be followed: {problem}."));
        let logs = &self.shared.logs;
        match self.followed(path).map_err(no)? {
            Followed::Journal { .. } if logs.journal().journalctl.is_none() => {
                Err(invalid("The journal is followed when logs.journal is set.".to_owned()))
            }
            Followed::Remote { .. } if logs.ssh().known_hosts.is_none() => {
                Err(invalid("Other machines are followed when logs.ssh is set.".to_owned()))
            }
            Followed::Pattern(path) => {
                logs.follower(&path).map_err(|error| no(error.to_string()))?;
                Ok(path)
            }
            Followed::Journal { .. }
            | Followed::Remote { .. }
            | Followed::OwnLog(_)
            | Followed::Spool { .. } => Ok(path.to_owned()),
        }
    }

    fn read_as(&self, format: Option<&str>, zone: Option<&str>) -> Result<ReadAs, ClientError> {
        let read_as = self.shared.logs.read_as(format, zone);
        read_as.map_err(|problem| invalid(format!("Lines cannot be read like this: {problem}.")))
    }

    /// How lines are read; a format that the configuration has no more is found out.
    fn known_read_as(&self, configured: &Configured) -> ReadAs {
        let Configured { format, zone, .. } = configured;
        let (logs, zone) = (&self.shared.logs, zone.as_deref());
        let read_as = logs.read_as(format.as_deref(), zone).or_else(|_| logs.read_as(None, zone));
        read_as.unwrap_or_default()
    }

    /// Where a path leads, or why it leads nowhere.
    fn followed(&self, path: &str) -> Result<Followed, String> {
        let mirrors = || self.mirrors.clone();
        if let Some(entries) = Entries::parse(path) {
            return Ok(Followed::Journal { entries: entries?, mirrors: mirrors() });
        }
        if Address::is_meant(path) {
            let address = Address::parse(path).map_err(|error| error.to_string())?;
            return Ok(Followed::Remote { address, mirrors: mirrors() });
        }
        Ok(Followed::Pattern(path.to_owned()))
    }

    /// Starts its actor, unless it is paused.
    fn run(&self, source: sources::LogSource) -> Running {
        let standing = Arc::<Mutex<Standing>>::default();
        let configured: Configured =
            serde_json::from_value(source.config.clone()).unwrap_or_else(|error| {
                standing.lock().problem =
                    Some(format!("What is stored of it is damaged: {error}."));
                let (path, format, zone) = Default::default();
                Configured { path, paused: true, format, zone }
            });
        let stopping = (!configured.paused).then(|| self.stopping.child_token());
        if let Some(stopping) = &stopping {
            let seed = SourceSeed {
                name: source.name.clone(),
                followed: self
                    .followed(&configured.path)
                    .unwrap_or_else(|_| Followed::Pattern(configured.path.clone())),
                read_as: self.known_read_as(&configured),
                shared: Arc::clone(&self.shared),
                stopping: stopping.clone(),
                standing: Arc::clone(&standing),
            };
            let place = source.id.0.as_u128() as usize % self.arbiters.len();
            let placement = Placement::on(&self.arbiters[place], log_source::MAILBOX);
            let name = format!("log_source:{}", source.id);
            drop(self.keeper.keep(name, placement, move |life| LogSource::new(seed, life)));
        }
        Running { source, configured, standing, stopping }
    }
}

impl Running {
    fn show(&self) -> FollowedSource {
        let standing = self.standing.lock();
        let paused = self.stopping.is_none();
        let lag = if paused { Duration::ZERO } else { standing.lag() };
        let state = match &standing.problem {
            _ if paused => SourceState::Paused,
            None if lag < BEHIND => SourceState::Following,
            _ => SourceState::Degraded,
        };
        FollowedSource {
            id: self.source.id,
            name: self.source.name.clone(),
            path: self.configured.path.clone(),
            format: self.configured.format.clone(),
            zone: self.configured.zone.clone(),
            state,
            files: standing.files,
            lines: standing.lines,
            last_line_at: standing.last_line_at,
            lag_s: lag.as_secs_f64(),
            problem: standing.problem.clone(),
            created_at: self.source.created_at,
            updated_at: self.source.updated_at,
        }
    }

    fn end(self) {
        if let Some(stopping) = self.stopping {
            stopping.cancel();
        }
    }
}

fn stored(configured: &Configured) -> Result<serde_json::Value, ClientError> {
    serde_json::to_value(configured).map_err(|_| ErrorCode::Internal.into())
}

/// What is said; nothing when it is empty.
fn said(value: Option<String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn invalid(message: String) -> ClientError {
    ClientError::new(ErrorCode::ValidationFailed, message)
}

fn failed(error: &StoreError) -> ClientError {
    store_failed("change a log source", error);
    error.client()
}
