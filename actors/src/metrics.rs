//! All metric families that the server exports, and the registry that holds them.
//!
//! The names are the owner's. Labels are bounded: route patterns, codes and configured names,
//! never an id or a raw path.

use std::time::Duration;

use callboard_protocol::{CircuitState, Health};
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// The table of families: a field, its kind, its name, its help, and its labels or buckets.
macro_rules! families {
    ($($field:ident: $kind:ident = $make:ident($name:literal, $help:literal $(, $more:expr)?);)+) => {
        /// See the module. A cheap clone.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] pub $field: $kind,)+
            uptime: Gauge,
        }

        /// The names of all families.
        const NAMES: &[&str] = &[$($name,)+ UPTIME];

        impl Metrics {
            fn registered(registry: Registry) -> Result<Self, prometheus::Error> {
                let make = Families { registry: &registry };
                Ok(Self {
                    $($field: make.$make($name, $help $(, $more)?)?,)+
                    uptime: make.register(Gauge::new(UPTIME, "Seconds since the start")?)?,
                    registry,
                })
            }
        }
    };
}

const UPTIME: &str = "callboard_uptime_seconds";

/// From a millisecond to eight seconds.
const SHORT_WAITS: (f64, f64, usize) = (0.001, 2.0, 14);

/// The labels of OpenTelemetry's conventions for generative AI.
const OF_CALLS: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
const OF_CALLS_BY_TOKEN: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];

/// Its buckets, in part: to a million tokens, to eighty seconds, and to two seconds.
const TOKENS: (f64, f64, usize) = (1.0, 4.0, 11);
const CALLS: (f64, f64, usize) = (0.01, 2.0, 14);
const GAPS: (f64, f64, usize) = (0.001, 2.0, 12);

/// From five milliseconds to forty seconds.
const LONG_WAITS: (f64, f64, usize) = (0.005, 2.0, 14);

families! {
    ai_requests: IntCounterVec = counters(
        "ai_requests_total", "Answers asked of models", &["model", "task_type", "status"]);
    ai_latency: HistogramVec = histograms(
        "ai_request_latency_seconds", "From the lease to the last token", &["model"]);
    ai_tokens: IntCounterVec = counters(
        "ai_tokens_used_total", "Tokens read (input) and written (output)", &["model", "direction"]);
    ai_cost: CounterVec = amounts(
        "ai_cost_usd_total", "What the answers cost, in US dollars", &["model"]);
    ai_quality: Histogram = shares(
        "ai_response_quality_score", "The share of an answer's citations that its evidence holds");
    ws_active: IntGauge = gauge("websocket_active_connections", "Sockets open now");
    ws_messages: IntCounterVec = counters(
        "websocket_messages_total", "Frames in and out", &["direction"]);
    ws_errors: IntCounterVec = counters("websocket_errors_total", "Sockets in trouble", &["type"]);
    cache_operations: IntCounterVec = counters(
        "cache_operations_total", "Look-ups, fills and drops", &["op", "result"]);
    cache_keys: IntGauge = gauge("cache_keys_total", "Entries in memory");
    cache_bytes: IntGauge = gauge("cache_size_bytes", "Bytes that the entries take");
    db_operations: IntCounterVec = counters(
        "db_operations_total", "Operations on the database", &["op", "status"]);
    db_latency: HistogramVec = histograms(
        "db_operation_latency_seconds", "How long operations on the database take", &["op"]);
    service_health: GaugeVec = levels(
        "service_health", "1 up, 0.5 degraded, 0 down", &["service"]);
    actor_restarts: IntCounterVec = counters(
        "actor_restarts_total", "Actors restarted after a failure", &["actor"]);
    actor_mailbox_depth: IntGaugeVec = gauges(
        "actor_mailbox_depth", "Requests that wait in an actor's queue", &["actor"]);
    provider_wait: HistogramVec = histograms(
        "provider_queue_wait_seconds", "Waits for a place at a provider", &["provider"]);
    provider_refusals: IntCounterVec = counters(
        "provider_refusals_total", "Calls that were not admitted", &["provider", "reason"]);
    breaker_state: IntGaugeVec = gauges(
        "circuit_breaker_state", "0 closed, 1 half-open, 2 open", &["provider"]);
    turn_overhead: Histogram = waits(
        "turn_overhead_seconds", "A turn less the time spent waiting for providers", SHORT_WAITS);
    ttft: Histogram = waits(
        "ttft_seconds", "From the question to the first piece of the answer", LONG_WAITS);
    gen_ai_tokens: HistogramVec = spreads(
        "gen_ai_client_token_usage", "Tokens of a call", (OF_CALLS_BY_TOKEN, TOKENS));
    gen_ai_duration: HistogramVec = spreads(
        "gen_ai_server_request_duration_seconds", "From asking a provider to the end",
        (OF_CALLS, CALLS));
    gen_ai_first_token: HistogramVec = spreads(
        "gen_ai_server_time_to_first_token_seconds", "From asking a provider to its first token",
        (OF_CALLS, CALLS));
    gen_ai_per_token: HistogramVec = spreads(
        "gen_ai_server_time_per_output_token_seconds", "From one token of an answer to the next",
        (OF_CALLS, GAPS));
    log_lines: IntCounterVec = counters(
        "log_lines_indexed_total", "Log records indexed, by kind of source", &["source"]);
    log_pushed: IntCounter = counter(
        "log_records_pushed_total", "Log records that programs pushed and that were taken");
    log_dropped: IntCounterVec = counters(
        "log_records_dropped_total", "Log records of senders that cannot be told to wait, and that \
         found no room or made no sense", &["listener"]);
    log_lag: GaugeVec = levels(
        "log_index_lag_seconds", "How far a followed source is behind its end", &["source"]);
    alerts_firing: IntGauge = gauge("alerts_firing", "Alerts that fire now");
    alert_failures: IntCounter = counter(
        "alert_evaluation_failures_total", "Evaluations of alert rules that failed");
    redactions: IntCounterVec = counters(
        "redactions_total", "Secrets and personal data taken out of prompts", &["kind"]);
    ledger_pending: IntGauge = gauge(
        "usage_ledger_pending", "Calls that ended and are not in the database yet");
    ledger_bytes: IntGauge = gauge("usage_ledger_journal_bytes", "Bytes of the usage journal");
    ledger_lost: IntCounter = counter(
        "usage_ledger_lost_total", "Calls that were cut by the end of the server");
    http_requests: IntCounterVec = counters(
        "http_requests_total", "Requests by route pattern", &["route", "method", "status"]);
}

