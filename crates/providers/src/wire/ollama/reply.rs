//! A reply of Ollama's chat: lines of one form, of which the last has `done`.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    ProviderError, StopReason, TokenUsage, fault,
    reply::{Decode, Intake},
    wire::{read_chunk, read_whole},
};

/// Reads one reply.
#[derive(Debug)]
pub(super) struct Decoder;

#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Option<Box<RawValue>>,
}

impl Decode for Decoder {
    fn event(&mut self, _name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError> {
        read_chunk::<Line>(data).map_or(Ok(()), |line| take(line, intake))
    }

    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError> {
        take(read_whole(body)?, intake)
    }
}

fn take(line: Line, intake: &mut Intake) -> Result<(), ProviderError> {
    if line.error.as_ref().is_some_and(|error| !error.is_null()) {
        return Err(fault::from_object(&line.error.unwrap_or_default()));
    }
    if line.message.is_none() && !line.done {
        // Some other JSON.
        return Ok(());
    }
    intake.chunk();
    intake.model(line.model.as_deref().unwrap_or_default());
    let message = line.message.unwrap_or_default();
    intake.reasoning(message.thinking.unwrap_or_default());
    intake.text(message.content.unwrap_or_default());
    for call in message.tool_calls.unwrap_or_default() {
        let slot = intake.free_slot();
        intake.tool_call(slot, call.id, call.function.name, None)?;
        if let Some(arguments) = call.function.arguments {
            intake.arguments(slot, arguments.get().to_owned())?;
        }
        intake.end_call(slot);
    }
    if line.done {
        // A prompt that the server had in its memory is sometimes not counted.
        if let Some(output) = line.eval_count {
            let input = line.prompt_eval_count.unwrap_or(0);
            intake.set_usage(TokenUsage { input, output, ..TokenUsage::default() });
        }
        intake.finish(match line.done_reason.as_deref() {
            Some("length") => StopReason::Length,
            // `stop`; older servers give no reason.
            _ => StopReason::Stop,
        });
        intake.done();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProviderErrorKind, ReplyEvent,
        reply::{events_of, finish_of},
    };

    #[test]
    fn lines_become_text_thoughts_and_calls() {
        let lines = [
            r#"{"model":"q","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}"#,
            r#"{"model":"q","message":{"role":"assistant","content":"a"},"done":false}"#,
            r#"{"model":"q","message":{"role":"assistant","content":"","tool_calls":[
                {"id":"c1","function":{"name":"look","arguments":{"q": 1}}},
                {"id":"c2","function":{"name":"now"}}]},"done":false}"#,
        ];
        let start = |index, id: &str, name: &str| ReplyEvent::ToolCallStart {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            signature: None,
        };
        let piece =
            |index, piece: &str| ReplyEvent::ToolCallArguments { index, piece: piece.to_owned() };
        let expected = [
            ReplyEvent::Reasoning("hm".to_owned()),
            ReplyEvent::Text("a".to_owned()),
            start(0, "c1", "look"),
            piece(0, r#"{"q": 1}"#),
            start(1, "c2", "now"),
            piece(1, "{}"),
        ];
        assert_eq!(events_of(Decoder, &lines).unwrap(), expected);
    }

    #[test]
    fn calls_without_ids_get_some() {
        let call = r#"{"message":{"tool_calls":[{"function":{"name":"look"}}]}}"#;
        let events = events_of(Decoder, &[call, call]).unwrap();
        let ids: Vec<&String> = events
            .iter()
            .filter_map(|event| {
                let ReplyEvent::ToolCallStart { id, .. } = event else { return None };
                Some(id)
            })
            .collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
        assert!(ids[0].starts_with("call_"), "{ids:?}");
    }

    #[test]
    fn the_last_line_counts() {
        let end = |reason: &str| {
            format!(
                r#"{{"model":"q","message":{{"role":"assistant","content":"a"}},"done":true,
                {reason}"total_duration":1,"prompt_eval_count":26,"eval_count":298}}"#
            )
        };
        for (reason, expected) in [
            (r#""done_reason":"stop","#, StopReason::Stop),
            (r#""done_reason":"length","#, StopReason::Length),
            ("", StopReason::Stop),
        ] {
            let usage = TokenUsage { input: 26, output: 298, ..TokenUsage::default() };
            let found = finish_of(Decoder, &[&end(reason)]);
            assert_eq!(found, (expected, usage, "q".to_owned()));
        }
    }

    #[test]
    fn an_error_line_is_an_error() {
        let error = events_of(Decoder, &[r#"{"error":"llama runner process has terminated"}"#]);
        assert_eq!(error.unwrap_err().kind, ProviderErrorKind::Overloaded);
    }
}
