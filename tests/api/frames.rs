//! Who may do what beside REST: every frame of the socket, every command that is typed into a
//! conversation, and every tool of the assistant. A new one without a row here fails.

use std::collections::BTreeSet;

use callboard_protocol::{ConversationId, ErrorCode, RequestId, RoleDetails, ServerFrame, TurnId};
use callboard_testkit::{FakeVendor, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, fresh, read};

/// All frames, and the right that each needs beside that to chat. A change of this table is a change of
/// who may do what.
const FRAMES: &[(&str, Option<&str>)] = &[
    ("message", None),
    ("cancel", None),
    ("resume", None),
    ("subscribe", None),
    ("unsubscribe", None),
    ("typing", None),
    ("mode", None),
    ("auth", Some("account_use")),
    ("tail", Some("logs_read")),
    ("tail_pause", Some("logs_read")),
    ("tail_end", Some("logs_read")),
    ("ping", Some("account_use")),
];

/// All commands, and the right that each needs.
const COMMANDS: &[(&str, &str)] = &[("/reload", "logs_manage")];

/// All tools of the assistant. Each needs the right to read logs.
const TOOLS: &[&str] = &[
    "search_logs",
    "count_logs",
    "histogram",
    "patterns",
    "count_by",
    "compare",
    "anomalies",
    "line_context",
    "list_sources",
];

/// A frame that is well-formed; nothing that it names exists.
fn frame(kind: &str) -> Value {
    let id = RequestId::new();
    match kind {
        "message" => json!({ "type": kind, "content": "why?" }),
        "cancel" => json!({ "type": kind, "turn_id": id }),
        "resume" => json!({ "type": kind, "turn_id": id, "after_seq": 0 }),
        "subscribe" | "unsubscribe" => json!({ "type": kind, "conversation_id": id }),
        "typing" => json!({ "type": kind, "conversation_id": id, "on": true }),
        "mode" => json!({ "type": kind, "mode": "x" }),
        "auth" => json!({ "type": kind, "token": "x" }),
        "tail" => json!({ "type": kind, "q": "x" }),
        "tail_pause" => json!({ "type": kind, "on": true }),
        _ => json!({ "type": kind }),
    }
}

/// An account whose role holds these rights.
async fn holder((server, admin): (&Server, &Client), name: &str, rights: &[&str]) -> Client {
    let role = json!({ "permissions": rights });
    let path = format!("/admin/roles/{name}");
    let _: RoleDetails = read(admin.request(Method::PUT, &path).json(&role)).await;
    server.user(name, name.parse().unwrap()).await
}

