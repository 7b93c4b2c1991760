//! A reply of a model, put together from its events as a message of the conversation: it goes back to
//! the model with the results of what it calls.

use callboard_providers::{Part, ReplyEvent, ToolCall};
use serde_json::{Map, Value};

/// See the module. How large it may grow is limited where its events are made.
#[derive(Default)]
pub(super) struct Said {
    pub(super) parts: Vec<Part>,
    /// The place of each call, by its number in the reply.
    calls: Vec<(u32, usize)>,
}

impl Said {
    pub(super) fn push(&mut self, event: &ReplyEvent) {
        match event {
            ReplyEvent::Text(more) => match self.parts.last_mut() {
                Some(Part::Text { text }) => text.push_str(more),
                _ => self.parts.push(Part::Text { text: more.clone() }),
            },
            ReplyEvent::Reasoning(more) => self.think(more, None),
            ReplyEvent::ReasoningSignature(proof) => self.think("", Some(proof.clone())),
            ReplyEvent::ToolCallStart { index, id, name, signature } => {
                self.calls.push((*index, self.parts.len()));
                self.parts.push(Part::ToolCall(ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    signature: signature.clone(),
                }));
            }
            ReplyEvent::ToolCallArguments { index, piece } => {
                let place = self.calls.iter().rev().find(|(known, _)| known == index);
                if let Some(Part::ToolCall(call)) =
                    place.and_then(|(_, place)| self.parts.get_mut(*place))
                {
                    call.arguments.push_str(piece);
                }
            }
            ReplyEvent::Finish { .. } => {}
        }
    }

    /// More thoughts, or what proves them, which ends them.
    fn think(&mut self, more: &str, proof: Option<String>) {
        if let Some(Part::Reasoning { text, signature: signature @ None }) = self.parts.last_mut() {
            text.push_str(more);
            *signature = proof;
        } else {
            self.parts.push(Part::Reasoning { text: more.to_owned(), signature: proof });
        }
    }
}

/// Arguments that are no JSON object are refused by every wire, also in what was said before.
pub(super) fn mend(part: &mut Part) {
    if let Part::ToolCall(call) = part
        && serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err()
    {
        "{}".clone_into(&mut call.arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(events: &[ReplyEvent]) -> Vec<Part> {
        let mut said = Said::default();
        events.iter().for_each(|event| said.push(event));
        said.parts
    }

    fn start(index: u32, name: &str) -> ReplyEvent {
        let (id, name) = (format!("call_{index}"), name.to_owned());
        ReplyEvent::ToolCallStart { index, id, name, signature: None }
    }

    fn arguments(index: u32, piece: &str) -> ReplyEvent {
        ReplyEvent::ToolCallArguments { index, piece: piece.to_owned() }
    }

    #[test]
    fn calls_that_come_mixed_are_kept_apart() {
        let parts = said(&[
            ReplyEvent::Text("Let me ".into()),
            ReplyEvent::Text("look.".into()),
            start(0, "a"),
            start(1, "b"),
            arguments(1, "{\"x\":"),
            arguments(0, "{}"),
            arguments(1, "1}"),
        ]);
        assert_eq!(parts[0], Part::Text { text: "Let me look.".into() });
        let arguments = |part: &Part| {
            let Part::ToolCall(call) = part else { panic!("{part:?}") };
            call.arguments.clone()
        };
        let calls: Vec<String> = parts[1..].iter().map(arguments).collect();
        assert_eq!(calls, ["{}", "{\"x\":1}"]);
    }

    #[test]
    fn thoughts_are_kept_with_their_proof() {
        let parts = said(&[
            ReplyEvent::Reasoning("h".into()),
            ReplyEvent::Reasoning("m".into()),
            ReplyEvent::ReasoningSignature("s".into()),
            ReplyEvent::Reasoning("more".into()),
        ]);
        assert_eq!(parts[0], Part::Reasoning { text: "hm".into(), signature: Some("s".into()) });
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn broken_arguments_become_none() {
        for (broken, whole) in
            [("{\"a\":1}", "{\"a\":1}"), ("{\"a\":", "{}"), ("[1]", "{}"), ("", "{}")]
        {
            let mut parts = said(&[start(0, "a"), arguments(0, broken)]);
            mend(&mut parts[0]);
            assert!(matches!(&parts[0], Part::ToolCall(call) if call.arguments == whole));
        }
    }
}
