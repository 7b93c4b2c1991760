//! The append-only log of one turn: what a turn says, kept once, read by everyone at their pace.
//!
//! `run_turn` appends; sessions, SSE replies and other turns that wait for the same answer read by
//! cursor. Invariants: a `seq` is never reused or reordered; the text is stored once, whatever the
//! number of readers; a reader that falls behind gets many pieces in one frame and slows nobody;
//! after the log has ended nothing is appended.

use std::{sync::Arc, time::Duration};

use callboard_protocol::{
    Answer, ClientError, ConversationId, ErrorCode, FinishReason, MessageId, ServerFrame,
    StepState, TurnId, Usage, UserId,
};
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Text in one frame at most. Half of the 32 KiB after which actix stops polling a blocked
/// socket, so that a socket that catches up never has two frames waiting.
const MAX_CHUNK_BYTES: usize = 16 * 1024;

/// Events in one log at most: with the bound on its text, the bound on its memory (16 bytes each).
const MAX_EVENTS: usize = 1 << 18;

/// What a turn appends besides its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TurnEvent {
    Started { model: String, provider: String, cached: bool },
    Step { tool: &'static str, state: StepState, summary: String },
    Restarted { reason: String },
    TextEnded { finish_reason: FinishReason, usage: Usage, cost_usd: f64 },
    Failed(ClientError),
    Answered(Box<Answer>),
}

impl TurnEvent {
    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Started { model, provider, .. } => model.len() + provider.len(),
            Self::Step { summary, .. } => summary.len(),
            Self::Restarted { reason } => reason.len(),
            Self::TextEnded { .. } => 0,
            Self::Failed(error) => error.message.len(),
            Self::Answered(answer) => {
                let cited = answer.citations.iter();
                let cited = cited
                    .map(|cited| size_of_val(cited) + cited.source.len() + cited.excerpt.len());
                let suggested = answer.suggestions.iter().map(String::len);
                let texts = answer.response.len() + cited.sum::<usize>() + suggested.sum::<usize>();
                size_of::<Answer>() + texts
            }
        };
        size_of::<Self>() + text
    }
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// With an answer, whole or cancelled.
    Answered(Box<Answer>),
    /// With none.
    Failed(ClientError),
}

/// The log takes no more: the longest answer allowed is reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

enum Entry {
    /// The text of this piece ends here.
    Delta {
        end: u32,
    },
    Event(Box<TurnEvent>),
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// All pieces, one after another; also those before a restart.
    text: String,
    /// Where the answer begins: after the last restart.
    answer_start: usize,
    ended: bool,
}

impl State {
    /// How the turn ended: its last entry says so.
    fn ending(&self) -> Option<Ended> {
        let last = self.entries.last().filter(|_| self.ended)?;
        let Entry::Event(event) = last else { return None };
        match event.as_ref() {
            TurnEvent::Answered(answer) => Some(Ended::Answered(answer.clone())),
            TurnEvent::Failed(error) => Some(Ended::Failed(error.clone())),
            TurnEvent::Started { .. }
            | TurnEvent::Step { .. }
            | TurnEvent::Restarted { .. }
            | TurnEvent::TextEnded { .. } => None,
        }
    }
}

/// See the module.
pub struct TurnLog {
    turn_id: TurnId,
    conversation_id: ConversationId,
    message_id: MessageId,
    owner: UserId,
    max_bytes: usize,
    coalesce: Duration,
    state: Mutex<State>,
    /// The number of entries; readers wait for it to grow.
    length: watch::Sender<u64>,
    cancelled: CancellationToken,
}

/// Whose turn a log is, and its bounds.
pub(crate) struct TurnHead {
    pub(crate) turn_id: TurnId,
    pub(crate) conversation_id: ConversationId,
    /// The message that holds the answer.
    pub(crate) message_id: MessageId,
    pub(crate) owner: UserId,
    /// The longest answer, in bytes; text before a restart counts too.
    pub(crate) max_bytes: usize,
    /// Pieces that come within this time travel in one frame.
    pub(crate) coalesce: Duration,
}

