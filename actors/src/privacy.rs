//! What a provider may read: before a prompt leaves for one that is not trusted, secrets and
//! personal data are taken out of it, and put back into its answer. Called by `turn` and `gateway`.

use std::{borrow::Cow, collections::VecDeque};

use callboard_logs::{Redactor, Restorer};
use callboard_providers::{ChatRequest, ProviderConfig, ReplyEvent};
use serde_json::Value;

use crate::metrics::Metrics;

/// Takes out what this provider may not read. `None` when that is nothing.
pub(crate) fn redact(
    chat: &mut ChatRequest,
    provider: &ProviderConfig,
    metrics: &Metrics,
) -> Option<Redactor> {
    if provider.is_trusted() {
        return None;
    }
    let mut redactor = Redactor::new();
    chat.rewrite(&mut |text| {
        if let Cow::Owned(redacted) = redactor.redact(text) {
            *text = redacted;
        }
    });
    if redactor.is_empty() {
        return None;
    }
    for (kind, count) in redactor.counts() {
        metrics.redactions.with_label_values(&[kind]).inc_by(count);
    }
    tracing::info!(provider = provider.name, "secrets were taken out of a prompt");
    Some(redactor)
}

/// Puts what was taken out back into the events of an answer.
pub(crate) struct Restoring {
    text: Option<Restorer>,
    thoughts: Option<Restorer>,
    /// Puts back whole texts.
    whole: Restorer,
    /// The call whose arguments come in: they are restored when they are whole, since they are JSON.
    call: Option<(u32, String)>,
}

impl Restoring {
    pub(crate) fn new(redactor: &Redactor) -> Self {
        Self {
            text: Some(redactor.restorer()),
            thoughts: Some(redactor.restorer()),
            whole: redactor.restorer(),
            call: None,
        }
    }

    /// Adds what may be shown after this event to `ready`.
    pub(crate) fn feed(&mut self, event: ReplyEvent, ready: &mut VecDeque<ReplyEvent>) {
        if let ReplyEvent::ToolCallArguments { index, piece } = event {
            match &mut self.call {
                Some((open, arguments)) if *open == index => arguments.push_str(&piece),
                Some(_) | None => {
                    self.end_call(ready);
                    self.call = Some((index, piece));
                }
            }
            return;
        }
        self.end_call(ready);
        match event {
            ReplyEvent::Text(text) => {
                let text = self.text.as_mut().map_or(String::new(), |known| known.push(&text));
                ready.extend((!text.is_empty()).then_some(ReplyEvent::Text(text)));
            }
            ReplyEvent::Reasoning(text) => {
                let text = self.thoughts.as_mut().map_or(String::new(), |known| known.push(&text));
                ready.extend((!text.is_empty()).then_some(ReplyEvent::Reasoning(text)));
            }
            ReplyEvent::Finish { .. } => {
                let rest = |known: Option<Restorer>| known.map(Restorer::finish);
                let thoughts = rest(self.thoughts.take()).filter(|rest| !rest.is_empty());
                let text = rest(self.text.take()).filter(|rest| !rest.is_empty());
                ready.extend(thoughts.map(ReplyEvent::Reasoning));
                ready.extend(text.map(ReplyEvent::Text));
                ready.push_back(event);
            }
            ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::ToolCallArguments { .. } => ready.push_back(event),
        }
    }

    fn end_call(&mut self, ready: &mut VecDeque<ReplyEvent>) {
        let Some((index, arguments)) = self.call.take() else { return };
        let piece = match serde_json::from_str::<Value>(&arguments) {
            Ok(mut value) => {
                self.restore(&mut value);
                value.to_string()
            }
            // Cut arguments are no JSON, and of no use to a tool.
            Err(_) => arguments,
        };
        ready.push_back(ReplyEvent::ToolCallArguments { index, piece });
    }

    fn restore(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.whole.restore(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.restore(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.restore(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use callboard_providers::{Message, StopReason, TokenUsage};

    use super::*;

    fn prompt(text: &str) -> ChatRequest {
        ChatRequest { messages: vec![Message::user(text)], ..ChatRequest::default() }
    }

    fn elsewhere() -> ProviderConfig {
        let base_url = Some("https://models.example/v1".to_owned());
        ProviderConfig { base_url, ..ProviderConfig::default() }
    }

    #[test]
    fn a_secret_leaves_only_for_a_trusted_provider() {
        let metrics = Metrics::new().unwrap();
        let secret = format!("password={}", "hunter2hunter2");
        let mut chat = prompt(&secret);
        let trusted = ProviderConfig { trusted: Some(true), ..elsewhere() };
        assert!(redact(&mut chat, &trusted, &metrics).is_none());
        assert!(format!("{chat:?}").contains("hunter2"));
        assert!(redact(&mut chat, &elsewhere(), &metrics).is_some());
        assert!(!format!("{chat:?}").contains("hunter2"));
        assert!(redact(&mut prompt("sshd failed for root"), &elsewhere(), &metrics).is_none());
    }

    #[test]
    fn an_answer_gets_them_back_in_text_and_in_calls() {
        let mut chat = prompt("mail ann@example.org about it");
        let redactor = redact(&mut chat, &elsewhere(), &Metrics::new().unwrap()).unwrap();
        let mut restoring = Restoring::new(&redactor);
        let mut ready = VecDeque::new();
        let end = ReplyEvent::Finish {
            reason: StopReason::Stop,
            usage: TokenUsage::default(),
            model: String::new(),
        };
        for event in [
            ReplyEvent::Text("To <EM".to_owned()),
            ReplyEvent::Text("AIL_1>.".to_owned()),
            ReplyEvent::ToolCallArguments { index: 0, piece: r#"{"to":"<EMA"#.to_owned() },
            ReplyEvent::ToolCallArguments { index: 0, piece: r#"IL_1>"}"#.to_owned() },
            end.clone(),
        ] {
            restoring.feed(event, &mut ready);
        }
        let text: String = ready
            .iter()
            .filter_map(
                |event| if let ReplyEvent::Text(text) = event { Some(text.as_str()) } else { None },
            )
            .collect();
        assert_eq!(text, "To ann@example.org.");
        let piece = r#"{"to":"ann@example.org"}"#.to_owned();
        assert!(ready.contains(&ReplyEvent::ToolCallArguments { index: 0, piece }));
        assert_eq!(ready.back(), Some(&end));
    }
}
