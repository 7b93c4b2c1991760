//! Which wire a request speaks, by its path, and how each wire tells an error.

use serde_json::{Value, json};

use super::RecordedRequest;

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VendorWire {
    /// `…/chat/completions`.
    OpenAi,
    /// `…/responses`.
    Responses,
    /// `…/messages`.
    Anthropic,
    /// `/api/chat`.
    Ollama,
    /// `…:generateContent` and `…:streamGenerateContent`.
    Gemini,
    /// `/openai/deployments/…/chat/completions`.
    Azure,
    /// `…/embeddings`, also below a deployment of Azure.
    OpenAiEmbeddings,
    /// `/api/embed`.
    OllamaEmbeddings,
    /// `…:batchEmbedContents`.
    GeminiEmbeddings,
}

/// What a refusal is about, where the wires have words of their own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Anything,
    ContextTooLong,
    ContentFiltered,
}

/// An error as it is told before a reply.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) about: About,
}

impl VendorWire {
    /// By the path of a request line; what is unknown is taken for chat completions.
    pub(super) fn of(line: &str) -> Self {
        let path = line.split_once(' ').map_or(line, |(_method, path)| path);
        let path = path.split_once('?').map_or(path, |(path, _query)| path);
        let ends = |end: &str| path.ends_with(end);
        match path {
            _ if ends("/embeddings") => Self::OpenAiEmbeddings,
            _ if ends("/api/embed") => Self::OllamaEmbeddings,
            _ if ends(":batchEmbedContents") => Self::GeminiEmbeddings,
            _ if ends("enerateContent") => Self::Gemini,
            _ if ends("/api/chat") => Self::Ollama,
            _ if ends("/messages") => Self::Anthropic,
            _ if ends("/responses") => Self::Responses,
            _ if path.starts_with("/openai/deployments/") => Self::Azure,
            _ => Self::OpenAi,
        }
    }

    /// Whether this request asks for a stream.
    pub(super) fn wants_stream(self, request: &RecordedRequest) -> bool {
        let asked = request.body["stream"].as_bool();
        match self {
            // As vendors have it; a body without a model comes from a probe of our own.
            Self::OpenAi | Self::Azure | Self::Responses | Self::Anthropic => {
                asked.unwrap_or(request.body["model"].is_null())
            }
            Self::Ollama => asked != Some(false),
            Self::Gemini => request.line.contains(":streamGenerateContent"),
            Self::OpenAiEmbeddings | Self::OllamaEmbeddings | Self::GeminiEmbeddings => false,
        }
    }

    /// The model that a request asks for: in its body, or in its path.
    pub(super) fn model_of(self, request: &RecordedRequest) -> String {
        let in_path = |after: &str| {
            let (_, rest) = request.line.split_once(after)?;
            rest.split([':', '/', '?']).next().map(str::to_owned)
        };
        let found = match self {
            Self::Gemini | Self::GeminiEmbeddings => in_path("/models/"),
            Self::Azure => in_path("/deployments/"),
            Self::OpenAi
            | Self::Responses
            | Self::Anthropic
            | Self::Ollama
            | Self::OpenAiEmbeddings
            | Self::OllamaEmbeddings => request.body["model"].as_str().map(str::to_owned),
        };
        found.unwrap_or_default()
    }
}

impl Fault {
    /// The status and the body in the words of `wire`.
    pub(super) fn told(&self, wire: VendorWire) -> (u16, Value) {
        let Self { status, code, message, about } = self;
        let message = message.as_str();
        match wire {
            VendorWire::Anthropic => {
                let message = match about {
                    About::Anything => message,
                    About::ContextTooLong => "prompt is too long: 9000 tokens > 8192 maximum",
                    About::ContentFiltered => "Output blocked by content filtering policy",
                };
                let kind = anthropic_type(*status, code);
                let error = json!({"type": kind, "message": message});
                (*status, json!({"type": "error", "error": error, "request_id": "req_fake"}))
            }
            VendorWire::Gemini | VendorWire::GeminiEmbeddings => {
                let message = match about {
                    About::ContentFiltered => {
                        let feedback = json!({"blockReason": "SAFETY"});
                        let usage = json!({"promptTokenCount": 10, "totalTokenCount": 10});
                        let body = json!({"promptFeedback": feedback, "usageMetadata": usage});
                        return (200, body);
                    }
                    About::ContextTooLong => {
                        "The input token count (9000) exceeds the maximum number of tokens \
                         allowed (8192)."
                    }
                    About::Anything => message,
                };
                let error = json!({"code": status, "message": message,
                    "status": gemini_status(*status)});
                (*status, json!({"error": error}))
            }
            VendorWire::Ollama | VendorWire::OllamaEmbeddings => {
                let message = match about {
                    About::ContextTooLong => "the input length exceeds the context length",
                    About::Anything | About::ContentFiltered => message,
                };
                (*status, json!({"error": message}))
            }
            VendorWire::OpenAi
            | VendorWire::Azure
            | VendorWire::Responses
            | VendorWire::OpenAiEmbeddings => {
                let error = json!({"message": message, "type": code, "code": code, "param": null});
                (*status, json!({"error": error}))
            }
        }
    }
}

fn anthropic_type(status: u16, code: &str) -> &str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        500 => "api_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => code,
    }
}

fn gemini_status(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    }
}
