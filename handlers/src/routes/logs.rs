//! `/logs`: search, lines in context, what is indexed, and how logs come in.

use actix_web::{HttpRequest, HttpResponse, web};
use callboard_actors::Jobs;
use callboard_logs::{LogStore, Reread, SearchError, SourceNames};
use callboard_protocol::{
    AnomalySearch, CompareSearch, CountSearch, ErrorCode, FacetSearch, HistogramSearch, Job,
    LineContext, LineId, LogAnomalies, LogComparison, LogCount, LogFacets, LogHistogram, LogPage,
    LogPreview, LogSearch, LogStats, PatternPage, PatternSearch, PreviewRequest, ReloadScope,
    TimeRange, Timestamp,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, LocalOperator, permit},
    upload,
};

/// The most neighbours of a line on either side.
const MOST_NEIGHBOURS: usize = 200;
/// Neighbours of a line on either side when the query does not say.
const NEIGHBOURS: usize = 10;

/// How many neighbours.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Neighbours {
    /// Lines before; 10 when absent.
    #[param(minimum = 0, maximum = 200)]
    before: Option<usize>,
    /// Lines after; 10 when absent.
    #[param(minimum = 0, maximum = 200)]
    after: Option<usize>,
}

/// What an upload is called.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadName {
    /// The file's name; the source is called so.
    #[param(min_length = 1, max_length = 200)]
    name: String,
}

/// What to index: the body of `POST /logs/ingest`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngestPath {
    /// An absolute path of a file or folder on the server's machine.
    path: String,
}

/// Search the lines.
#[utoipa::path(get, path = "/logs/search", tag = "logs", params(LogSearch),
    responses((status = 200, body = LogPage)))]
pub(crate) async fn search_logs(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<LogSearch>,
) -> Result<web::Json<LogPage>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.search(&query)).await?))
}

/// What lines have in common: templates, how often each comes, since when, and how that changes.
///
/// A pattern's lines are found by `GET /logs/search?q=pattern:P12`.
#[utoipa::path(get, path = "/logs/patterns", tag = "logs", params(PatternSearch),
    responses((status = 200, body = PatternPage)))]
pub(crate) async fn log_patterns(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<PatternSearch>,
) -> Result<web::Json<PatternPage>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.patterns(&query)).await?))
}

/// How many lines match, of which levels and sources, and when: one snapshot answers it all.
#[utoipa::path(get, path = "/logs/facets", tag = "logs", params(FacetSearch),
    responses((status = 200, body = LogFacets)))]
pub(crate) async fn log_facets(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<FacetSearch>,
) -> Result<web::Json<LogFacets>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.facets(&query)).await?))
}

/// How many lines match over time, by level.
#[utoipa::path(get, path = "/logs/histogram", tag = "logs", params(HistogramSearch),
    responses((status = 200, body = LogHistogram)))]
pub(crate) async fn log_histogram(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<HistogramSearch>,
) -> Result<web::Json<LogHistogram>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.histogram(&query)).await?))
}

/// How many lines match, group by group: by level, source, pattern, or the values of a field.
#[utoipa::path(get, path = "/logs/count", tag = "logs", params(CountSearch),
    responses((status = 200, body = LogCount)))]
pub(crate) async fn count_logs(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<CountSearch>,
) -> Result<web::Json<LogCount>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.count(&query)).await?))
}

/// What is different in a span of time than in an earlier one, pattern by pattern.
#[utoipa::path(get, path = "/logs/compare", tag = "logs", params(CompareSearch),
    responses((status = 200, body = LogComparison)))]
pub(crate) async fn compare_logs(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<CompareSearch>,
) -> Result<web::Json<LogComparison>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    Ok(web::Json(state.edge().read_logs(&caller.rights, move |logs| logs.compare(&query)).await?))
}

/// What is unusual in the last hour, or in another window: levels and patterns with far more lines than
/// at that time of other days, patterns that came for the first time, and sources that fell silent.
#[utoipa::path(get, path = "/logs/anomalies", tag = "logs", params(AnomalySearch),
    responses((status = 200, body = LogAnomalies)))]
pub(crate) async fn log_anomalies(
    caller: Allowed<permit::LogsRead>,
    state: State,
    query: web::Query<AnomalySearch>,
) -> Result<web::Json<LogAnomalies>, ApiError> {
    bounded(&state, &query.q)?;
    let query = query.into_inner();
    let unusual = move |logs: &LogStore| logs.anomalies(&query, Timestamp::now());
    Ok(web::Json(state.edge().read_logs(&caller.rights, unusual).await?))
}

/// Refuses a query that is longer than anybody writes.
pub(super) fn bounded(state: &State, q: &str) -> Result<(), ApiError> {
    let limit = state.edge().config().limits.query_bytes;
    if q.len() > limit {
        let message = format!("a query has at most {limit} bytes");
        return Err(ApiError::new(ErrorCode::InvalidQuery, message));
    }
    Ok(())
}

/// A line between its neighbours.
#[utoipa::path(get, path = "/logs/lines/{id}", tag = "logs",
    params(("id" = LineId, Path), Neighbours), responses((status = 200, body = LineContext)))]
