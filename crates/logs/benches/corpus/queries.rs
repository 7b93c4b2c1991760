//! The same questions to both, warm, by one thread.

use std::{hint::black_box, ops::Bound, time::Duration};

use callboard_logs::LogStore;
use callboard_protocol::{FacetSearch, LogSearch, SearchOrder, Timestamp};
use tantivy::{
    Order, Term,
    aggregation::{AggregationCollector, agg_req::Aggregations},
    collector::TopDocs,
    query::{AllQuery, BooleanQuery, Query, QueryParser, RangeQuery},
};

use crate::{END_MS, millis, plain::Plain, timed};

/// Each is asked as often; the first time does not count.
const TIMES: usize = 41;

/// The newest hundredth of all time.
const FROM_MS: i64 = END_MS - 30 * 864_000;

/// Name, words, and whether only the newest hundredth is searched.
const QUESTIONS: [(&str, &str, bool); 5] = [
    ("rare term", "deadlock", false),
    ("common term", "order", false),
    ("phrase", "\"failed password\"", false),
    ("1 % of time and term", "order", true),
    ("everything", "", false),
];

pub(crate) fn compare(store: &LogStore, plain: &Plain) {
    println!(
        "Milliseconds, p50 / p95. Ours tells with each page how many match in all, and when.\n"
    );
    println!(
        "| question | matches | top-20 | newest-20 | histogram by level | tantivy: top-20 | newest-20 | histogram by level |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, words, recent) in QUESTIONS {
        let from = recent.then(|| Timestamp::from_millis(FROM_MS));
        let search = |order| {
            let q = words.to_owned();
            LogSearch { q, from, order, limit: Some(20), ..LogSearch::default() }
        };
        let (best, newest) = (search(SearchOrder::Best), search(SearchOrder::Newest));
        let filter = FacetSearch { q: words.to_owned(), from, ..FacetSearch::default() };
        let matched = store.search(&newest).expect("a page").matched;
        let ours = [
            measured(|| store.search(&best).expect("a page")),
            measured(|| store.search(&newest).expect("a page")),
            measured(|| store.facets(&filter).expect("facets")),
        ];
        let theirs = asked_plainly(plain, words, recent);
        println!("| {name} | {matched} | {} | {} |", ours.join(" | "), theirs.join(" | "));
    }
}

fn asked_plainly(plain: &Plain, words: &str, recent: bool) -> [String; 3] {
    let searcher = plain.reader.searcher();
    let words: Box<dyn Query> = match words {
        "" => Box::new(AllQuery),
        words => {
            let parser = QueryParser::for_index(&plain.index, vec![plain.text]);
            parser.parse_query(words).expect("a query")
        }
    };
    let query = if recent {
        let from = Bound::Included(Term::from_field_i64(plain.at, FROM_MS));
        let range: Box<dyn Query> = Box::new(RangeQuery::new(from, Bound::Unbounded));
        Box::new(BooleanQuery::intersection(vec![words, range]))
    } else {
        words
    };
    let request: Aggregations = serde_json::from_value(serde_json::json!({ "hours": {
        "histogram": { "field": "at", "interval": 3_600_000.0 },
        "aggs": { "levels": { "terms": { "field": "level" } } },
    }}))
    .expect("a request");
    let text = |top: Vec<tantivy::DocAddress>| {
        top.into_iter()
            .map(|at| searcher.doc::<tantivy::TantivyDocument>(at).expect("a line"))
            .collect::<Vec<_>>()
    };
    [
        measured(|| {
            let top = TopDocs::with_limit(20).order_by_score();
            let found = searcher.search(&query, &top).expect("lines");
            text(found.into_iter().map(|(_, at)| at).collect())
        }),
        measured(|| {
            let top = TopDocs::with_limit(20).order_by_fast_field::<i64>("at", Order::Desc);
            let found = searcher.search(&query, &top).expect("lines");
            text(found.into_iter().map(|(_, at)| at).collect())
        }),
        measured(|| {
            let collector = AggregationCollector::from_aggs(request.clone(), Default::default());
            searcher.search(&query, &collector).expect("a histogram")
        }),
    ]
}

/// The middle, and what all but a twentieth are below.
fn measured<T>(mut ask: impl FnMut() -> T) -> String {
    black_box(ask());
    let mut times: Vec<Duration> = (0..TIMES).map(|_| timed(|| black_box(ask())).0).collect();
    times.sort_unstable();
    format!("{:.1} / {:.1}", millis(times[TIMES / 2]), millis(times[TIMES * 95 / 100]))
}
