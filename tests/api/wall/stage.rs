//! One server with two providers for each fault and wire, so that the fault of one is not held
//! against another, and a model for each door, whose breaker is its own.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callboard_protocol::{CircuitState, ProviderList, UsageReport, UsageTotals};
use callboard_testkit::{
    Billed, FakeVendor, PATIENCE, RecordedRequest, eventually, eventually_some,
};

use super::{
    door::Door,
    fault::{Breaker, Fault, fault},
    sees::{Sees, Who},
};
use crate::harness::{Client, Database, Launch, Server};

/// The wires of the providers.
pub(super) const WIRES: [&str; 2] = ["openai", "anthropic"];

/// When the breakers open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breakers {
    /// With the first failure, so that one call shows what counts as one.
    OpenAtOnce,
    /// Never, so that every call meets the fault.
    StayClosed,
}

/// A case: a fault over a wire, seen through a door.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    pub(super) fault: &'static Fault,
    pub(super) wire: &'static str,
    pub(super) door: Door,
}

/// What came of it.
pub(super) struct Met {
    pub(super) lane: Lane,
    pub(super) sees: Sees,
    /// How often the targets were asked.
    pub(super) calls: (usize, usize),
    pub(super) breaker: Breaker,
    /// What stands in the ledger, by target.
    pub(super) billed: String,
}

/// How often each target was asked for each call.
type Asked = Arc<Mutex<HashMap<(&'static str, usize), usize>>>;

pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) ada: Client,
    pub(super) first: FakeVendor,
    pub(super) second: FakeVendor,
    http: reqwest::Client,
    next: AtomicUsize,
    asked: Asked,
}

impl Lane {
    /// The alias that is asked for.
    fn alias(&self) -> String {
        format!("{}-{}-{}", self.fault.id, self.wire, self.door.short())
    }

    fn provider(&self, who: Who) -> String {
        format!("{}-{}-{}", self.fault.id, self.wire, who.letter())
    }

    /// The model that a target is asked for.
    fn model(&self, who: Who) -> String {
        format!("{}-{}", self.alias(), who.letter())
    }

    fn expected(&self) -> &Sees {
        match self.door {
            Door::Turn => &self.fault.turn,
            door if door.is_streamed() => &self.fault.streamed,
            _ => &self.fault.whole,
        }
    }
}

impl Met {
    /// What differs from what the fault allows.
    pub(super) fn wrong(&self) -> Option<String> {
        let Lane { fault, .. } = self.lane;
        let name = self.lane.alias();
        let expected = self.lane.expected();
        if self.sees != *expected {
            return Some(format!("{name}: the client sees {}, not {expected}", self.sees));
        }
        let ((first, second), most) = (self.calls, fault.most_calls);
        if first > most.0 || second > most.1 {
            return Some(format!("{name}: asked {first} and {second} times, at most {most:?}"));
        }
        (fault.breaker != Breaker::ByDoor && fault.breaker != self.breaker)
            .then(|| format!("{name}: breaker {:?}, not {:?}", self.breaker, fault.breaker))
    }
}

/// The number of the call that a prompt stands for.
fn call_of(request: &RecordedRequest) -> usize {
    let question = request.question();
    let at = question.find("call ").unwrap_or_else(|| panic!("no call in {question:?}"));
    question[at + 5..at + 13].parse().unwrap()
}

/// Forty letters, which are ten tokens by everybody's guess.
fn prompt(call: usize) -> String {
    let prompt = format!("call {call:08} is what the wall asks for.");
    format!("{prompt:.<40}")
}

/// A vendor that does to each model what its fault says.
async fn vendor(who: Who, asked: &Asked) -> FakeVendor {
    let vendor = FakeVendor::start().await;
    let asked = Arc::clone(asked);
    vendor.choose(move |request| {
        let model = request.body["model"].as_str().unwrap().to_owned();
        let fault = fault(model.split('-').next().unwrap());
        let mut asked = asked.lock().unwrap();
        let count = asked.entry((who.letter(), call_of(request))).or_default();
        let reply = if who == Who::First { fault.first } else { fault.second };
        let reply = reply(*count);
        *count += 1;
        if reply.is_answer() { reply.model(&model) } else { reply }
    });
    vendor
}

