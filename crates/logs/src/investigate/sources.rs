//! Which sources a question is about.

use super::{
    Inquiry,
    clause::{is_file_name, quoted_list},
    question::{Question, Term},
};
use crate::{catalogue::SourceEntry, query::Clause, tokenizer};

impl Inquiry<'_> {
    /// Words that name sources restrict the search to them; and the other words. The server's own
    /// log is searched only by its name, as long as there are others.
    pub(super) fn sources(&mut self, terms: &[Term]) -> (Vec<Clause>, Vec<Term>) {
        let sources = &self.snapshot.catalogue.sources;
        let (named, rest): (Vec<Term>, Vec<Term>) =
            terms.iter().cloned().partition(|term| names_source(sources, &term.word));
        if !named.is_empty() {
            let names: Vec<String> = named.into_iter().map(|term| term.word).collect();
            self.note(format!("only sources named {}", quoted_list(&names, "or")));
            return (vec![Clause::any(names.into_iter().map(Clause::Source).collect())], rest);
        }
        let Some((own, lines)) = self.own_log() else { return (Vec::new(), rest) };
        self.aside = lines;
        self.note("without the server's own log");
        (vec![Clause::Not(Box::new(own))], rest)
    }

    /// The server's own log, and how many lines it has, when there are other sources, too.
    fn own_log(&self) -> Option<(Clause, u64)> {
        let sources = &self.snapshot.catalogue.sources;
        let own = self.options.own.and_then(|own| sources.iter().find(|source| source.name == own));
        let others = sources.iter().any(|source| Some(source.name.as_str()) != self.options.own);
        let own = own.filter(|own| others && own.lines > 0)?;
        Some((Clause::Source(own.name.clone()), own.lines))
    }

    /// These lines, without the server's own log unless the question names a source.
    pub(super) fn without_own(&self, clause: Clause, question: &Question) -> Clause {
        let sources = &self.snapshot.catalogue.sources;
        let named = question.terms.iter().any(|term| names_source(sources, &term.word));
        let own = self.own_log().filter(|_| !named);
        let not_own = own.map(|(own, _)| Clause::Not(Box::new(own)));
        Clause::all([clause].into_iter().chain(not_own))
    }
}

/// Whether a word is the name of a source, a part of one, or a file or folder in one.
pub(super) fn names_source(sources: &[SourceEntry], word: &str) -> bool {
    let is_path = is_file_name(word);
    sources.iter().any(|source| {
        let name = source.name.to_lowercase();
        name == word
            || (is_path && name.contains(word))
            || (word.len() > 3 && tokenizer::parts(&name).iter().any(|part| part == word))
    })
}
