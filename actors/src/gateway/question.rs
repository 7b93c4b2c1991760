//! What is asked of a target, and by whom: a program's request goes as it stands, and a question of
//! the assistant's becomes a prompt of each provider's own size.

use callboard_logs::Redactor;
use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::{
    ChatRequest, CompletionRequest, ProviderError, ProviderErrorKind, ReplyStream,
};

use super::plan::Target;
use crate::{metrics::Metrics, privacy, provider::Lease};

/// See the module.
pub(crate) enum Question<'a> {
    /// Of a program.
    Program(&'a ChatRequest),
    /// Of a turn of a conversation.
    Assistant(&'a CompletionRequest),
}

impl Question<'_> {
    /// About how many tokens a model reads for it.
    pub(super) fn estimated_tokens(&self) -> u64 {
        match self {
            Self::Program(request) => request.estimated_tokens(),
            Self::Assistant(request) => request.estimated_tokens(),
        }
    }

    /// The longest answer that was asked for.
    pub(super) fn max_output_tokens(&self) -> Option<u32> {
        match self {
            Self::Program(request) => request.max_output_tokens,
            Self::Assistant(request) => request.max_output_tokens,
        }
    }

    /// The model that was named.
    pub(super) fn named(&self) -> &str {
        match self {
            Self::Program(request) => request.model.as_deref().unwrap_or_default(),
            Self::Assistant(request) => request.model.as_deref().unwrap_or_default(),
        }
    }

    /// Asks a target with a lease; what it may not read is taken out before.
    pub(super) async fn ask(
        &self,
        lease: &Lease,
        target: &Target<'_>,
        metrics: &Metrics,
    ) -> Result<(ReplyStream, Option<Redactor>), ProviderError> {
        match self {
            Self::Program(request) => {
                let model = target.model.map(str::to_owned);
                let mut asked = ChatRequest { model, ..(*request).clone() };
                let redactor = privacy::redact(&mut asked, &target.link.config, metrics);
                Ok((lease.client.chat_with_key(asked, lease.key()).await?, redactor))
            }
            Self::Assistant(request) => {
                let offers = target.link.offers_tools();
                let asked = complete((request, offers), lease, target, metrics).await;
                match asked {
                    Err(error)
                        if error.kind == ProviderErrorKind::BadRequest
                            && offers
                            && !request.tools.is_empty() =>
                    {
                        // Perhaps it is the tools; then the same question goes without them.
                        let again = complete((request, false), lease, target, metrics).await?;
                        target.link.load.refuse_tools();
                        Ok(again)
                    }
                    asked => asked,
                }
            }
        }
    }

    /// Whether another target may answer what this one did not. To carry on what a content filter
    /// refused would be to shop for one that lets it pass. A program's malformed request stays
    /// malformed; ours is not the asker's to mend, and another provider may take it.
    pub(super) fn falls_back(&self, error: &ProviderError) -> bool {
        match self {
            Self::Program(_) => program_falls_back(error),
            Self::Assistant(_) => error.falls_back(),
        }
    }

    /// What the asker is told when a target fails.
    pub(super) fn to_client(&self, error: &ProviderError) -> ClientError {
        match self {
            Self::Program(_) => to_program(error),
            Self::Assistant(_) => error.to_client(),
        }
    }
}

/// Asks a question of the assistant's, with its tools or without.
async fn complete(
    (request, with_tools): (&CompletionRequest, bool),
    lease: &Lease,
    target: &Target<'_>,
    metrics: &Metrics,
) -> Result<(ReplyStream, Option<Redactor>), ProviderError> {
    let mut redactor = None;
    let prepare = |chat: &mut ChatRequest| {
        chat.model = target.model.map(str::to_owned);
        if !with_tools {
            chat.leave_tools_out();
        }
        redactor = privacy::redact(chat, &target.link.config, metrics);
    };
    let stream = lease.client.complete_through(request, lease.key(), prepare).await?;
    Ok((stream, redactor))
}

/// What a program is told. A request that the provider refuses is the caller's to mend, and so its
/// words are passed on.
pub(super) fn to_program(error: &ProviderError) -> ClientError {
    let mut client = error.to_client();
    if error.kind == ProviderErrorKind::BadRequest {
        client.code = ErrorCode::BadRequest;
    }
    if matches!(error.kind, ProviderErrorKind::RateLimited { .. }) {
        client.code = ErrorCode::RateLimited;
    }
    client
}

pub(super) fn program_falls_back(error: &ProviderError) -> bool {
    error.falls_back() && error.kind != ProviderErrorKind::BadRequest
}
