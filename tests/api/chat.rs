//! A question and its answer, over the socket and over REST.

use callboard_protocol::{
    Ask, Author, ClientFrame, ClientMessageId, ConversationId, ErrorCode, FinishReason,
    MessageStatus, Role, ServerFrame, TaskType, TurnId,
};
use callboard_testkit::{FakeVendor, Reply, WsClient};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};

use crate::harness::{Database, Launch, fresh, on_both_databases};

on_both_databases! {
    two_tabs_show_the_same_turn_and_closing_both_loses_nothing,
    a_question_submitted_twice_is_one_turn,
    a_conversation_can_be_listed_renamed_searched_and_deleted,
}

/// What the frames of one turn put on the screen.
pub(crate) fn screen(frames: &[ServerFrame]) -> String {
    let mut text = String::new();
    for frame in frames {
        match frame {
            ServerFrame::StreamChunk { content, .. } => text.push_str(content),
            ServerFrame::StreamRestart { .. } => text.clear(),
            _ => {}
        }
    }
    text
}

pub(crate) async fn accepted(socket: &mut WsClient) -> (ConversationId, TurnId) {
    socket
        .find(|frame| match frame {
            ServerFrame::Accepted { conversation_id, turn_id, .. } => {
                Some((conversation_id, turn_id))
            }
            _ => None,
        })
        .await
}

pub(crate) async fn rest_of_turn(socket: &mut WsClient) -> Vec<ServerFrame> {
    socket.next_until(|frame| matches!(frame, ServerFrame::Response { .. })).await
}

pub(crate) async fn subscribe(socket: &mut WsClient, conversation_id: ConversationId) {
    socket.send(&ClientFrame::Subscribe { conversation_id }).await;
    socket.next_until(|frame| matches!(frame, ServerFrame::Subscribed { .. })).await;
}

async fn two_tabs_show_the_same_turn_and_closing_both_loses_nothing(on: Database) {
    let vendor = FakeVendor::start().await;
    vendor.script([Reply::text(&["first"]), Reply::text(&["one ", "two ", "three"]).gate_after(1)]);
    let server = Launch::on(on).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let mut one = ada.connect().await;
    one.send(&ClientFrame::Message(fresh("hello?"))).await;
    let (conversation, _) = accepted(&mut one).await;
    assert_eq!(screen(&rest_of_turn(&mut one).await), "first");
    let mut two = ada.connect().await;
    subscribe(&mut two, conversation).await;

    vendor.hold();
    let ask = Ask { conversation_id: Some(conversation), ..fresh("and then?") };
    one.send(&ClientFrame::Message(ask)).await;
    let (_, turn) = accepted(&mut one).await;
    let question = two
        .find(|frame| match frame {
            ServerFrame::Message { message } => Some(message),
            _ => None,
        })
        .await;
    assert_eq!((question.content.as_str(), question.turn_id), ("and then?", turn));
    for tab in [&mut one, &mut two] {
        let seen = tab.next_until(|frame| matches!(frame, ServerFrame::StreamChunk { .. })).await;
        assert_eq!(screen(&seen), "one ");
    }
    // Both tabs are closed in mid-answer; the turn goes on without them.
    one.close(1000).await;
    two.abort();
    let page = ada.messages(conversation).await;
    assert_eq!(page.running_turn, Some(turn));
    assert_eq!(page.items.last().unwrap().status, MessageStatus::Streaming);
    let mut back = ada.connect().await;
    subscribe(&mut back, conversation).await;
    vendor.release();
    assert_eq!(screen(&rest_of_turn(&mut back).await), "one two three");

    let page = ada.messages(conversation).await;
    let texts: Vec<_> = page.items.iter().map(|m| (m.author, m.content.as_str())).collect();
    assert_eq!(
        texts,
        [
            (Author::User, "hello?"),
            (Author::Assistant, "first"),
            (Author::User, "and then?"),
            (Author::Assistant, "one two three"),
        ]
    );
    assert_eq!(page.running_turn, None);
    let history = &vendor.requests()[1];
    assert!(history.question().contains("and then?"));
}

async fn a_question_submitted_twice_is_one_turn(on: Database) {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(on).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let id: ClientMessageId = "the-same-1".parse().unwrap();
    let ask = Ask { client_message_id: Some(id), ..fresh("once?") };
    let answers = join_all((0..10).map(|_| ada.ask(&ask))).await;
    assert!(answers.iter().all(|answer| answer.turn_id == answers[0].turn_id));
    assert!(answers.iter().all(|answer| answer.response == "All is well."));
    assert_eq!(vendor.request_count(), 1);
    let page = ada.messages(answers[0].conversation_id).await;
    assert_eq!(page.items.len(), 2);

    // Over a socket, long after: the client is told where to read it.
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(ask)).await;
    let (_, turn) = accepted(&mut socket).await;
    assert_eq!(turn, answers[0].turn_id);
    assert_eq!(screen(&rest_of_turn(&mut socket).await), "All is well.");
    assert_eq!(vendor.request_count(), 1);
}

