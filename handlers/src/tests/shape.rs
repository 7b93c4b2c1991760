//! Every error comes in the one shape, whoever made it, and every answer with its headers.

use actix_web::{http::StatusCode, test::TestRequest};
use callboard_protocol::Role;
use serde_json::json;

use super::support::{Server, bearer, get, post};

#[actix_web::test]
async fn malformed_input_of_each_kind_is_refused_with_its_own_code() {
    let server = Server::start().await;
    let token = server.signed_in(Role::ANALYST).await.access_token.unwrap();
    let json = ("content-type", "application/json");
    let login = || TestRequest::post().uri("/api/v1/auth/login");
    let large = format!("{{\"username\": \"{}\"}}", "x".repeat(300 * 1024));
    let cases = [
        (400, "invalid_json", login().insert_header(json).set_payload("{")),
        (400, "invalid_json", login().insert_header(json).set_payload("")),
        (400, "invalid_json", login().insert_header(json).set_payload(vec![0xff, 0xfe])),
        (400, "invalid_json", login().set_json(json!({ "username": "a" }))),
        (400, "invalid_json", login().set_json(json!({ "username": 1, "password": "x" }))),
        (
            400,
            "invalid_json",
            login().set_json(json!({ "username": "a", "password": "x", "admin": true })),
        ),
        (415, "unsupported_media_type", login().set_payload("{}")),
        (415, "unsupported_media_type", login().set_form([("username", "a")])),
        (413, "payload_too_large", login().insert_header(json).set_payload(large.clone())),
        (
            413,
            "payload_too_large",
            TestRequest::post().uri("/api/v1/auth/refresh").set_payload(large),
        ),
        (400, "invalid_json", TestRequest::post().uri("/api/v1/auth/logout").set_payload("{")),
        (400, "invalid_parameter", get("/api/v1/conversations/not-an-id")),
        (400, "invalid_parameter", get("/api/v1/conversations?limit=0")),
        (400, "invalid_parameter", get("/api/v1/conversations?limit=201")),
        (400, "invalid_parameter", get("/api/v1/conversations?limit=-1")),
        (400, "invalid_parameter", get("/api/v1/conversations?cursor=x")),
        (400, "invalid_parameter", get("/api/v1/conversations?page=2")),
        (400, "invalid_parameter", get("/api/v1/conversations/search")),
        (400, "invalid_parameter", get("/api/v1/conversations/search?q=%20")),
        (400, "invalid_parameter", get("/api/v1/logs/search?from=yesterday")),
        (400, "invalid_parameter", get("/api/v1/logs/search?level=loud")),
        (400, "invalid_parameter", get("/api/v1/logs/lines/1042")),
        (400, "invalid_parameter", get("/api/v1/logs/lines/L1?before=201")),
        (400, "invalid_parameter", TestRequest::post().uri("/api/v1/logs/upload")),
        (400, "bad_request", TestRequest::post().uri("/api/v1/logs/upload?name=a.log")),
        (
            404,
            "conversation_not_found",
            get("/api/v1/conversations/0192d3a0-0000-7000-8000-000000000000"),
        ),
        (404, "job_not_found", get("/api/v1/jobs/0192d3a0-0000-7000-8000-000000000000")),
        (404, "line_not_found", get("/api/v1/logs/lines/L1042")),
        (404, "not_found", get("/api/v1/nothing")),
        (404, "not_found", get("/api/nothing")),
        (404, "not_found", get("/api")),
        (400, "invalid_parameter", get("/api/v1/keys?limit=0")),
        (400, "invalid_parameter", get("/api/v1/keys?cursor=x")),
        (400, "invalid_parameter", get("/api/v1/usage?user_id=x")),
        (404, "not_found", get("/ws")),
        (404, "not_found", get("/assets/gone.js")),
        (404, "not_found", get("/../etc/passwd")),
        (404, "not_found", TestRequest::post().uri("/")),
        (405, "method_not_allowed", TestRequest::put().uri("/api/v1/auth/login")),
        (400, "bad_request", get("/ws/assistant")),
        (400, "invalid_parameter", get("/ws/assistant/x")),
        (500, "internal", get("/panic")),
    ];
    for (status, code, request) in cases {
        let reply = server.call(bearer(request, &token)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{}",
            reply.text
        );
    }
}

