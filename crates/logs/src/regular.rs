//! Regular expressions that people write: bounded in size, and matched in a time that grows with the
//! text alone, whatever they say.

use regex::{Regex, RegexBuilder};

/// When it is compiled, it takes at most so much.
const MOST_BYTES: usize = 1 << 20;

/// Reads one.
///
/// # Errors
/// What is wrong with it, behind the name of what it is.
pub(crate) fn expression(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    let built = builder.size_limit(MOST_BYTES).case_insensitive(ignore_case).build();
    built.map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            return "is too large".to_owned();
        }
        let told = error.to_string();
        let last = told.lines().last().unwrap_or_default();
        format!("cannot be read: {}", last.trim_start_matches("error: "))
    })
}
