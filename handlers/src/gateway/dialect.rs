//! The dialects of the API for programs, as far as the routes need to know.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderName, HeaderValue},
    middleware::Next,
};
use bytes::Bytes;
use callboard_protocol::{ErrorCode, UsageEndpoint};
use callboard_providers::{ChatRequest, ReplyEvent};

use super::{Answer, CallOptions, ErrorReply, Fault, Head, anthropic, openai};
use crate::{ApiError, request_id};

/// In whose words a route speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Chat completions, embeddings and models.
    OpenAi,
    Responses,
    Anthropic,
}

/// A request for an answer, of any dialect.
pub(crate) struct Asked {
    pub(crate) request: ChatRequest,
    pub(crate) options: CallOptions,
    include_usage: bool,
    /// What a reply repeats of the request.
    echo: String,
}

/// Writes a stream, of any dialect.
pub(crate) enum Encoder {
    OpenAi(openai::reply::Encoder),
    Responses(Box<openai::responses::reply::Encoder>),
    Anthropic(anthropic::reply::Encoder),
}

impl Dialect {
    /// Reads the body of a request for an answer.
    pub(crate) fn parse(self, body: &[u8]) -> Result<Asked, Fault> {
        match self {
            Self::OpenAi => {
                let openai::request::Parsed { request, include_usage, options, .. } =
                    openai::request::parse(body)?;
                Ok(Asked { request, options, include_usage, echo: String::new() })
            }
            Self::Responses => {
                let openai::responses::request::Parsed { request, options, echo, .. } =
                    openai::responses::request::parse(body)?;
                Ok(Asked { request, options, include_usage: true, echo })
            }
            Self::Anthropic => {
                let anthropic::request::Parsed { request, options, .. } =
                    anthropic::request::parse(body)?;
                Ok(Asked { request, options, include_usage: true, echo: String::new() })
            }
        }
    }

    /// Begins a stream.
    pub(crate) fn encoder(self, head: &Head<'_>, asked: &Asked) -> Encoder {
        match self {
            Self::OpenAi => Encoder::OpenAi(openai::reply::Encoder::new(head, asked.include_usage)),
            Self::Responses => {
                let encoder = openai::responses::reply::Encoder::new(head, &asked.echo);
                Encoder::Responses(Box::new(encoder))
            }
            Self::Anthropic => Encoder::Anthropic(anthropic::reply::Encoder::new(head)),
        }
    }

    /// The whole answer as one object; `None` while it has not ended.
    pub(crate) fn whole(self, head: &Head<'_>, asked: &Asked, answer: &Answer) -> Option<Bytes> {
        match self {
            Self::OpenAi => openai::reply::whole(head, answer),
            Self::Responses => openai::responses::reply::whole(head, &asked.echo, answer),
            Self::Anthropic => anthropic::reply::whole(head, answer),
        }
    }

    /// The beginning of the ids of its replies.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::OpenAi => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Anthropic => "msg_",
        }
    }

    /// The door, as the ledger calls it.
    pub(crate) fn endpoint(self) -> UsageEndpoint {
        match self {
            Self::OpenAi => UsageEndpoint::ChatCompletions,
            Self::Responses => UsageEndpoint::Responses,
            Self::Anthropic => UsageEndpoint::Messages,
        }
    }

    /// A failed call.
    pub(crate) fn refuse(self, fault: &Fault) -> HttpResponse {
        let ErrorReply { status, retry_after_ms, body } = match self {
            Self::OpenAi | Self::Responses => openai::error::reply(fault),
            Self::Anthropic => anthropic::error::reply(fault, &request_id::current().to_string()),
        };
        let mut response = HttpResponse::build(status);
        if let Some(millis) = retry_after_ms {
            response.insert_header((header::RETRY_AFTER, millis.div_ceil(1_000)));
            response.insert_header(("retry-after-ms", millis));
        }
        if fault.code == ErrorCode::BudgetExceeded {
            // The vendors' clients would try again within seconds.
            response.insert_header(("x-should-retry", "false"));
        }
        response.content_type("application/json").body(body)
    }
}

impl Encoder {
    /// Writes an event.
    pub(crate) fn push(&mut self, event: &ReplyEvent) {
        match self {
            Self::OpenAi(encoder) => encoder.push(event),
            Self::Responses(encoder) => encoder.push(event),
            Self::Anthropic(encoder) => encoder.push(event),
        }
    }

    /// Ends a stream that was cut, so that nobody takes it for whole.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        match self {
            Self::OpenAi(encoder) => encoder.fail(fault),
            Self::Responses(encoder) => encoder.fail(fault),
            Self::Anthropic(encoder) => encoder.fail(fault, &request_id::current().to_string()),
        }
    }

    /// What was written since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        match self {
            Self::OpenAi(encoder) => encoder.take(),
            Self::Responses(encoder) => encoder.take(),
            Self::Anthropic(encoder) => encoder.take(),
        }
    }
}

/// Says errors that come from before the handler (who calls, what they may) in the dialect's words,
/// too: the vendors' clients read nothing else.
///
/// # Errors
/// Those of actix itself.
pub(crate) async fn in_words_of<B: MessageBody + 'static>(
    dialect: Dialect,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    if let Some(fault) = error.map(|error| Fault::from(error.client().clone())) {
        let (request, _) = response.into_parts();
        response = ServiceResponse::new(request, dialect.refuse(&fault));
    }
    // Where this vendor's clients look for it; OpenAI's read `x-request-id`, which every reply has.
    if dialect == Dialect::Anthropic
        && let Ok(id) = HeaderValue::try_from(request_id::current().to_string())
    {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    Ok(response)
}
