//! Every route with every role.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use actix_web::{
    App,
    middleware::from_fn,
    test::{TestRequest, call_service, init_service},
};
use callboard_protocol::{ChangeAccount, Permission, Permissions, PutRole, Role, Timestamp};

use super::support::{Server, bearer};
use crate::{
    Access, Mount, observe,
    routes::{PREFIXES, table},
};

const ID: &str = "0192d3a0-0000-7000-8000-000000000000";

/// The paths of a row, with something for each parameter.
fn paths(row: &crate::Endpoint) -> Vec<String> {
    let path = row.path.replace("{id}", ID).replace("{session_id}", ID).replace("{file:.*}", "x");
    let path = path.replace("{session}", ID);
    let path = path.replace("{model:.*}", "extractive");
    match row.mount {
        Mount::Api => PREFIXES.iter().map(|prefix| format!("{prefix}{path}")).collect(),
        Mount::Root => vec![path],
    }
}

#[actix_web::test]
async fn every_route_lets_in_those_who_may_and_nobody_else() {
    let server = Server::start().await;
    for role in Role::BUILT_IN {
        server.add_user(role.as_str(), role).await;
    }
    // One app for all: making one takes a while.
    let edge = server.edge.clone();
    let app = App::new().configure(|app| edge.configure(app)).wrap(from_fn(observe));
    let app = init_service(app).await;
    let callers = [None, Some(Role::VIEWER), Some(Role::ANALYST), Some(Role::ADMIN)];
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
                    (Access::Needs(permission), Some(role))
                        if Permissions::of_built_in(role).contains(permission) =>
                    {
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

/// Calls every route that demands something, with a token for each; tells what became of it.
async fn walk(
    server: &Server,
    mut token: impl FnMut(&crate::Endpoint) -> Option<String>,
    mut check: impl FnMut(&crate::Endpoint, u16),
) {
    let edge = server.edge.clone();
    let app = App::new().configure(|app| edge.configure(app)).wrap(from_fn(observe));
    let app = init_service(app).await;
    for row in table() {
        let Some(token) = token(&row) else { continue };
        let path = paths(&row).remove(0);
        let request = TestRequest::default().method(row.method.clone()).uri(&path);
        let reply = call_service(&app, bearer(request, &token).to_request()).await;
        check(&row, reply.status().as_u16());
    }
}

/// A token of an account whose role holds these rights.
async fn holder(server: &Server, name: &str, permissions: Vec<Permission>) -> String {
    let role = PutRole { description: String::new(), permissions, sources: None };
    let role_name = name.parse().unwrap();
    server.identity.put_role(role_name, role, Timestamp::now()).await.unwrap();
    server.add_user(name, role_name).await;
    server.access_token(name).await
}

#[actix_web::test]
async fn a_right_opens_its_routes_and_nothing_else_does() {
    let server = Server::start().await;
    let (mut only, mut all_but) = (HashMap::new(), HashMap::new());
    let grantable = || Permission::ALL.into_iter().filter(|right| !right.is_of_administrators());
    for (nth, right) in Permission::ALL.into_iter().enumerate() {
        let others = grantable().filter(|other| *other != right).collect();
        all_but.insert(right, holder(&server, &format!("all-but-{nth}"), others).await);
        if !right.is_of_administrators() {
            only.insert(right, holder(&server, &format!("only-{nth}"), vec![right]).await);
        }
    }
    let demanded = |row: &crate::Endpoint| match row.access {
        Access::Needs(right) => Some(right),
        Access::Public | Access::LocalOnly | Access::Metrics => None,
    };
    let mut walked = 0;
    let with = |tokens: &HashMap<Permission, String>, row: &crate::Endpoint| {
        demanded(row).and_then(|right| tokens.get(&right).cloned())
    };
    walk(
        &server,
        |row| with(&all_but, row),
        |row, status| {
            assert_eq!(status, 403, "{} {} without it", row.method, row.path);
            walked += 1;
        },
    )
    .await;
    walk(
        &server,
        |row| with(&only, row),
        |row, status| {
            assert!(
                ![401, 403].contains(&status),
                "{} {} with it alone: {status}",
                row.method,
                row.path
            );
        },
    )
    .await;
    assert!(walked > 90, "{walked}");
}

#[actix_web::test]
async fn a_token_that_is_over_opens_nothing() {
    let server = Server::start().await;
    let long_ago = Timestamp::now().minus(Duration::from_secs(3_600));
    for name in ["ada", "bob", "cid", "dan"] {
        server.add_user(name, Role::ADMIN).await;
    }
    let token = async |name: &str, at: Timestamp| server.session(name, at).await;
    let expired = token("ada", long_ago).await.access_token;
    let ended = token("bob", Timestamp::now()).await;
    server.identity.end(ended.family, Timestamp::now()).await.unwrap();
    let disabled = token("cid", Timestamp::now()).await;
    let change = ChangeAccount { disabled: Some(true), ..ChangeAccount::default() };
    server.identity.change_account(disabled.user.id, change, Timestamp::now()).await.unwrap();
    let deleted = token("dan", Timestamp::now()).await;
    server.identity.delete_account(deleted.user.id, None, Timestamp::now()).await.unwrap();
    let forged = format!("{}x", server.access_token("ada").await);
    for (what, token) in [
        ("expired", expired),
        ("ended", ended.access_token),
        ("disabled", disabled.access_token),
        ("deleted", deleted.access_token),
        ("forged", forged),
    ] {
        let demands = |row: &crate::Endpoint| match row.access {
            Access::Needs(_) | Access::LocalOnly => Some(token.clone()),
            Access::Public | Access::Metrics => None,
        };
        walk(&server, demands, |row, status| {
            assert_eq!(status, 401, "{} {} {what}", row.method, row.path);
        })
        .await;
    }
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