async fn a_conversation_can_be_listed_renamed_searched_and_deleted(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let answer = ada.ask(&fresh("Where is the frobnicator?\nsecond line")).await;
    let id = answer.conversation_id;
    let list: callboard_protocol::ConversationPage = ada.get("/conversations").await;
    assert_eq!(list.items[0].title, "Where is the frobnicator?");
    let path = format!("/conversations/{id}");
    let renamed = ada.request(Method::PATCH, &path).json(&serde_json::json!({ "title": "Found" }));
    assert_eq!(renamed.send().await.unwrap().status(), StatusCode::OK);
    let hits: callboard_protocol::MessageHits =
        ada.get("/conversations/search?q=FROBNICATOR").await;
    assert!(hits.items.iter().any(|hit| hit.conversation.title == "Found"));

    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/messages")),
    ] {
        let refused = bob.refused(bob.request(method, &path)).await;
        assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::ConversationNotFound));
    }
    let theirs = Ask { conversation_id: Some(id), ..fresh("mine?") };
    let refused = bob.refused(bob.request(Method::POST, "/assistant/chat").json(&theirs)).await;
    assert_eq!(refused.1, ErrorCode::ConversationNotFound);
    let hits: callboard_protocol::MessageHits =
        bob.get("/conversations/search?q=frobnicator").await;
    assert!(hits.items.is_empty());

    let deleted = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let refused = ada.refused(ada.request(Method::GET, &path)).await;
    assert_eq!(refused.1, ErrorCode::ConversationNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_identical_questions_one_is_asked() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["the ", "only ", "answer"]).gate_after(1));
    vendor.hold();
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("cache.max_bytes=1000000").start().await;
    let ada = server.admin().await;
    let ask = Ask::new("the same question");
    let answers = tokio::spawn({
        let ada = ada.clone();
        async move { join_all((0..100).map(|_| ada.ask(&ask))).await }
    });
    vendor.until_held(1).await;
    vendor.release();
    let answers = answers.await.unwrap();
    assert!(answers.iter().all(|answer| answer.response == "the only answer"));
    assert_eq!(vendor.request_count(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.cached).count(), 1);
    let stats: callboard_protocol::CacheStats = ada.get("/cache/stats").await;
    let asked: u64 = stats.shards.iter().map(|s| s.hits + s.joined + s.misses).sum();
    assert_eq!(asked, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_answer_keeps_what_it_has_and_stops_the_provider() {
    let vendor = FakeVendor::start().await;
    vendor.script([Reply::text(&["some ", "never"]).gate_after(1)]);
    vendor.hold();
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let bob = server.user("bob", Role::ADMIN).await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("tell me"))).await;
    let (conversation, turn_id) = accepted(&mut socket).await;
    socket.next_until(|frame| matches!(frame, ServerFrame::StreamChunk { .. })).await;

    // Nobody else can cancel, follow or watch it, an administrator neither.
    let mut other = bob.connect().await;
    other.send(&ClientFrame::Cancel { turn_id }).await;
    assert!(matches!(other.next().await, ServerFrame::Error { code: ErrorCode::TurnNotFound, .. }));
    other.send(&ClientFrame::Resume { turn_id, after_seq: 0 }).await;
    assert!(matches!(other.next().await, ServerFrame::Resumed { recovered: false, .. }));
    other.send(&ClientFrame::Subscribe { conversation_id: conversation }).await;
    let refused = other.next().await;
    assert!(
        matches!(refused, ServerFrame::Error { code: ErrorCode::ConversationNotFound, .. }),
        "{refused:?}"
    );

    socket.send(&ClientFrame::Cancel { turn_id }).await;
    let frames = rest_of_turn(&mut socket).await;
    let cancelled = |frame: &ServerFrame| {
        matches!(frame, ServerFrame::StreamEnd { finish_reason: FinishReason::Cancelled, .. })
    };
    assert!(frames.iter().any(cancelled), "{frames:?}");
    vendor.until_left(1).await;
    let answer = ada.messages(conversation).await.items.pop().unwrap();
    assert_eq!((answer.content.as_str(), answer.status), ("some ", MessageStatus::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_of_one_conversation_wait_for_each_other_within_a_bound() {
    let vendor = FakeVendor::start().await;
    vendor.hold();
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("chat.max_waiting_turns=2").start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("first"))).await;
    let (conversation, first) = accepted(&mut socket).await;
    vendor.until_held(1).await;
    let id: ClientMessageId = "third".parse().unwrap();
    let third = Ask { client_message_id: Some(id.clone()), ..fresh("third") };
    for ask in [fresh("second"), third.clone(), third, fresh("fourth")] {
        let ask = Ask { conversation_id: Some(conversation), ..ask };
        socket.send(&ClientFrame::Message(ask)).await;
    }
    let mut said = Vec::new();
    while said.len() < 4 {
        match socket.next().await {
            ServerFrame::Accepted { turn_id, client_message_id, .. } => {
                said.push((Some(client_message_id), Ok(turn_id)));
            }
            ServerFrame::Error { code, client_message_id, .. } => {
                said.push((client_message_id, Err(code)));
            }
            _ => {}
        }
    }
    let thirds: Vec<_> = said.iter().filter(|(asked, _)| asked.as_ref() == Some(&id)).collect();
    assert_eq!(thirds.len(), 2);
    assert!(thirds[0].1.is_ok());
    assert_eq!(thirds[0], thirds[1], "submitted again it is the same turn, however full it is");
    let refused = said.iter().filter(|(_, said)| *said == Err(ErrorCode::TurnRunning));
    assert_eq!(refused.count(), 1, "the fourth: {said:?}");
    assert_eq!(vendor.request_count(), 1, "the others wait for the first");
    assert_eq!(ada.messages(conversation).await.running_turn, Some(first));

    // A tab that opens now sees those that run and those that wait.
    let mut late = ada.connect().await;
    subscribe(&mut late, conversation).await;
    vendor.release();
    for tab in [&mut socket, &mut late] {
        for _ in 0..3 {
            rest_of_turn(tab).await;
        }
    }
    let requests = vendor.requests();
    let asked: Vec<&str> = ["first", "second", "third"]
        .into_iter()
        .zip(&requests)
        .filter(|(text, request)| request.question().contains(text))
        .map(|(text, _)| text)
        .collect();
    assert_eq!(asked, ["first", "second", "third"], "in their order");
    assert!(!format!("{:?}", requests[1]).contains("third"), "nothing is asked with its future");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_refused_with_its_code() {
    let launch = Launch::on(Database::Sqlite).await.set("chat.max_message_bytes=100");
    let server = launch.start().await;
    let ada = server.admin().await;
    let base = || fresh("fine");
    for (ask, code) in [
        (fresh("  \n "), ErrorCode::ValidationFailed),
        (fresh(&"x".repeat(101)), ErrorCode::PayloadTooLarge),
        (Ask { context: Some("x".repeat(101)), ..base() }, ErrorCode::PayloadTooLarge),
        (Ask { mode: Some("pirate".into()), ..base() }, ErrorCode::UnknownMode),
        (Ask { model: Some("gpt-∞".into()), ..base() }, ErrorCode::UnknownModel),
        (
            Ask { conversation_id: Some(ConversationId::new()), ..base() },
            ErrorCode::ConversationNotFound,
        ),
    ] {
        let request = ada.request(Method::POST, "/assistant/chat").json(&ask);
        assert_eq!(ada.refused(request).await.1, code, "{ask:?}");
        let mut socket = ada.connect().await;
        socket.send(&ClientFrame::Message(ask.clone())).await;
        let refused = socket.next().await;
        assert!(matches!(refused, ServerFrame::Error { code: c, .. } if c == code), "{refused:?}");
    }
    let fine = Ask { task_type: TaskType::Chat, mode: Some("oracle".into()), ..base() };
    assert_eq!(ada.ask(&fine).await.provider, "extractive");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_are_the_frames_of_the_turn() {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let request = ada.request(Method::POST, "/assistant/chat").json(&fresh("well?"));
    let reply = request.header("accept", "text/event-stream").send().await.unwrap();
    assert!(reply.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let text = reply.text().await.unwrap();
    let frames: Vec<ServerFrame> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(matches!(frames[0], ServerFrame::Accepted { .. }));
    assert!(matches!(frames.last(), Some(ServerFrame::Response { .. })));
    assert_eq!(screen(&frames), "All is well.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_stopped_over_rest_by_its_owner_alone() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("well?"))).await;
    let (conversation, turn) = accepted(&mut socket).await;
    socket.next_until(|frame| matches!(frame, ServerFrame::StreamChunk { .. })).await;

    let path = format!("/assistant/turns/{turn}/cancel");
    let refused = bob.refused(bob.request(Method::POST, &path)).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::TurnNotFound));
    let stopped = ada.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(stopped.status(), StatusCode::NO_CONTENT);
    assert_eq!(screen(&rest_of_turn(&mut socket).await), "");
    let page = ada.messages(conversation).await;
    assert_eq!(page.items[1].status, MessageStatus::Cancelled);
    assert_eq!(page.items[1].content, "one ");
    // It has ended: stopping it again changes nothing.
    let again = ada.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    vendor.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_turn_is_told_once_however_fast_it_ends() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["hello"]));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("session.frames_per_second=1000").start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("hello?"))).await;
    let (conversation, _) = accepted(&mut socket).await;
    rest_of_turn(&mut socket).await;
    for _ in 0..100 {
        let ask = Ask { conversation_id: Some(conversation), ..fresh("again?") };
        socket.send(&ClientFrame::Message(ask)).await;
        let mut ended = None;
        // What came before `accepted` counts, too.
        let turn = loop {
            match socket.next().await {
                ServerFrame::Accepted { turn_id, .. } => break turn_id,
                ServerFrame::StreamEnd { turn_id, .. } => {
                    assert_eq!(ended.replace(turn_id), None, "one turn has one end");
                }
                _ => {}
            }
        };
        if ended.is_none() {
            let frames = rest_of_turn(&mut socket).await;
            let of_others = frames.iter().find(
                |frame| matches!(frame, ServerFrame::StreamEnd { turn_id, .. } if *turn_id != turn),
            );
            assert!(of_others.is_none(), "another turn is told again: {of_others:?}");
        }
    }
}
