//! An answer put together from its events, for a client that wants it whole.

use callboard_providers::{ReplyEvent, StopReason, TokenUsage};

/// What an answer has said so far. How large it may grow is limited where its events are made:
/// by the provider's configured longest answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// In the order in which they began.
    pub(super) blocks: Vec<Block>,
    /// How it ended, once it has.
    pub(super) end: Option<End>,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Text.
    Text(String),
    /// Thoughts, and what proves them, which ends them.
    Reasoning { text: String, signature: Option<String> },
    /// A call of a tool.
    Call(Call),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) index: u32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) signature: Option<String>,
    pub(super) arguments: String,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) reason: StopReason,
    pub(super) usage: TokenUsage,
    pub(super) model: String,
}

impl Answer {
    /// Adds an event.
    pub(crate) fn push(&mut self, event: &ReplyEvent) {
        match event {
            ReplyEvent::Text(more) => match self.blocks.last_mut() {
                Some(Block::Text(text)) => text.push_str(more),
                Some(Block::Reasoning { .. } | Block::Call(_)) | None => {
                    self.blocks.push(Block::Text(more.clone()));
                }
            },
            ReplyEvent::Reasoning(more) => self.think(more, None),
            ReplyEvent::ReasoningSignature(proof) => self.think("", Some(proof)),
            ReplyEvent::ToolCallStart { index, id, name, signature } => {
                self.blocks.push(Block::Call(Call {
                    index: *index,
                    id: id.clone(),
                    name: name.clone(),
                    signature: signature.clone(),
                    arguments: String::new(),
                }));
            }
            ReplyEvent::ToolCallArguments { index, piece } => {
                if let Some(call) = self.call_mut(*index) {
                    call.arguments.push_str(piece);
                }
            }
            ReplyEvent::Finish { reason, usage, model } => {
                let (reason, model) = (reason.clone(), model.clone());
                self.end = Some(End { reason, usage: *usage, model });
            }
        }
    }

    /// The call of this number.
    fn call_mut(&mut self, sought: u32) -> Option<&mut Call> {
        self.blocks.iter_mut().rev().find_map(|block| match block {
            Block::Call(call) if call.index == sought => Some(call),
            Block::Call(_) | Block::Text(_) | Block::Reasoning { .. } => None,
        })
    }

    /// All calls, in their order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Call(call) => Some(call),
            Block::Text(_) | Block::Reasoning { .. } => None,
        })
    }

    /// All text, without the thoughts.
    pub(super) fn text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            Block::Reasoning { .. } | Block::Call(_) => None,
        });
        texts.collect()
    }

    /// All thoughts, and what proves them: only where they came in one piece can it prove them all.
    pub(super) fn reasoning(&self) -> (String, Option<&str>) {
        let thoughts = self.blocks.iter().filter_map(|block| match block {
            Block::Reasoning { text, signature } => Some((text.as_str(), signature.as_deref())),
            Block::Text(_) | Block::Call(_) => None,
        });
        let pieces: Vec<_> = thoughts.collect();
        let proof = if let [(_, proof)] = pieces.as_slice() { *proof } else { None };
        (pieces.iter().map(|(text, _)| *text).collect(), proof)
    }

    /// More thoughts, or what proves them.
    fn think(&mut self, more: &str, proof: Option<&String>) {
        if let Some(Block::Reasoning { text, signature: signature @ None }) = self.blocks.last_mut()
        {
            text.push_str(more);
            *signature = proof.cloned();
        } else {
            let (text, signature) = (more.to_owned(), proof.cloned());
            self.blocks.push(Block::Reasoning { text, signature });
        }
    }
}

impl Call {
    /// Whether the arguments are a whole object, so that no more of them can come.
    pub(super) fn is_whole(&self) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(&self.arguments).is_ok()
    }

    /// The arguments; those of a call without any are the empty object.
    pub(super) fn arguments_or_none(&self) -> &str {
        if self.arguments.trim().is_empty() { "{}" } else { &self.arguments }
    }
}

impl End {
    /// The model that gave the answer, as the provider names it, or else `asked`.
    pub(super) fn model_or<'a>(&'a self, asked: &'a str) -> &'a str {
        if self.model.is_empty() { asked } else { &self.model }
    }
}
