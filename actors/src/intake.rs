//! The sources that programs push to: made when something first comes for them. Each has two actors, a
//! [`Spooler`] that puts on the disk what comes, and a [`LogSource`] that indexes it from there.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::ArbiterHandle;
use callboard_entities::queries::sources;
use callboard_logs::{ReadAs, Spool, push::Pushed};
use callboard_protocol::{ClientError, ErrorCode, PushedSource, SourceId, Timestamp};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    keeper::{Keeper, Placement},
    log_source::{self, LogSource, OWN_LOG, SourceSeed, Standing},
    mailbox::Mailbox,
    spooler::{self, Append, HasRoom, Spooler, SpoolerSeed},
    storage::store_failed,
    system::Shared,
};

/// The kind of a source that programs push to.
const PUSHED: &str = "push";

/// Sources that programs push to: two actors each, and files that are looked at every second.
const MOST: usize = 500;

/// As many as strangers may name: the others are for those who have a key.
const MOST_OF_ANYBODY: usize = MOST / 2;

/// An answer takes as long as the disk does.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub struct Intake {
    shared: Arc<Shared>,
    keeper: Keeper,
    arbiters: Arc<[ArbiterHandle]>,
    /// A folder for each source, named by its id.
    folder: PathBuf,
    /// Cancelled when the server ends.
    stopping: CancellationToken,
    /// By the names of the sources.
    spoolers: tokio::sync::RwLock<HashMap<String, Mailbox<Spooler>>>,
    /// Sources whose lines are indexed by an actor that lives as long as the server, and how they do.
    followed: Mutex<HashMap<SourceId, Followed>>,
}

/// A source whose lines are indexed.
struct Followed {
    name: String,
    standing: Arc<Mutex<Standing>>,
}

impl Intake {
    /// Goes on with what is on the disk.
    pub(crate) async fn start(
        (shared, keeper): (Arc<Shared>, Keeper),
        arbiters: Arc<[ArbiterHandle]>,
        folder: PathBuf,
        stopping: CancellationToken,
    ) -> Self {
        let (spoolers, followed) = Default::default();
        let intake = Self { shared, keeper, arbiters, folder, stopping, spoolers, followed };
        let entries = std::fs::read_dir(&intake.folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match sources::get(&intake.shared.store, id).await {
                Ok(source) => drop(intake.open(source.id, source.name).await),
                Err(error) => {
                    warn!(folder = %entry.path().display(), "lines wait for a source that is gone");
                    store_failed("name a source that was pushed to", &error);
                }
            }
        }
        intake
    }

    /// Takes records; they are on the disk when it returns, and in the index soon after. All of them
    /// are taken, unless the disk fails in between, or none.
    ///
    /// # Errors
    /// `spool_full` when too much waits already, `validation_failed` for a name that no source can
    /// have or one too many, and that a disk or the database is away.
    pub async fn take(&self, records: Vec<Pushed>) -> Result<u64, ClientError> {
        let mut by_source: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut count = 0;
        for Pushed { source, text } in records {
            count += 1;
            by_source.entry(source).or_default().push(text);
        }
        // One source takes all or nothing by itself.
        let several = by_source.len() > 1;
        let mut batches = Vec::with_capacity(by_source.len());
        for (source, texts) in by_source {
            let spooler = self.spooler(&source).await?;
            if several {
                let bytes = texts.iter().map(|text| text.len() as u64 + 1).sum();
                asked(spooler.send(HasRoom(bytes))).await?;
            }
            batches.push((spooler, texts));
        }
        for (spooler, texts) in batches {
            asked(spooler.send(Append(texts))).await?;
        }
        self.shared.metrics.log_pushed.inc_by(count);
        Ok(count)
    }

    /// The same for records of senders that nobody knows: a name that no source can have, or one too
    /// many, costs no record, which goes to the source `otherwise` then.
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub(crate) async fn take_from_anybody(
        &self,
        mut records: Vec<Pushed>,
        otherwise: &str,
    ) -> Result<u64, ClientError> {
        let known = self.spoolers.read().await;
        let mut new = MOST_OF_ANYBODY.saturating_sub(known.len());
        let mut named = HashSet::new();
        for record in &mut records {
            if known.contains_key(&record.source) || named.contains(&record.source) {
                continue;
            }
            if new == 0 || record.source.is_empty() || record.source == OWN_LOG {
                otherwise.clone_into(&mut record.source);
            } else {
                new -= 1;
                named.insert(record.source.clone());
            }
        }
        drop(known);
        self.take(records).await
    }