/// The code of the error that a frame is answered with, before the next frame is: one that whoever may chat
/// may send, and that fails.
async fn reaction(client: &Client, frame: &Value) -> Option<ErrorCode> {
    let mut socket = client.connect().await;
    socket.send_text(&frame.to_string()).await;
    socket.send_text(r#"{"type":"mode","mode":"no-such"}"#).await;
    let mut codes = Vec::new();
    while codes.last() != Some(&ErrorCode::UnknownMode) {
        codes.push(
            socket
                .find(|frame| match frame {
                    ServerFrame::Error { code, .. } => Some(code),
                    _ => None,
                })
                .await,
        );
    }
    codes.into_iter().next().filter(|code| *code != ErrorCode::UnknownMode)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_for_those_who_hold_its_right() {
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.set("session.max_per_address=200").start().await;
    let admin = server.admin().await;
    let document: Value =
        reqwest::get(server.url("/api/v1/openapi.json")).await.unwrap().json().await.unwrap();
    let variants = document["components"]["schemas"]["ClientFrame"]["oneOf"].as_array().unwrap();
    let kinds = variants.iter().map(|variant| {
        let object = variant.get("allOf").map_or(variant, |parts| {
            parts.as_array().unwrap().iter().find(|part| part.get("properties").is_some()).unwrap()
        });
        object["properties"]["type"]["enum"][0].as_str().unwrap()
    });
    assert_eq!(kinds.collect::<BTreeSet<_>>(), FRAMES.iter().map(|(kind, _)| *kind).collect());

    let chatter = holder((&server, &admin), "chatter", &["chat_use"]).await;
    let reader = holder((&server, &admin), "reader", &["chat_use", "logs_read"]).await;
    let owner = holder((&server, &admin), "owner", &["chat_use", "account_use"]).await;
    for (kind, right) in FRAMES {
        for (who, held) in
            [(&chatter, None), (&reader, Some("logs_read")), (&owner, Some("account_use"))]
        {
            let refused = reaction(who, &frame(kind)).await == Some(ErrorCode::Forbidden);
            let lacking = right.is_some() && *right != held;
            assert_eq!(refused, lacking, "{kind} with the right to chat and {held:?}");
        }
    }
    // Whoever may not chat opens no socket, whoever they are.
    let mute = holder((&server, &admin), "mute", &["logs_read", "account_use"]).await;
    assert_eq!(mute.socket().open().await.unwrap_err().status, 403);
    let nobody =
        callboard_testkit::WsTarget::new(&server.url("/ws/assistant").replace("http", "ws"));
    assert_eq!(nobody.open().await.unwrap_err().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_is_not_there() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let admin = server.admin().await;
    let told = admin.ask(&fresh("why?")).await;
    let (turn, conversation): (TurnId, ConversationId) = (told.turn_id, told.conversation_id);
    let vic = server.user("vic", callboard_protocol::Role::ADMIN).await;
    for (frame, code) in [
        (json!({ "type": "cancel", "turn_id": turn }), Some(ErrorCode::TurnNotFound)),
        (json!({ "type": "resume", "turn_id": turn, "after_seq": 0 }), None),
        (json!({ "type": "typing", "conversation_id": conversation, "on": true }), None),
    ] {
        assert_eq!(reaction(&vic, &frame).await, code, "{frame}");
    }
    let mut socket = vic.connect().await;
    for frame in [
        json!({ "type": "subscribe", "conversation_id": conversation }),
        json!({ "type": "message", "conversation_id": conversation, "content": "and?" }),
    ] {
        socket.send_text(&frame.to_string()).await;
        let refused = socket.find(|frame| match frame {
            ServerFrame::Error { code, .. } => Some(code),
            _ => None,
        });
        assert_eq!(refused.await, ErrorCode::ConversationNotFound, "{frame}");
    }
    let resume = json!({ "type": "resume", "turn_id": turn, "after_seq": 0 });
    socket.send_text(&resume.to_string()).await;
    let resumed = socket.find(|frame| match frame {
        ServerFrame::Resumed { recovered, .. } => Some(recovered),
        _ => None,
    });
    assert!(!resumed.await, "as one that nobody ever asked");
    for (method, path) in [
        (Method::GET, format!("/conversations/{conversation}")),
        (Method::GET, format!("/conversations/{conversation}/messages")),
        (Method::DELETE, format!("/conversations/{conversation}")),
        (Method::POST, format!("/assistant/turns/{turn}/cancel")),
    ] {
        let refused = vic.refused(vic.request(method, &path)).await.1;
        let missing = [ErrorCode::ConversationNotFound, ErrorCode::TurnNotFound];
        assert!(missing.contains(&refused), "{path}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_for_those_who_hold_its_right() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let admin = server.admin().await;
    let chat = ["chat_use", "account_use", "logs_read", "jobs_read"];
    let without = holder((&server, &admin), "without", &chat).await;
    for (nth, (command, right)) in COMMANDS.iter().enumerate() {
        let ask = without.request(Method::POST, "/assistant/chat").json(&fresh(command));
        assert_eq!(without.refused(ask).await.1, ErrorCode::Forbidden, "{command}");
        let rights = [&chat[..], &[*right]].concat();
        let with = holder((&server, &admin), &format!("with-{nth}"), &rights).await;
        let told = with.ask(&fresh(command)).await;
        assert!(told.response.contains("job"), "{command}: {}", told.response);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_is_for_those_who_may_read_logs() {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    server.ingest(&server.write("web.log", "2026-11-21T03:00:00Z ERROR web: secret 4711\n")).await;
    let admin = server.admin().await;
    let chatter = holder((&server, &admin), "chatter", &["chat_use"]).await;
    for tool in TOOLS {
        vendor.script([
            Reply::text(&["Well."]).tool_call("call_1", tool, r#"{"query":"secret"}"#),
            Reply::text(&["Nothing."]),
        ]);
        let told = chatter.ask(&fresh("What is secret 4711?")).await;
        assert!(told.citations.is_empty(), "{tool}");
        let sent = vendor.requests().pop().unwrap();
        let messages = sent.body["messages"].as_array().unwrap();
        let result = messages.iter().find(|message| message["role"] == "tool").unwrap();
        let result = result["content"].as_str().unwrap();
        assert!(result.contains("may not read logs"), "{tool}: {result}");
        assert!(!sent.body.to_string().contains("ERROR web"), "{tool}: no evidence either");
    }
    let offered = vendor.requests().remove(0);
    let offered = offered.body["tools"].as_array().unwrap().iter();
    let offered: BTreeSet<&str> =
        offered.map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(offered, TOOLS.iter().copied().collect());
}