impl Metrics {
    /// A registry of its own, with the process's metrics beside ours.
    ///
    /// # Errors
    /// When two families have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self::registered(Registry::new())?;
        let process = prometheus::process_collector::ProcessCollector::for_self();
        metrics.registry.register(Box::new(process))?;
        Ok(metrics)
    }

    /// One operation on the database, for the store's observer.
    pub fn db_operation(&self, op: &str, took: Duration, ok: bool) {
        let status = if ok { "ok" } else { "error" };
        self.db_operations.with_label_values(&[op, status]).inc();
        self.db_latency.with_label_values(&[op]).observe(took.as_secs_f64());
    }

    /// One finished request. `route` is the pattern, never the path.
    pub fn http_request(&self, route: &str, method: &str, status: u16) {
        self.http_requests.with_label_values(&[route, method, &status.to_string()]).inc();
    }

    /// The state of a dependency.
    pub(crate) fn set_health(&self, service: &str, health: Health) {
        let value = match health {
            Health::Up => 1.0,
            Health::Degraded => 0.5,
            Health::Down => 0.0,
        };
        self.service_health.with_label_values(&[service]).set(value);
    }

    /// A call that a provider's admission refused.
    pub(crate) fn provider_refused(&self, provider: &str, reason: &str) {
        self.provider_refusals.with_label_values(&[provider, reason]).inc();
    }

    /// The state of a provider's breaker.
    pub(crate) fn set_breaker(&self, provider: &str, state: CircuitState) {
        let value = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.breaker_state.with_label_values(&[provider]).set(value);
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// When a family cannot be printed.
    pub fn encode(&self, uptime: Duration) -> Result<String, prometheus::Error> {
        self.uptime.set(uptime.as_secs_f64());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }

    /// The names of all families of ours, also of those that have no sample yet; for the test
    /// that compares them with the dashboard.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        NAMES
    }
}

/// Makes families and registers them.
struct Families<'a> {
    registry: &'a Registry,
}

type Made<T> = Result<T, prometheus::Error>;

impl Families<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: C) -> Made<C> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn amounts(&self, name: &str, help: &str, labels: &[&str]) -> Made<CounterVec> {
        self.register(CounterVec::new(Opts::new(name, help), labels)?)
    }

    fn spreads(
        &self,
        name: &str,
        help: &str,
        (labels, (start, factor, count)): (&[&str], (f64, f64, usize)),
    ) -> Made<HistogramVec> {
        let buckets = prometheus::exponential_buckets(start, factor, count)?;
        let opts = HistogramOpts::new(name, help).buckets(buckets);
        self.register(HistogramVec::new(opts, labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn levels(&self, name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help), labels)?)
    }

    /// Buckets by start, factor and count.
    fn waits(&self, name: &str, help: &str, buckets: (f64, f64, usize)) -> Made<Histogram> {
        let (start, factor, count) = buckets;
        let buckets = prometheus::exponential_buckets(start, factor, count)?;
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }

    /// Buckets from 0 to 1.
    fn shares(&self, name: &str, help: &str) -> Made<Histogram> {
        let buckets = vec![0.0, 0.25, 0.5, 0.75, 0.9, 1.0];
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_samples_are_printed() {
        let metrics = Metrics::new().unwrap();
        metrics.http_request("/api/v1/jobs/{id}", "GET", 200);
        let text = metrics.encode(Duration::from_secs(3)).unwrap();
        assert!(text.contains("callboard_uptime_seconds 3"));
        let sample =
            r#"http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="200"} 1"#;
        assert!(text.contains(sample), "{text}");
        assert!(Metrics::names().contains(&"ttft_seconds"));
    }
}
