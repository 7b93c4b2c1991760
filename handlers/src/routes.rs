//! The table of all routes.
//!
//! One row for each: method, path, who may call it, handler. The app is configured from it, the
//! OpenAPI document takes its security from it, and a test walks it with every role; so a route
//! exists only if it stands here, and what stands here as its right is what its handler demands.

mod account;
mod actors;
mod admin;
mod alerts;
mod assistant;
mod auth;
mod cache;
mod conversations;
mod docs;
mod export;
mod gateway;
mod health;
mod holds;
mod jobs;
mod keys;
mod logs;
mod models;
mod providers;
mod push;
mod sources;
mod tail;
mod usage;

use std::{collections::BTreeSet, panic::AssertUnwindSafe};

use actix_web::{
    FromRequest, Handler, HttpResponse, Responder, Route, guard,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::from_fn,
    web,
};
use callboard_protocol::{ErrorCode, KeyScope, Permission};
use futures_util::{FutureExt, future::LocalBoxFuture};

use crate::{
    ApiError,
    extract::{self, Demand},
    gateway::{Dialect, in_words_of},
    observe::not_found,
    web::page,
    ws,
};

pub(crate) use self::{
    account::*, actors::*, admin::*, alerts::*, assistant::*, auth::*, cache::*, conversations::*,
    export::*, gateway::*, health::*, holds::*, jobs::*, keys::*, logs::*, models::*, providers::*,
    push::*, sources::*, tail::*, usage::*,
};

/// The prefixes of the API; the second is for clients of the old system.
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Those who hold this right.
    Needs(Permission),
    /// Those on the Unix socket in the data folder.
    LocalOnly,
    /// Callers on this machine, and those who show the metrics token.
    Metrics,
}

/// Where a path hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Under each of the API's prefixes.
    Api,
    /// At the root.
    Root,
}

/// One row of the table.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// Where the path hangs.
    pub mount: Mount,
    /// The path's pattern, without a prefix.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The scope that an API key needs for it; none: no key opens it, or nobody asks for one.
    pub scope: Option<KeyScope>,
    /// From the scope, which is known last.
    route: Box<dyn Fn(Option<KeyScope>) -> Route>,
}

impl Endpoint {
    fn at_root(mut self) -> Self {
        self.mount = Mount::Root;
        self
    }

