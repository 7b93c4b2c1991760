//! A server in a temporary folder, and a way to talk to it.

use std::{path::Path, sync::Arc};

use actix::Arbiter;
use actix_web::{
    App,
    body::to_bytes,
    cookie::Cookie,
    http::{StatusCode, header::HeaderMap},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service},
    web,
};
use callboard_actors::{
    CacheConfig, ChatConfig, GatewayConfig, JobsConfig, LedgerConfig, Metrics, Parts,
    SessionConfig, System,
};
use callboard_entities::queries::sign_ins::SeenFrom;
use callboard_entities::{DatabaseConfig, Store};
use callboard_logs::{LogStore, LogsConfig};
use callboard_protocol::{Reloaded, Role, SignedIn, Timestamp};
use callboard_providers::ProviderConfig;
use serde_json::{Value, json};

use crate::{
    AppState, AttemptLimit, AuthConfig, Edge, EdgeConfig, Identity, NewAccount, PasswordCost,
    Reload, Reloading, identity::Session, observe,
};

pub(super) const PASSWORD: &str = "kettle-quartz-41";

/// A server without sockets of its own.
pub(super) struct Server {
    pub(super) edge: Edge,
    pub(super) store: Store,
    pub(super) identity: Identity,
    _folder: tempfile::TempDir,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) cookies: Vec<Cookie<'static>>,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("not JSON: {} {:?}", self.status, self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    pub(super) fn cookie(&self, name: &str) -> Cookie<'static> {
        self.cookies.iter().find(|cookie| cookie.name() == name).unwrap().clone()
    }

    /// Checks the shape of an error, and gives its code.
    pub(super) fn code(&self) -> String {
        let body = self.json();
        let code = body["code"].as_str().unwrap_or_else(|| panic!("no code: {body}"));
        assert!(!self.status.is_success(), "{body}");
        assert_eq!(body["link"], format!("/api/docs/errors#{code}"));
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(!body["message"].as_str().unwrap().is_empty());
        code.to_owned()
    }
}

/// Hashes that cost next to nothing, and no limits.
pub(super) fn auth_config() -> AuthConfig {
    AuthConfig {
        password: PasswordCost { memory_kib: 8, passes: 1, running: 2, waiting: 64 },
        login_per_name: AttemptLimit::new(10_000, 10_000),
        login_per_address: AttemptLimit::new(10_000, 10_000),
        login_per_name_everywhere: AttemptLimit::new(10_000, 10_000),
        ..AuthConfig::default()
    }
}

/// An edge that is not open.
pub(super) fn closed_edge(config: EdgeConfig) -> Edge {
    Edge::new(config, Metrics::new().unwrap()).unwrap()
}

/// A configuration that is always the same.
struct Unchanged;

impl Reload for Unchanged {
    fn reload(&self) -> Reloading<'_> {
        Box::pin(async { Ok(Reloaded::default()) })
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(EdgeConfig::default(), auth_config()).await
    }

    pub(super) async fn with(edge: EdgeConfig, auth: AuthConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("callboard.db").display());
        callboard_migration::up(&url).await.unwrap();
        let store = Store::open(&DatabaseConfig::at(url)).await.unwrap();
        // A moment ago, so that the tokens of the test are younger than the server.
        let started = Timestamp::now().minus(std::time::Duration::from_secs(5));
        let identity = Identity::open(store.clone(), &auth, started).await.unwrap();
        let uploads = folder.path().join("uploads");
        std::fs::create_dir(&uploads).unwrap();
        let metrics = Metrics::new().unwrap();
        let logs = LogStore::open(&folder.path().join("index"), &LogsConfig::default()).unwrap();
        let system = system(&store, &logs, &metrics, &uploads).await;
        let state = AppState {
            store: store.clone(),
            logs,
            identity: identity.clone(),
            system,
            uploads,
            reload: Arc::new(Unchanged),
        };
        let edge = Edge::new(edge, metrics).unwrap();
        edge.open(state);
        Self { edge, store, identity, _folder: folder }
    }

    /// An account, made as `callboard user add` does.
    pub(super) async fn add_user(&self, name: &str, role: Role) {
        let new = NewAccount {
            username: name.to_owned(),
            display_name: None,
            role,
            password: PASSWORD.to_owned().into(),
        };
        self.identity.add_user(new, Timestamp::now()).await.unwrap();
    }

    /// Tokens of a new account of this role.
    pub(super) async fn signed_in(&self, role: Role) -> SignedIn {
        let name = role.as_str();
        self.add_user(name, role).await;
        let reply = self.login(name, "body").await;
        serde_json::from_str(&reply.text).unwrap()
    }

    /// A new access token of an account, without the detour over HTTP.
    pub(super) async fn access_token(&self, name: &str) -> String {
        self.session(name, Timestamp::now()).await.access_token
    }

    /// A sign-in of an account at this instant.
    pub(super) async fn session(&self, name: &str, at: Timestamp) -> Session {
        let login = json!({ "username": name, "password": PASSWORD });
        let login = serde_json::from_value(login).unwrap();
        self.identity.login(&login, &SeenFrom::default(), at).await.unwrap()
    }

    pub(super) async fn login(&self, name: &str, transport: &str) -> Reply {
        let body = json!({ "username": name, "password": PASSWORD, "transport": transport });
        self.call(TestRequest::post().uri("/api/v1/auth/login").set_json(body)).await
    }

    pub(super) async fn call(&self, request: TestRequest) -> Reply {
        call(&self.edge, request).await
    }
}

/// The actors, with the extractive provider alone.
async fn system(store: &Store, logs: &LogStore, metrics: &Metrics, uploads: &Path) -> System {
    let parts = Parts {
        store: store.clone(),
        logs: logs.clone(),
        remote: None,
        metrics: metrics.clone(),
        chat: ChatConfig::default(),
        session: SessionConfig::default(),
        cache: CacheConfig::default(),
        jobs: JobsConfig::default(),
        providers: vec![ProviderConfig::extractive()],
        models: Vec::new(),
        gateway: GatewayConfig::default(),
        ledger: LedgerConfig::default(),
        budgets: callboard_actors::BudgetConfig::default(),
        alerts: callboard_actors::AlertsConfig::default(),
        audit: callboard_actors::AuditConfig::default(),
        restarts: callboard_actors::RestartPolicy::default(),
        usage: uploads.join("usage"),
        uploads: uploads.to_owned(),
        pushed: uploads.join("pushed"),
        mirrors: uploads.join("mirrors"),
        own_log: None,
        runtime: tokio::runtime::Handle::current(),
        arbiters: vec![Arbiter::current()],
    };
    System::start(parts).await.unwrap()
}

/// One request to an edge.
pub(super) async fn call(edge: &Edge, request: TestRequest) -> Reply {
    let app = App::new()
        .configure(|app| edge.configure(app))
        .route("/panic", web::get().to(crate::routes::Guarded(panics)))
        .wrap(from_fn(observe));
    let app = init_service(app).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let cookies = response.response().cookies().map(Cookie::into_owned).collect();
    let body = to_bytes(response.into_body()).await.ok().unwrap_or_default();
    Reply { status, headers, cookies, text: String::from_utf8_lossy(&body).into_owned() }
}

async fn panics() -> &'static str {
    panic!("a handler of the test panics")
}

pub(super) fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

pub(super) fn post(uri: &str, body: Value) -> TestRequest {
    TestRequest::post().uri(uri).set_json(body)
}

pub(super) fn bearer(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {token}")))
}
