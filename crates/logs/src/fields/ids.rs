//! Ids that tie lines together across programs, each of which writes them in its own way.

use std::borrow::Cow;

/// The name that we give an id, and those that programs and libraries give it: OpenTelemetry, W3C's
/// `traceparent`, Zipkin (B3), Datadog, Elastic's common schema, and what people choose.
const IDS: [(&str, &[&str]); 3] = [
    (
        "trace_id",
        &[
            "trace_id",
            "traceId",
            "trace.id",
            "traceID",
            "TraceId",
            "trace-id",
            "otelTraceID",
            "dd.trace_id",
            "X-B3-TraceId",
            TRACEPARENT,
        ],
    ),
    ("span_id", &["span_id", "spanId", "span.id", "spanID", "SpanId", "otelSpanID", "dd.span_id"]),
    (
        "request_id",
        &[
            "request_id",
            "requestId",
            "request.id",
            "requestID",
            "RequestId",
            "req_id",
            "reqId",
            "request-id",
            "x-request-id",
            "X-Request-Id",
            "X-Request-ID",
            "http.request.id",
        ],
    ),
];

/// `version-trace-span-flags` (W3C Trace Context, 3.2).
const TRACEPARENT: &str = "traceparent";

/// The names that we give.
pub(super) fn ours() -> impl Iterator<Item = &'static str> {
    IDS.iter().map(|(name, _)| *name)
}

/// The names under which lines may have such an id; none when the name is not one of ours.
pub(crate) fn spellings(name: &str) -> Option<&'static [&'static str]> {
    IDS.iter().find(|(ours, _)| *ours == name).map(|(_, spellings)| *spellings)
}

/// The id that stands under one of the spellings.
pub(super) fn id_in<'a>(spelling: &str, value: Cow<'a, str>) -> Option<Cow<'a, str>> {
    if spelling != TRACEPARENT {
        return Some(value);
    }
    let trace = value.split('-').nth(1)?;
    (trace.len() == 32).then(|| Cow::Owned(trace.to_owned()))
}