    /// Notes records that were not taken, of senders that cannot be told.
    pub(crate) fn lost(&self, listener: &str, count: u64) {
        self.shared.metrics.log_dropped.with_label_values(&[listener]).inc_by(count);
    }

    async fn spooler(&self, name: &str) -> Result<Mailbox<Spooler>, ClientError> {
        if let Some(known) = self.spoolers.read().await.get(name).filter(|known| known.connected())
        {
            return Ok(known.clone());
        }
        if name.is_empty() || name == OWN_LOG {
            return Err(invalid(format!("No source that is pushed to can be called {name:?}.")));
        }
        if self.spoolers.read().await.len() >= MOST {
            return Err(invalid(format!("There are at most {MOST} sources that are pushed to.")));
        }
        let config = serde_json::json!({});
        let store = &self.shared.store;
        let named = sources::ensure(store, PUSHED, name, &config, Timestamp::now()).await;
        let source = named.map_err(|error| {
            store_failed("name a source that is pushed to", &error);
            error.client()
        })?;
        self.open(source.id, source.name).await
    }

    /// Starts the actors of a source, unless they run.
    async fn open(&self, id: SourceId, name: String) -> Result<Mailbox<Spooler>, ClientError> {
        let mut spoolers = self.spoolers.write().await;
        if let Some(known) = spoolers.get(&name).filter(|known| known.connected()) {
            return Ok(known.clone());
        }
        let folder = self.folder.join(id.to_string());
        let spool = self.open_spool(&folder).await?;
        let runtime = self.shared.runtime.clone();
        let seed = SpoolerSeed { name: name.clone(), spool: Arc::new(Mutex::new(spool)), runtime };
        let place = id.0.as_u128() as usize % self.arbiters.len();
        let placement = Placement::of_many(&self.arbiters[place], spooler::MAILBOX);
        let make = move |life| Spooler::new(seed, life);
        let spooler = self.keeper.keep(format!("spooler:{id}"), placement, make);
        if let Entry::Vacant(place) = self.followed.lock().entry(id) {
            let standing = self.follow(id, name.clone(), folder);
            place.insert(Followed { name: name.clone(), standing });
        }
        spoolers.insert(name, spooler.clone());
        Ok(spooler)
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<PushedSource> {
        let followed = self.followed.lock();
        let shown = followed.iter().map(|(id, followed)| {
            let standing = followed.standing.lock();
            PushedSource {
                id: *id,
                name: followed.name.clone(),
                lines: standing.lines,
                last_line_at: standing.last_line_at,
                lag_s: standing.lag().as_secs_f64(),
                problem: standing.problem.clone(),
            }
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        shown
    }

    fn follow(&self, id: SourceId, name: String, folder: PathBuf) -> Arc<Mutex<Standing>> {
        let standing = Arc::<Mutex<Standing>>::default();
        let seed = SourceSeed {
            name,
            followed: log_source::Followed::Spool { folder, source: id },
            read_as: ReadAs::default(),
            shared: Arc::clone(&self.shared),
            stopping: self.stopping.child_token(),
            standing: Arc::clone(&standing),
        };
        let place = id.0.as_u128() as usize % self.arbiters.len();
        let placement = Placement::on(&self.arbiters[place], log_source::MAILBOX);
        let make = move |life| LogSource::new(seed, life);
        drop(self.keeper.keep(format!("log_source:{id}"), placement, make));
        standing
    }

    async fn open_spool(&self, folder: &Path) -> Result<Spool, ClientError> {
        let (folder, most) = (folder.to_owned(), self.shared.logs.spool_bytes());
        let opened = self.shared.runtime.spawn_blocking(move || Spool::open(&folder, most)).await;
        opened.map_err(std::io::Error::other).flatten().map_err(|cause| {
            error!(%cause, "a spool cannot be opened");
            ErrorCode::StorageUnavailable.into()
        })
    }
}

/// What a spooler answers.
async fn asked<E>(
    asked: impl Future<Output = Result<Result<(), ClientError>, E>>,
) -> Result<(), ClientError> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ErrorCode::Internal.into()),
        Err(_) => Err(ErrorCode::Timeout.into()),
    }
}

fn invalid(message: String) -> ClientError {
    ClientError::new(ErrorCode::ValidationFailed, message)
}
