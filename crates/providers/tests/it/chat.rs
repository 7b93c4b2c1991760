//! Requests on every wire, and answers read to their end.

use callboard_providers::{
    ChatRequest, Client, Message, Part, ProviderConfig, ProviderError, ProviderErrorKind,
    ProviderKind, ReplyEvent, ReplyHead, Role, Schema, StopReason, TokenUsage, ToolCall, ToolSpec,
};
use callboard_testkit::{FakeVendor, PATIENCE, Reply};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::config;

/// All that go over a wire.
pub(crate) const WIRES: [ProviderKind; 6] = [
    ProviderKind::OpenAi,
    ProviderKind::OpenAiResponses,
    ProviderKind::Anthropic,
    ProviderKind::Ollama,
    ProviderKind::Gemini,
    ProviderKind::Azure,
];

pub(crate) fn chat_config(kind: ProviderKind, vendor: &FakeVendor) -> ProviderConfig {
    let base_url = match kind {
        ProviderKind::Ollama | ProviderKind::Azure => vendor.root_url(),
        ProviderKind::OpenAi
        | ProviderKind::OpenAiResponses
        | ProviderKind::Anthropic
        | ProviderKind::Gemini
        | ProviderKind::Extractive => vendor.base_url(),
    };
    ProviderConfig { kind, base_url: Some(base_url), ..config(vendor) }
}

pub(crate) fn client(kind: ProviderKind, vendor: &FakeVendor) -> Client {
    Client::new(&chat_config(kind, vendor)).expect("the configuration is good")
}

/// A plain question.
pub(crate) fn asked() -> ChatRequest {
    ChatRequest { messages: vec![Message::user("what failed?")], ..ChatRequest::default() }
}

pub(crate) fn tool(name: &str) -> ToolSpec {
    let schema = json!({"type": "object", "properties": {"query": {"type": "string"}}});
    ToolSpec {
        name: name.to_owned(),
        description: Some(format!("Does {name}.")),
        parameters: Schema::from(&schema),
        strict: None,
    }
}

/// A question in the middle of a loop of tools.
pub(crate) fn tool_request() -> ChatRequest {
    let call = |id: &str, name: &str, arguments: &str| {
        Part::ToolCall(ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            signature: None,
        })
    };
    let result = |id: &str, content: &str, is_error| Part::ToolResult {
        id: id.to_owned(),
        content: content.to_owned(),
        is_error,
    };
    let thought = Part::Reasoning { text: "hm".to_owned(), signature: Some("sig-1".to_owned()) };
    let calls = vec![
        thought,
        call("c1", "count_logs", r#"{"query": "x"}"#),
        call("c2", "list_sources", ""),
    ];
    ChatRequest {
        system: Some("Be brief.".to_owned()),
        messages: vec![
            Message::user("how many?"),
            Message { role: Role::Assistant, content: calls },
            Message { role: Role::Tool, content: vec![result("c1", "1204", false)] },
            Message { role: Role::Tool, content: vec![result("c2", "no such thing", true)] },
        ],
        tools: vec![tool("count_logs"), tool("list_sources")],
        ..ChatRequest::default()
    }
}

/// An answer as it came.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) head: Option<ReplyHead>,
    pub(crate) events: Vec<ReplyEvent>,
    pub(crate) failure: Option<ProviderError>,
}

impl Answer {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.pieces(|event| match event {
            ReplyEvent::Text(text) => Some(text.as_str()),
            ReplyEvent::Reasoning(_)
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ToolCallArguments { .. }
            | ReplyEvent::Finish { .. } => None,
        })
    }

    pub(crate) fn text(&self) -> String {
        self.texts().concat()
    }

    pub(crate) fn thoughts(&self) -> String {
        self.pieces(|event| match event {
            ReplyEvent::Reasoning(text) => Some(text.as_str()),
            ReplyEvent::Text(_)
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ToolCallArguments { .. }
            | ReplyEvent::Finish { .. } => None,
        })
        .concat()
    }

    fn pieces<'a>(&'a self, pick: impl Fn(&'a ReplyEvent) -> Option<&'a str>) -> Vec<&'a str> {
        self.events.iter().filter_map(pick).collect()
    }

    /// The calls: id, name, arguments.
    pub(crate) fn calls(&self) -> Vec<(String, String, Value)> {
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for event in &self.events {
            match event {
                ReplyEvent::ToolCallStart { index, id, name, .. } => {
                    assert_eq!(*index as usize, calls.len(), "calls are counted");
                    calls.push((id.clone(), name.clone(), String::new()));
                }
                ReplyEvent::ToolCallArguments { index, piece } => {
                    calls[*index as usize].2.push_str(piece);
                }
                ReplyEvent::Text(_)
                | ReplyEvent::Reasoning(_)
                | ReplyEvent::ReasoningSignature(_)
                | ReplyEvent::Finish { .. } => {}
            }
        }
        let read = |text: &str| serde_json::from_str(text).expect("arguments are JSON");
        calls.into_iter().map(|(id, name, text)| (id, name, read(&text))).collect()
    }

    pub(crate) fn finish(&self) -> (StopReason, TokenUsage, String) {
        match self.events.last() {
            Some(ReplyEvent::Finish { reason, usage, model }) => {
                (reason.clone(), *usage, model.clone())
            }
            other => panic!("no finish: {other:?}, {:?}", self.failure),
        }
    }

    pub(crate) fn error(&self) -> ProviderErrorKind {
        self.failure.as_ref().unwrap_or_else(|| panic!("no error: {:?}", self.events)).kind
    }

    /// What the log would say of the failure.
    pub(crate) fn cause(&self) -> String {
        let source = self.failure.as_ref().and_then(|error| error.source.as_ref());
        source.map_or_else(String::new, ToString::to_string)
    }
}

/// Asks, and reads the answer to its end.
pub(crate) async fn hear(client: &Client, request: ChatRequest) -> Answer {
    hear_with_key(client, request, 0).await
}

pub(crate) async fn hear_with_key(client: &Client, request: ChatRequest, key: usize) -> Answer {
    let work = async {
        let mut answer = Answer::default();
        match client.chat_with_key(request, key).await {
            Ok(mut stream) => {
                answer.head = Some(stream.head().clone());
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) => answer.events.push(event),
                        Err(error) => answer.failure = Some(error),
                    }
                }
            }
            Err(error) => answer.failure = Some(error),
        }
        answer
    };
    timeout(PATIENCE, work).await.expect("every answer ends")
}

/// Asks a fresh vendor that follows this script.
pub(crate) async fn hear_script(
    kind: ProviderKind,
    script: impl IntoIterator<Item = Reply>,
    request: ChatRequest,
    bend: impl FnOnce(&mut ProviderConfig),
) -> (Answer, FakeVendor) {
    let vendor = FakeVendor::start().await;
    vendor.script(script);
    let mut config = chat_config(kind, &vendor);
    bend(&mut config);
    let client = Client::new(&config).expect("the configuration is good");
    (hear(&client, request).await, vendor)
}

/// Asks a fresh vendor for this reply.
pub(crate) async fn hear_reply(kind: ProviderKind, reply: Reply) -> Answer {
    hear_script(kind, [reply], asked(), |_| {}).await.0
}
