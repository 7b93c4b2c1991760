//! A PostgreSQL database of a test's own.

use std::{thread, time::Duration};

use callboard_protocol::RequestId;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::time::timeout;
use url::Url;

use crate::PATIENCE;

/// Set by the Makefile: a server on which databases may be made and dropped.
const VARIABLE: &str = "CALLBOARD_TEST_POSTGRES_URL";

/// A database that is made for one test and dropped with this value.
#[derive(Debug)]
pub struct Postgres {
    server: Url,
    url: Url,
    name: String,
}

impl Postgres {
    /// Makes one; `None`, with a word on stderr, when no server is named by
    /// `CALLBOARD_TEST_POSTGRES_URL`. `make test` always names one.
    ///
    /// # Panics
    /// When a server is named and does not do it.
    pub async fn create() -> Option<Self> {
        let Ok(server) = std::env::var(VARIABLE) else {
            eprintln!("{VARIABLE} is not set: not tested on PostgreSQL");
            return None;
        };
        let server = Url::parse(&server).expect("CALLBOARD_TEST_POSTGRES_URL is a URL");
        let name = format!("callboard_test_{}", RequestId::new().0.simple());
        run(&server, &format!("CREATE DATABASE {name}")).await.expect("a database can be made");
        let mut url = server.clone();
        url.set_path(&name);
        Some(Self { server, url, name })
    }

    /// What to configure as `database.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Runs statements in the database, past the code under test.
    ///
    /// # Panics
    /// When they fail.
    pub async fn execute(&self, sql: &str) {
        run(&self.url, sql).await.expect("the statements run");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let server = self.server.clone();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's own runtime may be ending, and cannot be waited on from here.
        let dropper = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.ok()?.block_on(run(&server, &sql)).ok()
        });
        if !matches!(dropper.join(), Ok(Some(()))) {
            eprintln!("the test database {} could not be dropped", self.name);
        }
    }
}

async fn run(url: &Url, sql: &str) -> Result<(), sqlx::Error> {
    let work = async {
        let options = PgConnectOptions::from_url(url)?;
        let mut connection = sqlx::PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    };
    // A CREATE waits for other tests' CREATEs, which copy the same template.
    let patience: Duration = PATIENCE * 3;
    timeout(patience, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_database_is_its_own_and_is_dropped() {
        let Some(one) = Postgres::create().await else { return };
        let Some(two) = Postgres::create().await else { return };
        one.execute("CREATE TABLE t (n int)").await;
        two.execute("CREATE TABLE t (n int)").await;
        let url = one.url.clone();
        // A connection that is still open does not keep it.
        let options = PgConnectOptions::from_url(&url).unwrap();
        let open = sqlx::PgConnection::connect_with(&options).await.unwrap();
        drop(one);
        assert!(run(&url, "SELECT 1").await.is_err());
        two.execute("SELECT * FROM t").await;
        drop(open);
    }
}
