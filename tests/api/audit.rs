//! The audit trail as administrators read it, and `callboard audit verify`.

use callboard_protocol::{AuditCheck, AuditEntry, AuditPage, ErrorCode, Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    cli::Said,
    harness::{Client, Database, Launch, PASSWORD, on_both_databases, read},
};

on_both_databases! {
    whatever_is_done_and_refused_is_in_the_trail,
    the_trail_is_exported_and_verified,
}

async fn events(admin: &Client, query: &str) -> Vec<AuditEntry> {
    admin.get::<AuditPage>(&format!("/admin/audit?{query}")).await.items
}

async fn whatever_is_done_and_refused_is_in_the_trail(on: Database) {
    let launch = Launch::on(on).await.set("server.trusted_proxies=127.0.0.1");
    let server = launch.start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::ANALYST).await;
    let wrong = json!({ "username": "b\u{1b}ob", "password": "a wrong password" });
    let wrong = reqwest::Client::new().post(server.url("/api/v1/auth/login")).json(&wrong);
    wrong.header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    let path = format!("/admin/users/{}", bob.user.id);
    let change = json!({ "role": "viewer", "email": "bob@example.org" });
    admin.request(Method::PATCH, &path).json(&change).send().await.unwrap();
    let denied = bob.refused(bob.request(Method::GET, &path)).await;
    assert_eq!(denied.1, ErrorCode::Forbidden);

    let failed = events(&admin, "action=auth.login_failed").await.remove(0);
    assert_eq!((failed.actor, failed.actor_name.as_deref()), (None, Some("b\\u{1b}ob")));
    assert_eq!(failed.address.as_deref(), Some("203.0.113.9"));
    let changed = events(&admin, &format!("object={}&action=user.change", bob.user.id)).await;
    let [changed] = &changed[..] else { panic!("{changed:?}") };
    assert_eq!((changed.actor, changed.actor_name.as_deref()), (Some(admin.user.id), Some("ada")));
    assert_eq!(changed.details["before"]["role"], "analyst");
    assert_eq!(changed.details["after"]["role"], "viewer");
    assert_eq!(changed.details["after"]["email"], "bob@example.org");
    assert!(changed.details["after"].get("username").is_none(), "what is the same is left out");
    assert!(changed.request_id.is_some());
    let denied = events(&admin, &format!("actor={}&action=access.", bob.user.id)).await.remove(0);
    assert_eq!(denied.object.as_deref(), Some("GET /api/v1/admin/users/{id}"));
    let logins = events(&admin, &format!("actor={}&action=auth.login", bob.user.id)).await;
    assert_eq!(logins.len(), 1);

    // What tells of an account goes with it, and the chain holds.
    admin.request(Method::DELETE, &path).send().await.unwrap();
    let all = admin.request(Method::GET, "/admin/audit?limit=200").send().await.unwrap();
    let all = all.text().await.unwrap();
    assert!(!all.contains("bob@example.org") && !all.contains("\"bob\""), "{all}");
    let check: AuditCheck = admin.get("/admin/audit/verify").await;
    assert!(check.intact && check.erased >= 3, "{check:?}");
}

async fn the_trail_is_exported_and_verified(on: Database) {
    let server = Launch::on(on).await.start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let export = async |query: &str| {
        let reply = admin.request(Method::GET, &format!("/admin/audit/export{query}")).send();
        let reply = reply.await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        reply.text().await.unwrap()
    };
    let lines = export("").await;
    let lines: Vec<AuditEntry> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0].action, "audit.export", "the export itself is in it");
    let seqs: Vec<u64> = lines.iter().filter_map(|entry| entry.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b) && seqs.last() == Some(&1), "{seqs:?}");
    let table = export("?format=csv&action=auth.").await;
    assert!(table.starts_with("seq,at,actor,"), "{table}");
    assert!(table.contains("auth.login") && !table.contains("audit.export"), "{table}");
    let refused = bob.refused(bob.request(Method::GET, "/admin/audit/export")).await;
    assert_eq!(refused.1, ErrorCode::Forbidden);

    let verify = async |arguments: &[&str]| -> Said {
        server.run(&[&["audit", "verify"], arguments].concat(), "").await.into()
    };
    let said = verify(&[]).await.well();
    let head = said.trim_end().rsplit(' ').next().unwrap().to_owned();
    let check: AuditCheck = read(admin.request(Method::GET, "/admin/audit/verify")).await;
    assert_eq!(head, format!("{}:{}", check.head_seq, check.head_hash));
    server.sign_in("bob").await;
    assert!(verify(&["--expect", &head]).await.well().contains("is as it was"));
    let other = format!("1:{}", "0".repeat(64));
    assert!(verify(&["--expect", &other]).await.badly(1).contains("another hash"));
    verify(&["--expect", "x"]).await.badly(2);
    assert!(!said.contains(PASSWORD));
}