pub(crate) async fn read_line(
    caller: Allowed<permit::LogsRead>,
    state: State,
    id: web::Path<LineId>,
    query: web::Query<Neighbours>,
) -> Result<web::Json<LineContext>, ApiError> {
    let before = query.before.unwrap_or(NEIGHBOURS);
    let after = query.after.unwrap_or(NEIGHBOURS);
    if before.max(after) > MOST_NEIGHBOURS {
        let message = format!("before and after are at most {MOST_NEIGHBOURS}");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    let id = *id;
    let context =
        state.edge().read_logs(&caller.rights, move |logs| logs.context(id, before, after)).await?;
    Ok(web::Json(context))
}

/// What would become of lines: their format, their records, and the fields of each. Nothing is indexed.
#[utoipa::path(post, path = "/logs/preview", tag = "logs", request_body = PreviewRequest,
    responses((status = 200, body = LogPreview)))]
pub(crate) async fn preview_logs(
    caller: Allowed<permit::LogsIngest>,
    state: State,
    body: web::Json<PreviewRequest>,
) -> Result<web::Json<LogPreview>, ApiError> {
    let now = Timestamp::now();
    let preview = move |logs: &LogStore| Ok::<_, SearchError>(logs.preview(&body.lines, now));
    Ok(web::Json(state.edge().read_logs(&caller.rights, preview).await?))
}

/// What is indexed.
#[utoipa::path(get, path = "/logs/stats", tag = "logs",
    responses((status = 200, body = LogStats)))]
pub(crate) async fn log_stats(
    caller: Allowed<permit::LogsRead>,
    state: State,
) -> Result<web::Json<LogStats>, ApiError> {
    Ok(web::Json(
        state.edge().read_logs(&caller.rights, |logs| Ok::<_, SearchError>(logs.stats())).await?,
    ))
}

/// The file itself, neither packed nor inside a form.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes the body, which is received piece by piece")]
pub(crate) struct LogFile(Vec<u8>);

/// Upload a log: the file itself is the body. A job indexes it.
///
/// For example `curl --data-binary @app.log -H "Authorization: Bearer $TOKEN"
/// "https://HOST/api/v1/logs/upload?name=app.log"`. The job fails when the file is not text.
#[utoipa::path(post, path = "/logs/upload", tag = "logs", params(UploadName),
    request_body(content(
        (inline(LogFile) = "application/octet-stream"),
        (inline(LogFile) = "text/plain"),
    )),
    responses((status = 202, body = Job)))]
pub(crate) async fn upload_logs(
    caller: Allowed<permit::LogsIngest>,
    (state, trail): (State, Trail),
    query: web::Query<UploadName>,
    (request, body): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let name = Jobs::upload_name(&query.name)?;
    let spool = upload::receive(&state, &request, body).await?;
    let (bytes, path) = (spool.bytes(), spool.path().to_owned());
    let job = state.system.jobs().enqueue_upload(caller.user.id, name, path, bytes).await?;
    spool.hand_over();
    trail.note(&caller.user, "logs.upload", name).await;
    Ok(HttpResponse::Accepted().json(job))
}

/// Make the log index anew from its own lines, in the background: words are cut and patterns found
/// as this version does it, and the times and levels of the lines that are meant are read anew, by the
/// formats as they are configured now. Readers see the old index until the new one is complete.
///
/// One for the same lines that has not ended yet is answered as it is.
#[utoipa::path(post, path = "/logs/reload", tag = "logs", params(ReloadScope),
    responses((status = 202, body = Job)))]
pub(crate) async fn reload_logs(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    query: web::Query<ReloadScope>,
) -> Result<HttpResponse, ApiError> {
    let ReloadScope { sources, from, to } = query.into_inner();
    let sources = sources.map(|names| SourceNames::parse(&names)).transpose();
    let sources = sources.map_err(|problem| {
        let message = format!("`sources` names no sources: {problem}");
        ApiError::new(ErrorCode::InvalidParameter, message)
    })?;
    let reread = Reread { sources, range: TimeRange { from, to } };
    let job = state.system.jobs().enqueue_reindex(Some(caller.user.id), Some(reread)).await?;
    trail.note(&caller.user, "logs.reload", &job.id.to_string()).await;
    Ok(HttpResponse::Accepted().json(job))
}

/// Index a file or a folder by its path; only for callers on the server's machine.
#[utoipa::path(post, path = "/logs/ingest", tag = "logs", request_body = IngestPath,
    responses((status = 202, body = Job)))]
pub(crate) async fn ingest_path(
    caller: LocalOperator,
    (state, trail): (State, Trail),
    body: web::Json<IngestPath>,
) -> Result<HttpResponse, ApiError> {
    let path = std::path::PathBuf::from(&body.path);
    if !path.is_absolute() {
        return Err(ApiError::invalid("path", "the path must be absolute"));
    }
    let job = state.system.jobs().enqueue_path(caller.user.id, path).await?;
    trail.note(&caller.user, "logs.ingest", &body.path).await;
    Ok(HttpResponse::Accepted().json(job))
}
