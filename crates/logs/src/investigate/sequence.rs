//! One thing and then another, of the same user or address: who failed to sign in, and then did
//! not. Called by `clause`.

use super::{Inquiry, lexicon::Concept, question::Question, ranking::Counter, values::Kind};
use crate::{SearchError, query::Clause};

/// Users or addresses whose lines are searched for, the most frequent ones.
const MAX_VALUES: usize = 50;

impl Inquiry<'_> {
    /// The lines of both concepts that name somebody of whom there is first a line of the one and
    /// later a line of the other.
    pub(super) fn in_sequence(
        &mut self,
        question: &Question,
        first: &Concept,
        then: &Concept,
        base: &[Clause],
    ) -> Result<Clause, SearchError> {
        let kind = question.kinds.iter().chain(first.kinds).copied().next().unwrap_or(Kind::User);
        let (before, after) = (self.concept(first)?, self.concept(then)?);
        let earlier = self.counter(kind, base, &before)?;
        let later = self.counter(kind, base, &after)?;
        let values = earlier.followed_by(&later);
        self.note(match values.len() {
            0 => format!("none of the {} has first the one and later the other", kind.name()),
            count if count > MAX_VALUES => {
                format!("{count} {} have both in this order; the first {MAX_VALUES}", kind.name())
            }
            count => format!("only the {count} {} that have both in this order", kind.name()),
        });
        let values: Vec<Clause> =
            values.into_iter().take(MAX_VALUES).map(|value| Clause::text(&value)).collect();
        if values.is_empty() {
            // No line tells of both.
            return Ok(Clause::all([before, after]));
        }
        Ok(Clause::all([Clause::any(vec![before, after]), Clause::any(values)]))
    }

    fn counter(
        &self,
        kind: Kind,
        base: &[Clause],
        concept: &Clause,
    ) -> Result<Counter, SearchError> {
        let clause = Clause::all(base.iter().chain([concept]).cloned());
        let query = self.snapshot.query(&clause, self.range);
        let mut counter = Counter::new(vec![kind], self.store.inner.config.count_limit);
        counter.count(self.snapshot, &*query)?;
        Ok(counter)
    }
}
