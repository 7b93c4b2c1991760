//! The doors that a client comes through, and how each tells what it sees.

use callboard_protocol::{Ask, ClientFrame, ServerFrame};
use callboard_testkit::PATIENCE;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::sees::{Sees, TOKENS, Who, whose};
use crate::{
    chat::accepted,
    harness::{Client, fresh},
};

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Door {
    OpenAiStreamed,
    OpenAiWhole,
    AnthropicStreamed,
    AnthropicWhole,
    Turn,
}

/// What an answer over a program's door holds.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    error: Option<Value>,
    ended: bool,
    model: Option<String>,
    usage: Option<(u64, u64)>,
}

impl Door {
    pub(super) const ALL: [Self; 5] = [
        Self::OpenAiStreamed,
        Self::OpenAiWhole,
        Self::AnthropicStreamed,
        Self::AnthropicWhole,
        Self::Turn,
    ];

    /// In the names of its models.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::OpenAiStreamed => "os",
            Self::OpenAiWhole => "ow",
            Self::AnthropicStreamed => "as",
            Self::AnthropicWhole => "aw",
            Self::Turn => "turn",
        }
    }

    /// Whether a program asks for a stream through it.
    pub(super) fn is_streamed(self) -> bool {
        matches!(self, Self::OpenAiStreamed | Self::AnthropicStreamed)
    }

    fn is_openai(self) -> bool {
        matches!(self, Self::OpenAiStreamed | Self::OpenAiWhole)
    }

    /// The path of a program's door.
    pub(super) fn path(self) -> &'static str {
        if self.is_openai() { "/v1/chat/completions" } else { "/v1/messages" }
    }

    /// What a program sends through it.
    pub(super) fn body(self, model: &str, prompt: &str) -> Value {
        let messages = json!([{ "role": "user", "content": prompt }]);
        let stream = self.is_streamed();
        let mut body = json!({ "model": model, "stream": stream, "messages": messages });
        match self {
            Self::OpenAiStreamed => body["stream_options"] = json!({ "include_usage": true }),
            Self::AnthropicStreamed | Self::AnthropicWhole => body["max_tokens"] = json!(999),
            Self::OpenAiWhole | Self::Turn => {}
        }
        body
    }

    /// Asks `model` for an answer, and reads all of it.
    pub(super) async fn ask(
        self,
        http: &reqwest::Client,
        client: &Client,
        (base, model, prompt): (&str, &str, &str),
    ) -> Sees {
        if self == Self::Turn {
            return turn(client, model, prompt).await;
        }
        let request = http.post(format!("{base}{}", self.path())).bearer_auth(&client.token);
        let reply = request.json(&self.body(model, prompt)).timeout(PATIENCE).send().await;
        match reply {
            Ok(reply) => self.read(reply).await,
            Err(error) => Sees::Odd(format!("no reply: {error}")),
        }
    }

    async fn read(self, reply: Response) -> Sees {
        let status = reply.status();
        let text = match reply.text().await {
            Ok(text) => text,
            Err(error) => return Sees::Odd(format!("the body breaks off: {error}")),
        };
        if status != StatusCode::OK {
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            return self.refused(status, &body);
        }
        let heard = match self {
            Self::OpenAiStreamed => openai_stream(&text),
            Self::AnthropicStreamed => anthropic_stream(&text),
            Self::OpenAiWhole | Self::AnthropicWhole | Self::Turn => whole(&text),
        };
        heard.sees(&text)
    }

    /// The word of the table for an error; each vendor has its own for it.
    fn refused(self, status: StatusCode, body: &Value) -> Sees {
        let error = &body["error"];
        let kind = error["type"].as_str().unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        let code = error["code"].as_str().unwrap_or_default();
        match (status.as_u16(), kind, code) {
            (429, "rate_limit_error", _) => Sees::Refused("rate_limited"),
            (400, _, "content_filter") => Sees::Refused("content_filtered"),
            (400, _, _) if message.contains("content filtering policy") => {
                Sees::Refused("content_filtered")
            }
            (503, "server_error", _) | (529, "overloaded_error", _) => {
                Sees::Refused("provider_unavailable")
            }
            _ => Sees::Odd(format!("{status} {body}")),
        }
    }
}

