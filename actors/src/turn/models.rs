//! An answer from the models, asked through the same race as a program's request.
//!
//! Before the first piece the next target takes over silently; after it the reader is told that the
//! answer starts again. What was streamed until then is billed as what it was.

use std::{sync::Arc, time::Duration};

use callboard_protocol::{ClientError, ErrorCode, FinishReason, RequestId, UsageEndpoint};
use callboard_providers::{CompletionRequest, ReplyEvent, StopReason, TokenUsage};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::{
    Running,
    answer::{Draft, Stop, announce, bounded, instructions, restart},
};
use crate::gateway::{Caller, Flow, GatewayError, Priority, Question, Race, Reply};

/// How a reply ended.
struct End {
    reason: FinishReason,
    usage: TokenUsage,
    /// As the provider names it.
    model: String,
}

/// What a turn has used so far, at all targets together.
#[derive(Default)]
struct Spent {
    usage: TokenUsage,
    cost_usd: f64,
    /// Time spent waiting for providers.
    waited: Duration,
}

impl Spent {
    fn add(&mut self, usage: TokenUsage, flow: &Flow) {
        self.cost_usd += flow.cost_usd(usage);
        self.usage.input += usage.input;
        self.usage.output += usage.output;
    }

    fn draft(self, end: (FinishReason, String), provider: String) -> Draft {
        let (finish_reason, model) = end;
        Draft {
            finish_reason,
            usage: self.usage.into(),
            cost_usd: self.cost_usd,
            provider,
            model,
            cached: false,
            waited: self.waited,
            place: None,
        }
    }
}

/// Asks the targets in order until one has given a whole answer.
pub(super) async fn answer(running: &Running<'_>) -> Result<Draft, ClientError> {
    let mut plan = running.shared.router.plan_turn(running.ask.model.as_deref())?;
    let request = request(running);
    let question = Question::Assistant(&request);
    let caller = caller(running);
    let mut spent = Spent::default();
    let mut last = ClientError::from(ErrorCode::ProviderUnavailable);
    while !plan.targets.is_empty() {
        restart(running, "the provider failed; another one answers");
        let before = Instant::now();
        let race = Race::new(running.shared, &caller, &plan, &question);
        let begun = bounded(running, race.run()).await;
        let Reply { provider, model, mut flow, .. } = match begun {
            Ok(Ok(reply)) => reply,
            Ok(Err(GatewayError { client, .. })) => return Err(client),
            Err(stop) => {
                spent.waited += before.elapsed();
                return stopped(stop, spent, (String::new(), String::new()));
            }
        };
        let read = bounded(running, read(running, &mut flow, &provider, &model)).await;
        spent.waited += before.elapsed();
        match read {
            Ok(Ok(End { reason, usage, model })) => {
                spent.add(usage, &flow);
                return Ok(spent.draft((reason, model), provider));
            }
            Ok(Err(cut)) => {
                if cut.code == ErrorCode::ContentFiltered {
                    return Err(cut);
                }
                last = cut;
                plan.without(&provider, &model);
            }
            Err(stop) => {
                spent.add(flow.usage_so_far(), &flow);
                if matches!(stop, Stop::TimedOut) {
                    flow.time_out();
                }
                return stopped(stop, spent, (provider, model));
            }
        }
    }
    Err(last)
}

/// The end of a turn that was stopped: a cancelled one keeps what it has.
fn stopped(stop: Stop, spent: Spent, who: (String, String)) -> Result<Draft, ClientError> {
    let (provider, model) = who;
    match stop {
        Stop::TimedOut => Err(ErrorCode::Timeout.into()),
        Stop::Cancelled => Ok(spent.draft((FinishReason::Cancelled, model), provider)),
    }
}

fn caller(running: &Running<'_>) -> Caller {
    Caller {
        user: running.log.owner(),
        key: None,
        payer: Arc::clone(running.payer),
        request: RequestId::new(),
        endpoint: UsageEndpoint::Chat,
        turn: Some(running.log.turn_id()),
        task: Some(running.ask.task_type),
        priority: Priority::Interactive,
    }
}

fn request(running: &Running<'_>) -> CompletionRequest {
    CompletionRequest {
        model: None,
        system: instructions(running).to_owned(),
        messages: running.history.clone(),
        question: running.ask.content.clone(),
        context: running.ask.context.clone(),
        evidence: running.evidence.clone(),
        ..CompletionRequest::default()
    }
}

/// Reads a reply into the turn's log.
async fn read(
    running: &Running<'_>,
    flow: &mut Flow,
    provider: &str,
    asked: &str,
) -> Result<End, ClientError> {
    let mut announced = false;
    let mut say_who = |model: &str| {
        if !std::mem::replace(&mut announced, true) {
            announce(running, model, provider, false);
        }
    };
    let mut spoke = false;
    while let Some(event) = flow.next().await {
        match event? {
            ReplyEvent::Text(piece) => {
                say_who(asked);
                spoke = true;
                if running.log.append_text(&piece).is_err() {
                    let (reason, usage) = (FinishReason::Length, flow.usage_so_far());
                    return Ok(End { reason, usage, model: asked.to_owned() });
                }
            }
            // Thoughts are not the answer, and no tools were offered.
            ReplyEvent::Reasoning(_)
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ToolCallArguments { .. } => {}
            ReplyEvent::Finish { reason: StopReason::ToolCalls, .. } if !spoke => break,
            ReplyEvent::Finish { reason, usage, model } => {
                let model = if model.is_empty() { asked.to_owned() } else { model };
                say_who(&model);
                return Ok(End { reason: reason.into(), usage, model });
            }
        }
    }
    // The flow promises a finish or an error; without either nothing is known to be whole.
    Err(ErrorCode::ProviderUnavailable.into())
}
