//! List prices of the big vendors: <https://openai.com/api/pricing>,
//! <https://docs.claude.com/en/docs/about-claude/pricing>,
//! <https://ai.google.dev/gemini-api/docs/pricing>.
//!
//! They are the prices of the standard tier and of short prompts: what vendors add for very long
//! prompts, for priority or for a region, and take off for batches, stands nowhere here.

use crate::ModelPrice;

/// The day up to which the list prices were followed. Models that had been superseded by then
/// stand with the last price that was seen.
pub const PRICES_AS_OF: &str = "2026-10-16";

/// What writing to the cache costs more than reading: at Anthropic for the usual five minutes, at
/// OpenAI since GPT-5.6.
const CACHE_WRITE: f64 = 1.25;

/// Model; US dollars for a million tokens: read, read from the cache, written.
type Row = (&'static str, f64, f64, f64);

const OPENAI_WITH_WRITES: &[Row] = &[
    ("gpt-6.1-sol", 2.0, 0.1, 10.0),
    ("gpt-6-sol", 2.0, 0.2, 10.0),
    ("gpt-6-luna", 0.1, 0.01, 0.5),
    ("gpt-5.6-sol", 4.0, 0.4, 20.0),
];

/// These take nothing for writing to the cache.
const OPENAI: &[Row] = &[
    ("gpt-5.5", 5.0, 0.5, 30.0),
    ("gpt-5.4", 2.5, 0.25, 15.0),
    ("gpt-5.4-mini", 0.75, 0.075, 4.5),
    ("gpt-5.4-nano", 0.2, 0.02, 1.25),
    ("gpt-5.2", 1.75, 0.175, 14.0),
    ("gpt-5.1", 1.25, 0.125, 10.0),
    ("gpt-5", 1.25, 0.125, 10.0),
    ("gpt-5-mini", 0.25, 0.025, 2.0),
    ("gpt-5-nano", 0.05, 0.005, 0.4),
    ("gpt-4.1", 2.0, 0.5, 8.0),
    ("gpt-4.1-mini", 0.4, 0.1, 1.6),
    ("gpt-4.1-nano", 0.1, 0.025, 0.4),
    ("gpt-4o", 2.5, 1.25, 10.0),
    ("gpt-4o-mini", 0.15, 0.075, 0.6),
    ("o3", 2.0, 0.5, 8.0),
    ("o4-mini", 1.1, 0.275, 4.4),
    ("text-embedding-3-small", 0.02, 0.02, 0.0),
    ("text-embedding-3-large", 0.13, 0.13, 0.0),
];

const ANTHROPIC: &[Row] = &[
    ("claude-fable-5-1", 10.0, 0.25, 50.0),
    ("claude-fable-5", 10.0, 1.0, 50.0),
    ("claude-opus-5-5", 4.0, 0.2, 20.0),
    ("claude-opus-5", 5.0, 0.5, 25.0),
    ("claude-opus-4-8", 5.0, 0.5, 25.0),
    ("claude-opus-4-7", 5.0, 0.5, 25.0),
    ("claude-opus-4-6", 5.0, 0.5, 25.0),
    ("claude-opus-4-5", 5.0, 0.5, 25.0),
    ("claude-opus-4-1", 15.0, 1.5, 75.0),
    ("claude-opus-4", 15.0, 1.5, 75.0),
    ("claude-sonnet-5-5", 2.0, 0.1, 10.0),
    ("claude-sonnet-5", 2.0, 0.2, 10.0),
    ("claude-sonnet-4-6", 3.0, 0.3, 15.0),
    ("claude-sonnet-4-5", 3.0, 0.3, 15.0),
    ("claude-sonnet-4", 3.0, 0.3, 15.0),
    ("claude-haiku-5-5", 0.1, 0.01, 0.5),
    ("claude-haiku-4-5", 1.0, 0.1, 5.0),
    ("claude-3-5-haiku", 0.8, 0.08, 4.0),
    ("claude-3-haiku", 0.25, 0.03, 1.25),
];

const GEMINI: &[Row] = &[
    // An introductory price, which doubles on 2027-01-01; 3.6 likewise.
    ("gemini-3.8-flash", 0.75, 0.075, 3.75),
    ("gemini-3.6-flash", 0.75, 0.075, 3.75),
    ("gemini-3-pro-preview", 2.0, 0.2, 12.0),
    ("gemini-3-flash-preview", 0.5, 0.05, 3.0),
    ("gemini-2.5-pro", 1.25, 0.125, 10.0),
    ("gemini-2.5-flash", 0.3, 0.03, 2.5),
    ("gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
    ("gemini-embedding-001", 0.15, 0.15, 0.0),
];

/// The list price of a model, named with or without its date.
pub(super) fn list_price(model: &str) -> Option<ModelPrice> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    let find = |rows: &[Row]| rows.iter().find(|(name, ..)| is_named(model, name)).copied();
    let price = |(_, input, cached_input, output): Row, cache_write| ModelPrice {
        model: model.to_owned(),
        input,
        output,
        cached_input: Some(cached_input),
        cache_write,
        reasoning: None,
    };
    if let Some(row) = find(ANTHROPIC).or_else(|| find(OPENAI_WITH_WRITES)) {
        return Some(price(row, Some(row.1 * CACHE_WRITE)));
    }
    find(OPENAI).or_else(|| find(GEMINI)).map(|row| price(row, None))
}

/// `gpt-4o`, `gpt-4o-2024-08-06`, `claude-sonnet-4-20250514`, but not `gpt-4o-audio` and not
/// `claude-sonnet-4-5`.
fn is_named(model: &str, name: &str) -> bool {
    let Some(rest) = model.strip_prefix(name) else { return false };
    let Some(date) = rest.strip_prefix('-') else { return rest.is_empty() };
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    digits == 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_with_or_without_its_date() {
        let input = |model| list_price(model).map(|price| price.input);
        assert_eq!(input("claude-sonnet-4-20250514"), Some(3.0));
        assert_eq!(input("claude-opus-4-5-20251101"), Some(5.0));
        assert_eq!(input("claude-opus-4-20250514"), Some(15.0));
        assert_eq!(input("claude-opus-5-5"), Some(4.0));
        assert_eq!(input("models/gemini-2.5-flash"), Some(0.3));
        for model in ["gpt-4o-audio-preview", "gpt-6", "gpt-4", "claude-opus-4-9", ""] {
            assert_eq!(input(model), None, "{model}");
        }
    }

    #[test]
    fn no_name_stands_twice_and_the_cache_is_never_dearer() {
        let rows: Vec<Row> = [OPENAI_WITH_WRITES, OPENAI, ANTHROPIC, GEMINI].concat();
        for (index, (name, input, cached, _)) in rows.iter().enumerate() {
            assert!(!rows[..index].iter().any(|row| row.0 == *name), "{name}");
            assert!(cached <= input, "{name}");
        }
    }
}
