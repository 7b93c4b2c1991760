//! Messages for which there is no room, in a line each: what was asked, and how its answer began.

use callboard_protocol::Author;

use crate::{ChatMessage, markdown::fold};

/// Of a message in brief.
const LINE_CHARS: usize = 200;

/// The messages in brief, oldest first, in at most `max_bytes`; of more the newest.
pub(super) fn in_brief(messages: &[ChatMessage], max_bytes: usize) -> String {
    let mut left = max_bytes;
    let lines = messages.iter().rev().map(line).take_while(|line| {
        let fits = line.len() < left;
        left = left.saturating_sub(line.len() + 1);
        fits
    });
    let mut lines: Vec<String> = lines.collect();
    lines.reverse();
    lines.join("\n")
}

fn line(message: &ChatMessage) -> String {
    let who = match message.role {
        Author::User => "They asked",
        Author::Assistant => "You answered",
    };
    format!("- {who}: {}", fold(beginning(&message.content), LINE_CHARS))
}

/// The first line of a text, or the first sentence of it.
fn beginning(text: &str) -> &str {
    let line = text.trim().lines().next().unwrap_or_default().trim();
    line.find(". ").map_or(line, |end| &line[..=end])
}