impl TurnLog {
    pub(crate) fn new(head: TurnHead) -> Arc<Self> {
        Arc::new(Self {
            turn_id: head.turn_id,
            conversation_id: head.conversation_id,
            message_id: head.message_id,
            owner: head.owner,
            // Offsets are 32 bits wide.
            max_bytes: head.max_bytes.min(u32::MAX as usize),
            coalesce: head.coalesce,
            state: Mutex::new(State::default()),
            length: watch::Sender::new(0),
            cancelled: CancellationToken::new(),
        })
    }

    /// The turn.
    #[must_use]
    pub fn turn_id(&self) -> TurnId {
        self.turn_id
    }

    /// Its conversation.
    #[must_use]
    pub fn conversation_id(&self) -> ConversationId {
        self.conversation_id
    }

    /// The message that holds, or will hold, the answer.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// Who asked.
    #[must_use]
    pub fn owner(&self) -> UserId {
        self.owner
    }

    /// Stops the turn; what was written is kept. Stopping an ended turn changes nothing.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Appends a piece of the answer. An empty piece is none.
    ///
    /// # Errors
    /// [`Full`] when the answer would grow past its bound; the part that fits is kept.
    pub(crate) fn append_text(&self, piece: &str) -> Result<(), Full> {
        let mut state = self.state.lock();
        if piece.is_empty() || state.ended {
            return Ok(());
        }
        let room = self.max_bytes.saturating_sub(state.text.len());
        let fits = piece.floor_char_boundary(room);
        if state.entries.len() >= MAX_EVENTS {
            return Err(Full);
        }
        if fits > 0 {
            state.text.push_str(&piece[..fits]);
            let end = u32::try_from(state.text.len()).map_err(|_| Full)?;
            state.entries.push(Entry::Delta { end });
            self.announce(state);
        }
        if fits == piece.len() { Ok(()) } else { Err(Full) }
    }

    /// Appends an event. [`TurnEvent::Answered`] and [`TurnEvent::Failed`] end the log.
    pub(crate) fn append(&self, event: TurnEvent) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        match &event {
            TurnEvent::Restarted { .. } => state.answer_start = state.text.len(),
            TurnEvent::Answered(_) | TurnEvent::Failed(_) => {
                state.ended = true;
                state.text.shrink_to_fit();
            }
            TurnEvent::Started { .. } | TurnEvent::Step { .. } | TurnEvent::TextEnded { .. } => {}
        }
        state.entries.push(Entry::Event(Box::new(event)));
        self.announce(state);
    }

    fn announce(&self, state: parking_lot::MutexGuard<'_, State>) {
        let length = state.entries.len() as u64;
        drop(state);
        self.length.send_replace(length);
    }

    /// The answer so far: the text since the last restart.
    pub(crate) fn answer_text(&self) -> String {
        let state = self.state.lock();
        state.text[state.answer_start..].to_owned()
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.state.lock();
        let events = state.entries.iter().map(|entry| match entry {
            Entry::Delta { .. } => 0,
            Entry::Event(event) => event.bytes(),
        });
        let entries = state.entries.capacity() * size_of::<Entry>();
        (size_of::<Self>() + state.text.capacity() + entries + events.sum::<usize>()) as u64
    }

    /// Whether the last entry was appended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Waits for the end of the turn.
    pub async fn ended(&self) -> Ended {
        let mut length = self.length.subscribe();
        loop {
            length.borrow_and_update();
            if let Some(ended) = self.state.lock().ending() {
                return ended;
            }
            // The sender lives in `self`, so this fails never; and if it did, nothing more comes.
            if length.changed().await.is_err() {
                return Ended::Failed(ErrorCode::Internal.into());
            }
        }
    }

    /// All that was appended after `after_seq` and that fits one frame; `None` when there is
    /// nothing yet. Pieces of text that follow one another come joined, under the `seq` of the
    /// last of them.
    pub(crate) fn read(&self, after_seq: u64) -> Option<ServerFrame> {
        let state = self.state.lock();
        let first = usize::try_from(after_seq).ok()?;
        match state.entries.get(first)? {
            Entry::Event(event) => Some(self.frame(after_seq + 1, event)),
            Entry::Delta { .. } => {
                let start = state.entries[..first].iter().rev().find_map(Entry::end).unwrap_or(0);
                let run = state.entries[first..].iter().map_while(Entry::end);
                let mut seq = after_seq;
                let mut end = start;
                for next in run {
                    if seq > after_seq && next - start > MAX_CHUNK_BYTES {
                        break;
                    }
                    seq += 1;
                    end = next;
                }
                let content = state.text[start..end].to_owned();
                Some(ServerFrame::StreamChunk { turn_id: self.turn_id, seq, content })
            }
        }
    }

    fn frame(&self, seq: u64, event: &TurnEvent) -> ServerFrame {
        let turn_id = self.turn_id;
        match event.clone() {
            TurnEvent::Started { model, provider, cached } => ServerFrame::StreamStart {
                turn_id,
                conversation_id: self.conversation_id,
                seq,
                model,
                provider,
                cached,
            },
            TurnEvent::Step { tool, state, summary } => {
                ServerFrame::Step { turn_id, seq, tool: tool.to_owned(), state, summary }
            }
            TurnEvent::Restarted { reason } => ServerFrame::StreamRestart { turn_id, seq, reason },
            TurnEvent::TextEnded { finish_reason, usage, cost_usd } => {
                ServerFrame::StreamEnd { turn_id, seq, finish_reason, usage, cost_usd }
            }
            TurnEvent::Failed(error) => ServerFrame::Error {
                code: error.code,
                message: error.message,
                retry_after_ms: error.retry_after_ms,
                turn_id: Some(turn_id),
                client_message_id: None,
            },
            TurnEvent::Answered(answer) => ServerFrame::Response {
                turn_id,
                seq,
                message_id: answer.message_id,
                response: answer.response,
                citations: answer.citations,
                suggestions: answer.suggestions,
            },
        }
    }

    /// The frames of the turn after `after_seq`, as they come, until its last.
    ///
    /// The first piece of text comes at once, later ones joined, at most one frame per coalescing
    /// interval. The stream yields to its executor after each frame, so that a socket flushes one
    /// before it asks for the next: a reader that does not drain holds no data but its place.
    pub fn follow(
        self: &Arc<Self>,
        after_seq: u64,
    ) -> impl Stream<Item = ServerFrame> + Send + 'static + use<> {
        let reader = Reader {
            length: self.length.subscribe(),
            log: Arc::clone(self),
            seq: after_seq,
            next_text_at: None,
        };
        stream::unfold(reader, |mut reader| async move {
            let frame = reader.next().await?;
            Some((frame, reader))
        })
    }
}