#[actix_web::test]
async fn a_refused_parameter_is_told_what_a_good_one_looks_like() {
    let server = Server::start().await;
    let token = server.signed_in(Role::VIEWER).await.access_token.unwrap();
    for (uri, hint) in [
        ("/api/v1/logs/lines/1042", "L and a number, as in L1042"),
        ("/api/v1/logs/lines/Lx", "L and a number, as in L1042"),
        ("/api/v1/logs/search?from=yesterday", "`from`"),
        ("/api/v1/logs/search?to=2026-11-31", "such as 2026-11-21"),
    ] {
        let reply = server.call(bearer(get(uri), &token)).await;
        assert_eq!((reply.status, &*reply.code()), (StatusCode::BAD_REQUEST, "invalid_parameter"));
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(hint), "{uri}: {message}");
    }
    let dates = "/api/v1/logs/search?from=2026-11-20&to=2026-11-21";
    assert_eq!(server.call(bearer(get(dates), &token)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::start().await;
    let reply = server.call(TestRequest::put().uri("/api/v1/auth/setup")).await;
    assert_eq!(reply.code(), "method_not_allowed");
    assert_eq!(reply.header("allow"), "GET, HEAD, POST");
}

#[actix_web::test]
async fn the_request_id_of_a_caller_is_kept_if_it_is_one() {
    let server = Server::start().await;
    let id = "0192d3a0-1111-7000-8000-000000000000";
    let reply = server.call(get("/api/v1/nothing").insert_header(("x-request-id", id))).await;
    assert_eq!(reply.header("x-request-id"), id);
    assert_eq!(reply.json()["request_id"], id);
    for odd in ["", "42", "x\" injected=\"1"] {
        let reply = server.call(get("/health/live").insert_header(("x-request-id", odd))).await;
        assert_ne!(reply.header("x-request-id"), odd);
        assert_eq!(reply.header("x-request-id").len(), 36);
    }
}

#[actix_web::test]
async fn every_answer_has_its_headers() {
    let server = Server::start().await;
    for (uri, caching) in [
        ("/api/v1/auth/setup", "no-store"),
        ("/api/v1/nothing", "no-store"),
        ("/health/live", "no-store"),
        ("/panic", ""),
    ] {
        let reply = server.call(get(uri)).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{uri}");
        assert!(
            reply.header("content-security-policy").contains("frame-ancestors 'none'"),
            "{uri}"
        );
        if !caching.is_empty() {
            assert_eq!(reply.header("cache-control"), caching, "{uri}");
        }
    }
}

#[actix_web::test]
async fn requests_are_counted_by_pattern_and_never_by_path() {
    let server = Server::start().await;
    let secret = "0192d3a0-2222-7000-8000-000000000000";
    server.call(get(&format!("/api/v1/conversations/{secret}"))).await;
    server.call(get("/api/v1/no/such/path")).await;
    server.call(TestRequest::get().method("BREW".parse().unwrap()).uri("/tea")).await;
    let here = "127.0.0.1:1".parse().unwrap();
    let text = server.call(get("/metrics").peer_addr(here)).await.text;
    let line =
        "http_requests_total{method=\"GET\",route=\"/api/v1/conversations/{id}\",status=\"401\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("method=\"other\""), "{text}");
    assert!(!text.contains(secret) && !text.contains("such") && !text.contains("tea"), "{text}");
}

#[actix_web::test]
async fn a_conversation_is_renamed_with_a_title_that_is_one() {
    let server = Server::start().await;
    let session = server.signed_in(Role::VIEWER).await;
    let token = session.access_token.unwrap();
    let now = callboard_protocol::Timestamp::now();
    let made = callboard_entities::queries::conversations::create(
        &server.store,
        session.user.id,
        "first",
        now,
    );
    let uri = format!("/api/conversations/{}", made.await.unwrap().id);
    let rename = |title: String| TestRequest::patch().uri(&uri).set_json(json!({ "title": title }));
    for title in ["", "   ", &"x".repeat(201)] {
        let reply = server.call(bearer(rename(title.to_owned()), &token)).await;
        assert_eq!(reply.code(), "validation_failed");
    }
    let reply = server.call(bearer(rename(" Disk full ".to_owned()), &token)).await;
    assert_eq!(reply.json()["title"], "Disk full");
    let gone = server.call(bearer(TestRequest::delete().uri(&uri), &token)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(server.call(bearer(get(&uri), &token)).await.code(), "conversation_not_found");
}

#[actix_web::test]
async fn another_users_conversation_does_not_exist() {
    let server = Server::start().await;
    let owner = server.signed_in(Role::VIEWER).await;
    let admin = server.signed_in(Role::ADMIN).await.access_token.unwrap();
    let now = callboard_protocol::Timestamp::now();
    let made = callboard_entities::queries::conversations::create(
        &server.store,
        owner.user.id,
        "private",
        now,
    );
    let id = made.await.unwrap().id;
    for request in [
        get(&format!("/api/v1/conversations/{id}")),
        get(&format!("/api/v1/conversations/{id}/messages")),
        TestRequest::delete().uri(&format!("/api/v1/conversations/{id}")),
        TestRequest::patch()
            .uri(&format!("/api/v1/conversations/{id}"))
            .set_json(json!({ "title": "mine" })),
    ] {
        assert_eq!(server.call(bearer(request, &admin)).await.code(), "conversation_not_found");
    }
    let listed = server.call(bearer(get("/api/v1/conversations"), &admin)).await.json();
    assert_eq!(listed["items"], json!([]));
    let ask = post("/api/v1/assistant/chat", json!({ "content": "hi", "conversation_id": id }));
    assert_eq!(server.call(bearer(ask, &admin)).await.code(), "conversation_not_found");
}