/// The configuration of all providers and models.
fn configuration(lanes: &[Lane], vendors: [&FakeVendor; 2], breakers: Breakers) -> String {
    let (min_calls, failure_rate) = match breakers {
        Breakers::OpenAtOnce => (1, "0.01"),
        Breakers::StayClosed => (100_000, "1.0"),
    };
    let (mut providers, mut models) = (String::new(), String::new());
    for lane in lanes {
        let targets = [Who::First, Who::Second];
        let targets = &targets[..if lane.fault.alone { 1 } else { 2 }];
        if lane.door == Door::ALL[0] {
            for (who, vendor) in targets.iter().zip(vendors) {
                let (name, settings) = (lane.provider(*who), lane.fault.settings);
                let settings = if *who == Who::First { settings } else { "" };
                writeln!(
                    providers,
                    "[[providers]]\nname = \"{name}\"\nkind = \"{}\"\nbase_url = \"{}\"\n\
                     model = \"{name}\"\nmax_concurrency = 64\n{settings}\nbreaker = {{ window = \
                     100000, min_calls = {min_calls}, failure_rate = {failure_rate}, open_ms = 600000 }}",
                    lane.wire,
                    vendor.base_url(),
                )
                .unwrap();
            }
        }
        let targets: Vec<String> = targets
            .iter()
            .map(|who| {
                let (provider, model) = (lane.provider(*who), lane.model(*who));
                format!("{{ provider = \"{provider}\", model = \"{model}\" }}")
            })
            .collect();
        writeln!(
            models,
            "[[models]]\nname = \"{}\"\ntargets = [{}]\n{}",
            lane.alias(),
            targets.join(", "),
            lane.fault.model
        )
        .unwrap();
    }
    providers + &models
}

impl Stage {
    pub(super) async fn set(breakers: Breakers) -> Self {
        let asked = Asked::default();
        let (first, second) = (vendor(Who::First, &asked).await, vendor(Who::Second, &asked).await);
        let launch = Launch::on(Database::Sqlite)
            .await
            .set("gateway.patience_ms=6000")
            .set("session.max_per_user=200")
            .set("chat.keep_turns=8")
            .set("chat.idle_conversation_s=1")
            .set("telemetry.filter=error");
        let lanes = super::lanes();
        let toml = configuration(&lanes, [&first, &second], breakers);
        std::fs::write(launch.folder().join("callboard.toml"), toml).unwrap();
        let server = launch.start().await;
        let ada = server.admin().await;
        let http = reqwest::Client::new();
        Self { server, ada, first, second, http, next: AtomicUsize::new(0), asked }
    }

    pub(super) fn forget_requests(&self) {
        self.first.forget_requests();
        self.second.forget_requests();
    }

    /// One call of a case.
    async fn call(&self, lane: Lane) -> (Sees, (usize, usize)) {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (base, alias, prompt) = (self.server.url(""), lane.alias(), prompt(call));
        let sees = lane.door.ask(&self.http, &self.ada, (&base, &alias, &prompt)).await;
        let mut asked = self.asked.lock().unwrap();
        let mut count = |who: Who| asked.remove(&(who.letter(), call)).unwrap_or(0);
        (sees, (count(Who::First), count(Who::Second)))
    }

    /// Meets a fault once, and looks at the breaker.
    pub(super) async fn meet(&self, lane: Lane) -> Met {
        let (sees, calls) = self.call(lane).await;
        let providers: ProviderList = self.ada.get("/providers").await;
        let name = lane.provider(Who::First);
        let provider = providers.items.iter().find(|provider| provider.name == name).unwrap();
        let model = lane.model(Who::First);
        let model = provider.models.iter().find(|state| state.model == model);
        let model = model.unwrap_or_else(|| panic!("{name} was never asked for {}", lane.alias()));
        let breaker = match model.circuit {
            CircuitState::Closed if model.keys.iter().any(|key| key.rests_for_ms > 0) => {
                Breaker::KeyRests
            }
            CircuitState::Closed => Breaker::Closed,
            CircuitState::Open | CircuitState::HalfOpen => Breaker::Counts,
        };
        Met { lane, sees, calls, breaker, billed: String::new() }
    }

