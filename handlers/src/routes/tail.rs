//! `/logs/tail`: lines as they come in.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use callboard_actors::System;
use callboard_logs::LogStore;
use callboard_protocol::{ErrorCode, LineId, LogTail, TailSearch};
use futures_util::{Stream, stream};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::assistant::{event_stream, with_keep_alive};
use crate::{
    ApiError,
    edge::{Edge, State},
    extract::{Allowed, Principal, permit},
};

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Ends a stream, so that who may not read any more is found out; the client comes back with
/// `Last-Event-ID` and misses nothing.
const LONGEST: Duration = Duration::from_secs(600);

/// The lines that match as they come in, as server-sent events: `lines`, each with the id of the last
/// line that was looked at.
///
/// A client that comes back with it in `Last-Event-ID` misses nothing. When more come at once than an
/// event holds, the last of them are in it, and `skipped` counts the others.
#[utoipa::path(get, path = "/logs/tail", tag = "logs", params(TailSearch,
    ("Last-Event-ID" = Option<LineId>, Header, description = "Where a broken stream was.")),
    responses((status = 200, content((LogTail = "text/event-stream")))))]
pub(crate) async fn tail_logs(
    caller: Allowed<permit::LogsRead>,
    (state, request): (State, HttpRequest),
    query: web::Query<TailSearch>,
) -> Result<HttpResponse, ApiError> {
    super::logs::bounded(&state, &query.q)?;
    let search = query.into_inner();
    LogStore::lines_before(&search)?;
    let seat = state.edge().tails().clone().try_acquire_owned();
    let seat = seat.map_err(|_| ApiError::from(ErrorCode::Overloaded))?;
    let (edge, system) = (state.edge().clone(), state.system.clone());
    let (seen, first) = match last_event(&request)? {
        Some(seen) => (seen, None),
        None => {
            let asked = search.clone();
            let look = move |logs: &LogStore| logs.tail(&asked, None);
            let first = edge.read_logs(&caller.rights, look).await?;
            (first.as_ref().map_or(LineId(0), |first| first.seen), first)
        }
    };
    let caller = caller.into_principal();
    let tail = Tail { edge, system, caller, search, seen, first, ends: ends(), _seat: seat };
    Ok(event_stream().streaming(with_keep_alive(Box::pin(tail.events()))))
}

fn ends() -> Instant {
    Instant::now() + LONGEST
}

/// Where a client was that comes back.
fn last_event(request: &HttpRequest) -> Result<Option<LineId>, ApiError> {
    let Some(header) = request.headers().get("last-event-id") else { return Ok(None) };
    let id = header.to_str().ok().and_then(|id| id.parse().ok());
    let problem = "Last-Event-ID is the id of a line, as in L1042";
    id.map(Some).ok_or_else(|| ApiError::new(ErrorCode::InvalidParameter, problem))
}

struct Tail {
    edge: Edge,
    system: System,
    caller: Principal,
    search: TailSearch,
    /// The last line that was looked at.
    seen: LineId,
    /// What is sent before anything comes in.
    first: Option<LogTail>,
    ends: Instant,
    _seat: OwnedSemaphorePermit,
}

impl Tail {
    fn events(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(self, |mut tail| async move {
            let lines = tail.next().await?;
            Some((lines.and_then(|lines| event(&lines)), tail))
        })
    }

    /// What comes next; none when the stream ends.
    async fn next(&mut self) -> Option<Result<LogTail, ApiError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        loop {
            if self.system.is_draining() || Instant::now() >= self.ends {
                return None;
            }
            // The sign-in may have been ended meanwhile, or the account may see less.
            let rights = self.caller.rights_now(&self.edge)?;
            let (search, seen) = (self.search.clone(), self.seen);
            let look = move |logs: &LogStore| logs.tail(&search, Some(seen));
            match self.edge.read_logs(&rights, look).await {
                Ok(Some(newer)) => {
                    self.seen = newer.seen;
                    if !newer.lines.is_empty() {
                        return Some(Ok(newer));
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.ends = Instant::now();
                    return Some(Err(error));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn event(tail: &LogTail) -> Result<Bytes, ApiError> {
    let json = serde_json::to_string(tail).map_err(ApiError::internal)?;
    Ok(Bytes::from(format!("id: {}\nevent: lines\ndata: {json}\n\n", tail.seen)))
}
