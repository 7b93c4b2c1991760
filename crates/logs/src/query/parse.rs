//! Reads the log query language. Any text may come, of any length; errors name the column.

use callboard_protocol::Level;
use regex::Regex;

use super::{Clause, FieldClause, Order, Test};
use crate::{
    SearchError, fields,
    format::{level, stamp::span},
    mining::PatternId,
    regular, tokenizer,
};

/// A query is typed by a person or built by a page.
const MAX_BYTES: usize = 4096;
/// Every clause is a term that the index looks up.
const MAX_CLAUSES: usize = 128;
const MAX_DEPTH: usize = 8;

/// Reads a query; an empty one finds everything.
pub(crate) fn parse(query: &str) -> Result<Clause, SearchError> {
    let mut parser = Parser { text: query, at: 0, clauses: 0, depth: 0 };
    if query.len() > MAX_BYTES {
        return Err(parser.error(format!("the query is longer than {MAX_BYTES} bytes")));
    }
    let clause = parser.group()?;
    if parser.peek().is_some() {
        return Err(parser.error("there is no ( for this )"));
    }
    Ok(clause)
}

struct Parser<'q> {
    text: &'q str,
    at: usize,
    clauses: usize,
    depth: usize,
}

impl<'q> Parser<'q> {
    fn error(&self, message: impl Into<String>) -> SearchError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> SearchError {
        let column = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        SearchError::InvalidQuery { column, message: message.into() }
    }

    fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Clauses up to the end or the closing parenthesis.
    fn group(&mut self) -> Result<Clause, SearchError> {
        let mut all: Vec<Clause> = Vec::new();
        // The alternatives that the latest clause belongs to.
        let mut either: Option<Vec<Clause>> = None;
        loop {
            self.skip_spaces();
            if self.peek().is_none_or(|next| next == ')' && self.depth > 0) {
                break;
            }
            if self.take_or() {
                let before = either.take().or_else(|| all.pop().map(|clause| vec![clause]));
                let Some(before) = before else {
                    return Err(self.error("there is nothing before OR"));
                };
                self.skip_spaces();
                if self.peek().is_none_or(|next| next == ')') {
                    return Err(self.error("there is nothing after OR"));
                }
                let mut alternatives = before;
                alternatives.push(self.clause()?);
                either = Some(alternatives);
                continue;
            }
            all.extend(either.take().map(Clause::any));
            all.push(self.clause()?);
        }
        all.extend(either.take().map(Clause::any));
        Ok(Clause::all(all))
    }

    fn take_or(&mut self) -> bool {
        let Some(after) = self.rest().strip_prefix("OR") else { return false };
        let is_or = after.chars().next().is_none_or(char::is_whitespace);
        if is_or {
            self.at += 2;
        }
        is_or
    }

    fn clause(&mut self) -> Result<Clause, SearchError> {
        self.clauses += 1;
        if self.clauses > MAX_CLAUSES {
            return Err(self.error(format!("the query has more than {MAX_CLAUSES} parts")));
        }
        let start = self.at;
        if self.rest().starts_with('-') {
            self.at += 1;
            if self.rest().starts_with('-') || self.peek().is_none_or(char::is_whitespace) {
                return Err(self.error_at(start, "there is nothing after -"));
            }
            return Ok(Clause::Not(Box::new(self.clause()?)));
        }
        match self.peek() {
            Some('(') => self.parenthesis(),
            Some('"') => {
                let phrase = self.quoted()?;
                self.text_clause(start, phrase)
            }
            Some(_) | None => self.word(),
        }
    }