impl Entry {
    fn end(&self) -> Option<usize> {
        match self {
            Self::Delta { end } => Some(*end as usize),
            Self::Event(_) => None,
        }
    }
}

/// One reader's place in a log.
struct Reader {
    log: Arc<TurnLog>,
    length: watch::Receiver<u64>,
    seq: u64,
    next_text_at: Option<Instant>,
}

impl Reader {
    async fn next(&mut self) -> Option<ServerFrame> {
        if self.seq > 0 {
            tokio::task::yield_now().await;
        }
        loop {
            let length = *self.length.borrow_and_update();
            if length > self.seq {
                break;
            }
            if self.log.is_spent(self.seq) {
                return None;
            }
            self.length.changed().await.ok()?;
        }
        if let Some(at) = self.next_text_at
            && self.log.next_is_text(self.seq)
        {
            self.gather_until(at).await;
        }
        let frame = self.log.read(self.seq)?;
        self.seq += 1;
        if let ServerFrame::StreamChunk { seq, .. } = &frame {
            self.next_text_at = Some(Instant::now() + self.log.coalesce);
            self.seq = *seq;
        }
        Some(frame)
    }
}

impl Reader {
    /// Lets pieces gather until `at`, or until nothing more comes.
    async fn gather_until(&mut self, at: Instant) {
        while !self.log.has_ended() {
            tokio::select! {
                () = sleep_until(at) => return,
                grown = self.length.changed() => if grown.is_err() { return },
            }
        }
    }
}

impl TurnLog {
    /// Whether the last entry was appended, and it is not after `seq`. Under one lock: the length
    /// is announced after the end is known, and a reader in between must not leave early.
    fn is_spent(&self, seq: u64) -> bool {
        let state = self.state.lock();
        state.ended && state.entries.len() as u64 <= seq
    }

    fn next_is_text(&self, after_seq: u64) -> bool {
        let state = self.state.lock();
        let next = usize::try_from(after_seq).ok().and_then(|at| state.entries.get(at));
        matches!(next, Some(Entry::Delta { .. }))
    }
}

#[cfg(test)]
mod tests;
