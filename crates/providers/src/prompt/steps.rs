//! What was called, and what it gave, within the room that a window leaves for it.

use crate::{Message, Part};

/// What takes the place of a result. The call stays: wires demand that each has its result.
const LEFT_OUT: &str =
    "[This result is left out: it does not fit into your window. If you need it, ask for less.]";

/// The bytes that they take.
pub(super) fn bytes(steps: &[Message]) -> usize {
    steps.iter().flat_map(|step| &step.content).map(part_bytes).sum()
}

/// As they are, as long as they fit; of results that do not, the newest.
pub(super) fn fitting(steps: &[Message], max_bytes: usize) -> Vec<Message> {
    let mut excess = bytes(steps).saturating_sub(max_bytes);
    let mut fitting = steps.to_vec();
    let parts = fitting.iter_mut().flat_map(|step| &mut step.content);
    for part in parts {
        if let Part::ToolResult { content, .. } = part
            && excess > 0
            && content.len() > LEFT_OUT.len()
        {
            excess = excess.saturating_sub(content.len() - LEFT_OUT.len());
            LEFT_OUT.clone_into(content);
        }
    }
    fitting
}

fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } => text.len(),
        Part::Reasoning { text, signature } => {
            text.len() + signature.as_ref().map_or(0, String::len)
        }
        Part::ToolCall(call) => call.name.len() + call.arguments.len(),
        Part::ToolResult { content, .. } => content.len(),
        // Nobody gives images to the assistant.
        Part::Image { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn result(content: &str) -> Message {
        let content = content.to_owned();
        let part = Part::ToolResult { id: "1".to_owned(), content, is_error: false };
        Message { role: Role::Tool, content: vec![part] }
    }

    #[test]
    fn the_oldest_results_make_room_and_the_newest_stand() {
        let long = "x".repeat(1_000);
        let steps = [result(&long), Message::assistant("and"), result(&long), result("short")];
        assert_eq!(fitting(&steps, 2_008), steps);
        let cut = fitting(&steps, 1_200);
        assert_eq!(cut[1..], steps[1..]);
        assert_eq!(cut[0], result(LEFT_OUT));
        assert!(bytes(&cut) <= 1_200);
        let cut = fitting(&steps, 10);
        assert_eq!(cut[2..], [result(LEFT_OUT), result("short")], "what is short stays");
    }
}
