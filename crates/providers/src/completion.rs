//! What is asked of a provider and what comes back. `actors::turn` builds the one and reads the
//! other.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use callboard_protocol::{Author, Evidence, FinishReason, Usage};
use futures_util::{Stream, stream::BoxStream};

use crate::{ProviderError, ProviderErrorKind};

/// An earlier message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who wrote it.
    pub role: Author,
    /// What it says.
    pub content: String,
}

/// A question with all that is needed to answer it.
#[derive(Clone, Debug, Default)]
pub struct CompletionRequest {
    /// The model to ask; the configured one when absent.
    pub model: Option<String>,
    /// The manner of the assistant: the instructions of its mode (see [`Mode`](crate::Mode)).
    pub system: String,
    /// The conversation so far, oldest first, without the question.
    pub messages: Vec<ChatMessage>,
    /// The question.
    pub question: String,
    /// More for the assistant to know, such as a runbook; it is treated as data.
    pub context: Option<String>,
    /// What the log engine found for the question.
    pub evidence: Option<Arc<Evidence>>,
    /// The longest answer, in tokens; never more than is configured.
    pub max_output_tokens: Option<u32>,
}

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// More text; never empty.
    Delta(String),
    /// The answer is whole. Always last.
    Finish {
        /// Why it ended.
        reason: FinishReason,
        /// What it used: as the provider counts, or estimated when it does not say.
        usage: Usage,
        /// The model that answered, as the provider names it.
        model: String,
    },
}

/// An answer as it comes. The last item is a [`StreamEvent::Finish`] or an error, exactly once,
/// and nothing follows it; dropping the stream closes the connection, which stops the provider.
pub struct CompletionStream {
    events: Option<BoxStream<'static, Result<StreamEvent, ProviderError>>>,
}

impl CompletionStream {
    /// Wraps the events of a provider and holds them to the rule above.
    pub fn new(
        events: impl Stream<Item = Result<StreamEvent, ProviderError>> + Send + 'static,
    ) -> Self {
        Self { events: Some(Box::pin(events)) }
    }
}

impl Stream for CompletionStream {
    type Item = Result<StreamEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let item = match events.as_mut().poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(item)) => item,
            Poll::Ready(None) => Err(ProviderError::new(ProviderErrorKind::Interrupted)
                .because("the provider's events ended without a finish")),
        };
        if !matches!(item, Ok(StreamEvent::Delta(_))) {
            self.events = None;
        }
        Poll::Ready(Some(item))
    }
}

impl fmt::Debug for CompletionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionStream").field("ended", &self.events.is_none()).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn delta(text: &str) -> Result<StreamEvent, ProviderError> {
        Ok(StreamEvent::Delta(text.to_owned()))
    }

    fn finish() -> Result<StreamEvent, ProviderError> {
        Ok(StreamEvent::Finish {
            reason: FinishReason::Stop,
            usage: Usage::default(),
            model: "m".to_owned(),
        })
    }

    #[tokio::test]
    async fn nothing_follows_a_finish() {
        let stream = CompletionStream::new(stream::iter([delta("a"), finish(), delta("b")]));
        let items: Vec<_> = stream.collect().await;
        assert_eq!(items.len(), 2);
        assert!(matches!(items[1], Ok(StreamEvent::Finish { .. })));
    }

    #[tokio::test]
    async fn an_end_without_a_finish_is_an_error() {
        let items: Vec<_> = CompletionStream::new(stream::iter([delta("a")])).collect().await;
        let error = items[1].as_ref().unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Interrupted);
        assert_eq!(items.len(), 2);
    }
}