    /// Meets a fault so often, one after the other; tells what was wrong.
    pub(super) async fn repeat(&self, lane: Lane, times: usize) -> Vec<String> {
        let fault = lane.fault;
        // Those that leave a mark take seconds each.
        let times = if fault.leaves_a_mark { times.min(3) } else { times };
        let mut wrong = Vec::new();
        for _ in 0..times {
            let (sees, (first, second)) = self.call(lane).await;
            let expected = lane.expected();
            let is_right = match &sees {
                Sees::Odd(_) => false,
                _ => fault.leaves_a_mark || sees == *expected,
            };
            if !is_right || first > fault.most_calls.0 || second > fault.most_calls.1 {
                wrong.push(format!("{}: {sees} after {first} and {second}", lane.alias()));
            }
        }
        wrong
    }

    /// Waits until no call is left anywhere: at the vendors, at the gates, in the ledger.
    pub(super) async fn quiet(&self) {
        let running = || self.first.running_count() + self.second.running_count();
        eventually(PATIENCE, || running() == 0).await;
        eventually_some(PATIENCE, async || {
            let providers: ProviderList = self.ada.get("/providers").await;
            let busy = providers.items.iter().any(|one| one.in_flight + one.queued > 0);
            (!busy).then_some(())
        })
        .await;
        for name in ["usage_ledger_pending", "websocket_active_connections"] {
            eventually_some(PATIENCE, async || (self.metric(name).await == 0.0).then_some(()))
                .await;
        }
    }

    /// A metric without labels.
    pub(super) async fn metric(&self, name: &str) -> f64 {
        let reply = self.http.get(self.server.url("/metrics")).send().await.unwrap();
        let text = reply.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().unwrap()
    }

    /// What the ledger says of each model.
    async fn ledger(&self) -> HashMap<String, UsageTotals> {
        let report: UsageReport = self.ada.get("/usage?group_by=model").await;
        assert!(!report.truncated);
        let rows = report.rows.into_iter();
        rows.map(|row| (row.group.unwrap_or_default(), row.totals)).collect()
    }

    /// The vendors' bills by model: the tokens read and written.
    fn bills(&self) -> HashMap<String, (u64, u64)> {
        let mut bills: HashMap<String, (u64, u64)> = HashMap::new();
        for Billed { asked, input, output, .. } in
            self.first.billed().into_iter().chain(self.second.billed())
        {
            let bill = bills.entry(asked).or_default();
            *bill = (bill.0 + input, bill.1 + output);
        }
        bills
    }

    /// Holds the ledger against the vendors' bills, model by model.
    pub(super) async fn balance(&self) -> HashMap<String, UsageTotals> {
        self.quiet().await;
        // The ledger is written every fifth of a second; then it says the same twice.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (ledger, bills) = (self.ledger().await, self.bills());
        let nothing = UsageTotals::default();
        for lane in super::lanes() {
            for who in [Who::First, Who::Second] {
                let model = lane.model(who);
                let (input, output) = bills.get(&model).copied().unwrap_or_default();
                let ours = ledger.get(&model).unwrap_or(&nothing);
                assert_eq!(ours.tokens.output, output, "{model}: {ours:?}");
                // What a turn's prompt costs is guessed when its answer does not come to its end; it
                // is longer than the vendor of the wall thinks.
                let is_guessed = lane.door == Door::Turn && ours.estimated_calls > 0;
                let same = ours.tokens.input == input || (is_guessed && ours.tokens.input > input);
                assert!(same, "{model}: read {input}: {ours:?}");
            }
        }
        ledger
    }

    /// Adds to each case what stands in the ledger.
    pub(super) async fn bill(&self, met: &mut [Met]) {
        let ledger = self.balance().await;
        for met in met {
            let one = |who: Who| Some(told(ledger.get(&met.lane.model(who))?, met.lane.door));
            let targets: Vec<String> =
                [Who::First, Who::Second].into_iter().filter_map(one).collect();
            met.billed = targets.join(", ");
        }
    }
}

/// The calls of one target in words.
fn told(totals: &UsageTotals, door: Door) -> String {
    let UsageTotals { counts, tokens, .. } = totals;
    let kinds = [
        (counts.answered, "answered"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.hedge_lost, "hedge lost"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| if *count > 1 { format!("{count} × {kind}") } else { (*kind).into() })
        .collect();
    let kinds = kinds.join(" and ");
    match (tokens.input, tokens.output) {
        (0, 0) => kinds,
        // How long a turn's prompt is, is not the matter here.
        (_, output) if door == Door::Turn => format!("{kinds} (p + {output})"),
        (input, output) => format!("{kinds} ({input} + {output})"),
    }
}
