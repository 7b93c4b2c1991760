//! Text from logs, made harmless inside Markdown. Used by `extractive`.
//!
//! Log text always stands in a code span: nothing acts in there, neither HTML nor links, images,
//! autolinks, or anything that looks like a citation. What could still break out (backticks, line
//! breaks, the pipes of a table) is dealt with here, and control characters are made visible.

use std::borrow::Cow;

/// Folds `text` into one line of at most `max_chars` characters that shows nothing but itself.
pub(crate) fn fold(text: &str, max_chars: usize) -> String {
    let mut folded = String::new();
    let mut chars = text.trim().chars();
    for _ in 0..max_chars {
        let Some(char) = chars.next() else { return folded };
        match char {
            '\n' => folded.push_str(" ⏎ "),
            '\r' => {}
            '\t' | '\u{2028}' | '\u{2029}' | '\u{85}' => folded.push(' '),
            '\0'..='\u{1f}' => folded.push(picture(char)),
            '\u{7f}' => folded.push('\u{2421}'),
            // They choose among the forms of the character before them, and could carry what only a
            // model reads.
            '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180f}' | '\u{e0100}'..='\u{e01ef}' => {}
            // They would turn around or hide what stands beside them, or are read by nobody but a model:
            // of Unicode's default ignorable code points (UAX #44) all that are left.
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => folded.push(char::REPLACEMENT_CHARACTER),
            char => folded.push(char),
        }
    }
    if chars.next().is_some() {
        folded.push('…');
    }
    folded
}

