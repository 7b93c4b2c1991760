//! A database for each test, of both kinds, and what the tests need to begin.

use std::{io::Write as _, sync::Arc};

use callboard_entities::{
    DatabaseConfig, Store,
    queries::{
        messages::{self, BegunTurn, FinishedAnswer, NewTurn, Place},
        users::{self, NewUser},
    },
};
use callboard_protocol::{
    ClientMessageId, ConversationId, FinishReason, MessageStatus, Role, Timestamp, Usage, User,
    UserId,
};
use callboard_testkit::Postgres;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{sync::Barrier, task::JoinSet};

/// What keeps a test's database there.
enum Home {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Home {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                format!("sqlite:{}", folder.path().join("callboard.db").display())
            }
            Self::Postgres(postgres) => postgres.url().to_owned(),
        }
    }
}

/// A migrated database of a test's own, and a store on it.
pub(crate) struct Db {
    pub(crate) store: Store,
    config: DatabaseConfig,
    home: Home,
}

impl Db {
    pub(crate) async fn sqlite() -> Self {
        Self::open(Home::Sqlite(tempfile::tempdir().unwrap())).await
    }

    /// None, with a line that names the test, when no server is given.
    pub(crate) async fn postgres(test: &str) -> Option<Self> {
        let Some(postgres) = Postgres::create().await else {
            // Not by `eprintln!`, which the test runner hides when a test passes.
            let notice = format!("SKIPPED, no CALLBOARD_TEST_POSTGRES_URL: {test}\n");
            std::io::stderr().write_all(notice.as_bytes()).unwrap();
            return None;
        };
        Some(Self::open(Home::Postgres(postgres)).await)
    }

    async fn open(home: Home) -> Self {
        let url = home.url();
        callboard_migration::up(&url).await.unwrap();
        let config = DatabaseConfig { max_connections: 4, ..DatabaseConfig::at(&url) };
        let config = DatabaseConfig { acquire_timeout_ms: 30_000, ..config };
        let config = DatabaseConfig { busy_timeout_ms: 30_000, ..config };
        let store = Store::open(&config).await.unwrap();
        Self { store, config, home }
    }

    /// Another store on the same database, as of another node.
    pub(crate) async fn another(&self) -> Store {
        Store::open(&self.config).await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.home.url()
    }

    /// Keeps everybody else from writing until the connection is closed.
    pub(crate) async fn block_writers(&self) -> DatabaseConnection {
        let one = ConnectOptions::new(self.url()).max_connections(1).to_owned();
        let blocker = Database::connect(one).await.unwrap();
        let statements = match self.home {
            Home::Sqlite(_) => "BEGIN IMMEDIATE",
            Home::Postgres(_) => "BEGIN; LOCK TABLE conversations IN SHARE MODE",
        };
        blocker.execute_unprepared(statements).await.unwrap();
        blocker
    }

    /// Runs `count` callers at once, every other one on another node, and gives what each came to.
    pub(crate) async fn race<T, F>(&self, count: usize, call: impl Fn(usize, Store) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let nodes = [self.store.clone(), self.another().await];
        let start = Arc::new(Barrier::new(count));
        let mut callers = JoinSet::new();
        for number in 0..count {
            let (call, start) = (call(number, nodes[number % 2].clone()), start.clone());
            let node = nodes[number % 2].clone();
            callers.spawn(async move {
                // With connections that are still being opened there would be no race.
                node.ping().await.unwrap();
                start.wait().await;
                call.await
            });
        }
        callers.join_all().await
    }
}

/// Defines each named test twice, for SQLite and for PostgreSQL.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::harness::Db::sqlite().await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    if let Some(db) = crate::harness::Db::postgres(name).await {
                        super::$name(db).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_both;

/// An instant that many seconds into the test's day.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_694_000_000 + seconds * 1_000)
}

pub(crate) fn new_user(username: &str, role: Role) -> NewUser {
    NewUser {
        username: username.to_owned(),
        display_name: None,
        role,
        password_hash: SecretString::from("$argon2id$hash"),
    }
}

pub(crate) async fn user(db: &Db, username: &str) -> User {
    users::create(&db.store, &new_user(username, Role::ANALYST), at(0)).await.unwrap()
}

pub(crate) fn question(
    user: UserId,
    conversation: Option<ConversationId>,
    content: &str,
    seconds: i64,
) -> NewTurn {
    NewTurn {
        user,
        place: conversation.map_or_else(|| Place::Opens(ConversationId::new()), Place::In),
        client_message_id: ClientMessageId::random(),
        content: content.to_owned(),
        title: content.to_owned(),
        room: true,
        now: at(seconds),
    }
}

pub(crate) fn answer(content: &str) -> FinishedAnswer {
    FinishedAnswer {
        content: content.to_owned(),
        status: MessageStatus::Complete,
        finish_reason: FinishReason::Stop,
        citations: Vec::new(),
        suggestions: Vec::new(),
        evidence: None,
        usage: Usage { input_tokens: 3, output_tokens: 4 },
        cost_usd: 0.0,
        provider: None,
        model: None,
        cached: false,
    }
}

/// A question and its answer, a second later.
pub(crate) async fn exchange(
    db: &Db,
    user: UserId,
    conversation: Option<ConversationId>,
    words: (&str, &str),
    seconds: i64,
) -> BegunTurn {
    let new = question(user, conversation, words.0, seconds);
    let begun = messages::begin_turn(&db.store, &new).await.unwrap();
    let stored = answer(words.1);
    messages::finish_answer(&db.store, begun.answer_message_id, &stored, at(seconds + 1))
        .await
        .unwrap();
    begun
}
