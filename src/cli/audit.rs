//! `audit verify`: whether the chain of the audit trail holds, read from the database itself.

use anyhow::bail;
use callboard_entities::{Store, queries::audit};
use callboard_protocol::AuditCheck;
use clap::Subcommand;
use secrecy::ExposeSecret;

use crate::{config::Config, wiring};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no event was changed, taken out or cut off; the exit status says so too
    Verify {
        /// The hash that the trail had at an earlier check, as `NUMBER:HASH`; it must still be in it
        #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
        expect: Option<(u64, String)>,
    },
}

fn head(text: &str) -> Result<(u64, String), String> {
    let (number, hash) =
        text.split_once(':').ok_or("it is NUMBER:HASH, as an earlier check told")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        Ok((number, hash.to_ascii_lowercase()))
    } else {
        Err("a hash has 64 hexadecimal digits".to_owned())
    }
}

pub(super) fn run(config: &Config, command: &AuditCommand) -> anyhow::Result<()> {
    let AuditCommand::Verify { expect } = command;
    wiring::make_folder(&config.data.folder)?;
    let database = wiring::database(config)?;
    wiring::runtime()?.block_on(async {
        let url = database.url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        callboard_migration::up(url).await?;
        let store = Store::open(&database).await?;
        let found = AuditCheck::from(audit::verify(&store).await?);
        let AuditCheck { checked, erased, unchained, first_seq, head_seq, head_hash, .. } = &found;
        say!("{checked} events from number {first_seq} on; erased of persons: {erased}")?;
        if *unchained > 0 {
            say!("{unchained} events are from before there was a chain; nothing vouches for them")?;
        }
        if let Some(breach) = found.breach {
            bail!("the audit trail is broken: {breach}");
        }
        if let Some((number, hash)) = expect {
            match audit::hash_at(&store, *number).await? {
                Some(known) if known == *hash => say!("number {number} is as it was")?,
                Some(_) => {
                    bail!("the audit trail was written anew: number {number} has another hash")
                }
                None => bail!("number {number} is not in the trail any more"),
            }
        }
        say!("the chain holds; its head is {head_seq}:{head_hash}")?;
        Ok(())
    })
}
