use callboard_providers::{
    ImageSource, Message, Part, ReasoningEffort, Role, Schema, ToolCall, ToolChoice,
};

use super::*;
use crate::gateway::OnCut;

const FULL: &str = r#"{
    "model": "fast", "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Be kind."},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "proof",
            "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": null},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1",
            "name": "look", "arguments": "{\"q\":1}", "signature": "sig"},
        {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "A cat."},
        {"type": "function_call_output", "call_id": "call_2",
            "output": [{"type": "input_text", "text": "No"}, {"type": "input_text", "text": "ne."}]},
        {"role": "user", "content": "Sure?"}],
    "tools": [{"type": "function", "name": "look", "description": "Looks.",
        "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}, "strict": true}],
    "tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": true,
    "text": {"format": {"type": "json_schema", "name": "cat", "schema": {"type": "object"},
        "strict": true}, "verbosity": "low"},
    "max_output_tokens": 100, "reasoning": {"effort": "high", "summary": "auto"},
    "temperature": 0.5, "top_p": 0.9, "user": "u1", "stream": true,
    "stream_options": {"include_obfuscation": false}, "store": true, "metadata": {"a": "b"},
    "include": ["reasoning.encrypted_content"], "truncation": "disabled", "background": false,
    "previous_response_id": null, "service_tier": "auto", "prompt_cache_key": "k",
    "top_logprobs": 0, "callboard": {"on_cut": "restart"}
}"#;

fn full() -> ChatRequest {
    let text = |text: &str| Part::Text { text: text.to_owned() };
    let call = |id: &str, arguments: &str, signature: Option<&str>| {
        Part::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "look".to_owned(),
            arguments: arguments.to_owned(),
            signature: signature.map(str::to_owned),
        })
    };
    let source =
        ImageSource::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    ChatRequest {
        model: Some("fast".to_owned()),
        system: Some("Be brief.\n\nBe kind.".to_owned()),
        messages: vec![
            Message {
                role: Role::User,
                content: vec![text("What is this?"), Part::Image { source }],
            },
            Message {
                role: Role::Assistant,
                content: vec![
                    Part::Reasoning { text: "hm".to_owned(), signature: Some("proof".to_owned()) },
                    text("I look."),
                    call("call_1", "{\"q\":1}", Some("sig")),
                    call("call_2", "{}", None),
                ],
            },
            Message::tool_result("call_1", "A cat."),
            Message::tool_result("call_2", "None."),
            Message::user("Sure?"),
        ],
        tools: vec![ToolSpec {
            name: "look".to_owned(),
            description: Some("Looks.".to_owned()),
            parameters: Schema::parse(r#"{"type":"object","properties":{"z":{},"a":{}}}"#).unwrap(),
            strict: Some(true),
        }],
        tool_choice: ToolChoice::Named("look".to_owned()),
        parallel_tool_calls: Some(true),
        response_format: ResponseFormat::Schema {
            name: "cat".to_owned(),
            schema: Schema::parse(r#"{"type":"object"}"#).unwrap(),
            strict: Some(true),
        },
        max_output_tokens: Some(100),
        temperature: Some(0.5),
        top_p: Some(0.9),
        reasoning_effort: Some(ReasoningEffort::High),
        user: Some("u1".to_owned()),
        extra: serde_json::json!({"verbosity": "low"}).as_object().unwrap().clone(),
        stream: true,
        ..ChatRequest::default()
    }
}

fn echo(parsed: &Parsed) -> serde_json::Value {
    serde_json::from_str(&format!("{{{}}}", parsed.echo.trim_start_matches(','))).unwrap()
}

#[test]
fn every_field_is_read() {
    let parsed = parse(FULL.as_bytes()).unwrap();
    assert_eq!(parsed.request, full());
    assert!(parsed.request.check().is_ok());
    assert!(parsed.stream);
    assert_eq!(parsed.options, CallOptions { on_cut: OnCut::Restart, ..CallOptions::default() });
    let echo = echo(&parsed);
    assert_eq!(echo["store"], false);
    assert_eq!(echo["metadata"]["a"], "b");
    assert_eq!(echo["tools"][0]["name"], "look");
    assert_eq!(echo["max_output_tokens"], 100);
}

#[test]
fn little_is_needed() {
    let parsed = parse(br#"{"model":"m","input":"x"}"#).unwrap();
    let expected = ChatRequest {
        model: Some("m".to_owned()),
        messages: vec![Message::user("x")],
        stream: false,
        ..ChatRequest::default()
    };
    assert_eq!(parsed.request, expected);
    let echo = echo(&parsed);
    assert_eq!(echo["tool_choice"], "auto");
    assert_eq!(echo["text"]["format"]["type"], "text");
}

#[test]
fn a_refusal_names_its_parameter() {
    for (fields, param) in [
        (r#""banana":1"#, "banana"),
        (r#""previous_response_id":"resp_1""#, "previous_response_id"),
        (r#""conversation":"conv_1""#, "conversation"),
        (r#""prompt":{"id":"p"}"#, "prompt"),
        (r#""background":true"#, "background"),
        (r#""truncation":"auto""#, "truncation"),
        (r#""include":["file_search_call.results"]"#, "include.[0]"),
        (r#""top_logprobs":3"#, "top_logprobs"),
        (r#""max_tool_calls":3"#, "max_tool_calls"),
        (r#""max_output_tokens":0"#, "max_output_tokens"),
        (r#""reasoning":{"effort":"huge"}"#, "reasoning.effort"),
        (r#""tools":[{"type":"web_search"}]"#, "tools.[0].type"),
        (r#""tools":[{"type":"function"}]"#, "tools.[0].name"),
        (r#""tool_choice":{"type":"function","name":"a"}"#, "tool_choice"),
        (r#""text":{"format":{"type":"yaml"}}"#, "text.format.type"),
        (r#""text":{"format":{"type":"json_schema"}}"#, "text.format.name"),
    ] {
        let body = format!(r#"{{"model":"m","input":"x",{fields}}}"#);
        let fault = parse(body.as_bytes()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{fields}");
    }
}

#[test]
fn a_refused_item_is_named() {
    for (input, param) in [
        ("3", "input"),
        ("[]", "input"),
        (r#"[{"type":"item_reference","id":"x"}]"#, "input.[0].type"),
        (r#"[{"role":"user","content":[{"type":"input_file"}]}]"#, "input.[0].content.[0].type"),
        (
            r#"[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]"#,
            "input.[0].content.[0].file_id",
        ),
        (r#"[{"role":"robot","content":"x"}]"#, "input.[0].role"),
        (r#"[{"role":"user","content":"x","mood":1}]"#, "input.[0].mood"),
        (
            r#"[{"type":"function_call","call_id":"c","name":"n","arguments":"3"}]"#,
            "input.[0].arguments",
        ),
        (r#"[{"type":"function_call_output","call_id":"c"}]"#, "input.[0].output"),
    ] {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let fault = parse(body.as_bytes()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{input}");
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
