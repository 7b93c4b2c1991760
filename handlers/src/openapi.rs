//! The OpenAPI document, made from the handlers and the protocol's types.
//!
//! The security of each operation and the shape of errors come from the route table, so that they
//! cannot differ from what is demanded; a test holds the document and the table together.

use actix_web::http::{Method, StatusCode};
use callboard_protocol::{
    AuditExportFormat, ClientFrame, ErrorBody, ErrorCode, Evidence, ExportFormat, Level,
    PatternOrder, SearchOrder, ServerFrame,
};
use utoipa::{
    OpenApi,
    openapi::{
        Components, Content, PathItem, Ref, RefOr, Response, Responses, ServerBuilder,
        path::Operation,
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};

use crate::{
    extract::{CSRF_HEADER, KEY_HEADER},
    identity::cookie,
    routes::{self, Access, Endpoint, Mount, PREFIXES},
    ws,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Callboard",
        description = "A self-hosted, real-time AI assistant for the people who run systems. \
            Every error is an `ErrorBody`; its codes are explained at `/api/docs/errors`. \
            The frames of the WebSocket are `ClientFrame` and `ServerFrame`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        routes::setup_state,
        routes::set_up,
        routes::login,
        routes::refresh,
        routes::logout,
        routes::use_link,
        routes::me,
        routes::change_password,
        routes::read_second_factor,
        routes::begin_second_factor,
        routes::confirm_second_factor,
        routes::remove_second_factor,
        routes::list_own_sessions,
        routes::end_other_sessions,
        routes::end_own_session,
        routes::list_users,
        routes::create_user,
        routes::read_user,
        routes::change_user,
        routes::delete_user,
        routes::create_link,
        routes::delete_user_second_factor,
        routes::list_user_sessions,
        routes::end_user_sessions,
        routes::end_user_session,
        routes::list_roles,
        routes::put_role,
        routes::delete_role,
        routes::list_audit,
        routes::export_audit,
        routes::verify_audit,
        routes::chat,
        routes::cancel_turn,
        routes::list_conversations,
        routes::search_conversations,
        routes::read_conversation,
        routes::rename_conversation,
        routes::delete_conversation,
        routes::list_messages,
        routes::search_logs,
        routes::log_patterns,
        routes::log_facets,
        routes::log_histogram,
        routes::count_logs,
        routes::compare_logs,
        routes::export_logs,
        routes::tail_logs,
        routes::read_line,
        routes::log_stats,
        routes::log_anomalies,
        routes::list_alerts,
        routes::preview_alert,
        routes::list_channels,
        routes::test_channel,
        routes::list_rules,
        routes::create_rule,
        routes::read_rule,
        routes::change_rule,
        routes::mute_rule,
        routes::delete_rule,
        routes::list_sources,
        routes::create_source,
        routes::read_source,
        routes::change_source,
        routes::delete_source,
        routes::preview_logs,
        routes::push_lines,
        routes::push_loki,
        routes::push_otlp,
        routes::push_journal,
        routes::elastic_root,
        routes::elastic_top,
        routes::elastic_license,
        routes::elastic_health,
        routes::elastic_bulk,
        routes::elastic_bulk_put,
        routes::elastic_bulk_of,
        routes::elastic_bulk_of_put,
        routes::upload_logs,
        routes::reload_logs,
        routes::list_holds,
        routes::create_hold,
        routes::delete_hold,
        routes::ingest_path,
        routes::list_jobs,
        routes::read_job,
        routes::cancel_job,
        routes::cache_stats,
        routes::cache_health,
        routes::invalidate_cache,
        routes::list_actors,
        routes::list_providers,
        routes::reset_provider,
        routes::list_model_names,
        routes::put_model_name,
        routes::delete_model_name,
        routes::reload_config,
        routes::list_keys,
        routes::create_key,
        routes::revoke_key,
        routes::report_usage,
        routes::list_calls,
        routes::list_budgets,
        routes::chat_completions,
        routes::create_message,
        routes::create_response,
        routes::embeddings,
        routes::list_models,
        routes::read_model,
        routes::live,
        routes::ready,
        routes::metrics,
        ws::open,
        ws::open_again,
    ),
    components(schemas(
        ClientFrame,
        ServerFrame,
        ErrorBody,
        ErrorCode,
        Evidence,
        Level,
        SearchOrder,
        PatternOrder,
        ExportFormat,
        AuditExportFormat,
    ))
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.servers = Some(vec![ServerBuilder::new().url("/").build()]);
    let components = document.components.get_or_insert_with(Components::new);
    add_security(components);
    let paths = std::mem::take(&mut document.paths.paths);
    for (path, mut item) in paths {
        let rows: Vec<_> =
            routes::table().into_iter().filter(|row| plain(row.path) == path).collect();
        for row in &rows {
            if let Some(operation) = operation(&mut item, &row.method) {
                dress(operation, row);
            }
        }
        // Where a path hangs both at the root and under the API, the root's is the one to show.
        let at_root = rows.iter().any(|row| row.mount == Mount::Root);
        let prefix = if at_root { "" } else { PREFIXES[0] };
        document.paths.paths.insert(format!("{prefix}{path}"), item);
    }
    document
}

/// A path of the table in the document's words, which have no patterns for parameters.
fn plain(path: &str) -> String {
    path.replace(":.*}", "}")
}

