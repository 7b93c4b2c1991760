//! The faults: what each target does, and what a client may see of it.

use std::time::Duration;

use callboard_testkit::Reply;
use serde_json::json;

use super::sees::{Sees, Who};

/// A fault of a provider. It is the first target of a model, and another one stands behind it unless
/// it is alone.
pub(super) struct Fault {
    /// In the names of its models.
    pub(super) id: &'static str,
    /// For people.
    pub(super) title: &'static str,
    /// There is no second target.
    pub(super) alone: bool,
    /// What the first target does when it is asked for the n-th time for the same call, from 0.
    pub(super) first: fn(usize) -> Reply,
    /// The same of the second.
    pub(super) second: fn(usize) -> Reply,
    /// Settings of the first target, in TOML.
    pub(super) settings: &'static str,
    /// Settings of the model, in TOML.
    pub(super) model: &'static str,
    /// What a program sees of a stream.
    pub(super) streamed: Sees,
    /// What a program sees that wants the answer whole.
    pub(super) whole: Sees,
    /// What the reader of a conversation sees.
    pub(super) turn: Sees,
    /// How often each target may be asked for one call.
    pub(super) most_calls: (usize, usize),
    /// What the breaker of the first target must do.
    pub(super) breaker: Breaker,
    /// It leaves a mark on its target that the next call of the same lane meets, too: repeated, it
    /// may end in other ways, and takes longer.
    pub(super) leaves_a_mark: bool,
}

/// What becomes of the first target's breaker and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// The call counts as a failure.
    Counts,
    /// The call says nothing against the provider.
    Closed,
    /// The key rests.
    KeyRests,
    /// By door: a stream is a failure, and a whole answer has no such fault; or the like.
    ByDoor,
}

const FIRST: Sees = Sees::Whole(Who::First);
const SECOND: Sees = Sees::Whole(Who::Second);
const INDEX: Sees = Sees::Whole(Who::Index);

/// A provider that fails before its first token, and one that takes over.
const BEFORE: Fault = Fault {
    id: "",
    title: "",
    alone: false,
    first: good_first,
    second: good_second,
    settings: "",
    model: "",
    streamed: SECOND,
    whole: SECOND,
    turn: SECOND,
    most_calls: (1, 1),
    breaker: Breaker::Counts,
    leaves_a_mark: false,
};

/// A provider that fails after its first token.
const AFTER: Fault =
    Fault { streamed: Sees::Cut(40), turn: Sees::Restarted(Who::Second), ..BEFORE };

/// A provider that answers in spite of all.
const FINE: Fault = Fault {
    streamed: FIRST,
    whole: FIRST,
    turn: FIRST,
    most_calls: (1, 0),
    breaker: Breaker::Closed,
    ..BEFORE
};

