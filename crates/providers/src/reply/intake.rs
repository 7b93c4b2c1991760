//! Where a wire's decoder puts what it reads; the reader takes the events out.
//!
//! It holds what all wires have in common: what counts as an answer, how long it may be, and what
//! its end must say. Text and arguments are handed on and not kept.

use std::{collections::VecDeque, sync::Arc};

use callboard_protocol::MessageId;

use super::{Meter, ReplyEvent, StopReason};
use crate::{ProviderError, ProviderErrorKind, TokenUsage};

/// No model calls more tools in one answer; a server that does is broken.
const MAX_TOOL_CALLS: usize = 256;

/// A name or an id that is longer is no name.
const MAX_NAME_BYTES: usize = 1_024;

/// What came of a reply so far.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    queue: VecDeque<ReplyEvent>,
    calls: Vec<Call>,
    any_chunk: bool,
    begun: bool,
    has_answer: bool,
    /// Counts all that the model wrote: text, thoughts and arguments.
    meter: Arc<Meter>,
    bytes: usize,
    max_bytes: usize,
    finish: Option<StopReason>,
    /// The answer is longer than was asked for: it is cut there.
    overrun: bool,
    done: bool,
    said_done: bool,
    model: Option<String>,
    moved: bool,
}

#[derive(Debug)]
struct Call {
    /// Where the wire has it.
    slot: u64,
    id: String,
    has_arguments: bool,
}

impl Intake {
    /// For an answer of at most so many bytes.
    pub(crate) fn new(max_bytes: usize, meter: Arc<Meter>) -> Self {
        Self { max_bytes, meter, ..Self::default() }
    }

    /// A chunk could be read, whatever it held.
    pub(crate) fn chunk(&mut self) {
        self.any_chunk = true;
    }

    /// The model writes, though nothing that is shown.
    pub(crate) fn thinking(&mut self) {
        self.begun = true;
        self.moved = true;
    }

