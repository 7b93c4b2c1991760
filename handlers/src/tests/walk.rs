//! Every route with every role.

use std::fmt::Write as _;

use actix_web::{
    App,
    middleware::from_fn,
    test::{TestRequest, call_service, init_service},
};
use callboard_protocol::Role;

use super::support::{Server, bearer};
use crate::{
    Access, Mount, observe,
    routes::{PREFIXES, table},
};

const ID: &str = "0192d3a0-0000-7000-8000-000000000000";

/// The paths of a row, with something for each parameter.
fn paths(row: &crate::Endpoint) -> Vec<String> {
    let path = row.path.replace("{id}", ID).replace("{session_id}", ID).replace("{file:.*}", "x");
    let path = path.replace("{model:.*}", "extractive");
    match row.mount {
        Mount::Api => PREFIXES.iter().map(|prefix| format!("{prefix}{path}")).collect(),
        Mount::Root => vec![path],
    }
}

#[actix_web::test]
async fn every_route_lets_in_those_who_may_and_nobody_else() {
    let server = Server::start().await;
    for role in Role::ALL {
        server.add_user(role.as_str(), role).await;
    }
    // One app for all: making one takes a while.
    let edge = server.edge.clone();
    let app = App::new().configure(|app| edge.configure(app)).wrap(from_fn(observe));
    let app = init_service(app).await;
    let callers = [None, Some(Role::Viewer), Some(Role::Analyst), Some(Role::Admin)];
    let mut walked = 0;
    for row in table() {
        for path in paths(&row) {
            for role in callers {
                let mut request = TestRequest::default().method(row.method.clone()).uri(&path);
                if let Some(role) = role {
                    // A session each time: one of the routes ends it.
                    request = bearer(request, &server.access_token(role.as_str()).await);
                }
                let status = call_service(&app, request.to_request()).await.status().as_u16();
                let who = format!("{} {path} as {role:?}: {status}", row.method);
                match (row.access, role) {
                    (Access::Public, _) => {
                        assert!(![403, 404, 405].contains(&status) || path.ends_with("/x"), "{who}")
                    }
                    (_, None) => assert_eq!(status, 401, "{who}"),
                    (Access::Needs(permission), Some(role)) if role.may(permission) => {
                        assert!(![401, 403, 405].contains(&status), "{who}");
                    }
                    (Access::Needs(_) | Access::LocalOnly | Access::Metrics, Some(_)) => {
                        assert_eq!(status, 403, "{who}");
                    }
                }
                walked += 1;
            }
        }
    }
    assert!(walked > 200, "{walked}");
}

#[test]
fn the_route_table() {
    let mut text = String::new();
    for row in table() {
        let mount = match row.mount {
            Mount::Api => "/api/v1",
            Mount::Root => "",
        };
        let access = match row.access {
            Access::Public => "public".to_owned(),
            Access::Needs(permission) => {
                let key = row.scope.map(|scope| format!(", keys for {scope}"));
                let key = key.unwrap_or_default();
                format!("{permission:?} ({} and above{key})", permission.least_role())
            }
            Access::LocalOnly => "the Unix socket".to_owned(),
            Access::Metrics => "this machine, or the metrics token".to_owned(),
        };
        writeln!(text, "{:6} {:36} {access}", row.method.as_str(), format!("{mount}{}", row.path))
            .unwrap();
    }
    insta::assert_snapshot!(text);
}
