//! The orchestrator: what happens between a question and its answer, as plain functions.
//!
//! [`submit`] makes the question durable, [`spawn`] runs the turn: retrieve evidence, ask the
//! cache, acquire a provider, stream, persist, fill the cache. A turn runs outside every actor, on
//! the shared runtime, and nobody's disconnect stops it; `cancel` does, and so does its deadline.
//! However it ends, also by a panic, its log ends, its message gets a final state, and its
//! conversation is told.

mod answer;
mod command;
mod embedder;
mod evidence;
mod models;
mod orphan;
mod said;
mod tools;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use callboard_entities::{
    StoreError,
    queries::messages::{self, BegunTurn, FinishedAnswer, NewTurn, Place},
};
use callboard_protocol::{
    Answer, Ask, Author, ClientError, ClientMessageId, ConversationId, ErrorCode, Evidence,
    FinishReason, Message, MessageStatus, Timestamp, Usage, UserId,
};
use callboard_providers::{ChatMessage, cite, suggestions};
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, error, info, info_span, warn};

use crate::{
    budget::Payer,
    conversation::{Conversation, TurnEnded},
    keeper::panic_text,
    mailbox::Mailbox,
    rights::Rights,
    storage::{STORE_RETRIES, store_failed},
    system::Shared,
    turn_log::{TurnEvent, TurnLog},
};
use answer::Draft;
use command::Command;
pub(crate) use orphan::{Unbegun, end_orphan};
pub(crate) use tools::in_engine;

/// The longest title made from a question, in characters.
const TITLE_CHARS: usize = 80;

/// A question on its way to the database.
pub(crate) struct Submission {
    pub(crate) user: UserId,
    pub(crate) id: ConversationId,
    /// Whether the conversation is to be made with it.
    pub(crate) new: bool,
    pub(crate) ask: Ask,
    /// Whether the conversation has room for another turn.
    pub(crate) room: bool,
}

/// A turn that is about to run.
pub(crate) struct TurnJob {
    pub(crate) ask: Ask,
    pub(crate) log: Arc<TurnLog>,
    /// What the asker may do, and which logs they may see.
    pub(crate) rights: Arc<Rights>,
    /// Whose budgets it counts to.
    pub(crate) payer: Arc<Payer>,
    /// From the arrival of the question until the turn was ready to run.
    pub(crate) prepared_in: Duration,
}

/// What a question must be before it is worth a transaction.
pub(crate) fn check(shared: &Shared, ask: &Ask) -> Result<(), ClientError> {
    if ask.content.trim().is_empty() {
        let message = "the question is empty";
        return Err(ClientError::new(ErrorCode::ValidationFailed, message));
    }
    let most = shared.chat.max_message_bytes;
    let context = ask.context.as_deref().map_or(0, str::len);
    if ask.content.len() > most || context > most {
        let message = format!("the question, and its context, may have {most} bytes each");
        return Err(ClientError::new(ErrorCode::PayloadTooLarge, message));
    }
    if ask.mode.as_ref().is_some_and(|mode| !shared.chat.modes.contains_key(mode)) {
        return Err(ErrorCode::UnknownMode.into());
    }
    ask.model.as_deref().map_or(Ok(()), |model| shared.routing.now().check(model))
}

/// Makes a question durable, with the place of its answer. Submitting it again changes nothing.
pub(crate) async fn submit(
    shared: &Shared,
    submission: Submission,
) -> Result<BegunTurn, ClientError> {
    let ask = &submission.ask;
    let client_message_id = ask.client_message_id.clone();
    let id = submission.id;
    let place = if submission.new { Place::Opens(id) } else { Place::In(id) };
    let new = NewTurn {
        user: submission.user,
        place,
        client_message_id: client_message_id.unwrap_or_else(ClientMessageId::random),
        content: ask.content.clone(),
        title: title(&ask.content),
        room: submission.room,
        now: Timestamp::now(),
    };
    messages::begin_turn(&shared.store, &new).await.map_err(|error| {
        store_failed("begin a turn", &error);
        error.client()
    })
}

/// The first line of a question, cut at a word.
fn title(question: &str) -> String {
    let line = question.trim().lines().next().unwrap_or_default().trim();
    if line.chars().count() <= TITLE_CHARS {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_CHARS).collect();
    let end = cut.rfind(char::is_whitespace).unwrap_or(cut.len());
    format!("{}…", cut[..end].trim_end())
}

