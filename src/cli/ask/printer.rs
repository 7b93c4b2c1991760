//! Writes a turn as a person reads it, or its answer as JSON.

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use callboard_protocol::{
    Answer, Citation, ConversationId, FinishReason, SearchedEvidence, ServerFrame, StepState, Usage,
};
use serde::Serialize;

use super::{
    Show,
    footer::{Searched, footer},
};

/// Cited lines that are printed when not all are wanted.
const CITED: usize = 10;

/// How wide a cited line is at most where there is no terminal.
const PIPED_WIDTH: usize = 200;

/// What the frames before the last say of an answer.
struct Draft {
    provider: String,
    model: String,
    cached: bool,
    finish_reason: FinishReason,
    usage: Usage,
    cost_usd: f64,
}

/// An answer and what was searched for it, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    evidence: Option<&'a SearchedEvidence>,
}

/// See the module.
pub(super) struct Printer {
    show: Show,
    draft: Draft,
    /// Whether the text was printed as it came.
    streamed: bool,
}

impl Printer {
    pub(super) fn new(show: Show) -> Self {
        let draft = Draft {
            provider: String::new(),
            model: String::new(),
            cached: false,
            finish_reason: FinishReason::Stop,
            usage: Usage::default(),
            cost_usd: 0.0,
        };
        Self { show, draft, streamed: false }
    }

    /// Prints what there is to print of a frame; the last one gives the answer.
    pub(super) fn print(
        &mut self,
        frame: ServerFrame,
        conversation_id: ConversationId,
    ) -> anyhow::Result<Option<Answer>> {
        match frame {
            ServerFrame::Step { state: StepState::Done | StepState::Failed, summary, .. } => {
                self.step(&summary);
            }
            ServerFrame::StreamStart { model, provider, cached, .. } => {
                self.draft = Draft { model, provider, cached, ..Self::new(self.show).draft };
            }
            ServerFrame::StreamChunk { content, .. } => self.text(&content)?,
            ServerFrame::StreamRestart { reason, .. } if !self.show.json => {
                say!("\n\n[{}: the answer starts again]\n", printable(&reason))?;
            }
            ServerFrame::StreamEnd { finish_reason, usage, cost_usd, .. } => {
                (self.draft.finish_reason, self.draft.usage) = (finish_reason, usage);
                self.draft.cost_usd = cost_usd;
            }
            ServerFrame::Response {
                turn_id, message_id, response, citations, suggestions, ..
            } => {
                return Ok(Some(Answer {
                    conversation_id,
                    turn_id,
                    message_id,
                    response,
                    citations,
                    suggestions,
                    finish_reason: self.draft.finish_reason,
                    usage: self.draft.usage,
                    cost_usd: self.draft.cost_usd,
                    provider: std::mem::take(&mut self.draft.provider),
                    model: std::mem::take(&mut self.draft.model),
                    cached: self.draft.cached,
                }));
            }
            ServerFrame::Error { code, message, .. } => bail!("{message} ({code})"),
            ServerFrame::Connected { .. }
            | ServerFrame::Accepted { .. }
            | ServerFrame::Subscribed { .. }
            | ServerFrame::Tail { .. }
            | ServerFrame::Message { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::StreamRestart { .. }
            | ServerFrame::Step { .. }
            | ServerFrame::Typing { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::System { .. }
            | ServerFrame::Pong { .. } => {}
        }
        Ok(None)
    }

    #[expect(clippy::print_stderr, reason = "steps are for the person at the terminal")]
    fn step(&self, summary: &str) {
        if !self.show.json && std::io::stderr().is_terminal() {
            eprintln!("· {}\n", printable(summary));
        }
    }

    fn text(&mut self, content: &str) -> std::io::Result<()> {
        if self.show.json {
            return Ok(());
        }
        self.streamed = true;
        write!(std::io::stdout(), "{}", printable(content))?;
        std::io::stdout().flush()
    }

    /// Prints what comes after the text.
    pub(super) fn finish(&self, answer: &Answer, searched: &Searched) -> anyhow::Result<()> {
        if self.show.json {
            let evidence = searched.evidence();
            say!("{}", serde_json::to_string_pretty(&Report { answer, evidence })?)?;
            return Ok(());
        }
        if !self.streamed {
            write!(std::io::stdout(), "{}", printable(&answer.response))?;
        }
        if !answer.response.ends_with('\n') {
            say!()?;
        }
        if !self.show.brief {
            self.cite(&answer.citations)?;
        }
        if let Some(footer) = footer(&answer.response, searched) {
            say!("\n{}", printable(&footer))?;
        }
        Ok(())
    }

    fn cite(&self, citations: &[Citation]) -> std::io::Result<()> {
        if citations.is_empty() {
            return Ok(());
        }
        say!("\nCited lines:")?;
        let shown = if self.show.all_lines { citations.len() } else { CITED };
        let width = width();
        for Citation { line_id, source, excerpt, .. } in citations.iter().take(shown) {
            let line = format!("  [{line_id}] {source}: {excerpt}");
            if self.show.all_lines {
                say!("{}", printable(&line))?;
            } else {
                say!("{}", cut(&line, width))?;
            }
        }
        if citations.len() > shown {
            say!("  ... and {} more (--all-lines)", citations.len() - shown)?;
        }
        Ok(())
    }
}

/// How wide a cited line may be.
fn width() -> usize {
    let terminal = console::Term::stdout();
    let size = terminal.is_term().then(|| terminal.size_checked()).flatten();
    size.map_or(PIPED_WIDTH, |(_, columns)| usize::from(columns))
}

/// A record on one line of this width.
fn cut(line: &str, width: usize) -> String {
    let line = printable(line).replace(['\n', '\t'], " ");
    console::truncate_str(&line, width, "…").into_owned()
}

/// Log text must not steer the terminal: control characters but line feeds and tabs are shown as
/// what they are.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\tb\n\u{9b}31m"), "a\\u{1b}[2J\tb\n\\u{9b}31m");
    }

    #[test]
    fn a_cited_record_fits_its_line() {
        assert_eq!(cut("  [L1] a.log: one\n\tat two", 80), "  [L1] a.log: one  at two");
        assert_eq!(cut("0123456789", 10), "0123456789");
        assert_eq!(cut("0123456789a", 10), "012345678…");
        // Each of these takes two columns.
        assert_eq!(cut("日本語日本語", 7), "日本語…");
        assert_eq!(cut("a\x1b[2Jb", 80), "a\\u{1b}[2Jb");
    }
}