    /// More of the answer.
    pub(crate) fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.has_answer = true;
            self.wrote(&text);
            self.queue.push_back(ReplyEvent::Text(text));
        }
    }

    /// More thoughts.
    pub(crate) fn reasoning(&mut self, text: String) {
        if !text.is_empty() {
            self.wrote(&text);
            self.queue.push_back(ReplyEvent::Reasoning(text));
        }
    }

    /// What proves the thoughts so far.
    pub(crate) fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.thinking();
            self.queue.push_back(ReplyEvent::ReasoningSignature(signature));
        }
    }

    /// A call of a tool begins in `slot`; a wire without ids gets one.
    pub(crate) fn tool_call(
        &mut self,
        slot: u64,
        id: Option<String>,
        name: String,
        signature: Option<String>,
    ) -> Result<(), ProviderError> {
        let id = id.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", MessageId::new().0.simple()));
        if name.is_empty() || name.len() > MAX_NAME_BYTES || id.len() > MAX_NAME_BYTES {
            return Err(malformed("a tool call has no name, or one that is none"));
        }
        if self.calls.len() >= MAX_TOOL_CALLS {
            return Err(malformed("the answer calls more tools than any answer does"));
        }
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(Call { slot, id: id.clone(), has_arguments: false });
        self.has_answer = true;
        self.wrote(&name);
        self.queue.push_back(ReplyEvent::ToolCallStart { index, id, name, signature });
        Ok(())
    }

    /// Whether a call has begun in `slot`.
    pub(crate) fn has_call(&self, slot: u64) -> bool {
        self.calls.iter().any(|call| call.slot == slot)
    }

    /// The id of the call in `slot`.
    pub(crate) fn call_id(&self, slot: u64) -> Option<&str> {
        let call = self.calls.iter().rfind(|call| call.slot == slot);
        call.map(|call| call.id.as_str())
    }

    /// Whether the call in `slot` has arguments.
    pub(crate) fn has_arguments(&self, slot: u64) -> bool {
        self.calls.iter().rfind(|call| call.slot == slot).is_some_and(|call| call.has_arguments)
    }

    /// A slot that no call has.
    pub(crate) fn free_slot(&self) -> u64 {
        self.calls.iter().map(|call| call.slot.saturating_add(1)).max().unwrap_or(0)
    }

    /// The slot of the latest call.
    pub(crate) fn last_slot(&self) -> Option<u64> {
        self.calls.last().map(|call| call.slot)
    }

    /// More arguments for the call in `slot`.
    pub(crate) fn arguments(&mut self, slot: u64, piece: String) -> Result<(), ProviderError> {
        if piece.is_empty() {
            return Ok(());
        }
        // The latest, should a server use a slot twice.
        let Some(index) = self.calls.iter().rposition(|call| call.slot == slot) else {
            return Err(malformed("arguments came for a tool call that has not begun"));
        };
        self.calls[index].has_arguments = true;
        self.wrote(&piece);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.queue.push_back(ReplyEvent::ToolCallArguments { index, piece });
        Ok(())
    }

    /// The call in `slot` is whole: without arguments it has the empty object.
    pub(crate) fn end_call(&mut self, slot: u64) {
        let Some(index) = self.calls.iter().rposition(|call| call.slot == slot) else { return };
        self.end_call_at(index);
    }

    fn end_call_at(&mut self, index: usize) {
        let Some(call) = self.calls.get_mut(index) else { return };
        if !std::mem::replace(&mut call.has_arguments, true) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let piece = "{}".to_owned();
            self.queue.push_back(ReplyEvent::ToolCallArguments { index, piece });
        }
    }

    /// The provider says why the answer ended. More may follow: the usage.
    pub(crate) fn finish(&mut self, reason: StopReason) {
        // An answer over its bound has ended for that reason, whatever is said behind it.
        if !self.overrun {
            self.finish = Some(reason);
            self.moved = true;
        }
    }

    /// Why the answer ended, if it was said.
    pub(crate) fn finished(&self) -> Option<&StopReason> {
        self.finish.as_ref()
    }

    /// The provider says that nothing follows.
    pub(crate) fn done(&mut self) {
        self.done = true;
        self.said_done = true;
    }

    /// The body has ended, or need not be waited for.
    pub(crate) fn close(&mut self) {
        self.done = true;
    }

    /// Nothing more is expected.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The provider said that nothing follows.
    pub(crate) fn said_done(&self) -> bool {
        self.said_done
    }

    /// A chunk could be read.
    pub(crate) fn any_chunk(&self) -> bool {
        self.any_chunk
    }

    /// The model has begun to write.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What the provider counted so far; a later count takes the place of an earlier one.
    pub(crate) fn set_usage(&mut self, usage: TokenUsage) {
        self.meter.say(usage);
    }

    /// The provider counted what was written, and not what was read.
    pub(crate) fn set_output(&mut self, output: u64) {
        self.meter.say(TokenUsage { output, ..self.meter.unread() });
    }

    /// The model that answers; an empty name says nothing.
    pub(crate) fn model(&mut self, model: &str) {
        if !model.is_empty() && self.model.as_deref() != Some(model) {
            self.model = Some(model.to_owned());
        }
    }

    /// The next event, first to last.
    pub(crate) fn next_event(&mut self) -> Option<ReplyEvent> {
        self.queue.pop_front()
    }

    /// Whether the model wrote, or said why it ended, since this was last asked.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    fn wrote(&mut self, text: &str) {
        self.thinking();
        self.meter.wrote(text.chars().count());
        self.bytes += text.len();
        if self.bytes > self.max_bytes && !self.done {
            // The server ignores the bound that it was given.
            self.finish = Some(StopReason::Length);
            self.overrun = true;
            self.done = true;
        }
    }

    /// Gives calls without arguments the empty object, unless the answer was cut: then they may
    /// have had some. Their events come before the finish.
    pub(crate) fn end_calls(&mut self) {
        if matches!(self.finish, Some(StopReason::Stop | StopReason::ToolCalls)) {
            for index in 0..self.calls.len() {
                self.end_call_at(index);
            }
        }
    }

    /// The last event: nothing more comes. `model` stands in for a name that the reply did not say.
    pub(crate) fn conclude(&mut self, model: &str) -> Result<ReplyEvent, ProviderError> {
        let reason = match self.finish.take() {
            Some(StopReason::Stop | StopReason::ToolCalls) if !self.has_answer => {
                return Err(malformed("the answer is empty"));
            }
            Some(StopReason::Stop) if !self.calls.is_empty() => StopReason::ToolCalls,
            Some(reason) => reason,
            None if self.any_chunk => {
                return Err(ProviderError::new(ProviderErrorKind::Interrupted)
                    .because("the reply ended without saying why"));
            }
            None => return Err(malformed("the reply holds no chunk that can be read")),
        };
        // What was counted before the answer was cut does not hold the rest.
        let said = self.meter.said().filter(|_| !self.overrun);
        let usage = said.unwrap_or_else(|| self.meter.so_far());
        let model = self.model.take().unwrap_or_else(|| model.to_owned());
        Ok(ReplyEvent::Finish { reason, usage, model })
    }
}

