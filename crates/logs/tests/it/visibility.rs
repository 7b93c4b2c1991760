//! A reader of some sources: of the others nothing is found, counted or told, whatever is asked.

use callboard_logs::{InvestigateOptions, LogStore, SearchError, SourceAccess};
use callboard_protocol::{
    AnomalySearch, CompareSearch, CountSearch, FacetSearch, HistogramSearch, LineId, LogSearch,
    PatternSearch, TailSearch,
};

use crate::fixture::{Fixture, now};

/// What only the hidden source says.
const SECRET: &str = "salary";

/// `web.log`, which may be seen, and `payroll.log`, which may not.
fn two_sources() -> (Fixture, LogStore) {
    let fixture = Fixture::new();
    let line = |minute: u32, text: &str| format!("2026-11-21T02:{minute:02}:00Z ERROR {text}\n");
    let web: String = (0..20).map(|n| line(n, &format!("checkout of cart {n} failed"))).collect();
    let payroll: String = (0..30)
        .map(|n| line(n, &format!("checkout of the {SECRET} of employee {n} failed")))
        .collect();
    fixture.ingest("web.log", &web);
    fixture.ingest("payroll.log", &payroll);
    let access = SourceAccess::parse(Some(&["web*".to_owned()])).unwrap();
    let store = fixture.store.visible_to(&access);
    (fixture, store)
}

fn of_payroll(fixture: &Fixture) -> LineId {
    fixture.search(SECRET).lines[0].id
}

#[test]
fn lines_of_other_sources_are_not_found_or_counted() {
    let (fixture, store) = two_sources();
    let found = |q: &str| store.search(&LogSearch { q: q.to_owned(), ..LogSearch::default() });
    assert_eq!(found("").unwrap().matched, 20);
    assert_eq!(found("checkout").unwrap().matched, 20);
    // Neither by its words nor by its name, nor by saying what it is not.
    for q in [
        SECRET,
        "source:payroll.log",
        "-cart",
        "-source:web.log",
        "a OR salary",
        "sal*",
        "/sal.ry/",
    ] {
        assert_eq!(found(q).unwrap().matched, 0, "{q}");
    }
    assert_eq!(fixture.search("checkout").matched, 50, "the others see all");
    let hidden = fixture.search(SECRET).lines.remove(0);
    let of_source = LogSearch { source_id: Some(hidden.source_id), ..LogSearch::default() };
    assert_eq!(store.search(&of_source).unwrap().matched, 0);
    assert_eq!(store.search_all(&LogSearch::default()).unwrap().lines.len(), 20);
}

#[test]
fn a_line_of_another_source_is_not_there() {
    let (fixture, store) = two_sources();
    let id = of_payroll(&fixture);
    let missing = |error| matches!(error, SearchError::LineNotFound(at) if at == id);
    assert!(missing(store.line(id).unwrap_err()));
    assert!(missing(store.context(id, 5, 5).unwrap_err()));
    let own = store.search(&LogSearch::default()).unwrap().lines.remove(0);
    assert_eq!(store.line(own.id).unwrap().text, own.text);
}

#[test]
fn no_sum_and_no_group_has_a_share_of_other_sources() {
    let (_fixture, store) = two_sources();
    let facets = store.facets(&FacetSearch::default()).unwrap();
    let names: Vec<&str> = facets.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!((names, facets.matched), (vec!["web.log"], 20));
    let histogram = store.histogram(&HistogramSearch::default()).unwrap();
    assert_eq!(histogram.matched, 20);
    for by in ["source", "level", "pattern", "employee"] {
        let search = CountSearch { by: Some(by.to_owned()), ..CountSearch::default() };
        let counted = format!("{:?}", store.count(&search).unwrap());
        assert!(!counted.contains(SECRET) && !counted.contains("payroll"), "{counted}");
    }
    let patterns = store.patterns(&PatternSearch::default()).unwrap();
    assert_eq!((patterns.found, patterns.matched), (1, 20));
    let at = |time: &str| Some(format!("2026-11-21T{time}:00Z").parse().unwrap());
    let compare = CompareSearch { from: at("02:10"), to: at("02:20"), ..CompareSearch::default() };
    let compared = format!("{:?}", store.compare(&compare).unwrap());
    assert!(!compared.contains(SECRET), "{compared}");
    let unusual = format!("{:?}", store.anomalies(&AnomalySearch::default(), now()).unwrap());
    assert!(!unusual.contains(SECRET) && !unusual.contains("payroll"), "{unusual}");
    let stats = store.stats();
    assert_eq!((stats.lines, stats.patterns, stats.sources.len()), (20, 1, 1));
    assert_eq!(stats.levels.iter().map(|level| level.count).sum::<u64>(), 20);
}

#[test]
fn a_tail_tells_nothing_of_other_sources() {
    let (_fixture, store) = two_sources();
    let tail = store.tail(&TailSearch { lines: Some(50), ..TailSearch::default() }, None).unwrap();
    let told = tail.unwrap();
    assert_eq!(told.lines.len() as u64 + told.skipped, 20);
    let later = store.tail(&TailSearch::default(), Some(LineId(1))).unwrap().unwrap();
    assert!(later.lines.iter().all(|line| line.source == "web.log"), "{later:?}");
}

#[test]
fn questions_are_answered_from_ones_own_sources() {
    let (_fixture, store) = two_sources();
    for question in [
        "What failed at checkout?",
        "Is there anything about a salary?",
        "How many lines are there by source?",
        "What does payroll.log say?",
        "What is in the logs?",
    ] {
        let options = InvestigateOptions::at(now());
        let found = store.investigate(question, &options).unwrap();
        let told = format!("{found:?}");
        assert!(!told.contains("employee"), "{question}: {told}");
        assert!(found.searched.searched <= 20, "{question}: {told}");
        assert!(found.lines.iter().all(|line| line.source == "web.log"), "{question}");
    }
}

#[test]
fn whoever_has_no_source_sees_an_empty_index() {
    let (fixture, _) = two_sources();
    let store = fixture.store.visible_to(&SourceAccess::parse(Some(&[])).unwrap());
    assert_eq!(store.search(&LogSearch::default()).unwrap().matched, 0);
    let stats = store.stats();
    assert_eq!((stats.lines, stats.sources.len()), (0, 0));
}
