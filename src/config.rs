//! The settings: one typed tree, of which every crate owns its part.
//!
//! [`Config::load`] merges, in this order, the compiled-in `config.default.toml`, a TOML file, the
//! environment (`CALLBOARD__SECTION__KEY`) and flags. Called by `cli` for every command; what it
//! returns is passed down, and nothing is global. Unknown keys, bad values and secrets that cannot
//! be read are errors that name the key and the place; all of them are reported at once. This is
//! the only file (with its submodules) that reads the environment.

use std::{fmt, path::PathBuf};

use callboard_actors::{
    AlertsConfig, AuditConfig, BudgetConfig, CacheConfig, ChatConfig, GatewayConfig, JobsConfig,
    LedgerConfig, ModelConfig, RedisConfig, SessionConfig, check_models,
};
use callboard_entities::DatabaseConfig;
use callboard_handlers::{AuthConfig, EdgeConfig};
use callboard_logs::LogsConfig;
use callboard_providers::{ProviderConfig, ProviderKind, validate_chain};
use serde::Deserialize;

use crate::telemetry::TelemetryConfig;

mod de;
mod error;
mod print;
mod source;
mod tree;

#[cfg(test)]
mod tests;

pub(crate) use error::{ConfigError, ConfigErrors};
pub(crate) use source::{Override, Sources};
pub(crate) use tree::Origin;

/// The documented defaults, and with them the reference of all settings.
const DEFAULTS: &str = include_str!("config.default.toml");

/// All settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the server's files are.
    pub(crate) data: DataConfig,
    /// The HTTP edge.
    pub(crate) server: EdgeConfig,
    /// Sign-in.
    pub(crate) auth: AuthConfig,
    /// Conversations and turns.
    pub(crate) chat: ChatConfig,
    /// WebSocket sessions.
    pub(crate) session: SessionConfig,
    /// The models, in the order in which they are tried.
    pub(crate) providers: Vec<ProviderConfig>,
    /// Names for models, and who answers to them.
    pub(crate) models: Vec<ModelConfig>,
    /// The API for programs.
    pub(crate) gateway: GatewayConfig,
    /// What calls used and cost.
    pub(crate) ledger: LedgerConfig,
    /// What may be spent.
    pub(crate) budgets: BudgetConfig,
    /// Answers that need not be asked again.
    pub(crate) cache: CacheConfig,
    /// The second level of the cache.
    pub(crate) redis: RedisConfig,
    /// Users, conversations, jobs.
    pub(crate) database: DatabaseConfig,
    /// Reading, indexing and searching logs.
    pub(crate) logs: LogsConfig,
    /// Rules that watch the logs.
    pub(crate) alerts: AlertsConfig,
    /// The audit trail.
    pub(crate) audit: AuditConfig,
    /// Background jobs.
    pub(crate) jobs: JobsConfig,
    /// The server's own log.
    pub(crate) telemetry: TelemetryConfig,
    /// What the typed values were read from.
    #[serde(skip)]
    merged: Merged,
}

/// Where the server's files are: `[data]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataConfig {
    /// Holds the SQLite database, the log index, uploads, and the server's own log.
    pub(crate) folder: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { folder: "data".into() }
    }
}

/// The merged tree, and what went into it.
#[derive(Clone)]
struct Merged {
    tree: tree::Node,
    sources: Sources,
}

impl Default for Merged {
    fn default() -> Self {
        Self { tree: tree::Node::empty(), sources: Sources::default() }
    }
}

