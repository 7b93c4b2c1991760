use callboard_providers::{
    ImageSource, Message, Part, ResponseFormat, Role, Schema, ToolCall, ToolChoice, ToolSpec,
};

use super::*;
use crate::gateway::OnCut;

const FULL: &str = r#"{
    "model": "claude", "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be kind."}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is \"this\"?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                "data": "AAAA"}, "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "I look.", "citations": null},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"z": 1, "a": 2.5},
                "signature": "sig"}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true,
                "content": [{"type": "text", "text": "No"}, {"type": "text", "text": "cat."}]},
            {"type": "tool_result", "tool_use_id": "toolu_2"},
            {"type": "text", "text": "And?"}]},
        {"role": "assistant", "content": "It is"}],
    "tools": [{"type": "custom", "name": "look", "description": "Looks.",
        "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}, "strict": true,
        "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true},
    "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.9, "top_k": 40,
    "metadata": {"user_id": "u1"}, "thinking": {"type": "enabled", "budget_tokens": 20000},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    "stream": true, "service_tier": "auto", "callboard": {"on_cut": "restart"}
}"#;

fn full() -> ChatRequest {
    let text = |text: &str| Part::Text { text: text.to_owned() };
    let result = |id: &str, content: &str, is_error| Part::ToolResult {
        id: id.to_owned(),
        content: content.to_owned(),
        is_error,
    };
    let base64 =
        ImageSource::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let call = ToolCall {
        id: "toolu_1".to_owned(),
        name: "look".to_owned(),
        arguments: r#"{"z":1,"a":2.5}"#.to_owned(),
        signature: Some("sig".to_owned()),
    };
    let thoughts = Part::Reasoning { text: "hm".to_owned(), signature: Some("s".to_owned()) };
    ChatRequest {
        model: Some("claude".to_owned()),
        system: Some("Be brief.\nBe kind.".to_owned()),
        messages: vec![
            Message {
                role: Role::User,
                content: vec![
                    text("What is \"this\"?"),
                    Part::Image { source: base64 },
                    Part::Image {
                        source: ImageSource::Url("https://example.org/a.png".to_owned()),
                    },
                ],
            },
            Message {
                role: Role::Assistant,
                content: vec![thoughts, text("I look."), Part::ToolCall(call)],
            },
            Message {
                role: Role::Tool,
                content: vec![result("toolu_1", "No\ncat.", true), result("toolu_2", "", false)],
            },
            Message::user("And?"),
            Message::assistant("It is"),
        ],
        tools: vec![ToolSpec {
            name: "look".to_owned(),
            description: Some("Looks.".to_owned()),
            parameters: Schema::parse(r#"{"type":"object","properties":{"z":{},"a":{}}}"#).unwrap(),
            strict: Some(true),
        }],
        tool_choice: ToolChoice::Named("look".to_owned()),
        parallel_tool_calls: Some(false),
        response_format: ResponseFormat::Schema {
            name: "answer".to_owned(),
            schema: Schema::parse(r#"{"type":"object"}"#).unwrap(),
            strict: Some(true),
        },
        max_output_tokens: Some(100),
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["END".to_owned()],
        reasoning_effort: Some(ReasoningEffort::High),
        user: Some("u1".to_owned()),
        extra: serde_json::json!({"top_k": 40}).as_object().unwrap().clone(),
        stream: true,
        ..ChatRequest::default()
    }
}

#[test]
fn every_field_is_read() {
    let parsed = parse(FULL.as_bytes()).unwrap();
    assert_eq!(parsed.request, full());
    assert!(parsed.request.check().is_ok());
    assert!(parsed.stream);
    assert_eq!(parsed.options, CallOptions { on_cut: OnCut::Restart, ..CallOptions::default() });
}

/// A good request with more fields.
fn with(fields: &str) -> Result<Parsed, Fault> {
    let front = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]"#;
    let comma = if fields.is_empty() { "" } else { "," };
    parse(format!("{front}{comma}{fields}}}").as_bytes())
}

#[test]
fn little_is_needed() {
    let parsed = with(r#""system":"Be brief.""#).unwrap();
    let expected = ChatRequest {
        model: Some("m".to_owned()),
        system: Some("Be brief.".to_owned()),
        messages: vec![Message::user("x")],
        max_output_tokens: Some(5),
        stream: false,
        ..ChatRequest::default()
    };
    assert_eq!((parsed.request, parsed.stream), (expected, false));
}

#[test]
fn words_have_their_meaning() {
    for (word, choice) in
        [("auto", ToolChoice::Auto), ("any", ToolChoice::Required), ("none", ToolChoice::None)]
    {
        let parsed = with(&format!(
            r#""tools":[{{"name":"t","input_schema":{{}}}}],"tool_choice":{{"type":"{word}"}}"#
        ));
        assert_eq!(parsed.unwrap().request.tool_choice, choice);
    }
    for (fields, effort) in [
        (r#""thinking":{"type":"disabled"}"#, Some(ReasoningEffort::None)),
        (r#""thinking":{"type":"adaptive"}"#, Some(ReasoningEffort::Medium)),
        (
            r#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
            Some(ReasoningEffort::High),
        ),
        (r#""thinking":{"type":"enabled","budget_tokens":1024}"#, Some(ReasoningEffort::Low)),
        (r#""thinking":{"type":"enabled","budget_tokens":8000}"#, Some(ReasoningEffort::Medium)),
        (r#""output_config":{"effort":"low"}"#, Some(ReasoningEffort::Low)),
        ("", None),
    ] {
        assert_eq!(with(fields).unwrap().request.reasoning_effort, effort, "{fields}");
    }
}

#[test]
fn a_refusal_names_its_parameter() {
    for (fields, param) in [
        (r#""banana":1"#, "banana"),
        (r#""temperature":1.5"#, "temperature"),
        (r#""top_k":0"#, "top_k"),
        (r#""stop_sequences":"END""#, "stop_sequences"),
        (r#""system":[{"type":"image"}]"#, "system.[0].type"),
        (r#""metadata":{"name":"x"}"#, "metadata.name"),
        (r#""thinking":{"type":"deep"}"#, "thinking.type"),
        (r#""thinking":{"type":"enabled"}"#, "thinking.budget_tokens"),
        (r#""output_config":{"effort":"huge"}"#, "output_config.effort"),
        (r#""tools":[{"name":"t"}]"#, "tools.[0].input_schema"),
        (r#""tools":[{"type":"web_search_20250305","name":"w"}]"#, "tools.[0].type"),
        (r#""tool_choice":{"type":"any"}"#, "tool_choice"),
        (r#""tool_choice":{"type":"tool","name":"t"}"#, "tool_choice"),
        (r#""callboard":7"#, "callboard"),
    ] {
        let fault = with(fields).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{fields}");
        assert!(fault.message.contains(param), "{}", fault.message);
    }
    let no_limit = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(parse(no_limit).unwrap_err().param.as_deref(), Some("max_tokens"));
}

#[test]
fn a_refused_message_is_named() {
    for (messages, param) in [
        ("[]", "messages"),
        (r#"[{"role":"system","content":"x"}]"#, "messages.[0].role"),
        (r#"[{"role":"user","content":[]}]"#, "messages.[0].content"),
        (r#"[{"role":"user","content":[{"type":"document"}]}]"#, "messages.[0].content.[0].type"),
        (r#"[{"role":"user","content":[{"type":"text"}]}]"#, "messages.[0].content.[0].text"),
        (
            r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a",
                "content":[{"type":"image"}]}]}]"#,
            "messages.[0].content.[0].content.[0].type",
        ),
        (
            r#"[{"role":"user","content":[{"type":"image","source":{"type":"base64",
                "media_type":"text/plain","data":"x"}}]}]"#,
            "messages.[0].content.[0].source.media_type",
        ),
        (
            r#"[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n",
                "input":"{}"}]}]"#,
            "messages.[0].content.[0].input",
        ),
        (r#"[{"role":"assistant","content":[{"type":"image"}]}]"#, "messages.[0].content.[0].type"),
        (r#"[{"role":"user","content":"x","name":"y"}]"#, "messages.[0].name"),
    ] {
        let body = format!(r#"{{"model":"m","max_tokens":1,"messages":{messages}}}"#);
        let fault = parse(body.as_bytes()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{messages}");
    }
    let message = r#"{"role":"user","content":"x"},"#.repeat(messages::MAX_MESSAGES);
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{message}3]}}"#);
    assert_eq!(parse(body.as_bytes()).unwrap_err().param.as_deref(), Some("messages"));
}

#[test]
fn any_text_survives() {
    for hard in crate::gateway::testing::hard_texts() {
        let body = serde_json::json!({"model": "m", "max_tokens": 1, "system": hard,
            "messages": [{"role": "user", "content": hard}]});
        let request = parse(body.to_string().as_bytes()).unwrap().request;
        assert_eq!(request.messages, [Message::user(hard.clone())]);
        assert_eq!(request.system, Some(hard));
    }
}

#[test]
fn a_damaged_body_is_read_or_refused() {
    for body in crate::gateway::testing::damaged(FULL) {
        if let Err(fault) = parse(&body) {
            assert!(!fault.message.is_empty());
        }
    }
}