    fn parenthesis(&mut self) -> Result<Clause, SearchError> {
        let start = self.at;
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error_at(start, "the parentheses are nested too deep"));
        }
        let clause = self.group()?;
        if self.peek() != Some(')') {
            return Err(self.error_at(start, "this ( is not closed"));
        }
        self.at += 1;
        self.depth -= 1;
        if clause == Clause::All(Vec::new()) {
            return Err(self.error_at(start, "there is nothing between the parentheses"));
        }
        Ok(clause)
    }

    fn quoted(&mut self) -> Result<&'q str, SearchError> {
        let start = self.at;
        let inside = &self.rest()[1..];
        let Some(len) = inside.find('"') else {
            return Err(self.error_at(start, "this \" is not closed"));
        };
        self.at += len + 2;
        Ok(&inside[..len])
    }

    fn word(&mut self) -> Result<Clause, SearchError> {
        let start = self.at;
        if let Some(levels) = self.level()? {
            return Ok(levels);
        }
        if self.rest().starts_with("source:") {
            self.at += "source:".len();
            let quoted = self.peek() == Some('"');
            let name = if quoted { self.quoted()? } else { self.bare() };
            if name.is_empty() {
                return Err(self.error_at(start, "source: needs a name, as in source:auth.log"));
            }
            return Ok(Clause::Source(name.to_owned()));
        }
        // A date and a time of day are one thing, as whoever pastes a line expects.
        if let Some(stamp) = span::first(self.rest()).filter(|stamp| stamp.start == 0) {
            let text = &self.rest()[stamp.clone()];
            self.at += stamp.end;
            return self.text_clause(start, text);
        }
        if let Some(regex) = self.regex()? {
            return Ok(regex);
        }
        if let Some(field) = self.field()? {
            return Ok(field);
        }
        let word = self.bare();
        if is_like(word) {
            return Ok(Clause::Like(word.to_owned()));
        }
        if let Some(id) = word.strip_prefix("pattern:") {
            let message = "pattern: needs the id of a pattern, as in pattern:P12";
            let id: callboard_protocol::PatternId =
                id.parse().map_err(|_| self.error_at(start, message))?;
            return Ok(Clause::Pattern(PatternId(id.0)));
        }
        self.text_clause(start, word)
    }

    /// `/…/`; a path between slashes is text, and so is everything that means itself.
    fn regex(&mut self) -> Result<Option<Clause>, SearchError> {
        const MEANING: [char; 11] = ['\\', '[', '(', '{', '^', '$', '+', '*', '?', '|', '.'];
        let start = self.at;
        let Some(inside) = self.rest().strip_prefix('/') else { return Ok(None) };
        let ends = |at: usize| {
            let escaped = inside[..at].ends_with('\\');
            let behind = inside[at + 1..].chars().next();
            !escaped && behind.is_none_or(|c| c.is_whitespace() || c == ')')
        };
        let end = inside.match_indices('/').map(|(at, _)| at).find(|at| ends(*at));
        let Some(pattern) = end.map(|end| &inside[..end]) else { return Ok(None) };
        if !pattern.contains(MEANING) {
            return Ok(None);
        }
        self.at += pattern.len() + 2;
        let pattern = pattern.replace("\\/", "/");
        match compiled(&pattern) {
            Ok(_) => Ok(Some(Clause::Regex(pattern))),
            Err(problem) => Err(self.error_at(start, problem)),
        }
    }

    /// `name=value`, `name>=5`, `name:>5`, `name:[1 TO 5]`, `name=*`; and with a colon for fields that
    /// stand in lines without a name. Anything else with a colon or a sign is text that was pasted.
    fn field(&mut self) -> Result<Option<Clause>, SearchError> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '-');
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(len);
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@'));
        if !starts || name.ends_with(['.', '-']) {
            return Ok(None);
        }
        let behind = match behind.strip_prefix(':') {
            Some(range) if range.starts_with('[') => return self.range(name),
            Some(ordered) if ordered.starts_with(['>', '<']) => ordered,
            Some(any) if is_star(any) => behind,
            Some(_) if !fields::may_be_unnamed(name) => return Ok(None),
            Some(_) | None => behind,
        };
        let sign = Order::ALL.iter().find(|(sign, _)| behind.starts_with(sign));
        let value = match sign {
            Some((sign, _)) => &behind[sign.len()..],
            None => match behind.strip_prefix(['=', ':']) {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        let start = self.at;
        self.at += rest.len() - value.len();
        let quoted = self.peek() == Some('"');
        let value = if quoted { self.quoted()? } else { self.bare().trim_end_matches([',', ';']) };
        let test = match sign {
            Some((_, order)) => Test::Ordered(*order, value.to_owned()),
            None if value == "*" => Test::Exists,
            None if !quoted && value.contains(['*', '?']) && value.chars().all(is_plain) => {
                Test::Like(value.to_owned())
            }
            None => Test::Is(value.to_owned()),
        };
        if test != Test::Exists && !value.contains(char::is_alphanumeric) {
            self.at = start;
            return Ok(None);
        }
        Ok(Some(Clause::Field(FieldClause { name: name.to_owned(), test })))
    }

    /// `name:[1 TO 5]`, both ends inside.
    fn range(&mut self, name: &str) -> Result<Option<Clause>, SearchError> {
        let start = self.at;
        let inside = &self.rest()[name.len() + 2..];
        let says = |bound: &str| bound.contains(char::is_alphanumeric) && !bound.contains('"');
        let bounds = inside.find(']').and_then(|end| inside[..end].split_once(" TO "));
        let bounds = bounds.filter(|(low, high)| says(low) && says(high));
        let Some((low, high)) = bounds else {
            return Err(self.error_at(start, "a range is written as in status:[400 TO 499]"));
        };
        self.at += name.len() + 2 + low.len() + " TO ".len() + high.len() + 1;
        let bound = |order, value: &str| {
            let test = Test::Ordered(order, value.trim().to_owned());
            Clause::Field(FieldClause { name: name.to_owned(), test })
        };
        Ok(Some(Clause::all([bound(Order::AtLeast, low), bound(Order::AtMost, high)])))
    }

    /// Up to a space, a quote, or a parenthesis that closes a group.
    fn bare(&mut self) -> &'q str {
        let rest = self.rest();
        let in_group = self.depth > 0;
        let ends = |c: char| c.is_whitespace() || c == '"' || (in_group && c == ')');
        let len = rest.find(ends).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn level(&mut self) -> Result<Option<Clause>, SearchError> {
        let start = self.at;
        let Some(after) = self.rest().strip_prefix("level") else { return Ok(None) };
        let Some(operator) =
            [":", ">=", "<=", ">", "<", "="].into_iter().find(|known| after.starts_with(known))
        else {
            return Ok(None);
        };
        self.at += "level".len() + operator.len();
        let name = self.bare();
        let known = name.parse::<Level>().ok().or_else(|| level::from_word(name.as_bytes()));
        let Some(bound) = known else {
            let message = "a level is unknown, trace, debug, info, notice, warn, error or fatal";
            return Err(self.error_at(start, message));
        };
        let matches = |level: &Level| match operator {
            ">=" => *level >= bound,
            "<=" => *level <= bound,
            ">" => *level > bound,
            "<" => *level < bound,
            _ => *level == bound,
        };
        Ok(Some(Clause::Level(Level::ALL.into_iter().filter(matches).collect())))
    }

    fn text_clause(&self, start: usize, text: &str) -> Result<Clause, SearchError> {
        if tokenizer::parts(text).is_empty() {
            return Err(self.error_at(start, "there is no letter or digit here to search for"));
        }
        Ok(Clause::text(text))
    }
}

/// The regular expression of a query.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compiled(pattern: &str) -> Result<Regex, String> {
    let read = regular::expression(pattern, true);
    read.map_err(|problem| format!("this regular expression {problem}"))
}

/// Whether a word has stars or marks, enough beside them to look for, and nothing that would read
/// otherwise where it is printed.
fn is_like(word: &str) -> bool {
    const LEAST: usize = 2;
    let said = word.chars().filter(|c| c.is_alphanumeric()).count();
    let begins = word.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '*' | '?'));
    begins && word.contains(['*', '?']) && said >= LEAST && word.chars().all(is_plain)
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '*' | '?' | '.' | '_' | '-' | '/' | ':' | '@')
}

/// Whether a text begins with a star that is a word of its own.
fn is_star(text: &str) -> bool {
    let behind = text.strip_prefix('*').map(|rest| rest.chars().next());
    behind.is_some_and(|c| c.is_none_or(|c| c.is_whitespace() || matches!(c, ')' | '"')))
}
