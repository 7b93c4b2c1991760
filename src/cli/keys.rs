//! `key create`, `key list`, `key revoke`: on the database itself, like `user`.

use std::time::Duration;

use callboard_handlers::Identity;
use callboard_protocol::{ApiKey, ApiKeyId, KeyScope, NewApiKey, Timestamp};
use clap::{Args, Subcommand};

use super::accounts::{describe, with_identity};
use crate::config::Config;

/// Keys that are read at once.
const PAGE: u32 = 200;

const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print its secret, which cannot be shown again
    Create(NewKey),
    /// List the keys of all accounts: id, beginning, state, scopes, name
    List,
    /// Revoke a key; a running server refuses it within half a minute
    Revoke {
        /// As `key list` prints it
        id: ApiKeyId,
    },
}

/// What a new key is.
#[derive(Debug, Args)]
pub(super) struct NewKey {
    /// For people
    name: String,
    /// chat, embeddings, models, logs_read, logs_write or usage_read; may be repeated
    #[arg(long = "scope", default_values = ["chat", "embeddings", "models"])]
    scopes: Vec<KeyScope>,
    /// A model that it may name; may be repeated [default: all]
    #[arg(long = "model")]
    models: Vec<String>,
    /// What it may cost in a day (UTC), in US dollars [default: no limit]
    #[arg(long, value_name = "USD", value_parser = usd)]
    budget_daily: Option<u64>,
    /// What it may cost in a calendar month (UTC), in US dollars [default: no limit]
    #[arg(long, value_name = "USD", value_parser = usd)]
    budget_monthly: Option<u64>,
    /// When it ends [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_days: Option<u32>,
    /// Whose it is [default: the machine's operator]
    #[arg(long, value_name = "USERNAME")]
    user: Option<String>,
}

/// An amount in US dollars, as millionths of one.
fn usd(text: &str) -> Result<u64, String> {
    let amount: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if !(0.0..=1e9).contains(&amount) {
        return Err("must be 0 to 1000000000".to_owned());
    }
    // A float to an integer saturates.
    Ok((amount * 1e6).round() as u64)
}

pub(super) fn run(config: &Config, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create(key) => with_identity(config, async |identity| {
            let now = Timestamp::now();
            let NewKey { name, scopes, models, budget_daily, budget_monthly, expires_days, user } =
                key;
            let new = NewApiKey {
                name,
                scopes,
                models: (!models.is_empty()).then_some(models),
                daily_budget_micro_usd: budget_daily,
                monthly_budget_micro_usd: budget_monthly,
                expires_at: expires_days.map(|days| now.plus(DAY * days)),
            };
            let made = identity.add_key(user.as_deref(), new, now).await.map_err(describe)?;
            // Alone on its line, for `$(callboard key create …)`.
            say!("{}", made.secret)?;
            Ok(())
        }),
        KeyCommand::List => with_identity(config, async |identity| list(&identity).await),
        KeyCommand::Revoke { id } => with_identity(config, async |identity| {
            let within = identity.withdraw_key(id, Timestamp::now()).await.map_err(describe)?;
            say!("the key was revoked; a running server refuses it within {} s", within.as_secs())?;
            Ok(())
        }),
    }
}

async fn list(identity: &Identity) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let mut cursor = None;
    loop {
        let page = identity.keys(None, cursor.as_ref(), PAGE).await.map_err(describe)?;
        for key in &page.items {
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
            let (id, prefix, state) = (key.id, &key.prefix, state(key, now));
            // Names hold no control characters.
            say!("{id} {prefix}… {state:8} {} {}", scopes.join(","), key.name)?;
        }
        let Some(next) = page.next_cursor else { return Ok(()) };
        cursor = Some(next.parse().map_err(anyhow::Error::msg)?);
    }
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.is_good(now) {
        "good"
    } else {
        "expired"
    }
}
