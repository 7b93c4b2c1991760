//! Any query finds exactly the lines that a reading of it by hand finds.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::fixture::Fixture;

/// More than the 4,096 documents that the index's unions look at together.
const LINES: usize = 6_000;
const WORDS: [&str; 4] = ["ash", "birch", "10.0.0.1", "cedar"];

/// Lines of up to five words; which ones follows from the number of the line.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut state = 42_u64;
    let mut next = |below: u64| {
        // Knuth's MMIX generator; its high bits are good enough here.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut line = || {
        let words = (0..=next(5)).map(|_| WORDS[next(4) as usize]);
        words.collect::<Vec<_>>().join(" ")
    };
    (0..LINES).map(|_| line()).collect()
});

static INDEX: LazyLock<Fixture> = LazyLock::new(|| Fixture::of(&(TEXTS.join("\n") + "\n")));

#[derive(Clone, Debug)]
enum Query {
    Word(usize),
    Phrase(usize, usize),
    Not(Box<Query>),
    All(Vec<Query>),
    Any(Vec<Query>),
}

impl Query {
    fn matches(&self, line: &str) -> bool {
        match self {
            Self::Word(word) => line.split(' ').any(|other| other == WORDS[*word]),
            Self::Phrase(first, second) => {
                let words: Vec<&str> = line.split(' ').collect();
                words.windows(2).any(|pair| pair == [WORDS[*first], WORDS[*second]])
            }
            Self::Not(query) => !query.matches(line),
            Self::All(queries) => queries.iter().all(|query| query.matches(line)),
            Self::Any(queries) => queries.iter().any(|query| query.matches(line)),
        }
    }

    fn text(&self) -> String {
        let join = |queries: &[Self], between: &str| {
            let texts: Vec<String> = queries.iter().map(Self::text).collect();
            format!("({})", texts.join(between))
        };
        match self {
            Self::Word(word) => WORDS[*word].to_owned(),
            Self::Phrase(first, second) => format!("\"{} {}\"", WORDS[*first], WORDS[*second]),
            Self::Not(query) => format!("-({})", query.text()),
            Self::All(queries) => join(queries, " "),
            Self::Any(queries) => join(queries, " OR "),
        }
    }
}

fn any_query() -> impl Strategy<Value = Query> {
    let leaf = prop_oneof![
        (0..WORDS.len()).prop_map(Query::Word),
        (0..WORDS.len(), 0..WORDS.len()).prop_map(|(a, b)| Query::Phrase(a, b)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|query| Query::Not(Box::new(query))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Query::All),
            prop::collection::vec(inner, 1..4).prop_map(Query::Any),
        ]
    })
}

proptest! {
    #[test]
    fn a_query_finds_what_it_says(query in any_query()) {
        let expected = TEXTS.iter().filter(|line| query.matches(line)).count();
        let text = query.text();
        prop_assert_eq!(INDEX.search(&text).matched, expected as u64, "{}", text);
    }
}