fn picture(control: char) -> char {
    char::from_u32(0x2400 + u32::from(control)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Log text as a code span, outside a table.
pub(crate) fn code(text: &str, max_chars: usize) -> String {
    span(&fold(text, max_chars))
}

/// Log text as a code span in a cell of a table.
pub(crate) fn cell(text: &str, max_chars: usize) -> String {
    span(&escape_pipes(&fold(text, max_chars)))
}

/// Words of ours or of the person who asks, outside code: all that Markdown could read as
/// anything but text is escaped. Text that could become a link by itself stands in a code span.
pub(crate) fn prose(text: &str, max_chars: usize) -> String {
    let folded = fold(text, max_chars);
    let lower = folded.to_ascii_lowercase();
    if ["://", "www.", "@", "mailto:", "xmpp:"].iter().any(|trigger| lower.contains(trigger)) {
        return span(&escape_pipes(&folded));
    }
    let mut escaped = String::with_capacity(folded.len() + 8);
    for char in folded.chars() {
        if matches!(
            char,
            '\\' | '`'
                | '*'
                | '_'
                | '['
                | ']'
                | '<'
                | '>'
                | '&'
                | '|'
                | '~'
                | '#'
                | '!'
                | '$'
                | '^'
                | '{'
                | '}'
        ) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

/// A code span whose fence is longer than every run of backticks inside.
fn span(text: &str) -> String {
    if text.trim().is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for byte in text.bytes() {
        run = if byte == b'`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// A table ends its cell at a pipe even inside a code span, unless an odd number of backslashes
/// stands before it.
fn escape_pipes(text: &str) -> Cow<'_, str> {
    if !text.contains('|') {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut backslashes = 0;
    for char in text.chars() {
        if char == '|' {
            escaped.push_str(if backslashes % 2 == 0 { "\\" } else { "\\\\" });
        }
        backslashes = if char == '\\' { backslashes + 1 } else { 0 };
        escaped.push(char);
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    /// Everything in `markdown` that is more than text and structure of ours, by an independent
    /// reader of Markdown.
    fn acts(markdown: &str) -> Vec<String> {
        Parser::new_ext(markdown, Options::all())
            .filter(|event| {
                !matches!(
                    event,
                    Event::Start(
                        Tag::Paragraph
                            | Tag::Table(_)
                            | Tag::TableHead
                            | Tag::TableRow
                            | Tag::TableCell
                    ) | Event::End(_)
                        | Event::Text(_)
                        | Event::Code(_)
                )
            })
            .map(|event| format!("{event:?}"))
            .collect()
    }

    fn codes(markdown: &str) -> Vec<String> {
        Parser::new_ext(markdown, Options::all())
            .filter_map(|event| if let Event::Code(code) = event { Some(code) } else { None })
            .map(|code| code.into_string())
            .collect()
    }

    const HOSTILE: [&str; 12] = [
        "<script>alert(1)</script>",
        "![x](http://evil/?q=1)",
        "[click](javascript:alert(1))",
        "`</code><img src=x onerror=alert(1)>`",
        "``` \n# heading\n```",
        "a | b || c \\| d \\\\| e",
        "http://evil.example www.evil.example me@evil.example",
        "line one\r\nline two\n\n- item\n<b>",
        "\u{1b}[31mred\u{1b}[0m \0 \u{202e}gnp.exe",
        "[L1] [L2, L3]",
        "```` ` `` ",
        "$x$ ~~a~~ ^[note] {#id} > quote",
    ];

    #[test]
    fn hostile_log_text_does_nothing() {
        for text in HOSTILE {
            assert_eq!(acts(&format!("see {} here", code(text, 200))), [] as [String; 0], "{text}");
            let table = format!("| a | b |\n|---|---|\n| {} | 1 |\n", cell(text, 200));
            assert_eq!(acts(&table), [] as [String; 0], "{text}");
            assert_eq!(acts(&format!("x {} y", prose(text, 200))), [] as [String; 0], "{text}");
        }
    }

    #[test]
    fn control_characters_are_shown_and_lines_are_folded() {
        assert_eq!(fold("a\r\nb\tc\u{1b}[0m\0\u{202e}", 99), "a ⏎ b c␛[0m␀\u{fffd}");
        // What only a model would read: tags, variation selectors, fillers.
        assert_eq!(
            fold("a\u{e0069}b\u{fe01}\u{e0101}c\u{3164}\u{ad}", 99),
            "a\u{fffd}bc\u{fffd}\u{fffd}"
        );
        assert_eq!(fold("abcdef", 3), "abc…");
        assert_eq!(fold("abc", 3), "abc");
    }

    #[test]
    fn nothing_is_shown_as_such() {
        assert_eq!(code(" \n ", 9), "(empty)");
    }

    proptest! {
        #[test]
        fn any_text_stays_one_code_span(text in "[a-z`|\\\\<>\\[\\]()!*_#&\n\r\t ~$]{0,40}|\\PC{0,40}") {
            let folded = fold(&text, 60);
            prop_assume!(!folded.trim().is_empty());
            let markdown = format!("see {} here", code(&text, 60));
            prop_assert_eq!(acts(&markdown), Vec::<String>::new());
            prop_assert_eq!(codes(&markdown), vec![folded]);
        }

        #[test]
        fn any_text_stays_in_its_cell(text in "[a-z`|\\\\<>\\[\\]()!*_#&\n\r\t ~$]{0,40}") {
            let table = format!("| a | b |\n|---|---|\n| {} | `end` |\n", cell(&text, 60));
            prop_assert_eq!(acts(&table), Vec::<String>::new());
            let ends = codes(&table);
            prop_assert_eq!(ends.last().map(String::as_str), Some("end"));
            prop_assert!(ends.len() <= 2);
        }

        // The readers of tables disagree on what `\\|` is; all agree on an odd number.
        #[test]
        fn an_odd_number_of_backslashes_stands_before_every_pipe(text in "[a|\\\\`]{0,20}") {
            let escaped = escape_pipes(&text);
            for (at, _) in escaped.match_indices('|') {
                let before = escaped[..at].chars().rev().take_while(|char| *char == '\\').count();
                prop_assert_eq!(before % 2, 1, "{}", escaped);
            }
        }

        #[test]
        fn prose_stays_prose(text in "[a-z`|\\\\<>\\[\\]()!*_#&\n\r\t ~$.:/@]{0,40}") {
            let markdown = format!("x {} y", prose(&text, 60));
            prop_assert_eq!(acts(&markdown), Vec::<String>::new(), "{}", markdown);
        }
    }
}
