//! `user add`.

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

pub(super) fn run(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Add { username, role, display_name } = command;
    let password = read_password()?;
    wiring::make_folder(&config.data.folder)?;
    let database = wiring::database(config)?;
    wiring::runtime()?.block_on(async {
        let url = database.url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        callboard_migration::up(url).await?;
        let store = Store::open(&database).await?;
        let now = Timestamp::now();
        let identity = Identity::open(store, &config.auth, now).await.map_err(describe)?;
        let account = NewAccount { username, display_name, role, password };
        let user = identity.add_user(account, now).await.map_err(describe)?;
        say!("{} was made, with the role {}", user.username, user.role)?;
        Ok(())
    })
}

fn describe(error: callboard_handlers::ApiError) -> anyhow::Error {
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
