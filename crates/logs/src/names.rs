//! Sources by a pattern of their names, and which of them somebody may see.

use std::{fmt, sync::Arc};

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

/// The sources whose lines somebody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceAccess {
    /// All of them.
    #[default]
    Every,
    /// Those that one of these patterns names; none without a pattern.
    Only(Arc<[SourceNames]>),
}

impl SourceAccess {
    /// All when no patterns are given, or else those that they name.
    ///
    /// # Errors
    /// What is wrong with a pattern, for people.
    pub fn parse(patterns: Option<&[String]>) -> Result<Self, String> {
        let Some(patterns) = patterns else { return Ok(Self::Every) };
        let parsed = patterns.iter().map(|pattern| {
            SourceNames::parse(pattern).map_err(|problem| format!("{pattern:?} {problem}"))
        });
        Ok(Self::Only(parsed.collect::<Result<_, _>>()?))
    }

    /// Whether the lines of a source may be seen.
    #[must_use]
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Only(names) => names.iter().any(|names| names.include(name)),
        }
    }
}

impl fmt::Display for SourceAccess {
    /// The same text for the same access: a part of what answers are remembered by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every source"),
            Self::Only(names) => names.iter().try_for_each(|names| writeln!(f, "{names}")),
        }
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
    #[test]
    fn access_is_to_every_source_or_to_those_that_are_named() {
        let access = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&name| name.to_owned()).collect();
            SourceAccess::parse(Some(&patterns))
        };
        assert!(SourceAccess::parse(None).unwrap().includes("anything"));
        let web = access(&["web-*", "auth.log"]).unwrap();
        assert!(web.includes("web-1") && web.includes("auth.log") && !web.includes("db"));
        assert!(!access(&[]).unwrap().includes("web-1"));
        assert!(access(&["web", "[a"]).unwrap_err().starts_with("\"[a\""));
        assert_ne!(web.to_string(), access(&["web-*"]).unwrap().to_string());
    }
}
