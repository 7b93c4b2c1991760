//! What is asked in a conversation of the server itself, and not of the logs: `/reload`.

use std::time::Duration;

use callboard_entities::queries::audit::{self, AuditEvent};
use callboard_logs::{Reread, SourceNames};
use callboard_protocol::{ClientError, ErrorCode, FinishReason, Permission, Timestamp, Usage};
use serde_json::json;

use super::{Running, answer};
use crate::{jobs, storage::store_failed};

/// Who answers, in place of a provider and a model.
const PROVIDER: &str = "callboard";
const MODEL: &str = "command";

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `/reload`, `/reload /var/log/nginx/*`: reads the lines of these sources, or all, anew.
    Reload { sources: Option<SourceNames> },
}

impl Command {
    /// None for a question.
    ///
    /// # Errors
    /// `invalid_parameter` for a command whose argument cannot be read.
    pub(super) fn of(text: &str) -> Result<Option<Self>, ClientError> {
        let Some(rest) = text.trim().strip_prefix("/reload") else { return Ok(None) };
        let names = rest.trim();
        if names.is_empty() {
            return Ok(Some(Self::Reload { sources: None }));
        }
        // `/reloaded …` is a path, or a question about one.
        if !rest.starts_with(char::is_whitespace) {
            return Ok(None);
        }
        let sources = SourceNames::parse(names).map_err(|problem| {
            let message = format!("{names:?} names no sources: {problem}");
            ClientError::new(ErrorCode::InvalidParameter, message)
        })?;
        Ok(Some(Self::Reload { sources: Some(sources) }))
    }

    /// Does what the asker may ask for, and says so in the answer.
    ///
    /// # Errors
    /// `forbidden`, and what the command itself fails with.
    pub(super) async fn obey(self, running: &Running<'_>) -> Result<answer::Draft, ClientError> {
        if !running.rights.may(Permission::LogsManage) {
            return Err(ErrorCode::Forbidden.into());
        }
        let Self::Reload { sources } = self;
        let (store, by) = (&running.shared.store, running.log.owner());
        let reread = Reread { sources, ..Reread::default() };
        let job = jobs::reindex::enqueue(store, Some(by), Some(reread)).await?;
        let event = AuditEvent {
            actor: Some(by),
            actor_name: Some(running.payer.username().to_owned()),
            action: "logs.reload".to_owned(),
            object: Some(job.id.to_string()),
            address: None,
            request_id: None,
            details: json!({ "turn_id": running.log.turn_id() }),
            at: Timestamp::now(),
        };
        if let Err(error) = audit::append(store, &event).await {
            store_failed("write the audit trail", &error);
        }
        answer::announce(running, MODEL, PROVIDER, false);
        let text = format!(
            "I {}, as job `{}`. Until that is done the index is read as it was.\n",
            job.title, job.id
        );
        // It is far shorter than any bound.
        drop(running.log.append_text(&text));
        Ok(answer::Draft {
            finish_reason: FinishReason::Stop,
            usage: Usage::default(),
            cost_usd: 0.0,
            provider: PROVIDER.to_owned(),
            model: MODEL.to_owned(),
            cached: false,
            waited: Duration::ZERO,
            lines: Vec::new(),
            place: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_from_a_question() {
        let of = |names: &str| SourceNames::parse(names).unwrap();
        let command = |text| Command::of(text).unwrap();
        assert_eq!(command(" /reload\n"), Some(Command::Reload { sources: None }));
        let sources = Some(of("/var/log/*"));
        assert_eq!(command("/reload  /var/log/*"), Some(Command::Reload { sources }));
        for question in ["reload", "why /reload?", "/reloaded", "/var/log/x: what failed?"] {
            assert_eq!(command(question), None, "{question}");
        }
        assert_eq!(Command::of("/reload [a").unwrap_err().code, ErrorCode::InvalidParameter);
    }
}
