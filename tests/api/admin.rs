//! Accounts as an administrator manages them: what is changed counts at once, for every token, key and
//! socket that is out there.

use callboard_protocol::{
    Account, AccountCreated, AccountDeleted, AccountLink, AccountPage, ApiKeyCreated, CloseCode,
    ConversationPage, ErrorCode, Me, Permission, Role, RoleDetails, RoleList, SignIn, SignInList,
    SignInMethod, SignInsEnded, SignedIn, UserId,
};
use callboard_testkit::{PATIENCE, eventually_some};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, PASSWORD, Server, fresh, on_both_databases, read};

on_both_databases! {
    an_invited_account_chooses_its_password_by_a_link_that_works_once,
    another_role_counts_at_once,
    a_disabled_account_opens_nothing,
    a_deleted_account_is_gone_with_what_was_its_own,
    sign_ins_are_seen_and_ended_one_by_one,
    a_role_that_was_made_holds_what_it_says,
}

async fn invite(admin: &Client, name: &str, role: &str) -> AccountCreated {
    let body = json!({ "username": name, "role": role, "email": format!("{name}@example.org") });
    read(admin.request(Method::POST, "/admin/users").json(&body)).await
}

fn token_of(link: &AccountLink) -> &str {
    link.url.split_once("/link#").unwrap().1
}

fn use_link(server: &Server, token: &str, password: &str) -> reqwest::RequestBuilder {
    let body = json!({ "token": token, "password": password });
    reqwest::Client::new().post(server.url("/api/v1/auth/link")).json(&body)
}

async fn change(admin: &Client, id: UserId, change: Value) -> Account {
    read(admin.request(Method::PATCH, &format!("/admin/users/{id}")).json(&change)).await
}

async fn an_invited_account_chooses_its_password_by_a_link_that_works_once(on: Database) {
    let server = Launch::on(on).await.start().await;
    let admin = server.admin().await;
    let made = invite(&admin, "Bob", "analyst").await;
    assert_eq!((made.account.username.as_str(), made.account.role), ("bob", Role::ANALYST));
    assert!(!made.account.has_password);
    assert!(made.link.url.starts_with(&server.url("/link#")), "{}", made.link.url);

    let code = async |token: &str, password: &str| {
        admin.refused(use_link(&server, token, password)).await.1
    };
    let token = token_of(&made.link);
    assert_eq!(code("x", PASSWORD).await, ErrorCode::InvalidLink);
    assert_eq!(code(token, "bob-bob-bob-bob").await, ErrorCode::WeakPassword);
    let signed_in: SignedIn = read(use_link(&server, token, PASSWORD)).await;
    assert_eq!(signed_in.user.id, made.account.id);
    assert_eq!(code(token, PASSWORD).await, ErrorCode::InvalidLink, "a second time");
    server.sign_in("bob").await;

    // A lost password: the old one is good until the link is used.
    let path = format!("/admin/users/{}/link", made.account.id);
    let link: AccountLink = read(admin.request(Method::POST, &path)).await;
    let bob = server.sign_in("bob").await;
    let _: SignedIn = read(use_link(&server, token_of(&link), "another horse battery")).await;
    let ended = bob.refused(bob.request(Method::GET, "/auth/me")).await;
    assert_eq!(ended.1, ErrorCode::InvalidToken, "its sign-ins end");

    let again = json!({ "username": "BOB", "role": "viewer" });
    let again = admin.refused(admin.request(Method::POST, "/admin/users").json(&again)).await;
    assert_eq!(again, (StatusCode::CONFLICT, ErrorCode::Conflict));
    for (field, body) in [
        ("username", json!({ "username": "a b", "role": "viewer" })),
        ("email", json!({ "username": "cid", "role": "viewer", "email": "cid" })),
        ("display_name", json!({ "username": "cid", "role": "viewer", "display_name": "a\nb" })),
    ] {
        let bad = admin.refused(admin.request(Method::POST, "/admin/users").json(&body)).await;
        assert_eq!(bad.1, ErrorCode::ValidationFailed, "{field}");
    }
    let found: AccountPage = admin.get("/admin/users?q=example.org&role=analyst").await;
    assert_eq!((found.total, found.items[0].id), (1, made.account.id));
    assert!(found.items[0].last_seen_at.is_some());
    assert!(!server.log().contains(token), "no link is in the log");
}

