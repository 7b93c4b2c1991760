//! A client of a fake provider, and answers read to their end.

use std::time::Duration;

use callboard_protocol::{FinishReason, Usage};
use callboard_providers::{
    Client, CompletionRequest, ProviderConfig, ProviderError, ProviderErrorKind, ReplyEvent,
};
use callboard_testkit::{FakeVendor, PATIENCE, Reply};
use futures_util::StreamExt as _;
use tokio::time::timeout;

/// Limits that no healthy test reaches.
pub(crate) fn config(vendor: &FakeVendor) -> ProviderConfig {
    ProviderConfig {
        name: "fake".to_owned(),
        base_url: Some(vendor.base_url()),
        model: "asked-model".to_owned(),
        first_token_timeout_ms: 30_000,
        idle_timeout_ms: 30_000,
        total_timeout_ms: 60_000,
        ..ProviderConfig::default()
    }
}

pub(crate) fn question() -> CompletionRequest {
    CompletionRequest { question: "what failed?".to_owned(), ..CompletionRequest::default() }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) deltas: Vec<String>,
    pub(crate) end: Result<(FinishReason, Usage, String), ProviderError>,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        self.deltas.concat()
    }

    pub(crate) fn error(&self) -> ProviderErrorKind {
        self.end.as_ref().expect_err("the answer fails").kind
    }

    pub(crate) fn reason(&self) -> FinishReason {
        self.end.as_ref().expect("the answer is whole").0
    }

    pub(crate) fn usage(&self) -> Usage {
        self.end.as_ref().expect("the answer is whole").1
    }

    /// What the log would say of the failure.
    pub(crate) fn cause(&self) -> String {
        let error = self.end.as_ref().expect_err("the answer fails");
        error.cause().unwrap_or_default()
    }
}

/// Asks, and reads the answer to its end.
pub(crate) async fn ask(client: &Client, request: CompletionRequest) -> Outcome {
    let work = async {
        let mut deltas = Vec::new();
        let mut stream = match client.complete(&request).await {
            Ok(stream) => stream,
            Err(error) => return Outcome { deltas, end: Err(error) },
        };
        let end = loop {
            match stream.next().await.expect("a stream ends in a finish or an error") {
                Ok(ReplyEvent::Text(text)) => {
                    assert!(!text.is_empty(), "no delta is empty");
                    deltas.push(text);
                }
                Ok(ReplyEvent::Finish { reason, usage, model }) => {
                    break Ok((reason.into(), usage.into(), model));
                }
                Ok(
                    ReplyEvent::Reasoning(_)
                    | ReplyEvent::ReasoningSignature(_)
                    | ReplyEvent::ToolCallStart { .. }
                    | ReplyEvent::ToolCallArguments { .. },
                ) => {}
                Err(error) => break Err(error),
            }
        };
        assert!(stream.next().await.is_none(), "nothing follows the end");
        Outcome { deltas, end }
    };
    timeout(PATIENCE, work).await.expect("every answer ends")
}

/// Asks a fresh vendor that follows this script.
pub(crate) async fn ask_script(
    script: impl IntoIterator<Item = Reply>,
    bend: impl FnOnce(&mut ProviderConfig),
) -> (Outcome, FakeVendor) {
    let vendor = FakeVendor::start().await;
    vendor.script(script);
    let mut config = config(&vendor);
    bend(&mut config);
    let outcome = ask(&Client::new(&config).expect("the configuration is good"), question()).await;
    (outcome, vendor)
}

/// Asks a fresh vendor for this reply.
pub(crate) async fn ask_reply(reply: Reply) -> Outcome {
    ask_script([reply], |_| {}).await.0
}

/// The text of [`Reply::tokens`].
pub(crate) fn tokens(count: usize) -> String {
    (0..count).map(|index| format!("t{index} ")).collect()
}

/// A limit that is waited out. Long enough that a loaded machine does not reach it by itself.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