    /// For keys with another scope than that of its right.
    fn scoped(mut self, scope: KeyScope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// For programs: at the root, and with all errors in the words of a vendor.
    fn speaking(mut self, dialect: Dialect) -> Self {
        let route = self.route;
        self.route = Box::new(move |scope| {
            route(scope).wrap(from_fn(move |request, next| in_words_of(dialect, request, next)))
        });
        self.at_root()
    }
}

fn endpoint<F, Args>(method: Method, path: &'static str, access: Access, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let verb = method.clone();
    let handler = Guarded(handler);
    let route = Box::new(move |scope| {
        let route = verb_route(&verb).to(handler.clone());
        let demand = match access {
            Access::Needs(permission) => Demand::Right(permission, scope),
            Access::LocalOnly => Demand::Local,
            Access::Public | Access::Metrics => return route,
        };
        route.wrap(from_fn(move |request, next| extract::admit(demand, request, next)))
    });
    let scope = match access {
        Access::Needs(permission) => extract::scope_of(permission),
        Access::Public | Access::LocalOnly | Access::Metrics => None,
    };
    Endpoint { method, mount: Mount::Api, path, access, scope, route }
}

/// Whatever can be got can also be asked for its head alone; actix leaves the body out.
fn verb_route(method: &Method) -> Route {
    if *method == Method::GET {
        web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
    } else {
        web::method(method.clone())
    }
}

/// The methods of a path, for `Allow`.
fn allowed<'a>(rows: impl Iterator<Item = &'a Endpoint>) -> String {
    let names = rows.flat_map(|row| match row.method.as_str() {
        "GET" => vec!["GET", "HEAD"],
        method => vec![method],
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A handler whose panic is an answer: otherwise the connection would just break off, and whoever
/// else uses it with it.
#[derive(Clone)]
pub(crate) struct Guarded<F>(pub(crate) F);

impl<F: Handler<Args>, Args: 'static> Handler<Args> for Guarded<F> {
    type Output = Result<F::Output, ApiError>;
    type Future = LocalBoxFuture<'static, Self::Output>;

    fn call(&self, args: Args) -> Self::Future {
        let handler = self.0.clone();
        Box::pin(async move {
            let handling = AssertUnwindSafe(handler.call(args)).catch_unwind();
            handling.await.map_err(|_| ApiError::internal("the handler panicked"))
        })
    }
}

/// All routes. Of two patterns that fit one path the first counts.
#[must_use]
#[rustfmt::skip]
pub fn table() -> Vec<Endpoint> {
    use Access::{Metrics, Needs, Public};
    use Permission::{
        AccountUse, CacheManage, CacheRead, ChatUse, JobsManage, JobsRead, KeysUse,
        ProvidersManage, ProvidersRead, UsageRead,
    };
    let get = Method::GET;
    let post = Method::POST;
    let mut table = vec![
        endpoint(get.clone(), "/auth/setup", Public, setup_state),
        endpoint(post.clone(), "/auth/setup", Public, set_up),
        endpoint(post.clone(), "/auth/login", Public, login),
        endpoint(post.clone(), "/auth/refresh", Public, refresh),
        endpoint(post.clone(), "/auth/logout", Public, logout),
        endpoint(post.clone(), "/auth/link", Public, use_link),
        endpoint(get.clone(), "/auth/me", Needs(AccountUse), me),
        endpoint(post.clone(), "/auth/password", Needs(AccountUse), change_password),
        endpoint(get.clone(), "/auth/second-factor", Needs(AccountUse), read_second_factor),
        endpoint(post.clone(), "/auth/second-factor", Needs(AccountUse), begin_second_factor),
        endpoint(Method::DELETE, "/auth/second-factor", Needs(AccountUse), remove_second_factor),
        endpoint(post.clone(), "/auth/second-factor/confirm", Needs(AccountUse), confirm_second_factor),
        endpoint(get.clone(), "/auth/sessions", Needs(AccountUse), list_own_sessions),
        endpoint(Method::DELETE, "/auth/sessions", Needs(AccountUse), end_other_sessions),
        endpoint(Method::DELETE, "/auth/sessions/{id}", Needs(AccountUse), end_own_session),

        endpoint(post.clone(), "/assistant/chat", Needs(ChatUse), chat),
        endpoint(post.clone(), "/assistant/turns/{id}/cancel", Needs(ChatUse), cancel_turn),
        endpoint(get.clone(), "/conversations", Needs(ChatUse), list_conversations),
        endpoint(get.clone(), "/conversations/search", Needs(ChatUse), search_conversations),
        endpoint(get.clone(), "/conversations/{id}", Needs(ChatUse), read_conversation),
        endpoint(Method::PATCH, "/conversations/{id}", Needs(ChatUse), rename_conversation),
        endpoint(Method::DELETE, "/conversations/{id}", Needs(ChatUse), delete_conversation),
        endpoint(get.clone(), "/conversations/{id}/messages", Needs(ChatUse), list_messages),

        endpoint(get.clone(), "/jobs", Needs(JobsRead), list_jobs),
        endpoint(get.clone(), "/jobs/{id}", Needs(JobsRead), read_job),
        endpoint(post.clone(), "/jobs/{id}/cancel", Needs(JobsManage), cancel_job),

        endpoint(get.clone(), "/cache/stats", Needs(CacheRead), cache_stats),
        endpoint(get.clone(), "/cache/health", Needs(CacheRead), cache_health),
        endpoint(post.clone(), "/cache/invalidate", Needs(CacheManage), invalidate_cache),
        endpoint(get.clone(), "/actors", Needs(ProvidersRead), list_actors),
        endpoint(get.clone(), "/providers", Needs(ProvidersRead), list_providers),
        endpoint(post.clone(), "/providers/{name}/reset", Needs(ProvidersManage), reset_provider),
        endpoint(get.clone(), "/models", Needs(ProvidersRead), list_model_names),
        endpoint(Method::PUT, "/models/{name}", Needs(ProvidersManage), put_model_name),
        endpoint(Method::DELETE, "/models/{name}", Needs(ProvidersManage), delete_model_name),
        endpoint(post.clone(), "/config/reload", Needs(ProvidersManage), reload_config),

        endpoint(get.clone(), "/keys", Needs(KeysUse), list_keys),
        endpoint(post.clone(), "/keys", Needs(KeysUse), create_key),
        endpoint(Method::DELETE, "/keys/{id}", Needs(KeysUse), revoke_key),
        endpoint(get.clone(), "/usage", Needs(UsageRead), report_usage),
        endpoint(get.clone(), "/usage/calls", Needs(UsageRead), list_calls),
        endpoint(get.clone(), "/budgets", Needs(UsageRead), list_budgets),

        endpoint(get.clone(), "/health", Public, ready),
        endpoint(get.clone(), "/health/live", Public, live).at_root(),
        endpoint(get.clone(), "/health/ready", Public, ready).at_root(),
        endpoint(get.clone(), "/metrics", Metrics, metrics),
        endpoint(get.clone(), "/metrics", Metrics, metrics).at_root(),

        endpoint(get.clone(), "/openapi.json", Public, docs::openapi),
        endpoint(get.clone(), "/docs", Public, docs::browser_root),
        endpoint(get.clone(), "/docs/errors", Public, docs::errors),
        endpoint(get.clone(), "/docs/{file:.*}", Public, docs::browser),

        endpoint(get.clone(), "/ws/assistant", Needs(ChatUse), ws::open).at_root(),
        endpoint(get, "/ws/assistant/{session_id}", Needs(ChatUse), ws::open_again).at_root(),
    ];
    table.extend(for_administrators());
    table.extend(for_logs());
    table.extend(for_alerts());
    table.extend(for_programs());
    table.extend(for_shippers());
    table
}

/// Accounts, roles and the audit trail.
#[rustfmt::skip]
fn for_administrators() -> Vec<Endpoint> {
    use Access::Needs;
    use Permission::{AuditRead, UsersManage};
    let get = Method::GET;
    let post = Method::POST;
    let delete = Method::DELETE;
    vec![
        endpoint(get.clone(), "/admin/users", Needs(UsersManage), list_users),
        endpoint(post.clone(), "/admin/users", Needs(UsersManage), create_user),
        endpoint(get.clone(), "/admin/users/{id}", Needs(UsersManage), read_user),
        endpoint(Method::PATCH, "/admin/users/{id}", Needs(UsersManage), change_user),
        endpoint(delete.clone(), "/admin/users/{id}", Needs(UsersManage), delete_user),
        endpoint(post, "/admin/users/{id}/link", Needs(UsersManage), create_link),
        endpoint(delete.clone(), "/admin/users/{id}/second-factor", Needs(UsersManage), delete_user_second_factor),
        endpoint(get.clone(), "/admin/users/{id}/sessions", Needs(UsersManage), list_user_sessions),
        endpoint(delete.clone(), "/admin/users/{id}/sessions", Needs(UsersManage), end_user_sessions),
        endpoint(delete.clone(), "/admin/users/{id}/sessions/{session}", Needs(UsersManage), end_user_session),
        endpoint(get.clone(), "/admin/roles", Needs(UsersManage), list_roles),
        endpoint(Method::PUT, "/admin/roles/{name}", Needs(UsersManage), put_role),
        endpoint(delete, "/admin/roles/{name}", Needs(UsersManage), delete_role),
        endpoint(get.clone(), "/admin/audit", Needs(AuditRead), list_audit),
        endpoint(get.clone(), "/admin/audit/export", Needs(AuditRead), export_audit),
        endpoint(get, "/admin/audit/verify", Needs(AuditRead), verify_audit),
    ]
}

/// Logs: how they are read, and how they come in.
#[rustfmt::skip]
fn for_logs() -> Vec<Endpoint> {
    use Access::{LocalOnly, Needs};
    use Permission::{LogsIngest, LogsManage, LogsRead};
    let get = Method::GET;
    let post = Method::POST;
    vec![
        endpoint(get.clone(), "/logs/search", Needs(LogsRead), search_logs),
        endpoint(get.clone(), "/logs/patterns", Needs(LogsRead), log_patterns),
        endpoint(get.clone(), "/logs/facets", Needs(LogsRead), log_facets),
        endpoint(get.clone(), "/logs/histogram", Needs(LogsRead), log_histogram),
        endpoint(get.clone(), "/logs/count", Needs(LogsRead), count_logs),
        endpoint(get.clone(), "/logs/compare", Needs(LogsRead), compare_logs),
        endpoint(get.clone(), "/logs/anomalies", Needs(LogsRead), log_anomalies),
        endpoint(get.clone(), "/logs/export", Needs(LogsRead), export_logs),
        endpoint(get.clone(), "/logs/tail", Needs(LogsRead), tail_logs),
        endpoint(get.clone(), "/logs/lines/{id}", Needs(LogsRead), read_line),
        endpoint(get.clone(), "/logs/stats", Needs(LogsRead), log_stats),
        endpoint(get.clone(), "/logs/sources", Needs(LogsManage), list_sources),
        endpoint(post.clone(), "/logs/sources", Needs(LogsManage), create_source),
        endpoint(get, "/logs/sources/{id}", Needs(LogsManage), read_source),
        endpoint(Method::PATCH, "/logs/sources/{id}", Needs(LogsManage), change_source),
        endpoint(Method::DELETE, "/logs/sources/{id}", Needs(LogsManage), delete_source),
        endpoint(Method::GET, "/logs/holds", Needs(LogsManage), list_holds),
        endpoint(post.clone(), "/logs/holds", Needs(LogsManage), create_hold),
        endpoint(Method::DELETE, "/logs/holds/{id}", Needs(LogsManage), delete_hold),
        endpoint(post.clone(), "/logs/preview", Needs(LogsIngest), preview_logs),
        endpoint(post.clone(), "/logs/push", Needs(LogsIngest), push_lines),
        endpoint(post.clone(), "/logs/upload", Needs(LogsIngest), upload_logs),
        endpoint(post.clone(), "/logs/reload", Needs(LogsManage), reload_logs),
        endpoint(post, "/logs/ingest", LocalOnly, ingest_path),
    ]
}

/// Rules that watch the logs.
#[rustfmt::skip]
fn for_alerts() -> Vec<Endpoint> {
    use Access::Needs;
    use Permission::{AlertsManage, AlertsUse};
    let get = Method::GET;
    let post = Method::POST;
    vec![
        endpoint(get.clone(), "/alerts", Needs(AlertsUse), list_alerts),
        endpoint(post.clone(), "/alerts/preview", Needs(AlertsUse), preview_alert),
        endpoint(get.clone(), "/alerts/channels", Needs(AlertsUse), list_channels),
        endpoint(post.clone(), "/alerts/channels/{name}/test", Needs(AlertsManage), test_channel),
        endpoint(get.clone(), "/alerts/rules", Needs(AlertsUse), list_rules),
        endpoint(post.clone(), "/alerts/rules", Needs(AlertsManage), create_rule),
        endpoint(get, "/alerts/rules/{id}", Needs(AlertsUse), read_rule),
        endpoint(Method::PATCH, "/alerts/rules/{id}", Needs(AlertsManage), change_rule),
        endpoint(Method::DELETE, "/alerts/rules/{id}", Needs(AlertsManage), delete_rule),
        endpoint(post, "/alerts/rules/{id}/mute", Needs(AlertsUse), mute_rule),
    ]
}

/// The APIs of other products, for the programs that were made to push to those.
#[rustfmt::skip]
fn for_shippers() -> Vec<Endpoint> {
    use Access::Needs;
    use Permission::LogsIngest;
    let get = Method::GET;
    let post = Method::POST;
    let put = Method::PUT;
    let rows = vec![
        endpoint(post.clone(), "/loki/api/v1/push", Needs(LogsIngest), push_loki),
        endpoint(post.clone(), "/v1/logs", Needs(LogsIngest), push_otlp),
        endpoint(post.clone(), "/journal/upload", Needs(LogsIngest), push_journal),
        endpoint(get.clone(), "/elastic", Needs(LogsIngest), elastic_root),
        endpoint(get.clone(), "/elastic/", Needs(LogsIngest), elastic_top),
        endpoint(get.clone(), "/elastic/_license", Needs(LogsIngest), elastic_license),
        endpoint(get, "/elastic/_cluster/health", Needs(LogsIngest), elastic_health),
        endpoint(post.clone(), "/elastic/_bulk", Needs(LogsIngest), elastic_bulk),
        endpoint(put.clone(), "/elastic/_bulk", Needs(LogsIngest), elastic_bulk_put),
        endpoint(post, "/elastic/{index}/_bulk", Needs(LogsIngest), elastic_bulk_of),
        endpoint(put, "/elastic/{index}/_bulk", Needs(LogsIngest), elastic_bulk_of_put),
    ];
    rows.into_iter().map(Endpoint::at_root).collect()
}

/// The API for programs.
#[rustfmt::skip]
fn for_programs() -> Vec<Endpoint> {
    use Access::Needs;
    use Permission::GatewayUse;
    let get = Method::GET;
    let post = Method::POST;
    vec![
        endpoint(post.clone(), "/v1/chat/completions", Needs(GatewayUse), chat_completions)
            .speaking(Dialect::OpenAi),
        endpoint(post.clone(), "/v1/responses", Needs(GatewayUse), create_response)
            .speaking(Dialect::Responses),
        endpoint(post.clone(), "/v1/messages", Needs(GatewayUse), create_message)
            .speaking(Dialect::Anthropic),
        endpoint(post.clone(), "/v1/embeddings", Needs(GatewayUse), embeddings)
            .scoped(KeyScope::Embeddings)
            .speaking(Dialect::OpenAi),
        endpoint(get.clone(), "/v1/models", Needs(GatewayUse), list_models)
            .scoped(KeyScope::Models)
            .speaking(Dialect::OpenAi),
        endpoint(get.clone(), "/v1/models/{model:.*}", Needs(GatewayUse), read_model)
            .scoped(KeyScope::Models)
            .speaking(Dialect::OpenAi),
    ]
}

/// Puts the table into an app, and behind it the page.
pub(crate) fn configure(app: &mut web::ServiceConfig) {
    for prefix in PREFIXES {
        let mut scope = web::scope(prefix);
        for resource in resources(Mount::Api) {
            scope = scope.service(resource);
        }
        app.service(scope.default_service(web::to(Guarded(not_found))));
    }
    for resource in resources(Mount::Root) {
        app.service(resource);
    }
    app.service(web::resource("/v1/{path:.*}").to(Guarded(no_such_call)));
    app.default_service(web::to(Guarded(page)));
}

/// One resource for each path, which refuses other methods.
fn resources(mount: Mount) -> Vec<actix_web::Resource> {
    let endpoints: Vec<Endpoint> = table().into_iter().filter(|row| row.mount == mount).collect();
    let mut seen = BTreeSet::new();
    let paths: Vec<&str> =
        endpoints.iter().map(|row| row.path).filter(|path| seen.insert(*path)).collect();
    let resource = |path: &&str| {
        let of_path = endpoints.iter().filter(|row| row.path == *path);
        let allow = HeaderValue::from_str(&allowed(of_path.clone())).ok();
        let resource = of_path
            .fold(web::resource(*path), |resource, row| resource.route((row.route)(row.scope)));
        resource.default_service(web::to(move || {
            let error = ApiError::from(ErrorCode::MethodNotAllowed);
            let mut response = HttpResponse::from_error(error);
            if let Some(allow) = &allow {
                response.headers_mut().insert(header::ALLOW, allow.clone());
            }
            async move { response }
        }))
    };
    paths.iter().map(resource).collect()
}