async fn another_role_counts_at_once(on: Database) {
    let server = Launch::on(on).await.start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::ADMIN).await;
    let list = || bob.request(Method::GET, "/admin/users");
    let _: AccountPage = read(list()).await;
    let mut socket = bob.connect().await;

    change(&admin, bob.user.id, json!({ "role": "viewer" })).await;
    let refused = bob.refused(list()).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden), "with the token of before");
    let me: Me = bob.get("/auth/me").await;
    assert_eq!(me.user.role, Role::VIEWER);
    assert!(!me.permissions.contains(&Permission::UsersManage));
    socket.send(&callboard_protocol::ClientFrame::Ping).await;
    socket.next_until(|frame| matches!(frame, callboard_protocol::ServerFrame::Pong { .. })).await;

    // Nobody can take the last administrator away, themselves neither.
    let path = format!("/admin/users/{}", admin.user.id);
    for change in [json!({ "role": "viewer" }), json!({ "disabled": true })] {
        let last = admin.refused(admin.request(Method::PATCH, &path).json(&change)).await;
        assert_eq!(last, (StatusCode::CONFLICT, ErrorCode::Conflict));
    }
    let last = admin.refused(admin.request(Method::DELETE, &path)).await;
    assert_eq!(last.1, ErrorCode::Conflict);
    let path = format!("/admin/users/{}", bob.user.id);
    let unknown = admin.request(Method::PATCH, &path).json(&json!({ "role": "no-such" }));
    assert_eq!(admin.refused(unknown).await.1, ErrorCode::ValidationFailed);
}

async fn a_disabled_account_opens_nothing(on: Database) {
    let server = Launch::on(on).await.set("session.heartbeat_s=2").start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let key = json!({ "name": "ci", "scopes": ["models"] });
    let key: ApiKeyCreated = read(bob.request(Method::POST, "/keys").json(&key)).await;
    let models =
        || reqwest::Client::new().get(server.url("/v1/models")).bearer_auth(&key.secret).send();
    assert_eq!(models().await.unwrap().status(), StatusCode::OK);
    let mut socket = bob.connect().await;

    let account = change(&admin, bob.user.id, json!({ "disabled": true })).await;
    assert!(account.disabled_at.is_some());
    let refused = bob.refused(bob.request(Method::GET, "/auth/me")).await;
    assert_eq!(refused, (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken));
    assert_eq!(models().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(socket.closed().await.code, Some(CloseCode::InvalidToken as u16));
    let body = json!({ "username": "bob", "password": PASSWORD });
    let login = reqwest::Client::new().post(server.url("/api/v1/auth/login")).json(&body);
    assert_eq!(
        admin.refused(login).await.1,
        ErrorCode::InvalidCredentials,
        "as for a wrong password"
    );
    let path = format!("/admin/users/{}/sessions", bob.user.id);
    let sign_ins: SignInList = admin.get(&path).await;
    assert!(sign_ins.items.is_empty());

    change(&admin, bob.user.id, json!({ "disabled": false })).await;
    server.sign_in("bob").await;
    assert_eq!(models().await.unwrap().status(), StatusCode::OK);
}

async fn a_deleted_account_is_gone_with_what_was_its_own(on: Database) {
    let server = Launch::on(on).await.start().await;
    let admin = server.admin().await;
    let [bob, cid] =
        [server.user("bob", Role::VIEWER).await, server.user("cid", Role::VIEWER).await];
    for client in [&bob, &cid] {
        client.ask(&fresh("why?")).await;
    }
    let delete = async |client: &Client, query: &str| {
        let path = format!("/admin/users/{}{query}", client.user.id);
        read::<AccountDeleted>(admin.request(Method::DELETE, &path)).await
    };
    let own = format!("/admin/users/{0}?transfer_to={0}", bob.user.id);
    let own = admin.refused(admin.request(Method::DELETE, &own)).await;
    assert_eq!(own.1, ErrorCode::InvalidParameter);
    let gone = delete(&bob, &format!("?transfer_to={}", admin.user.id)).await;
    assert_eq!((gone.conversations_transferred, gone.conversations_deleted), (1, 0));
    let gone = delete(&cid, "").await;
    assert_eq!((gone.conversations_transferred, gone.conversations_deleted), (0, 1));
    assert!(gone.audit_events_erased > 0);
    let kept: ConversationPage = admin.get("/conversations").await;
    assert_eq!(kept.items.len(), 1);
    assert_eq!(admin.messages(kept.items[0].id).await.items.len(), 2);
    let refused = bob.refused(bob.request(Method::GET, "/auth/me")).await;
    assert_eq!(refused.1, ErrorCode::InvalidToken);
    let again = format!("/admin/users/{}", bob.user.id);
    assert_eq!(admin.refused(admin.request(Method::DELETE, &again)).await.1, ErrorCode::NotFound);
}

async fn sign_ins_are_seen_and_ended_one_by_one(on: Database) {
    let launch = Launch::on(on).await;
    let server = launch.set("auth.login_per_name={per_minute = 60, burst = 60}").start().await;
    let admin = server.admin().await;
    let first = server.user("bob", Role::VIEWER).await;
    let second = server.sign_in("bob").await;
    let third = server.sign_in("bob").await;
    let list = async |client: &Client| client.get::<SignInList>("/auth/sessions").await.items;
    let of = |items: &[SignIn]| items.iter().find(|item| item.current).unwrap().id;
    let seen = list(&first).await;
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|item| item.method == SignInMethod::Password));
    assert_eq!(seen[0].address.as_deref(), Some("127.0.0.1"));
    let (own, other) = (of(&seen), of(&list(&second).await));
    let end = |client: &Client, id| client.request(Method::DELETE, &format!("/auth/sessions/{id}"));
    // Another's is not there.
    assert_eq!(admin.refused(end(&admin, own)).await.1, ErrorCode::NotFound);
    assert_eq!(end(&first, other).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let me = |client: &Client| client.request(Method::GET, "/auth/me");
    assert_eq!(second.refused(me(&second)).await.1, ErrorCode::InvalidToken);
    let ended: SignInsEnded = read(first.request(Method::DELETE, "/auth/sessions")).await;
    assert_eq!(ended.ended, 1);
    assert_eq!(third.refused(me(&third)).await.1, ErrorCode::InvalidToken);
    assert_eq!(list(&first).await.len(), 1);

    // A new password needs the present one; it ends the others, and this one begins anew.
    let other = server.sign_in("bob").await;
    let change = |current: &str, password: &str| {
        let body = json!({ "current": current, "password": password });
        first.request(Method::POST, "/auth/password").json(&body)
    };
    let wrong = first.refused(change("x", "another horse battery")).await;
    assert_eq!(wrong.1, ErrorCode::InvalidCredentials);
    assert_eq!(first.refused(change(PASSWORD, "short")).await.1, ErrorCode::WeakPassword);
    let renewed: SignedIn = read(change(PASSWORD, "another horse battery")).await;
    for client in [&first, &other] {
        assert_eq!(client.refused(me(client)).await.1, ErrorCode::InvalidToken);
    }
    let path = format!("/admin/users/{}/sessions", renewed.user.id);
    let ended: SignInsEnded = read(admin.request(Method::DELETE, &path)).await;
    assert_eq!(ended.ended, 1);
    let token = renewed.access_token.unwrap();
    let me = reqwest::Client::new().get(server.url("/api/v1/auth/me")).bearer_auth(token);
    assert_eq!(admin.refused(me).await.1, ErrorCode::InvalidToken);
}

