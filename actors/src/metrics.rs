//! All metric families that the server exports, and the registry that holds them.
//!
//! The names are the owner's. Labels are bounded: route patterns, codes and configured names,
//! never an id or a raw path.

use std::{cell::RefCell, sync::Arc, time::Duration};

use callboard_protocol::{CircuitState, Health};
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// See the module. A cheap clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    names: Arc<[String]>,
    /// `ai_requests_total{model,task_type,status}`
    pub ai_requests: IntCounterVec,
    /// `ai_request_latency_seconds{model}`: from the lease to the last token.
    pub ai_latency: HistogramVec,
    /// `ai_tokens_used_total{model,direction}`
    pub ai_tokens: IntCounterVec,
    /// `ai_cost_usd_total{model}`
    pub ai_cost: CounterVec,
    /// `ai_response_quality_score`: the share of an answer's citations that its evidence holds.
    pub ai_quality: Histogram,
    /// `websocket_active_connections`
    pub ws_active: IntGauge,
    /// `websocket_messages_total{direction}`
    pub ws_messages: IntCounterVec,
    /// `websocket_errors_total{type}`
    pub ws_errors: IntCounterVec,
    /// `cache_operations_total{op,result}`
    pub cache_operations: IntCounterVec,
    /// `cache_keys_total`: entries in memory.
    pub cache_keys: IntGauge,
    /// `cache_size_bytes`
    pub cache_bytes: IntGauge,
    /// `db_operations_total{op,status}`
    pub db_operations: IntCounterVec,
    /// `db_operation_latency_seconds{op}`
    pub db_latency: HistogramVec,
    /// `service_health{service}`: 1 up, 0.5 degraded, 0 down.
    pub service_health: GaugeVec,
    /// `actor_restarts_total{actor}`
    pub actor_restarts: IntCounterVec,
    /// `actor_mailbox_depth{actor}`: requests that wait in an actor's queue.
    pub actor_mailbox_depth: IntGaugeVec,
    /// `circuit_breaker_state{provider}`: 0 closed, 1 half-open, 2 open.
    pub breaker_state: IntGaugeVec,
    /// `turn_overhead_seconds`: a turn less the time spent waiting for providers.
    pub turn_overhead: Histogram,
    /// `ttft_seconds`: from the question to the first piece of the answer.
    pub ttft: Histogram,
    /// `log_lines_indexed_total{source}`, by kind of source.
    pub log_lines: IntCounterVec,
    /// `log_index_lag_seconds{source}`: how far a followed source is behind its end.
    pub log_lag: GaugeVec,
    /// `http_requests_total{route,method,status}`
    pub http_requests: IntCounterVec,
    uptime: Gauge,
}

impl Metrics {
    /// A registry of its own, with the process's metrics beside ours.
    ///
    /// # Errors
    /// When two families have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Families { registry: &registry, names: RefCell::default() };
        let metrics = Self {
            ai_requests: make.counters(
                "ai_requests_total",
                "Answers asked of models",
                &["model", "task_type", "status"],
            )?,
            ai_latency: make.histograms(
                "ai_request_latency_seconds",
                "From the lease to the last token",
                &["model"],
            )?,
            ai_tokens: make.counters(
                "ai_tokens_used_total",
                "Tokens read (input) and written (output)",
                &["model", "direction"],
            )?,
            ai_cost: make.register(CounterVec::new(
                Opts::new("ai_cost_usd_total", "What the answers cost, in US dollars"),
                &["model"],
            )?)?,
            ai_quality: make.histogram(
                "ai_response_quality_score",
                "The share of an answer's citations that its evidence holds",
                vec![0.0, 0.25, 0.5, 0.75, 0.9, 1.0],
            )?,
            ws_active: make.gauge("websocket_active_connections", "Sockets open now")?,
            ws_messages: make.counters(
                "websocket_messages_total",
                "Frames in and out",
                &["direction"],
            )?,
            ws_errors: make.counters("websocket_errors_total", "Sockets in trouble", &["type"])?,
            cache_operations: make.counters(
                "cache_operations_total",
                "Look-ups, fills and drops",
                &["op", "result"],
            )?,
            cache_keys: make.gauge("cache_keys_total", "Entries in memory")?,
            cache_bytes: make.gauge("cache_size_bytes", "Bytes that the entries take")?,
            db_operations: make.counters(
                "db_operations_total",
                "Operations on the database",
                &["op", "status"],
            )?,
            db_latency: make.histograms(
                "db_operation_latency_seconds",
                "How long operations on the database take",
                &["op"],
            )?,
            service_health: make.register(GaugeVec::new(
                Opts::new("service_health", "1 up, 0.5 degraded, 0 down"),
                &["service"],
            )?)?,
            actor_restarts: make.counters(
                "actor_restarts_total",
                "Actors restarted after a failure",
                &["actor"],
            )?,
            actor_mailbox_depth: make.register(IntGaugeVec::new(
                Opts::new("actor_mailbox_depth", "Requests that wait in an actor's queue"),
                &["actor"],
            )?)?,
            breaker_state: make.register(IntGaugeVec::new(
                Opts::new("circuit_breaker_state", "0 closed, 1 half-open, 2 open"),
                &["provider"],
            )?)?,
            turn_overhead: make.histogram(
                "turn_overhead_seconds",
                "A turn less the time spent waiting for providers",
                prometheus::exponential_buckets(0.001, 2.0, 14)?,
            )?,
            ttft: make.histogram(
                "ttft_seconds",
                "From the question to the first piece of the answer",
                prometheus::exponential_buckets(0.005, 2.0, 14)?,
            )?,
            log_lines: make.counters(
                "log_lines_indexed_total",
                "Log records indexed",
                &["source"],
            )?,
            log_lag: make.register(GaugeVec::new(
                Opts::new("log_index_lag_seconds", "How far a followed source is behind"),
                &["source"],
            )?)?,
            http_requests: make.counters(
                "http_requests_total",
                "Requests by route pattern",
                &["route", "method", "status"],
            )?,
            uptime: make.register(Gauge::new("callboard_uptime_seconds", "Since the start")?)?,
            names: make.names.take().into(),
            registry,
        };
        metrics
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
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
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Makes families and registers them.
struct Families<'a> {
    registry: &'a Registry,
    names: RefCell<Vec<String>>,
}

impl Families<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        self.names.borrow_mut().extend(family.desc().iter().map(|desc| desc.fq_name.clone()));
        Ok(family)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
    ) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help), labels)?)
    }
}