/// Starts a turn. `conversation` is told when it ends; the address is the turn's own clone and has
/// a place in the mailbox of its own.
pub(crate) fn spawn(shared: Arc<Shared>, job: TurnJob, conversation: Mailbox<Conversation>) {
    let span = info_span!("turn", turn_id = %job.log.turn_id());
    let runtime = shared.runtime.clone();
    let tracker = shared.tracker.clone();
    let turn = async move {
        let log = Arc::clone(&job.log);
        let ran = AssertUnwindSafe(run(&shared, &job)).catch_unwind().await;
        if let Err(panic) = ran {
            error!(panic = panic_text(&*panic), "a turn panicked");
            fail(&shared, &log, ErrorCode::Internal.into()).await;
        }
        shared.turns.ended(log.turn_id());
        if conversation.try_send(TurnEnded(log.turn_id())).is_err() {
            info!("a turn ended after its conversation");
        }
    };
    tracker.spawn_on(turn.instrument(span), &runtime);
}

/// Ends a turn that will not run.
pub(crate) fn abandon(shared: Arc<Shared>, log: &Arc<TurnLog>) {
    let log = Arc::clone(log);
    let (tracker, runtime) = (shared.tracker.clone(), shared.runtime.clone());
    let ended = async move {
        fail(&shared, &log, ErrorCode::Internal.into()).await;
        shared.turns.ended(log.turn_id());
    };
    tracker.spawn_on(ended, &runtime);
}

/// All that a running turn works with.
struct Running<'a> {
    shared: &'a Arc<Shared>,
    ask: &'a Ask,
    log: &'a Arc<TurnLog>,
    rights: &'a Arc<Rights>,
    payer: &'a Arc<Payer>,
    started: Instant,
    deadline: Instant,
    prepared_in: Duration,
    history: Vec<ChatMessage>,
    evidence: Option<Arc<Evidence>>,
}

async fn run(shared: &Arc<Shared>, job: &TurnJob) {
    let started = Instant::now();
    let mut running = Running {
        shared,
        ask: &job.ask,
        log: &job.log,
        rights: &job.rights,
        payer: &job.payer,
        started,
        deadline: started + Duration::from_secs(shared.chat.turn_timeout_s),
        prepared_in: job.prepared_in,
        history: history(shared, &job.log).await,
        evidence: None,
    };
    match answer(&mut running).await {
        Ok(draft) => finish(&running, draft).await,
        Err(error) => fail(shared, &job.log, error).await,
    }
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(elapsed_ms, "turn ended");
}

async fn answer(running: &mut Running<'_>) -> Result<Draft, ClientError> {
    if let Some(command) = Command::of(&running.ask.content)? {
        return command.obey(running).await;
    }
    running.evidence = evidence::retrieve(running).await;
    answer::obtain(running).await
}

/// The conversation so far, without this turn. A turn can do without it.
async fn history(shared: &Shared, log: &TurnLog) -> Vec<ChatMessage> {
    // Those of this turn, and of the turns that wait behind it, stand after what counts.
    let behind = u32::try_from(shared.chat.max_waiting_turns).unwrap_or(u32::MAX);
    let behind = behind.saturating_add(1).saturating_mul(2);
    let most = shared.chat.history_messages.saturating_add(behind);
    let recent = messages::recent(&shared.store, log.conversation_id(), most).await;
    let messages = recent.unwrap_or_else(|error| {
        store_failed("read the history", &error);
        Vec::new()
    });
    let before = |message: &Message| message.turn_id != log.turn_id();
    let whole = |message: &Message| {
        !message.content.is_empty()
            && match message.author {
                Author::User => true,
                Author::Assistant => message.status == MessageStatus::Complete,
            }
    };
    let mut whole: Vec<Message> = messages.into_iter().take_while(before).filter(whole).collect();
    let most = shared.chat.history_messages as usize;
    whole.drain(..whole.len().saturating_sub(most));
    let of = |message: Message| ChatMessage { role: message.author, content: message.content };
    whole.into_iter().map(of).collect()
}

