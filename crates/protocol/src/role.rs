//! Roles by their names. What a role may do is the server's to know: see `Permission`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a role, in bytes.
const LONGEST: usize = 32;

/// The name of a role: one that is built in, or one that an administrator made. A small letter, then
/// up to 31 small letters, digits, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9_-]{0,31}$")]
pub struct Role(
    /// The name, and zeros behind it.
    [u8; LONGEST],
);

impl Role {
    /// Asks questions and reads logs.
    pub const VIEWER: Self = Self::known("viewer");
    /// A viewer who also brings logs in and sees the jobs that index them.
    pub const ANALYST: Self = Self::known("analyst");
    /// Everything.
    pub const ADMIN: Self = Self::known("admin");
    /// Those that are always there, the least first.
    pub const BUILT_IN: [Self; 3] = [Self::VIEWER, Self::ANALYST, Self::ADMIN];

    const fn known(name: &str) -> Self {
        let (from, mut to) = (name.as_bytes(), [0; LONGEST]);
        let mut at = 0;
        while at < from.len() {
            to[at] = from[at];
            at += 1;
        }
        Self(to)
    }

    /// The name, as on the wire and in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }

    /// Whether it is always there.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        Self::BUILT_IN.contains(self)
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let is_name = text.len() <= LONGEST
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(allowed);
        is_name.then(|| Self::known(text)).ok_or(
            "the name of a role is a small letter and up to 31 small letters, digits, `-` and `_`",
        )
    }
}

impl TryFrom<String> for Role {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_name_that_fits_everywhere() {
        let longest = format!("a{}", "9".repeat(31));
        for name in ["viewer", "on-call_2", &longest] {
            assert_eq!(name.parse::<Role>().unwrap().as_str(), name);
        }
        for name in ["", "Admin", "2nd", "-x", "a b", "ärger", "a\0", &format!("{longest}9")] {
            assert!(name.parse::<Role>().is_err(), "{name:?}");
        }
        assert!(Role::ADMIN.is_built_in());
        assert!(!"on-call".parse::<Role>().unwrap().is_built_in());
        assert_eq!(serde_json::to_string(&Role::ANALYST).unwrap(), r#""analyst""#);
    }
}
