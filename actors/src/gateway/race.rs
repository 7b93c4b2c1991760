//! From target to target until one answers; a late first token lets the next one run beside it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::ProviderErrorKind;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Attempt, Begun, Caller, Flow, GatewayError, Ordered, Plan, Question,
    attempt::{self, Asked, Failed, made},
    plan::Target,
};
use crate::system::Shared;

/// One request's way through its targets.
pub(crate) struct Race<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
    plan: &'a Plan<'a>,
    question: &'a Question<'a>,
    ordered: Arc<Ordered>,
    attempts: Vec<Attempt>,
    last: ClientError,
    /// A target took the request, and its answer broke off.
    cut: Option<ClientError>,
}

/// How one pass over the targets ended.
enum Pass<'a> {
    Answering(Target<'a>, Box<Flow>),
    /// No other target may be asked.
    Over,
    /// All were asked; if they are all out, in what time the first recovers.
    Exhausted(Option<Duration>),
}

/// Those of a pass that are being asked, and those that wait.
struct Heat<'a> {
    waiting: VecDeque<Target<'a>>,
    running: FuturesUnordered<BoxFuture<'a, Ended>>,
    /// In the order of their start; an attempt's place is its number.
    started: Vec<Runner<'a>>,
}

struct Runner<'a> {
    target: Target<'a>,
    since: Instant,
    running: bool,
    /// Set when another one has won.
    lost: Arc<AtomicBool>,
}

/// The number of an attempt, and what became of it.
type Ended = (usize, Result<Flow, Failed>);

impl<'a> Race<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        caller: &'a Caller,
        plan: &'a Plan<'a>,
        question: &'a Question<'a>,
    ) -> Self {
        let last = ErrorCode::ProviderUnavailable.into();
        let ordered = Arc::new(Ordered {
            alias: question.named().into(),
            prompt_tokens: question.estimated_tokens(),
            max_output_tokens: question.max_output_tokens(),
        });
        Self { shared, caller, plan, question, ordered, attempts: Vec::new(), last, cut: None }
    }

    /// The answer of the first target that gives one. When the breakers of all are open, it waits
    /// for the one that recovers first, as long as patience lasts, instead of failing at once.
    pub(crate) async fn run(mut self) -> Result<Begun, GatewayError> {
        let give_up = Instant::now() + self.shared.gateway.patience();
        loop {
            match self.pass().await {
                Pass::Answering(target, flow) => {
                    return Ok(Begun {
                        provider: target.link.config.name.clone(),
                        model: target.model_name().to_owned(),
                        attempts: self.attempts,
                        flow: *flow,
                    });
                }
                Pass::Exhausted(Some(wait)) if Instant::now() + wait < give_up => {
                    // Not all who wait come at once.
                    sleep(wait + Duration::from_millis(rand::random_range(1..20))).await;
                }
                Pass::Over | Pass::Exhausted(_) => {
                    return Err(GatewayError { client: self.last, attempts: self.attempts });
                }
            }
        }
    }

    /// Asks each target once.
    async fn pass(&mut self) -> Pass<'a> {
        let mut heat = Heat::new(self.plan);
        let (mut all_out, mut recovers_in) = (true, None::<Duration>);
        heat.start_next(self);
        loop {
            let Some((number, ended)) = heat.step(self.plan.hedge_after).await else {
                heat.start_next(self);
                continue;
            };
            let failed = match ended {
                Ok(flow) => {
                    self.attempts.extend(heat.won_by(number));
                    return Pass::Answering(heat.started[number].target, Box::new(flow));
                }
                Err(failed) => failed,
            };
            let Runner { target, since, .. } = &heat.started[number];
            let reason = failed.client.message.clone();
            self.attempts.push(made(target, failed.outcome, reason, *since));
            if failed.outcome == ProviderErrorKind::Interrupted.as_str() {
                self.cut = Some(failed.client.clone());
            }
            self.last = unless_taken(self.cut.as_ref(), failed.client);
            if !failed.falls_back {
                return Pass::Over;
            }
            all_out &= failed.recovers_in.is_some();
            recovers_in = match (recovers_in, failed.recovers_in) {
                (Some(known), Some(other)) => Some(known.min(other)),
                (known, other) => known.or(other),
            };
            if heat.running.is_empty() && !heat.start_next(self) {
                return Pass::Exhausted(recovers_in.filter(|_| all_out));
            }
        }
    }
}

/// The error to tell: that another target calls the request wrong says little when one has taken it,
/// and broke off.
pub(super) fn unless_taken(cut: Option<&ClientError>, error: ClientError) -> ClientError {
    let blames = matches!(error.code, ErrorCode::BadRequest | ErrorCode::ContextTooLong);
    cut.filter(|_| blames).cloned().unwrap_or(error)
}

impl<'a> Heat<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        let waiting = plan.targets.iter().copied().collect();
        Self { waiting, running: FuturesUnordered::new(), started: Vec::new() }
    }

    /// Asks the next target beside those that run; false when there is none.
    fn start_next(&mut self, race: &Race<'a>) -> bool {
        let Some(target) = self.waiting.pop_front() else { return false };
        let (shared, caller, question) = (race.shared, race.caller, race.question);
        let ordered = Arc::clone(&race.ordered);
        let lost = Arc::new(AtomicBool::new(false));
        let number = self.started.len();
        self.started.push(Runner {
            target,
            since: Instant::now(),
            running: true,
            lost: Arc::clone(&lost),
        });
        let asked = async move {
            let asked = Asked { shared, caller, target, ordered: &ordered };
            (number, attempt::chat(asked, question, lost).await)
        };
        self.running.push(asked.boxed());
        true
    }

    /// The next attempt to end; none when it is time to let another one run beside them.
    async fn step(&mut self, hedge_after: Option<Duration>) -> Option<Ended> {
        let latest = self.started.last().map(|runner| runner.since);
        // The built-in provider would always win, with less of an answer.
        let has_next = self.waiting.front().is_some_and(|next| !next.is_builtin());
        let hedge_at = latest.zip(hedge_after).filter(|_| has_next);
        let ended = match hedge_at {
            Some((latest, after)) => {
                timeout_at(latest + after, self.running.next()).await.ok().flatten()
            }
            None => self.running.next().await,
        };
        ended.inspect(|(number, _)| self.started[*number].running = false)
    }

    /// The records of an attempt that won and of those that lost to it.
    fn won_by(&self, winner: usize) -> Vec<Attempt> {
        let losers = self.started.iter().filter(|runner| runner.running);
        let lost = losers.map(|Runner { target, since, lost, .. }| {
            lost.store(true, Ordering::Release);
            made(target, "hedge_lost", "Another target answered sooner.".to_owned(), *since)
        });
        let Runner { target, since, .. } = &self.started[winner];
        lost.chain([made(target, "answering", String::new(), *since)]).collect()
    }
}
