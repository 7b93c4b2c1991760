//! The words around a match.

/// Characters before the match.
const LEAD: usize = 60;
/// Characters in all.
const LENGTH: usize = 200;

/// About 200 characters of `content`, around the first place where one of the lower-case `words`
/// stands. White space becomes single spaces.
pub(super) fn excerpt(content: &str, words: &[String]) -> String {
    let text: Vec<char> =
        content.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    let at = words.iter().filter_map(|word| position(&text, word)).min().unwrap_or(0);
    let start = at.saturating_sub(LEAD);
    let end = text.len().min(start + LENGTH);
    let mut shown = String::new();
    if start > 0 {
        shown.push('…');
    }
    shown.extend(text.get(start..end).unwrap_or_default());
    if end < text.len() {
        shown.push('…');
    }
    shown
}

/// Where `word` stands in `text`, in characters of `text`. One character may fold to several, so
/// both are compared as folded text that remembers where it comes from.
fn position(text: &[char], word: &str) -> Option<usize> {
    let mut folded = String::new();
    let mut origins = Vec::new();
    for (index, character) in text.iter().enumerate() {
        for lower in character.to_lowercase() {
            folded.push(lower);
            origins.resize(folded.len(), index);
        }
    }
    let byte = folded.find(word)?;
    origins.get(byte).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_short_message_is_shown_whole() {
        assert_eq!(excerpt("Disk\n full  on db1", &words(&["full"])), "Disk full on db1");
        assert_eq!(excerpt("", &words(&["x"])), "");
    }

    #[test]
    fn a_long_message_is_cut_around_the_first_match() {
        let content = format!("{} ÄRGER {}", "ü ".repeat(300), "ö ".repeat(300));
        let shown = excerpt(&content, &words(&["nowhere", "ärger"]));
        assert!(shown.starts_with('…') && shown.ends_with('…'), "{shown}");
        assert!(shown.contains("ÄRGER"), "{shown}");
        assert_eq!(shown.chars().count(), LENGTH + 2);
    }

    #[test]
    fn letters_that_grow_when_folded_do_not_shift_the_match() {
        let content = format!("{}needle", "İ".repeat(500));
        let shown = excerpt(&content, &words(&["needle"]));
        assert!(shown.ends_with("needle"), "{shown}");
        assert_eq!(shown.chars().count(), 1 + LEAD + "needle".len());
    }
}
