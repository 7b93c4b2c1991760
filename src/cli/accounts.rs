//! `user add`, `user list`, `user set-password`.
//!
//! They work on the database itself, so that an account can be made, and got into again, also when
//! no server runs.

use std::io::{IsTerminal, Read as _};

use anyhow::{Context, bail};
use callboard_entities::Store;
use callboard_handlers::{Identity, NewAccount};
use callboard_protocol::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::UserCommand;
use crate::{config::Config, wiring};

/// A password is a line; more is a mistake.
const MAX_PASSWORD_BYTES: u64 = 4 * 1024;

/// Accounts that are read at once.
const PAGE: u32 = 500;

pub(super) fn run(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { username, role, display_name } => {
            let password = read_password()?;
            with_identity(config, async |identity| {
                let account = NewAccount { username, display_name, role, password };
                let user = identity.add_user(account, Timestamp::now()).await.map_err(describe)?;
                say!("{} was made, with the role {}", user.username, user.role)?;
                Ok(())
            })
        }
        UserCommand::List => with_identity(config, async |identity| list(&identity).await),
        UserCommand::SetPassword { username } => {
            let password = read_password()?;
            with_identity(config, async |identity| {
                let now = Timestamp::now();
                let ends = identity.set_password(&username, &password, now).await;
                let ends_s = ends.map_err(describe)?.as_secs();
                say!("the password was set; sessions with the old one end within {ends_s} s")?;
                Ok(())
            })
        }
    }
}

/// Runs `work` on the migrated database.
pub(super) fn with_identity(
    config: &Config,
    work: impl AsyncFnOnce(Identity) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    wiring::make_folder(&config.data.folder)?;
    let database = wiring::database(config)?;
    wiring::runtime()?.block_on(async {
        let url = database.url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        callboard_migration::up(url).await?;
        let store = Store::open(&database).await?;
        let identity = Identity::open(store, &config.auth, Timestamp::now()).await;
        work(identity.map_err(describe)?).await
    })
}

async fn list(identity: &Identity) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = identity.users(after.as_deref(), PAGE).await.map_err(describe)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.username.clone());
        for user in &page {
            // Width by characters; names hold no control characters.
            say!("{:24} {:8} {}", user.username, user.role.as_str(), user.display_name)?;
        }
    }
}

pub(super) fn describe(error: callboard_handlers::ApiError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.client().message)
}

/// From the terminal, twice and unseen; otherwise the first line of standard input.
fn read_password() -> anyhow::Result<SecretString> {
    if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Again: ")? != password {
            bail!("the passwords differ");
        }
        return Ok(password.into());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut text)
        .context("the password could not be read from standard input")?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        bail!("give the password on standard input");
    }
    Ok(password.to_owned().into())
}
