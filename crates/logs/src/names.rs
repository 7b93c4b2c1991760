//! Sources by a pattern of their names.

use std::fmt;

use glob::Pattern;
use serde::{Deserialize, Serialize};

/// The longest pattern, in bytes.
const LONGEST: usize = 1_000;

/// Sources whose names match a pattern as a shell has them: `nginx`, `/var/log/nginx/*`. A `*` crosses
/// slashes, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceNames(Pattern);

impl SourceNames {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let pattern = pattern.trim();
        if !(1..=LONGEST).contains(&pattern.len()) || pattern.chars().any(char::is_control) {
            return Err(format!("has 1 to {LONGEST} bytes and no control characters"));
        }
        Pattern::new(pattern).map(Self).map_err(|error| error.to_string())
    }

    /// Whether a source is one of them.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl TryFrom<String> for SourceNames {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        Self::parse(&pattern)
    }
}

impl From<SourceNames> for String {
    fn from(names: SourceNames) -> Self {
        names.to_string()
    }
}

impl fmt::Display for SourceNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_sources_and_a_bad_one_says_why() {
        let names = SourceNames::parse(" /var/log/*.log ").unwrap();
        assert!(names.include("/var/log/nginx/access.log") && !names.include("/var/log/syslog"));
        assert_eq!(names.to_string(), "/var/log/*.log");
        for bad in ["", "  ", "a\nb", "[a"] {
            assert!(SourceNames::parse(bad).is_err(), "{bad:?}");
        }
    }
}