async fn a_role_that_was_made_holds_what_it_says(on: Database) {
    let server = Launch::on(on).await.start().await;
    let admin = server.admin().await;
    let put = |name: &str, body: Value| {
        admin.request(Method::PUT, &format!("/admin/roles/{name}")).json(&body)
    };
    let role = json!({ "description": "on call", "permissions": ["chat_use", "logs_read", "account_use"] });
    let made: RoleDetails = read(put("on-call", role)).await;
    assert!(!made.built_in && made.sources.is_none());
    let bob = server.user("bob", "on-call".parse().unwrap()).await;
    bob.ask(&fresh("why?")).await;
    let keys = || bob.request(Method::GET, "/keys");
    assert_eq!(bob.refused(keys()).await.1, ErrorCode::Forbidden);
    let role = json!({ "permissions": ["keys_use", "account_use"] });
    let _: RoleDetails = read(put("on-call", role)).await;
    assert_eq!(keys().send().await.unwrap().status(), StatusCode::OK, "at once");
    let ask = bob.request(Method::POST, "/assistant/chat").json(&fresh("why?"));
    assert_eq!(bob.refused(ask).await.1, ErrorCode::Forbidden);

    for (name, body, code) in [
        ("admin", json!({ "permissions": [] }), ErrorCode::Conflict),
        ("boss", json!({ "permissions": ["users_manage"] }), ErrorCode::ValidationFailed),
        (
            "web",
            json!({ "permissions": ["alerts_use"], "sources": ["web"] }),
            ErrorCode::ValidationFailed,
        ),
        (
            "web",
            json!({ "permissions": ["logs_read"], "sources": ["[a"] }),
            ErrorCode::ValidationFailed,
        ),
        ("Web", json!({ "permissions": [] }), ErrorCode::InvalidParameter),
        ("web", json!({ "permissions": ["fly"] }), ErrorCode::InvalidJson),
    ] {
        assert_eq!(admin.refused(put(name, body)).await.1, code, "{name}");
    }
    let delete = |name: &str| admin.request(Method::DELETE, &format!("/admin/roles/{name}"));
    assert_eq!(admin.refused(delete("on-call")).await.1, ErrorCode::Conflict, "it is in use");
    assert_eq!(admin.refused(delete("viewer")).await.1, ErrorCode::Conflict);
    change(&admin, bob.user.id, json!({ "role": "viewer" })).await;
    assert_eq!(delete("on-call").send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let roles: RoleList = admin.get("/admin/roles").await;
    assert_eq!(roles.items.iter().map(|role| role.name).collect::<Vec<_>>(), Role::BUILT_IN);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_changes_counts_within_a_moment() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let set = server.run(&["user", "set-password", "bob"], "another horse battery").await;
    assert!(set.status.success());
    let refused = async || {
        let reply = bob.request(Method::GET, "/auth/me").send().await.unwrap();
        (reply.status() == StatusCode::UNAUTHORIZED).then_some(())
    };
    eventually_some(PATIENCE, refused).await;
}
