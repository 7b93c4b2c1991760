//! What one call used and cost, counted on every path: dropped without an end it was cancelled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard_protocol::{CallId, CallStatus, CallTokens, Timestamp};
use callboard_providers::{ProviderConfig, ProviderError, TokenUsage, cost_of};
use tokio::time::Instant;

use super::{
    Caller,
    books::{CallBooks, Counted},
    plan::Target,
};
use crate::{
    budget::{Exceeded, Reservation},
    ledger::{Call, LedgerRefused, OpenCall, Outcome},
    metrics::Metrics,
    router::Load,
    system::Shared,
};

/// See the module.
pub(crate) struct Meter {
    metrics: Metrics,
    config: Arc<ProviderConfig>,
    load: Arc<Load>,
    model: Arc<str>,
    books: Arc<CallBooks>,
    /// A turn notes the time to its first piece itself: it begins with the question.
    of_turn: bool,
    started: Instant,
    /// What the model reads, by our own guess, for a call whose provider never says.
    prompt_tokens: u64,
    first_token: Option<Duration>,
    /// Set when another attempt of the same request has won.
    lost: Arc<AtomicBool>,
    /// In the ledger, until it is closed.
    open: Option<OpenCall>,
    /// What is set aside for it in the budgets of its caller.
    reserved: Reserved,
}

/// Why a call cannot be made.
pub(super) enum Unmetered {
    Ledger(LedgerRefused),
    Budget(Exceeded),
}

/// What is asked for, as far as the bill needs to know.
pub(crate) struct Ordered {
    /// The model that the caller named.
    pub(crate) alias: Arc<str>,
    /// What it reads, by our own guess.
    pub(crate) prompt_tokens: u64,
    /// The longest answer that was asked for, in tokens.
    pub(crate) max_output_tokens: Option<u32>,
}

/// What an answer is taken to be long, in tokens, before it is there, unless a shorter one was asked
/// for.
const TYPICAL_OUTPUT: u64 = 500;

/// Dollars in micro-dollars.
fn micro_usd(usd: f64) -> u64 {
    // A float to an integer saturates, and is zero for what is not a number.
    (usd * 1e6).round() as u64
}

/// The ledger's words for it.
fn call_tokens(usage: TokenUsage) -> CallTokens {
    CallTokens {
        input: usage.input,
        output: usage.output,
        cached_input: usage.cached_input,
        cache_write: usage.cache_write,
        reasoning: usage.reasoning,
    }
}

impl Meter {
    /// Opens the call in the ledger; the provider must not be asked without it.
    pub(super) fn start(
        shared: &Shared,
        caller: &Caller,
        target: &Target<'_>,
        ordered: &Ordered,
        lost: Arc<AtomicBool>,
    ) -> Result<Self, Unmetered> {
        let link = target.link;
        let model: Arc<str> = target.model_name().into();
        let prompt_tokens = ordered.prompt_tokens;
        let read = TokenUsage { input: prompt_tokens, estimated: true, ..TokenUsage::default() };
        let reserved = reserve(shared, caller, target, (read, ordered))?;
        let open = shared.ledger.open(Call {
            id: CallId::new(),
            request_id: caller.request,
            started_at: Timestamp::now(),
            user_id: caller.user,
            api_key_id: caller.key,
            turn_id: caller.turn,
            endpoint: caller.endpoint,
            alias: Arc::clone(&ordered.alias),
            provider: link.config.name.as_str().into(),
            model: Arc::clone(&model),
            estimated_input_tokens: prompt_tokens,
            estimated_cost_micro_usd: micro_usd(cost_of(read, &model, &link.config)),
        });
        let open = open.map_err(Unmetered::Ledger)?;
        Ok(Self {
            metrics: shared.metrics.clone(),
            config: Arc::clone(&link.config),
            load: Arc::clone(&link.load),
            model,
            books: link.books.of(
                (link.config.kind.as_str(), target.label()),
                caller.task_type(),
                &shared.metrics,
            ),
            of_turn: caller.turn.is_some(),
            started: Instant::now(),
            prompt_tokens,
            first_token: None,
            lost,
            open: Some(open),
            reserved,
        })
    }

