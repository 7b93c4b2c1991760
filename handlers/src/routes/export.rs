//! `/logs/export`: lines to keep, as a file.

use std::sync::Arc;

use actix_web::{HttpResponse, http::header, web};
use bytes::Bytes;
use callboard_actors::Rights;
use callboard_protocol::{ErrorCode, ExportFormat, LineFilter, LogExport, LogLine, LogSearch};
use futures_util::{Stream, stream};
use serde_json::json;

use crate::{
    ApiError,
    audit::Trail,
    edge::{Edge, State},
    extract::{Allowed, permit},
};

/// Lines that are read at once.
const PAGE: u32 = 5_000;

/// Lines in one file, at most, and when the query does not say.
const MOST_LINES: u64 = 1_000_000;

/// The lines that match, the newest first, as a file: text, JSON lines or CSV. It is sent as it is read;
/// newer lines that come in meanwhile are not in it.
#[utoipa::path(get, path = "/logs/export", tag = "logs", params(LogExport),
    responses((status = 200, content((String = "text/plain"), (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn export_logs(
    caller: Allowed<permit::LogsRead>,
    (state, trail): (State, Trail),
    query: web::Query<LogExport>,
) -> Result<HttpResponse, ApiError> {
    let LogExport { q, from, to, level, source_id, format, limit } = query.into_inner();
    super::logs::bounded(&state, &q)?;
    let limit = limit.unwrap_or(MOST_LINES);
    if !(1..=MOST_LINES).contains(&limit) {
        let message = format!("limit is 1 to {MOST_LINES}");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    let filter = LineFilter { q, from, to, level, source_id };
    let (kind, ending) = match format {
        ExportFormat::Text => ("text/plain; charset=utf-8", "log"),
        ExportFormat::Ndjson => ("application/x-ndjson", "ndjson"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let reader = (state.edge().clone(), Arc::clone(&caller.rights));
    let export = Export::begin(reader, filter, (format, limit)).await?;
    let details = json!({ "query": export.search.q });
    trail.note_with(&caller.user, "logs.export", ending, details).await;
    let name = format!("attachment; filename=\"callboard.{ending}\"");
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(Box::pin(export.pieces())))
}

/// What is left to be sent.
struct Export {
    edge: Edge,
    rights: Arc<Rights>,
    search: LogSearch,
    format: ExportFormat,
    left: u64,
    /// Read before the response began, so that a bad query has its error.
    first: Option<Bytes>,
    is_over: bool,
}

impl Export {
    async fn begin(
        (edge, rights): (Edge, Arc<Rights>),
        filter: LineFilter,
        (format, left): (ExportFormat, u64),
    ) -> Result<Self, ApiError> {
        let LineFilter { q, from, to, level, source_id } = filter;
        let search = LogSearch { q, from, to, level, source_id, ..LogSearch::default() };
        let mut export = Self { edge, rights, search, format, left, first: None, is_over: false };
        let mut first = match format {
            ExportFormat::Csv => csv_row(["id", "timestamp", "level", "source", "text"])?,
            ExportFormat::Text | ExportFormat::Ndjson => Vec::new(),
        };
        first.extend(export.page().await?);
        export.first = Some(first.into());
        Ok(export)
    }

    fn pieces(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(self, |mut export| async move {
            if let Some(first) = export.first.take() {
                return Some((Ok(first), export));
            }
            if export.is_over {
                return None;
            }
            let page = export.page().await;
            export.is_over |= page.is_err();
            Some((page.map(Bytes::from), export))
        })
    }

    /// The next lines.
    async fn page(&mut self) -> Result<Vec<u8>, ApiError> {
        let mut search = self.search.clone();
        search.limit = Some(u32::try_from(self.left).unwrap_or(PAGE).min(PAGE));
        let page = self.edge.read_logs(&self.rights, move |logs| logs.search_all(&search)).await?;
        self.left = self.left.saturating_sub(page.lines.len() as u64);
        self.is_over = page.next_cursor.is_none() || self.left == 0;
        self.search.cursor = page.next_cursor;
        let mut written = Vec::new();
        for line in &page.lines {
            write(&mut written, self.format, line)?;
        }
        Ok(written)
    }
}

fn write(written: &mut Vec<u8>, format: ExportFormat, line: &LogLine) -> Result<(), ApiError> {
    match format {
        ExportFormat::Text => written.extend_from_slice(line.text.as_bytes()),
        ExportFormat::Ndjson => {
            serde_json::to_writer(&mut *written, line).map_err(ApiError::internal)?;
        }
        ExportFormat::Csv => {
            let id = line.id.to_string();
            let at = line.timestamp.map_or_else(String::new, |at| at.to_string());
            let cells =
                [&id, &at, line.level.as_str(), &harmless(&line.source), &harmless(&line.text)];
            written.extend(csv_row(cells)?);
            return Ok(());
        }
    }
    written.push(b'\n');
    Ok(())
}

/// A cell that no spreadsheet takes for a formula: log text must not act (OWASP, "CSV Injection").
pub(super) fn harmless(text: &str) -> String {
    let acts = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if acts { format!("'{text}") } else { text.to_owned() }
}

pub(super) fn csv_row<'a>(cells: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, ApiError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).map_err(ApiError::internal)?;
    writer.into_inner().map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_does_not_act() {
        for text in ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("2026-11-20 a = b"), "2026-11-20 a = b");
        let row = csv_row(["a,b", "say \"no\"", "two\nlines"]).unwrap();
        assert_eq!(row, b"\"a,b\",\"say \"\"no\"\"\",\"two\nlines\"\n");
    }
}