/// A reply that cannot be read, and why.
pub(crate) fn malformed(cause: impl Into<String>) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Malformed).because(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(intake: &mut Intake) -> Vec<ReplyEvent> {
        std::iter::from_fn(|| intake.next_event()).collect()
    }

    #[test]
    fn an_answer_over_its_bound_is_billed_for_what_came() {
        let mut intake = Intake::new(8, Arc::new(Meter::new(40)));
        intake.set_usage(TokenUsage { input: 70, output: 1, ..TokenUsage::default() });
        intake.text("0123456789".to_owned());
        intake.finish(StopReason::Stop);
        assert!(intake.is_done());
        let ReplyEvent::Finish { reason, usage, .. } = intake.conclude("m").unwrap() else {
            panic!("no finish")
        };
        let expected =
            TokenUsage { input: 70, output: 3, estimated: true, ..TokenUsage::default() };
        assert_eq!((reason, usage), (StopReason::Length, expected));
    }

    #[test]
    fn a_call_that_was_cut_gets_no_arguments_that_it_did_not_have() {
        for (reason, expected) in
            [(StopReason::Length, 1), (StopReason::ToolCalls, 2), (StopReason::Stop, 2)]
        {
            let mut intake = Intake::new(100, Arc::default());
            intake.tool_call(u64::MAX, None, "look".to_owned(), None).unwrap();
            assert_eq!(intake.free_slot(), u64::MAX, "no slot overflows");
            intake.finish(reason);
            intake.end_calls();
            assert_eq!(events(&mut intake).len(), expected);
        }
    }

    #[test]
    fn calls_are_bounded() {
        let mut intake = Intake::new(1 << 20, Arc::default());
        let mut call = || {
            let slot = intake.free_slot();
            intake.tool_call(slot, None, "look".to_owned(), None)
        };
        assert!((0..MAX_TOOL_CALLS).all(|_| call().is_ok()));
        assert_eq!(call().unwrap_err().kind, ProviderErrorKind::Malformed);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Decoders without a reply around them.

    use super::*;
    use crate::reply::Decode;

    fn run(mut decoder: impl Decode, chunks: &[&str]) -> Result<Intake, ProviderError> {
        let mut intake = Intake::new(1 << 20, Arc::default());
        for chunk in chunks {
            decoder.event("", chunk, &mut intake)?;
        }
        Ok(intake)
    }

    /// The events that these chunks give.
    pub(crate) fn events_of(
        decoder: impl Decode,
        chunks: &[&str],
    ) -> Result<Vec<ReplyEvent>, ProviderError> {
        let mut intake = run(decoder, chunks)?;
        Ok(std::iter::from_fn(|| intake.next_event()).collect())
    }

    /// The finish that these chunks give.
    pub(crate) fn finish_of(
        decoder: impl Decode,
        chunks: &[&str],
    ) -> (StopReason, TokenUsage, String) {
        let mut intake = run(decoder, chunks).unwrap();
        let last = intake.conclude("asked").unwrap();
        let ReplyEvent::Finish { reason, usage, model } = last else { panic!("{last:?}") };
        (reason, usage, model)
    }
}