    /// More of the answer has come.
    pub(crate) fn wrote(&mut self) {
        if self.first_token.is_none() {
            let took = self.started.elapsed();
            self.first_token = Some(took);
            self.load.first_token(took);
            if !self.of_turn {
                self.metrics.ttft.observe(took.as_secs_f64());
            }
            if let Some(open) = &mut self.open {
                open.first_token();
            }
        }
    }

    /// What `usage` costs, in US dollars.
    pub(crate) fn cost_usd(&self, usage: TokenUsage) -> f64 {
        cost_of(usage, &self.model, &self.config)
    }

    /// The answer is whole.
    pub(crate) fn answered(&mut self, usage: TokenUsage) {
        self.settle(CallStatus::Answered, None, usage);
    }

    /// It failed, before its beginning or after it.
    pub(crate) fn failed(&mut self, error: &ProviderError, usage: TokenUsage) {
        self.settle(CallStatus::Failed, Some(error.kind.as_str()), usage);
    }

    /// Its reader has left.
    pub(crate) fn cancelled(&mut self, usage: TokenUsage) {
        self.settle(CallStatus::Cancelled, None, usage);
    }

    fn settle(&mut self, status: CallStatus, error: Option<&'static str>, usage: TokenUsage) {
        let Some(open) = self.open.take() else { return };
        let cost_usd = cost_of(usage, &self.model, &self.config);
        self.books.count(&Counted {
            status,
            error,
            usage,
            took: self.started.elapsed(),
            first_token: self.first_token,
            cost_usd,
        });
        let cost_micro_usd = micro_usd(cost_usd);
        let Reserved { money, tokens } = std::mem::take(&mut self.reserved);
        if let Some(money) = money {
            money.settle(cost_micro_usd);
        }
        if let Some(tokens) = tokens {
            tokens.settle(usage.input.saturating_add(usage.output));
        }
        open.close(Outcome {
            status,
            error: error.map(Into::into),
            tokens: call_tokens(usage),
            estimated: usage.estimated,
            cost_micro_usd,
        });
    }
}

/// What is set aside for a call: money, unless it is free, and tokens, where somebody is limited.
#[derive(Default)]
struct Reserved {
    money: Option<Reservation>,
    tokens: Option<Reservation>,
}

/// Sets aside what a call will probably use, and cost at its target's prices.
fn reserve(
    shared: &Shared,
    caller: &Caller,
    target: &Target<'_>,
    (read, ordered): (TokenUsage, &Ordered),
) -> Result<Reserved, Unmetered> {
    let longest = u64::from(ordered.max_output_tokens.unwrap_or(u32::MAX));
    let usage = TokenUsage { output: longest.min(TYPICAL_OUTPUT), ..read };
    let cost = cost_of(usage, target.model_name(), &target.link.config);
    let spender = (caller.user, &*caller.payer);
    let money = (cost > 0.0).then(|| {
        shared.budgets.reserve_for(spender, micro_usd(cost).max(1)).map_err(Unmetered::Budget)
    });
    let tokens = shared.quotas.limits_any().then(|| {
        let estimate = usage.input.saturating_add(usage.output);
        shared.quotas.reserve_for(spender, estimate).map_err(Unmetered::Budget)
    });
    Ok(Reserved { money: money.transpose()?, tokens: tokens.transpose()? })
}

impl Drop for Meter {
    fn drop(&mut self) {
        let lost = self.lost.load(Ordering::Acquire);
        let status = if lost { CallStatus::HedgeLost } else { CallStatus::Cancelled };
        // Nobody has seen a token of it, and its prompt was sent: it is counted as read.
        let input = self.prompt_tokens;
        let usage = TokenUsage { input, estimated: true, ..TokenUsage::default() };
        self.settle(status, None, usage);
    }
}
