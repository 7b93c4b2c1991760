//! An answer from the models, asked through the same race as a program's request.
//!
//! Before the first piece the next target takes over silently; after it the reader is told that the
//! answer starts again. What was streamed until then is billed as what it was.

use std::{sync::Arc, time::Duration};

use callboard_protocol::{ClientError, ErrorCode, FinishReason, RequestId, UsageEndpoint};
use callboard_providers::{
    CompletionRequest, Message, Part, ReplyEvent, Role, TokenUsage, ToolCall, ToolChoice,
};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::{
    Running,
    answer::{Draft, Stop, announce, bounded, instructions, restart},
    said::{Said, mend},
    tools::{self, Calls},
};
use crate::gateway::{Begun, Caller, Flow, GatewayError, Priority, Question, Race, Shape};

/// How a reply ended.
struct End {
    reason: FinishReason,
    usage: TokenUsage,
    /// As the provider names it.
    model: String,
    /// What it said and thought, and what it wants to call, as a message of the conversation.
    said: Vec<Part>,
}

impl End {
    fn calls(&self) -> Vec<ToolCall> {
        let calls = self.said.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call.clone()),
            Part::Text { .. }
            | Part::Image { .. }
            | Part::Reasoning { .. }
            | Part::ToolResult { .. } => None,
        });
        calls.collect()
    }
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
            lines: Vec::new(),
            place: None,
        }
    }
}

/// Asks the targets in order until one has given a whole answer; runs the tools that it calls.
pub(super) async fn answer(running: &Running<'_>) -> Result<Draft, ClientError> {
    let mut turn = Turn::new(running);
    let router = running.shared.routing.now();
    let prompt_tokens = turn.request.estimated_tokens();
    let shape = Shape { prompt_tokens, task: running.ask.task_type.as_str() };
    let mut plan = router.plan_turn(running.ask.model.as_deref(), &shape)?;
    let mut last = ClientError::from(ErrorCode::ProviderUnavailable);
    while !plan.targets.is_empty() {
        let before = Instant::now();
        let question = Question::Assistant(&turn.request);
        let race = Race::new(running.shared, &turn.caller, &plan, &question);
        let begun = bounded(running, race.run()).await;
        let Begun { provider, model, mut flow, .. } = match begun {
            Ok(Ok(reply)) => reply,
            Ok(Err(GatewayError { client, .. })) => return Err(client),
            Err(stop) => {
                turn.spent.waited += before.elapsed();
                return turn.stopped(stop, (String::new(), String::new()));
            }
        };
        let read = bounded(running, read(running, &mut flow, &provider, &model)).await;
        turn.spent.waited += before.elapsed();
        match read {
            Ok(Ok(end)) => {
                turn.spent.add(end.usage, &flow);
                drop(flow);
                let calls = end.calls();
                let is_last = turn.request.tool_choice == ToolChoice::None;
                if calls.is_empty() || (is_last && !running.log.answer_text().is_empty()) {
                    return Ok(turn.draft((end.reason, end.model), provider));
                }
                if is_last {
                    // It calls what it may not, and says nothing.
                    plan.without(&provider, &model);
                } else if let Err(stop) =
                    bounded(running, turn.call(running, end.said, &calls)).await
                {
                    return turn.stopped(stop, (provider, model));
                }
            }
            Ok(Err(cut)) => {
                if cut.code == ErrorCode::ContentFiltered {
                    return Err(cut);
                }
                last = cut;
                plan.without(&provider, &model);
                if !plan.targets.is_empty() {
                    restart(running, "the provider failed; another one answers");
                }
            }
            Err(stop) => {
                turn.spent.add(flow.usage_so_far(), &flow);
                if matches!(stop, Stop::TimedOut) {
                    flow.time_out();
                }
                return turn.stopped(stop, (provider, model));
            }
        }
    }
    Err(last)
}

/// A turn on its way from reply to reply.
struct Turn {
    caller: Caller,
    request: CompletionRequest,
    spent: Spent,
    calls: Calls,
    /// Replies whose calls were run.
    steps: u32,
}

impl Turn {
    fn new(running: &Running<'_>) -> Self {
        Self {
            caller: caller(running),
            request: request(running),
            spent: Spent::default(),
            calls: Calls::default(),
            steps: 0,
        }
    }

    /// Runs what a reply calls, and puts both into the conversation. At the end of its steps or
    /// tokens the model must answer with what it has.
    async fn call(&mut self, running: &Running<'_>, mut said: Vec<Part>, calls: &[ToolCall]) {
        let results = self.calls.run(running, calls).await;
        said.iter_mut().for_each(mend);
        self.request.steps.push(Message { role: Role::Assistant, content: said });
        self.request.steps.push(results);
        self.steps += 1;
        let chat = &running.shared.chat;
        let used = self.spent.usage.input + self.spent.usage.output;
        if self.steps >= chat.max_steps || used >= chat.max_turn_tokens {
            self.request.tool_choice = ToolChoice::None;
        }
    }

    fn draft(self, end: (FinishReason, String), provider: String) -> Draft {
        Draft { lines: self.calls.lines, ..self.spent.draft(end, provider) }
    }

    /// The end of a turn that was stopped: a cancelled one keeps what it has.
    fn stopped(self, stop: Stop, who: (String, String)) -> Result<Draft, ClientError> {
        let (provider, model) = who;
        match stop {
            Stop::TimedOut => Err(ErrorCode::Timeout.into()),
            Stop::Cancelled => Ok(self.draft((FinishReason::Cancelled, model), provider)),
        }
    }
}

/// Whoever asked the question, as one who calls a model.
pub(super) fn caller(running: &Running<'_>) -> Caller {
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
        tools: if running.shared.chat.max_steps > 0 { tools::specs() } else { Vec::new() },
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
    // What it said before it called a tool stands apart from what it says after.
    let mut apart = !running.log.answer_text().is_empty();
    let mut said = Said::default();
    while let Some(event) = flow.next().await {
        let event = event?;
        if let ReplyEvent::Text(piece) = &event {
            say_who(asked);
            let between = if std::mem::take(&mut apart) { "\n\n" } else { "" };
            let fits = |text: &str| text.is_empty() || running.log.append_text(text).is_ok();
            if !fits(between) || !fits(piece) {
                let (reason, usage) = (FinishReason::Length, flow.usage_so_far());
                return Ok(End { reason, usage, model: asked.to_owned(), said: Vec::new() });
            }
        }
        said.push(&event);
        if let ReplyEvent::Finish { reason, usage, model } = event {
            let model = if model.is_empty() { asked.to_owned() } else { model };
            say_who(&model);
            return Ok(End { reason: reason.into(), usage, model, said: said.parts });
        }
    }
    // The flow promises a finish or an error; without either nothing is known to be whole.
    Err(ErrorCode::ProviderUnavailable.into())
}
