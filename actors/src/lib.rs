//! The actors: everything in Callboard that holds state, keeps an order or admits work.
//!
//! Two planes run through here. **Control** travels in a handful of messages per turn
//! (session → conversation → cache shard, provider). **Data** (the tokens) goes from a provider's
//! stream into a [`TurnLog`] and from there to every reader by cursor; it never enters a mailbox.
//!
//! [`System`] is the one handle that the edge holds. Every queue has a bound, every ask a timeout,
//! and every long-lived actor is kept alive by the [`Keeper`].

mod alerts;
mod background;
mod breaker;
mod budget;
mod cache;
mod config;
mod conversation;
mod conversations;
mod gateway;
mod health;
mod intake;
mod job;
mod jobs;
mod journal;
mod keeper;
mod ledger;
mod listeners;
mod log_source;
mod mailbox;
mod metrics;
mod notify;
mod privacy;
mod provider;
mod rights;
mod router;
mod routing;
mod session;
mod socket;
mod sockets;
mod sources;
mod spooler;
mod ssh;
mod storage;
mod system;
#[cfg(test)]
mod testing;
mod turn;
mod turn_log;
mod turns;
mod upkeep;
mod watch;

pub use alerts::Alerts;
pub use budget::{
    Budget, BudgetCaller, BudgetConfig, BudgetState, Budgets, Exceeded, Limits, Payer, Period,
    Reservation,
};
pub use cache::{Cache, RemoteCache, RemoteError};
pub use config::{
    AuditConfig, BadValue, CacheConfig, ChatConfig, JobsConfig, RedisConfig, SessionConfig,
};
pub use conversation::{Asker, Begun, SessionEvent, Watcher};
pub use gateway::{
    Attempt, CacheMode, CacheOrder, CacheUse, Caller, GatewayConfig, GatewayError, Given,
    ModelConfig, Priority, Reply, ReplyCacheConfig, ReplyEvents, Strategy, TargetConfig,
    WholeReply, check_models, pattern_of_model, pattern_of_tag,
};
pub use health::starting;
pub use intake::Intake;
pub use jobs::Jobs;
pub use keeper::{Keeper, KeptState, KeptStatus, RestartPolicy};
pub use ledger::{
    Call, Ledger, LedgerConfig, LedgerMetrics, LedgerRefused, LedgerSnapshot, OpenCall, Outcome,
};
pub use metrics::Metrics;
pub use notify::{AlertsConfig, ChannelConfig, SmtpConfig, SmtpTls};
pub use rights::Rights;
pub use routing::NameOrigin;
pub use session::{SessionUser, TokenCheck};
pub use socket::{StartError as SocketError, start_session};
pub use sources::Sources;
pub use system::{Parts, StartError, System};
pub use turn_log::{Ended, TurnLog};