impl Heard {
    fn sees(self, raw: &str) -> Sees {
        let odd = |why: &str| Sees::Odd(format!("{why}: {raw}"));
        let Some((who, count)) = whose(&self.text) else { return odd("no answer of a target") };
        match (&self.error, self.ended) {
            (Some(_), true) => odd("an error, and an end as if all were well"),
            (Some(_), false) => Sees::Cut(count),
            (None, false) => odd("neither an error nor an end"),
            (None, true) if count < TOKENS => odd("tokens are missing"),
            (None, true) if self.usage != Some((10, TOKENS as u64)) => odd("the usage is wrong"),
            (None, true) => match self.model {
                Some(model) if model.ends_with(who.letter()) => Sees::Whole(who),
                model => odd(&format!("it names the model {model:?}")),
            },
        }
    }
}

fn events(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("data: "))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}

fn openai_stream(text: &str) -> Heard {
    let mut heard = Heard::default();
    for data in events(text) {
        if data == "[DONE]" {
            heard.ended = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap_or_default();
        if !chunk["error"].is_null() {
            heard.error = Some(chunk["error"].clone());
        }
        heard.text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        if let Some(model) = chunk["model"].as_str() {
            heard.model = Some(model.to_owned());
        }
        let usage = &chunk["usage"];
        let counts = number(&usage["prompt_tokens"]).zip(number(&usage["completion_tokens"]));
        heard.usage = counts.or(heard.usage);
    }
    heard
}

fn anthropic_stream(text: &str) -> Heard {
    let (mut heard, mut input) = (Heard::default(), None);
    for data in events(text) {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                heard.model = event["message"]["model"].as_str().map(str::to_owned);
                input = number(&event["message"]["usage"]["input_tokens"]);
            }
            "content_block_delta" => {
                heard.text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
            }
            "message_delta" => {
                let usage = &event["usage"];
                let read = number(&usage["input_tokens"]).or(input);
                heard.usage = read.zip(number(&usage["output_tokens"]));
            }
            "message_stop" => heard.ended = true,
            "error" => heard.error = Some(event["error"].clone()),
            _ => {}
        }
    }
    heard
}

/// Of either vendor.
fn whole(text: &str) -> Heard {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let said = body["choices"][0]["message"]["content"].as_str();
    let said = said.or_else(|| body["content"][0]["text"].as_str()).unwrap_or_default();
    let usage = &body["usage"];
    let either = |openai: &str, anthropic: &str| {
        number(&usage[openai]).or_else(|| number(&usage[anthropic]))
    };
    let reason = [&body["choices"][0]["finish_reason"], &body["stop_reason"]];
    Heard {
        text: said.to_owned(),
        error: None,
        ended: reason.iter().any(|reason| reason.is_string()),
        model: body["model"].as_str().map(str::to_owned),
        usage: either("prompt_tokens", "input_tokens")
            .zip(either("completion_tokens", "output_tokens")),
    }
}

/// A turn of a conversation, over a socket.
async fn turn(client: &Client, model: &str, prompt: &str) -> Sees {
    let mut socket = client.connect().await;
    let ask = Ask { model: Some(model.to_owned()), ..fresh(prompt) };
    socket.send(&ClientFrame::Message(ask)).await;
    let (_, turn) = accepted(&mut socket).await;
    let is_end = |frame: &ServerFrame| match frame {
        ServerFrame::Response { .. } => true,
        ServerFrame::Error { turn_id, .. } => *turn_id == Some(turn),
        _ => false,
    };
    let frames = socket.next_until(is_end).await;
    socket.close(1000).await;
    let (mut text, mut provider, mut restarted) = (String::new(), String::new(), false);
    let mut used = None;
    for frame in &frames {
        match frame {
            ServerFrame::StreamStart { provider: who, .. } => provider.clone_from(who),
            ServerFrame::StreamChunk { content, .. } => text.push_str(content),
            ServerFrame::StreamRestart { .. } => {
                restarted = whose(&text).is_some_and(|(_, count)| count == 40);
                if !restarted {
                    return Sees::Odd(format!("a restart after {text:?}"));
                }
                text.clear();
            }
            ServerFrame::StreamEnd { usage, .. } => used = Some(usage.output_tokens),
            ServerFrame::Error { code, .. } => {
                let known = ["content_filtered", "provider_unavailable", "rate_limited"];
                let word = known.iter().find(|word| **word == code.as_str());
                return word.map_or_else(
                    || Sees::Odd(format!("the error {code}")),
                    |word| Sees::Refused(word),
                );
            }
            _ => {}
        }
    }
    let who = match whose(&text) {
        Some((who, TOKENS)) if used == Some(TOKENS as u64) => who,
        None if provider == "extractive" && !text.is_empty() => Who::Index,
        _ => return Sees::Odd(format!("{provider} said {text:?}, and used {used:?}")),
    };
    if restarted { Sees::Restarted(who) } else { Sees::Whole(who) }
}
