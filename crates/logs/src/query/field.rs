//! What a query asks of a field: `status>=500`, `user.id=7`, `name=ad*`, `trace_id=*`.

use std::fmt;

use super::write_text;
use crate::{fields, format::custom::Formats};

/// A field, and what its value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldClause {
    pub(crate) name: String,
    pub(crate) test: Test,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Anything, as long as there is one.
    Exists,
    /// This, whatever the case.
    Is(String),
    /// Like this: `*` stands for anything, `?` for one character.
    Like(String),
    /// In this order with a number, or with a text when it is none.
    Ordered(Order, String),
}

/// How a value stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    AtMost,
    AtLeast,
    More,
}

impl Order {
    /// Those with two characters first.
    pub(crate) const ALL: [(&'static str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::More), ("<", Self::Less)];

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        }
    }
}

impl FieldClause {
    /// Whether a line has the field, and the value is what it must be.
    pub(crate) fn matches(&self, line: &str, formats: &Formats) -> bool {
        let Some(value) = fields::field(line, &self.name, formats) else { return false };
        match &self.test {
            Test::Exists => true,
            Test::Is(wanted) => value.eq_ignore_ascii_case(wanted),
            Test::Like(pattern) => is_like(&value.to_lowercase(), &pattern.to_lowercase()),
            Test::Ordered(order, bound) => match (number(&value), number(bound)) {
                (Some(value), Some(bound)) => order.holds(value.total_cmp(&bound)),
                (None, Some(_)) => false,
                (_, None) => order.holds((*value).cmp(bound)),
            },
        }
    }

    /// The status codes that fit, when the field is one: they are words of the lines.
    pub(crate) fn statuses(&self) -> Option<Vec<String>> {
        let Test::Ordered(order, bound) = &self.test else { return None };
        let bound = number(bound).filter(|_| self.name == "status")?;
        let fits = |status: &u16| order.holds(f64::from(*status).total_cmp(&bound));
        Some((100..600).filter(fits).map(|status| status.to_string()).collect())
    }
}

impl fmt::Display for FieldClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.test {
            Test::Exists => f.write_str("=*"),
            Test::Like(pattern) => write!(f, "={pattern}"),
            Test::Is(value) => {
                f.write_str("=")?;
                write_text(f, value)
            }
            Test::Ordered(order, bound) => {
                let sign = Order::ALL.iter().find(|(_, known)| known == order);
                f.write_str(sign.map_or("", |(sign, _)| sign))?;
                write_text(f, bound)
            }
        }
    }
}

/// The number that a value begins with; a unit may stand behind it.
fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    let is_unit = |c: char| c.is_ascii_alphabetic() || matches!(c, '%' | 'µ');
    let digits = value.trim_end_matches(is_unit).trim_end();
    digits.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a text is like a pattern; in a time that does not grow with what a pattern may try.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut in_pattern) = (0, 0);
    // Where the latest star stands, and how far it reaches.
    let mut star = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            Some(_) | None => {
                let Some((place, reach)) = star else { return false };
                star = Some((place, reach + 1));
                at = reach + 1;
                in_pattern = place + 1;
            }
        }
    }
    pattern[in_pattern..].iter().all(|wanted| *wanted == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_matched_with_stars_and_marks() {
        for (text, pattern, is) in [
            ("admin", "adm*", true),
            ("admin", "*min", true),
            ("admin", "a*m*n", true),
            ("admin", "adm?n", true),
            ("admin", "adm", false),
            ("admin", "*x*", false),
            ("", "*", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "*a*a*a*a*a*a*c", false),
        ] {
            assert_eq!(is_like(text, pattern), is, "{text} {pattern}");
        }
    }

    #[test]
    fn values_are_compared_as_numbers_where_they_are() {
        let ordered = |name: &str, order, bound: &str| FieldClause {
            name: name.to_owned(),
            test: Test::Ordered(order, bound.to_owned()),
        };
        let line = "took=51ms size=9 name=kim";
        assert!(ordered("took", Order::More, "50").matches(line, &Formats::default()));
        assert!(!ordered("took", Order::More, "51").matches(line, &Formats::default()));
        assert!(ordered("size", Order::Less, "10").matches(line, &Formats::default()));
        assert!(ordered("name", Order::AtLeast, "joe").matches(line, &Formats::default()));
        assert!(!ordered("name", Order::AtLeast, "5").matches(line, &Formats::default()));
        assert!(!ordered("none", Order::AtLeast, "5").matches(line, &Formats::default()));
        let server_errors = ordered("status", Order::AtLeast, "598").statuses();
        assert_eq!(server_errors.unwrap(), ["598", "599"]);
        assert_eq!(ordered("size", Order::AtLeast, "598").statuses(), None);
    }
}
