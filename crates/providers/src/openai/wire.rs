//! The JSON of the chat completions wire, read as generously as its many servers demand: unknown
//! fields are skipped, and absent ones and `null` are the same.

use callboard_protocol::{FinishReason, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<WireMessage<'a>>,
    pub(super) stream: bool,
    pub(super) stream_options: StreamOptions,
    /// What most servers call the longest answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u32>,
    /// What OpenAI calls it since its reasoning models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct WireMessage<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

/// A chunk of a streamed reply, or the whole of one that is not streamed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Part>,
    #[serde(default)]
    message: Option<Part>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Part {
    #[serde(default)]
    content: Option<Value>,
    #[serde(default)]
    refusal: Option<Value>,
    #[serde(default)]
    reasoning: Option<Value>,
    #[serde(default)]
    reasoning_content: Option<Value>,
}

/// What a chunk brings.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    /// More text.
    pub(super) text: String,
    /// The model writes, though not yet the answer.
    pub(super) thinking: bool,
    /// Why the answer ended, in the words of the wire.
    pub(super) finish: Option<String>,
    /// So far, as the provider counts.
    pub(super) usage: Option<Usage>,
    /// The model that answers.
    pub(super) model: Option<String>,
}

impl Chunk {
    /// The error that it holds instead of an answer.
    pub(super) fn error(&mut self) -> Option<Value> {
        self.error.take().filter(|error| !error.is_null())
    }

    /// What it brings; choices but the first were not asked for.
    pub(super) fn into_news(self) -> News {
        let mut news = News {
            usage: self.usage.as_ref().and_then(read_usage),
            model: self.model.filter(|model| !model.is_empty()),
            ..News::default()
        };
        let choices = self.choices.unwrap_or_default().into_iter();
        for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
            for part in [choice.delta, choice.message].into_iter().flatten() {
                for text in [&part.content, &part.refusal].into_iter().flatten() {
                    push_text(text, &mut news.text);
                }
                let thought = [&part.reasoning, &part.reasoning_content];
                news.thinking |= thought.into_iter().flatten().any(|value| !value.is_null());
            }
            news.finish = choice.finish_reason.filter(|reason| !reason.is_empty()).or(news.finish);
        }
        news
    }
}

/// A string, or a list of parts of which some hold text.
fn push_text(value: &Value, text: &mut String) {
    if let Some(part) = value.as_str() {
        text.push_str(part);
    }
    for part in value.as_array().into_iter().flatten() {
        if let Some(part) = part.get("text").and_then(Value::as_str) {
            text.push_str(part);
        }
    }
}

fn read_usage(value: &Value) -> Option<Usage> {
    let count = |name: &str| value.get(name).and_then(Value::as_u64);
    Some(Usage {
        input_tokens: count("prompt_tokens")?,
        output_tokens: count("completion_tokens").unwrap_or(0),
    })
}

/// Why an answer ended, in our words; `None` when the provider says that it broke off.
pub(super) fn read_finish(reason: &str) -> Option<FinishReason> {
    match reason {
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "content_filter" | "safety" => Some(FinishReason::ContentFilter),
        "error" | "insufficient_system_resource" | "abort" => None,
        // `stop`, and the names that other servers have for it.
        _ => Some(FinishReason::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(json: &str) -> News {
        serde_json::from_str::<Chunk>(json).unwrap().into_news()
    }

    #[test]
    fn null_and_unknown_fields_are_nothing() {
        let json = r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,
            "tool_calls":null},"finish_reason":null,"logprobs":{}}],"usage":null,"error":null}"#;
        assert_eq!(news(json), News::default());
        assert_eq!(news("{}"), News::default());
        assert_eq!(news(r#"{"choices":null}"#), News::default());
    }

    #[test]
    fn text_may_come_in_parts() {
        let json =
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}]}"#;
        assert_eq!(news(json).text, "ab");
    }

    #[test]
    fn thoughts_are_not_the_answer() {
        let json = r#"{"choices":[{"delta":{"content":"","reasoning_content":"hm"}}]}"#;
        assert_eq!(news(json), News { thinking: true, ..News::default() });
    }

    #[test]
    fn only_the_first_choice_counts() {
        let json = r#"{"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"length"},
            {"index":0,"delta":{"content":"yes"}}]}"#;
        assert_eq!(news(json), News { text: "yes".to_owned(), ..News::default() });
    }

    #[test]
    fn a_whole_reply_is_read_too() {
        let json = r#"{"model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
        let expected = News {
            text: "hi".to_owned(),
            finish: Some("stop".to_owned()),
            usage: Some(Usage { input_tokens: 3, output_tokens: 1 }),
            model: Some("m".to_owned()),
            ..News::default()
        };
        assert_eq!(news(json), expected);
    }

    #[test]
    fn finish_reasons_have_names_of_ours() {
        assert_eq!(read_finish("stop"), Some(FinishReason::Stop));
        assert_eq!(read_finish("end_turn"), Some(FinishReason::Stop));
        assert_eq!(read_finish("length"), Some(FinishReason::Length));
        assert_eq!(read_finish("content_filter"), Some(FinishReason::ContentFilter));
        assert_eq!(read_finish("error"), None);
    }
}