/// The document as JSON.
#[must_use]
pub fn json() -> String {
    // The document is made of strings, lists and maps with string keys, which JSON always holds.
    document().to_pretty_json().unwrap_or_default()
}

/// The operation of a method; the document has none but these.
fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match method.as_str() {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// Who may call it, and what it says when it fails.
fn dress(operation: &mut Operation, row: &Endpoint) {
    let scheme = |name: &str| SecurityRequirement::new(name, [] as [&str; 0]);
    let cookie = || match row.method {
        Method::GET => scheme("cookie"),
        _ => scheme("cookie").add("csrf", [] as [&str; 0]),
    };
    let (security, note) = match row.access {
        Access::Public => (Vec::new(), None),
        Access::Needs(permission) => {
            let role = permission.least_role();
            let note = format!("For the role `{role}` and above.");
            match row.scope {
                Some(key) => (
                    vec![scheme("bearer"), scheme("key"), cookie()],
                    Some(format!("{note} An API key needs the scope `{key}`.")),
                ),
                None => (vec![scheme("bearer"), cookie()], Some(note)),
            }
        }
        Access::LocalOnly => {
            (Vec::new(), Some("Only over the Unix socket in the server's data folder.".to_owned()))
        }
        Access::Metrics => (
            vec![scheme("metrics")],
            Some("For callers on the server's machine, or with the metrics token.".to_owned()),
        ),
    };
    operation.security = Some(security);
    if let Some(note) = note {
        let text = operation.description.take().map_or_else(String::new, |text| text + "\n\n");
        operation.description = Some(text + &note);
    }
    describe(&mut operation.responses);
}

/// Gives each answer the words that OpenAPI demands, and adds the one shape of errors.
fn describe(responses: &mut Responses) {
    for (status, response) in &mut responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let reason =
                status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
            reason.unwrap_or("Done").clone_into(&mut response.description);
        }
    }
    let mut failed = Response::new("It failed; `code` says why.");
    let body = Content::new(Some(RefOr::Ref(Ref::from_schema_name("ErrorBody"))));
    failed.content.insert("application/json".to_owned(), RefOr::T(body));
    responses.responses.insert("default".to_owned(), RefOr::T(failed));
}

fn add_security(components: &mut Components) {
    let bearer = |description: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(description))
                .build(),
        )
    };
    let csrf = ApiKeyValue::with_description(
        CSRF_HEADER,
        "With the cookie, and on methods that change something.",
    );
    components.add_security_scheme(
        "bearer",
        bearer("An access token of `/auth/login`, or, where one is let in, an API key."),
    );
    components.add_security_scheme("metrics", bearer("The token `server.metrics.token`."));
    components.add_security_scheme(
        "cookie",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie::ACCESS))),
    );
    let key =
        ApiKeyValue::with_description(KEY_HEADER, "An API key, as Anthropic's clients send it.");
    components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Paths that the document leaves out: the document itself, pages, and second names.
    const NOT_DOCUMENTED: [&str; 5] =
        ["/openapi.json", "/docs", "/docs/errors", "/docs/{file:.*}", "/health"];

    #[test]
    fn the_document_and_the_route_table_name_the_same_operations() {
        let json: serde_json::Value = serde_json::from_str(&super::json()).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in json["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                documented.insert(format!("{} {path}", method.to_uppercase()));
                assert!(operation["responses"]["default"].is_object(), "{method} {path}");
                assert!(operation["security"].is_array(), "{method} {path}");
                for response in operation["responses"].as_object().unwrap().values() {
                    assert!(response["description"].is_string(), "{method} {path}");
                }
            }
        }
        let mut routed = BTreeSet::new();
        let table = routes::table();
        for row in table.iter().filter(|row| !NOT_DOCUMENTED.contains(&row.path)) {
            let root = table.iter().any(|r| r.path == row.path && r.mount == Mount::Root);
            let prefix = if root { "" } else { PREFIXES[0] };
            routed.insert(format!("{} {prefix}{}", row.method, plain(row.path)));
        }
        assert_eq!(documented, routed);
    }

    #[test]
    fn an_upload_is_a_file() {
        let json: serde_json::Value = serde_json::from_str(&super::json()).unwrap();
        let body = &json["paths"]["/api/v1/logs/upload"]["post"]["requestBody"];
        assert_eq!(body["required"], true);
        let kinds = body["content"].as_object().unwrap();
        assert_eq!(kinds.keys().collect::<Vec<_>>(), ["application/octet-stream", "text/plain"]);
        for content in kinds.values() {
            let schema = &content["schema"];
            assert_eq!((&schema["type"], &schema["format"]), (&"string".into(), &"binary".into()));
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let json: serde_json::Value = serde_json::from_str(&super::json()).unwrap();
        let mut found = 0;
        let mut stack = vec![&json];
        while let Some(value) = stack.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(|r| r.as_str()) {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(json.pointer(pointer).is_some(), "{reference}");
                        found += 1;
                    }
                    stack.extend(fields.values());
                }
                serde_json::Value::Array(items) => stack.extend(items),
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::String(_) => {}
            }
        }
        assert!(found > 20);
        for name in ["ClientFrame", "ServerFrame", "ErrorCode", "Conversation", "Answer"] {
            assert!(json["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
