//! Readiness: one entry for each thing that the server depends on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard_logs::{IngestError, SearchError};
use callboard_protocol::{CircuitState, Dependency, Health, LineId, ProviderState, Readiness};
use tokio::{sync::Mutex, time::timeout};
use tracing::error;

use crate::{
    keeper::{KeptState, KeptStatus},
    system::{Shared, System},
};

/// A database that takes longer to say that it is there is not there.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// An index that takes longer to give one line is not there: it does so in milliseconds.
const INDEX_TIMEOUT: Duration = Duration::from_secs(2);

/// The line that is looked for; whether there is one does not matter.
const ANY_LINE: LineId = LineId(1);

/// What is known of the log index between two looks at it.
#[derive(Default)]
pub(crate) struct IndexProbe {
    /// Whether the last attempt of a followed source to write failed.
    write_failed: AtomicBool,
    /// One look at a time, so that a disk that hangs holds one thread and not all of them.
    looking: Arc<Mutex<()>>,
}

impl IndexProbe {
    /// Told by a followed source what came of writing what is new.
    pub(crate) fn wrote<T>(&self, written: &Result<T, IngestError>) {
        let failed = match written {
            Ok(_) => false,
            Err(IngestError::Busy | IngestError::Catalogue(_) | IngestError::Index(_)) => true,
            // That is the file's fault, or another reader's.
            Err(
                IngestError::Open { .. }
                | IngestError::Read { .. }
                | IngestError::Overtaken
                | IngestError::Remaking,
            ) => return,
        };
        self.write_failed.store(failed, Ordering::Relaxed);
    }
}

/// Reads a line. Without its reader the server answers no question about logs; without its writer
/// it answers from what is indexed.
async fn log_index(shared: &Shared) -> Dependency {
    let name = "log_index";
    let look = async {
        let one_at_a_time = Arc::clone(&shared.index.looking).lock_owned().await;
        let logs = shared.logs.clone();
        let read = move || {
            let _held = one_at_a_time;
            logs.line(ANY_LINE)
        };
        shared.runtime.spawn_blocking(read).await
    };
    match timeout(INDEX_TIMEOUT, look).await {
        Err(_) => return entry(name, Health::Down, Some("does not answer in time")),
        Ok(Err(panic)) => {
            error!(%panic, "reading the log index panicked");
            return entry(name, Health::Down, Some("cannot be read"));
        }
        Ok(Ok(Err(SearchError::Index(error)))) => {
            error!(%error, "the log index cannot be read");
            return entry(name, Health::Down, Some("cannot be read"));
        }
        Ok(Ok(
            Ok(_)
            | Err(
                SearchError::LineNotFound(_)
                | SearchError::InvalidQuery { .. }
                | SearchError::InvalidParameter(_)
                | SearchError::TooExpensive,
            ),
        )) => {}
    }
    if shared.index.write_failed.load(Ordering::Relaxed) {
        return entry(name, Health::Degraded, Some("cannot be written"));
    }
    entry(name, Health::Up, None)
}

fn entry(name: impl Into<String>, health: Health, message: Option<&str>) -> Dependency {
    Dependency { name: name.into(), health, message: message.map(str::to_owned) }
}

/// The readiness of a server that is still migrating its database.
#[must_use]
pub fn starting() -> Readiness {
    let migrations = entry("migrations", Health::Down, Some("the database is being prepared"));
    of(vec![migrations])
}

/// Asks everything that `system` depends on, and publishes `service_health`.
pub(crate) async fn readiness(system: &System) -> Readiness {
    let mut entries = vec![database(system).await, entry("migrations", Health::Up, None)];
    entries.push(log_index(system.shared()).await);
    entries.push(system.shared().ledger.health());
    entries.extend(system.cache().health().await.levels.into_iter().map(|mut level| {
        if level.name == "memory" {
            level.name = "cache".into();
        }
        level
    }));
    entries.extend(system.providers().items.iter().map(provider));
    entries.push(actors(system.keeper().observe().values()));
    if system.is_draining() {
        entries.push(entry("server", Health::Down, Some("shutting down")));
    }
    for entry in &entries {
        system.metrics().set_health(&entry.name, entry.health);
    }
    of(entries)
}

fn of(dependencies: Vec<Dependency>) -> Readiness {
    let worst = dependencies.iter().map(|entry| entry.health).max_by_key(|health| *health as u8);
    Readiness {
        health: worst.unwrap_or(Health::Up),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dependencies,
    }
}

async fn database(system: &System) -> Dependency {
    match timeout(PING_TIMEOUT, system.store().ping()).await {
        Ok(Ok(())) => entry("database", Health::Up, None),
        Ok(Err(_)) => entry("database", Health::Down, Some("cannot be reached")),
        Err(_) => entry("database", Health::Down, Some("does not answer in time")),
    }
}

/// A provider that is away makes answers worse, not impossible: the chain goes on without it.
fn provider(state: &ProviderState) -> Dependency {
    let name = format!("provider:{}", state.name);
    match state.circuit {
        CircuitState::Closed => entry(name, Health::Up, None),
        CircuitState::HalfOpen => entry(name, Health::Degraded, Some("being tried again")),
        CircuitState::Open => entry(name, Health::Degraded, Some("circuit breaker open")),
    }
}

fn actors<'a>(kept: impl Iterator<Item = &'a KeptStatus>) -> Dependency {
    let (mut given_up, mut restarting, mut hanging) = (false, false, false);
    for status in kept {
        hanging |= status.hangs();
        match status.state {
            KeptState::Running => {}
            KeptState::Restarting => restarting = true,
            KeptState::GivenUp => given_up = true,
        }
    }
    if given_up {
        entry("actors", Health::Down, Some("an actor failed too often and was given up"))
    } else if hanging {
        entry("actors", Health::Degraded, Some("an actor does not come back from a message"))
    } else if restarting {
        entry("actors", Health::Degraded, Some("an actor is being restarted"))
    } else {
        entry("actors", Health::Up, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_given_up_turns_readiness_red() {
        let (restarts, since) = (1, callboard_protocol::Timestamp::now());
        let last_failure = || Some("secret".into());
        let status = |state| KeptStatus {
            state,
            restarts,
            last_failure: last_failure(),
            since,
            busy: std::time::Duration::ZERO,
            mailbox: 4,
            waiting: 0,
        };
        let all = [status(KeptState::Running), status(KeptState::Restarting)];
        assert_eq!(actors(all.iter()).health, Health::Degraded);
        let busy = std::time::Duration::from_secs(6);
        let hanging = [KeptStatus { busy, ..status(KeptState::Running) }];
        assert_eq!(actors(hanging.iter()).health, Health::Degraded);
        let all = [status(KeptState::GivenUp), status(KeptState::Restarting)];
        let red = actors(all.iter());
        assert_eq!(red.health, Health::Down);
        assert!(!red.message.unwrap().contains("secret"));
        assert_eq!(
            of(vec![entry("a", Health::Up, None), entry("b", Health::Down, None)]).health,
            Health::Down
        );
    }
}
