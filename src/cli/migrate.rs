//! `migrate status` and `migrate up`.

use secrecy::ExposeSecret;

use super::MigrateAction;
use crate::{config::Config, wiring};

pub(super) fn run(config: &Config, action: MigrateAction) -> anyhow::Result<()> {
    wiring::make_folder(&config.data.folder)?;
    let database = wiring::database(config)?;
    let url = database.url.as_ref().map(|url| url.expose_secret().to_owned()).unwrap_or_default();
    wiring::runtime()?.block_on(async {
        match action {
            MigrateAction::Status => {
                for migration in callboard_migration::status(&url).await? {
                    let state = if migration.applied { "applied" } else { "pending" };
                    say!("{state:8} {}", migration.name)?;
                }
            }
            MigrateAction::Up => {
                let applied = callboard_migration::up(&url).await?;
                for name in &applied {
                    say!("applied  {name}")?;
                }
                if applied.is_empty() {
                    say!("nothing to apply")?;
                }
            }
        }
        Ok(())
    })
}