impl fmt::Debug for Merged {
    /// Says nothing: the tree holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Config {
    /// Reads, merges and checks all settings.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its key and place.
    pub(crate) fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let defaults = source::defaults(DEFAULTS);
        let mut errors = Vec::new();
        let tree = source::read(sources, &defaults, &mut errors);
        let config = de::typed::<Self>(&tree, &defaults, &mut errors);
        if let Some(config) = &config {
            config.check(&tree, &mut errors);
        }
        match config {
            Some(config) if errors.is_empty() => {
                Ok(Self { merged: Merged { tree, sources: sources.clone() }, ..config }
                    .with_last_link())
            }
            _ => {
                // In the order in which a person goes through them: line by line, source by source.
                errors.sort_by(|a, b| a.origin.cmp(&b.origin));
                Err(ConfigErrors(errors))
            }
        }
    }

    /// The settings in force as TOML, with secrets as `***` and a comment at each value that does
    /// not come from the defaults: where it comes from.
    #[must_use]
    pub(crate) fn print_masked(&self) -> String {
        print::print_masked(&self.merged.tree)
    }

    /// The configuration file that was read, if any.
    #[must_use]
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        self.merged.sources.file.as_deref()
    }

    /// Reads the same sources again.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_again(&self) -> Result<Self, ConfigErrors> {
        Self::load(&self.merged.sources)
    }

    /// The sections in which the two differ.
    pub(crate) fn sections_unlike(&self, other: &Self) -> Vec<String> {
        self.merged.tree.entries_unlike(&other.merged.tree)
    }

    /// `docs/configuration.md`, made from the documented defaults.
    #[must_use]
    pub(crate) fn reference() -> String {
        print::reference(DEFAULTS)
    }

    /// The built-in provider ends every chain, so that there is always an answer.
    fn with_last_link(mut self) -> Self {
        if !self.providers.iter().any(|provider| provider.kind == ProviderKind::Extractive) {
            self.providers.push(ProviderConfig::extractive());
        }
        self
    }

    /// What the types cannot say. A key that serde already refused has its default here.
    fn check(&self, tree: &tree::Node, errors: &mut Vec<ConfigError>) {
        let mut fail = |key: String, problem: String| {
            let origin = tree.origin_of(&tree::split_path(&key));
            let origin = (origin != Origin::Default).then_some(origin);
            if !errors.iter().any(|error| error.key == key) {
                errors.push(ConfigError { key, problem, origin });
            }
        };
        if self.data.folder.as_os_str().is_empty() {
            fail("data.folder".into(), "must name a folder".into());
        }
        if let Err(error) = self.server.check() {
            fail(format!("server.{}", error.key), error.reason);
        }
        if self.server.listen.parse::<std::net::SocketAddr>().is_err() {
            let problem = "must be an address and a port, such as 127.0.0.1:8080 or [::1]:0";
            fail("server.listen".into(), problem.into());
        }
        if let Err(error) = self.auth.check() {
            fail(format!("auth.{}", error.key), error.reason);
        }
        if let Err((key, problem)) = self.database.check() {
            fail(format!("database.{key}"), problem);
        }
        for error in validate_chain(&self.providers, "providers") {
            fail(error.key, error.problem);
        }
        let names: Vec<&str> = self.providers.iter().map(|one| one.name.as_str()).collect();
        for (key, problem) in check_models(&self.models, &names) {
            fail(key, problem);
        }
        let built_in = |provider: &ProviderConfig| provider.kind == ProviderKind::Extractive;
        if let Some(index) = self.providers.iter().position(built_in)
            && index + 1 < self.providers.len()
        {
            let problem = "`extractive` always answers: it must be the last provider";
            fail(format!("providers[{index}].kind"), problem.into());
        }
        if !self.chat.modes.contains_key(&self.chat.default_mode) {
            let problem =
                format!("names no mode: there is no `chat.modes.{}`", self.chat.default_mode);
            fail("chat.default_mode".into(), problem);
        }
        for (section, bad) in [
            ("chat", self.chat.check()),
            ("session", self.session.check()),
            ("cache", self.cache.check()),
            ("redis", self.redis.check()),
            ("jobs", self.jobs.check()),
            ("gateway", self.gateway.check()),
            ("ledger", self.ledger.check()),
            ("budgets", self.budgets.check()),
            ("logs", self.logs.check()),
            ("alerts", self.alerts.check()),
            ("audit", self.audit.check()),
        ] {
            for (key, problem) in bad {
                fail(format!("{section}.{key}"), problem);
            }
        }
        for (key, problem) in self.telemetry.check() {
            fail(format!("telemetry.{key}"), problem);
        }
    }
}
