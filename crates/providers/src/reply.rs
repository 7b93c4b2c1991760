//! The reply to a [`ChatRequest`](crate::ChatRequest): its head, and its events as they come.

mod intake;
mod limits;
mod meter;
mod parser;
mod reader;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use callboard_protocol::FinishReason;
use futures_util::{Stream, stream::BoxStream};
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::intake::testing::{events_of, finish_of};
pub use self::limits::{RateLimit, RateLimits};
pub(crate) use self::{
    intake::{Intake, malformed},
    limits::read_rate_limits,
    meter::Meter,
    parser::{Decode, Framing, Parser},
    reader::{Reader, Terms},
};
use crate::{ProviderError, ProviderErrorKind, TokenUsage};

/// One step of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyEvent {
    /// More text; never empty.
    Text(String),
    /// More of what the model thinks, where the provider shows it; never empty. Not the answer.
    Reasoning(String),
    /// What proves the thoughts that came before it, to be given back with them in
    /// [`Part::Reasoning`](crate::Part::Reasoning). Only Anthropic has it.
    ReasoningSignature(String),
    /// The model calls a tool.
    ToolCallStart {
        /// Counts the calls of this answer, from 0.
        index: u32,
        /// By which its result will be known.
        id: String,
        /// The tool.
        name: String,
        /// To be given back with the call, as in [`ToolCall`](crate::ToolCall).
        signature: Option<String>,
    },
    /// More of the arguments of a call that has started. All pieces together are JSON, unless the
    /// answer ended with [`StopReason::Length`].
    ToolCallArguments {
        /// Which call.
        index: u32,
        /// More text; never empty.
        piece: String,
    },
    /// The answer is whole. Always last.
    Finish {
        /// Why it ended.
        reason: StopReason,
        /// What it used.
        usage: TokenUsage,
        /// The model that answered, as the provider names it.
        model: String,
    },
}

impl ReplyEvent {
    /// The bytes of text that it adds to an answer.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Reasoning(text) | Self::ReasoningSignature(text) => text.len(),
            Self::ToolCallArguments { piece, .. } => piece.len(),
            Self::ToolCallStart { id, name, .. } => id.len() + name.len(),
            Self::Finish { .. } => 0,
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It was finished.
    Stop,
    /// One of the texts in [`ChatRequest::stop`](crate::ChatRequest::stop) came up, where the
    /// provider tells it from `Stop`, and which one.
    StopSequence(String),
    /// It reached the longest answer, or the end of the model's window.
    Length,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// The provider's content filter cut it, or the model refused.
    ContentFilter,
}

impl StopReason {
    /// The name, as a metric label.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::StopSequence(_) => "stop_sequence",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

impl From<StopReason> for FinishReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Stop | StopReason::StopSequence(_) | StopReason::ToolCalls => Self::Stop,
            StopReason::Length => Self::Length,
            StopReason::ContentFilter => Self::ContentFilter,
        }
    }
}

/// What the head of a reply says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyHead {
    /// What the provider says of its limits.
    pub rate_limits: RateLimits,
    /// Its own id of the request, for a question to its support.
    pub request_id: Option<String>,
    /// The key that was used, as in [`Client::chat_with_key`](crate::Client::chat_with_key).
    pub key: usize,
    /// How many attempts it took, hiccups before the reply included.
    pub attempts: u32,
}

/// An answer as it comes. The last item is a [`ReplyEvent::Finish`] or an error, exactly once, and
/// nothing follows it; dropping the stream closes the connection, which stops the provider.
pub struct ReplyStream {
    head: ReplyHead,
    meter: Arc<Meter>,
    events: Option<BoxStream<'static, Result<ReplyEvent, ProviderError>>>,
}

impl ReplyStream {
    /// Wraps the events of a provider and holds them to the rule above.
    pub fn new(
        head: ReplyHead,
        events: impl Stream<Item = Result<ReplyEvent, ProviderError>> + Send + 'static,
    ) -> Self {
        Self::measured(head, Arc::default(), events)
    }

    /// The same, with what counts for [`ReplyStream::usage_so_far`].
    pub(crate) fn measured(
        head: ReplyHead,
        meter: Arc<Meter>,
        events: impl Stream<Item = Result<ReplyEvent, ProviderError>> + Send + 'static,
    ) -> Self {
        Self { head, meter, events: Some(Box::pin(events)) }
    }

    /// What the answer has used until now, as far as the provider said and else as a guess: for the
    /// bill of one that failed half-way, or is given up. One that is whole says it in its
    /// [`ReplyEvent::Finish`].
    #[must_use]
    pub fn usage_so_far(&self) -> TokenUsage {
        self.meter.so_far()
    }

    /// What the provider said that the answer used; nothing when it did not say. For the bill of an
    /// answer that cannot be shown, such as an empty one.
    #[must_use]
    pub fn usage_said(&self) -> TokenUsage {
        self.meter.said().unwrap_or_default()
    }

    /// What the head of the reply said.
    #[must_use]
    pub fn head(&self) -> &ReplyHead {
        &self.head
    }
}

impl Stream for ReplyStream {
    type Item = Result<ReplyEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let item = match events.as_mut().poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(item)) => item,
            Poll::Ready(None) => Err(ProviderError::new(ProviderErrorKind::Interrupted)
                .because("the provider's events ended without a finish")),
        };
        if matches!(item, Ok(ReplyEvent::Finish { .. }) | Err(_)) {
            self.events = None;
        }
        Poll::Ready(Some(item))
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("head", &self.head)
            .field("ended", &self.events.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn text(text: &str) -> Result<ReplyEvent, ProviderError> {
        Ok(ReplyEvent::Text(text.to_owned()))
    }

    #[tokio::test]
    async fn nothing_follows_a_finish() {
        let finish = ReplyEvent::Finish {
            reason: StopReason::Stop,
            usage: TokenUsage::default(),
            model: "m".to_owned(),
        };
        let events = stream::iter([text("a"), Ok(finish.clone()), text("b")]);
        let stream = ReplyStream::new(ReplyHead::default(), events);
        let items: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(items, [ReplyEvent::Text("a".to_owned()), finish]);
    }

    #[tokio::test]
    async fn an_end_without_a_finish_is_an_error() {
        let stream = ReplyStream::new(ReplyHead::default(), stream::iter([text("a")]));
        let items: Vec<_> = stream.collect().await;
        let error = items[1].as_ref().unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Interrupted);
        assert_eq!(items.len(), 2);
    }
}