/// Ends a turn with its answer: cites, stores, fills the cache, announces.
async fn finish(running: &Running<'_>, draft: Draft) {
    let Running { shared, log, .. } = *running;
    let evidence = running.evidence.as_deref();
    let response = log.answer_text();
    let found = evidence.map_or(&[][..], |evidence| &evidence.lines);
    let cited = cite(&response, found.iter().chain(&draft.lines));
    observe_quality(shared, cited.citations.len(), cited.unsupported.len());
    log.append(TurnEvent::TextEnded {
        finish_reason: draft.finish_reason,
        usage: draft.usage,
        cost_usd: draft.cost_usd,
    });
    let answer = Answer {
        conversation_id: log.conversation_id(),
        turn_id: log.turn_id(),
        message_id: log.message_id(),
        response,
        citations: cited.citations,
        suggestions: evidence.map(suggestions).unwrap_or_default(),
        finish_reason: draft.finish_reason,
        usage: draft.usage,
        cost_usd: draft.cost_usd,
        provider: draft.provider.clone(),
        model: draft.model.clone(),
        cached: draft.cached,
    };
    if !store_answer(shared, log, stored_answer(running, &answer)).await {
        // Whoever joined this turn asks anew, and must not find it still in flight.
        drop(draft);
        log.append(TurnEvent::Failed(ErrorCode::StorageUnavailable.into()));
        return;
    }
    // The wait behind another turn of the conversation is not in it: that is the other's time.
    let own = running.prepared_in + running.started.elapsed();
    let overhead = own.saturating_sub(draft.waited);
    shared.metrics.turn_overhead.observe(overhead.as_secs_f64());
    answer::keep(running, draft, &answer).await;
    log.append(TurnEvent::Answered(Box::new(answer)));
}

/// The share of an answer's citations that its evidence holds; an answer without any says nothing.
fn observe_quality(shared: &Shared, supported: usize, unsupported: usize) {
    if unsupported > 0 {
        warn!(supported, unsupported, "an answer cites lines that are not in its evidence");
    }
    let all = supported + unsupported;
    if all > 0 {
        #[expect(clippy::cast_precision_loss, reason = "citations are few")]
        shared.metrics.ai_quality.observe(supported as f64 / all as f64);
    }
}

fn stored_answer(running: &Running<'_>, answer: &Answer) -> FinishedAnswer {
    let status = match answer.finish_reason {
        FinishReason::Stop | FinishReason::Length | FinishReason::ContentFilter => {
            MessageStatus::Complete
        }
        FinishReason::Cancelled => MessageStatus::Cancelled,
        FinishReason::Error => MessageStatus::Failed,
    };
    FinishedAnswer {
        content: answer.response.clone(),
        status,
        finish_reason: answer.finish_reason,
        citations: answer.citations.clone(),
        suggestions: answer.suggestions.clone(),
        usage: answer.usage,
        cost_usd: answer.cost_usd,
        provider: Some(answer.provider.clone()),
        model: Some(answer.model.clone()),
        cached: answer.cached,
        evidence: running.evidence.as_ref().map(|evidence| evidence.searched.clone()),
    }
}

/// Ends a turn without a whole answer; what was written is kept.
async fn fail(shared: &Shared, log: &TurnLog, error: ClientError) {
    let finished = FinishedAnswer {
        content: log.answer_text(),
        status: MessageStatus::Failed,
        finish_reason: FinishReason::Error,
        citations: Vec::new(),
        suggestions: Vec::new(),
        usage: Usage::default(),
        cost_usd: 0.0,
        provider: None,
        model: None,
        cached: false,
        evidence: None,
    };
    // When the store fails as well, the message is found unfinished at the next start.
    store_answer(shared, log, finished).await;
    log.append(TurnEvent::Failed(error));
}

/// Stores the answer; a store that is away for a moment is tried again.
async fn store_answer(shared: &Shared, log: &TurnLog, finished: FinishedAnswer) -> bool {
    let mut waits = STORE_RETRIES.iter();
    loop {
        let now = Timestamp::now();
        let stored = messages::finish_answer(&shared.store, log.message_id(), &finished, now).await;
        let Err(error) = stored else { return true };
        // Its conversation was deleted meanwhile: there is nothing left to store it in.
        if matches!(error, StoreError::NotFound(_)) {
            return true;
        }
        store_failed("store an answer", &error);
        match waits.next() {
            Some(wait) => sleep(*wait).await,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(title("  why?\nbecause"), "why?");
        let long = "word ".repeat(40);
        let cut = title(&long);
        assert!(cut.ends_with("word…") && cut.chars().count() <= TITLE_CHARS + 1, "{cut}");
        assert!(title(&"ü".repeat(200)).ends_with("ü…"));
    }
}
