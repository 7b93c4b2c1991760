//! The section `[database]` of the configuration.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

/// Where the database is and how hard it may be used.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. When absent, the
    /// composition root puts an SQLite file into the data folder.
    #[serde(serialize_with = "masked")]
    pub url: Option<SecretString>,
    /// A file that holds the URL, instead of `url`; the composition root reads it.
    pub url_file: Option<PathBuf>,
    /// Connections at most: 1 to 200, 8 by default. With SQLite these are the readers; there is
    /// always one writer.
    pub max_connections: u32,
    /// How long a query waits for a connection: 1 to 60,000 ms, 5,000 by default. With SQLite it
    /// is also how long a change waits for the ones before it.
    pub acquire_timeout_ms: u64,
    /// How long one statement may take on PostgreSQL: 1 to 600,000 ms, 15,000 by default.
    pub statement_timeout_ms: u64,
    /// How long SQLite waits while another process writes: 1 to 60,000 ms, 5,000 by default.
    pub busy_timeout_ms: u64,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            max_connections: 8,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 15_000,
            busy_timeout_ms: 5_000,
        }
    }
}

impl DatabaseConfig {
    /// The defaults, for a database at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: Some(SecretString::from(url.into())), ..Self::default() }
    }

    /// The first key with a bad value, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let numbers = [
            ("max_connections", u64::from(self.max_connections), 200),
            ("acquire_timeout_ms", self.acquire_timeout_ms, 60_000),
            ("statement_timeout_ms", self.statement_timeout_ms, 600_000),
            ("busy_timeout_ms", self.busy_timeout_ms, 60_000),
        ];
        for (key, value, most) in numbers {
            if !(1..=most).contains(&value) {
                return Err((key, format!("{value} is not between 1 and {most}")));
            }
        }
        if self.url.is_some() && self.url_file.is_some() {
            return Err(("url_file", "give `url` or `url_file`, not both".to_owned()));
        }
        Ok(())
    }
}

/// The URL may hold a password: printing the configuration shows only that it is set.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn masked<S: Serializer>(url: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(|_| "********").serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_bad_values_are_named() {
        assert_eq!(DatabaseConfig::default().check(), Ok(()));
        let none = DatabaseConfig { max_connections: 0, ..DatabaseConfig::default() };
        assert_eq!(none.check().unwrap_err().0, "max_connections");
        let both =
            DatabaseConfig { url_file: Some("url".into()), ..DatabaseConfig::at("sqlite:x") };
        assert_eq!(both.check().unwrap_err().0, "url_file");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = serde_json::from_str::<DatabaseConfig>(r#"{"max_conections": 3}"#).unwrap_err();
        assert!(error.to_string().contains("max_conections"), "{error}");
    }

    #[test]
    fn the_password_is_neither_printed_nor_shown_in_debug_output() {
        let config = DatabaseConfig::at("postgres://me:hunter2@localhost/callboard");
        assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
