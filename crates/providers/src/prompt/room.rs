//! How many bytes each part of a prompt may have.

use crate::{CompletionRequest, ProviderConfig};

/// Logs are digits, hashes and names, which tokenizers cut small: a token of them has hardly more
/// bytes than this, while a token of prose has four. Counted exactly, each vendor's vocabulary would
/// cost tens of megabytes of memory.
const BYTES_PER_TOKEN: usize = 2;

/// Of what the window leaves, the evidence may take this many parts of all.
const EVIDENCE_PARTS: (usize, usize) = (5, 8);

/// See the module.
pub(super) struct Room {
    /// The latest messages.
    pub(super) history_bytes: usize,
    /// Those before them, in brief.
    pub(super) earlier_bytes: usize,
    /// What was called, and what it gave.
    pub(super) steps_bytes: usize,
    /// Evidence; a quarter as much for what the asker gives to know.
    pub(super) evidence_bytes: usize,
}

impl Room {
    /// What is configured, or less where the window of the model is smaller than that.
    pub(super) fn in_window(
        request: &CompletionRequest,
        system_bytes: usize,
        config: &ProviderConfig,
    ) -> Self {
        let history = config.max_history_bytes;
        let configured = Self {
            history_bytes: history,
            earlier_bytes: history / 8,
            steps_bytes: usize::MAX,
            evidence_bytes: config.max_evidence_bytes,
        };
        let Some(window) = config.context_tokens else { return configured };
        let output = request.max_output_tokens.unwrap_or(u32::MAX).min(config.max_output_tokens);
        let tokens = window.saturating_sub(u64::from(output));
        let bytes = usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN);
        let tools = request.tools.iter().map(|tool| tool.parameters.as_str().len() + 200);
        let fixed = system_bytes + request.question.len() + tools.sum::<usize>() + FENCES;
        let left = bytes.saturating_sub(fixed);
        let steps = super::steps::bytes(&request.steps).min(left / 2);
        let left = left - steps;
        let (part, of) = EVIDENCE_PARTS;
        // Beside the evidence there may be a quarter as much of background.
        let evidence = (left / of * part / 5 * 4).min(configured.evidence_bytes);
        let history = (left / of).saturating_mul(of - part);
        Self {
            history_bytes: (history / 8 * 7).min(configured.history_bytes),
            earlier_bytes: (history / 8).min(configured.earlier_bytes),
            steps_bytes: steps,
            evidence_bytes: evidence,
        }
    }
}

/// The fences, and the words around what stands between them.
const FENCES: usize = 300;