/// The sixteen, and the additions. The moving ones (S15, and those of readers) are tests of their own.
pub(super) static FAULTS: &[Fault] = &[
    Fault {
        id: "s01",
        title: "S01 429 with `Retry-After: 1`, once, and no other target",
        alone: true,
        first: |nth| if nth == 0 { Reply::rate_limited(Some("1")) } else { good_first(nth) },
        turn: INDEX,
        most_calls: (2, 0),
        breaker: Breaker::ByDoor,
        leaves_a_mark: true,
        ..FINE
    },
    Fault {
        id: "s02",
        title: "S02 429 with `Retry-After: 1` for ever, and no other target",
        alone: true,
        first: |_| Reply::rate_limited(Some("1")),
        streamed: Sees::Refused("rate_limited"),
        whole: Sees::Refused("rate_limited"),
        turn: INDEX,
        most_calls: (4, 0),
        breaker: Breaker::KeyRests,
        leaves_a_mark: true,
        ..BEFORE
    },
    Fault {
        id: "s02b",
        title: "429 for ever, and another target",
        first: |_| Reply::rate_limited(None),
        breaker: Breaker::KeyRests,
        leaves_a_mark: true,
        ..BEFORE
    },
    Fault {
        id: "s03",
        title: "S03 500, once",
        first: |nth| {
            if nth == 0 { Reply::error(500, "server_error", "no") } else { good_first(nth) }
        },
        most_calls: (2, 0),
        ..FINE
    },
    Fault {
        id: "s04",
        title: "S04 503 for ever",
        first: |_| Reply::error(503, "service_unavailable", "no"),
        most_calls: (3, 1),
        ..BEFORE
    },
    Fault {
        id: "s05",
        title: "S05 TCP reset before the head of the reply",
        first: |_| Reply::reset(),
        most_calls: (3, 1),
        ..BEFORE
    },
    Fault {
        id: "s06",
        title: "S06 accepted, then silent",
        first: |_| Reply::silent(),
        settings: "first_token_timeout_ms = 600\ntotal_timeout_ms = 900",
        ..BEFORE
    },
    Fault {
        id: "s06b",
        title: "a stream that sends comments and no token",
        first: |nth| good_first(nth).first_token_after(Duration::from_secs(60)).pings(),
        settings: "first_token_timeout_ms = 600\ntotal_timeout_ms = 900",
        ..BEFORE
    },
    Fault {
        id: "s07",
        title: "S07 the first token a third later than its limit",
        first: |nth| good_first(nth).first_token_after(Duration::from_millis(1_600)),
        settings: "first_token_timeout_ms = 1200\ntotal_timeout_ms = 1200",
        ..BEFORE
    },
    Fault {
        id: "s08",
        title: "S08 cut after 40 of 60 tokens",
        first: |nth| good_first(nth).cut_after(40),
        ..AFTER
    },
    Fault {
        id: "s09",
        title: "S09 silent after 40 of 60 tokens",
        first: |nth| good_first(nth).stall_after(40),
        settings: "idle_timeout_ms = 600\ntotal_timeout_ms = 1500",
        ..AFTER
    },
    Fault {
        id: "s09b",
        title: "silent after 40 of 60 tokens, but for comments",
        first: |nth| good_first(nth).stall_after(40).pings(),
        settings: "idle_timeout_ms = 600\ntotal_timeout_ms = 1500",
        ..AFTER
    },
    Fault {
        id: "s10",
        title: "S10 a chunk that is no JSON",
        first: |nth| good_first(nth).malformed_at(20),
        ..FINE
    },
    Fault {
        id: "s11",
        title: "S11 no `[DONE]`",
        first: |nth| good_first(nth).without_done(),
        ..FINE
    },
    Fault {
        id: "s11b",
        title: "no `[DONE]`, and the connection stays open",
        first: |nth| good_first(nth).without_done().lingers(),
        ..FINE
    },
    Fault {
        id: "s12",
        title: "S12 the prompt is longer than the model reads",
        first: |_| Reply::context_too_long(),
        breaker: Breaker::Closed,
        ..BEFORE
    },
    Fault {
        id: "s13",
        title: "S13 the content filter refuses the prompt",
        first: |_| Reply::content_filtered(),
        streamed: Sees::Refused("content_filtered"),
        whole: Sees::Refused("content_filtered"),
        turn: Sees::Refused("content_filtered"),
        most_calls: (1, 0),
        breaker: Breaker::Closed,
        ..BEFORE
    },
    Fault {
        id: "s14",
        title: "S14 cut after 40 of 60 tokens, and the second target calls the request malformed",
        first: |nth| good_first(nth).cut_after(40),
        second: |_| Reply::error(400, "invalid_request_error", "prefill is not supported"),
        whole: Sees::Refused("provider_unavailable"),
        turn: Sees::Restarted(Who::Index),
        // A turn asks once more without the tools that it offers.
        most_calls: (1, 2),
        ..AFTER
    },
    Fault {
        id: "s16",
        title: "S16 nothing is wrong: the model and the usage are named",
        first: good_first,
        ..FINE
    },
    Fault {
        id: "a01",
        title: "an error in a 200, in place of the answer",
        first: |_| {
            Reply::body("application/json", r#"{"error":{"message":"no","type":"server_error"}}"#)
        },
        ..BEFORE
    },
    Fault {
        id: "a02",
        title: "an error in a 200, after 40 of 60 tokens",
        first: |nth| {
            good_first(nth).error_after(40, json!({ "message": "no", "type": "server_error" }))
        },
        ..AFTER
    },
    Fault {
        id: "a03",
        title: "a 200 with an empty body",
        first: |_| Reply::body("text/event-stream", ""),
        ..BEFORE
    },
    Fault {
        id: "a04",
        title: "a 200 with an answer of no tokens",
        first: |_| Reply::text(&[]),
        ..BEFORE
    },
    Fault {
        id: "a05",
        title: "a 200 with a page of HTML",
        first: |_| Reply::body("text/html", "<html><body>Sign in</body></html>"),
        ..BEFORE
    },
    Fault {
        id: "a06",
        title: "401 for the server's own key",
        first: |_| Reply::error(401, "invalid_api_key", "no"),
        breaker: Breaker::KeyRests,
        leaves_a_mark: true,
        ..BEFORE
    },
    Fault {
        id: "a07",
        title: "both targets are overloaded",
        first: |_| Reply::overloaded(),
        second: |_| Reply::overloaded(),
        streamed: Sees::Refused("provider_unavailable"),
        whole: Sees::Refused("provider_unavailable"),
        turn: INDEX,
        most_calls: (3, 3),
        ..BEFORE
    },
    Fault {
        id: "a08",
        title: "the first token is late, and the model hedges",
        first: |nth| good_first(nth).first_token_after(Duration::from_secs(20)).bills_prompt(),
        model: "hedge_after_ms = 100",
        breaker: Breaker::Closed,
        ..BEFORE
    },
];

/// The fault of an id.
pub(super) fn fault(id: &str) -> &'static Fault {
    FAULTS.iter().find(|fault| fault.id == id).unwrap()
}

fn good_first(_: usize) -> Reply {
    good(Who::First)
}

fn good_second(_: usize) -> Reply {
    good(Who::Second)
}

/// A whole answer of a target.
pub(super) fn good(who: Who) -> Reply {
    let tokens = who.tokens();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    Reply::text(&tokens)
}
