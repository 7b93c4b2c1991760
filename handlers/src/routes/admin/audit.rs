//! `/admin/audit`: the audit trail.

use actix_web::{HttpResponse, http::header, web};
use bytes::Bytes;
use callboard_entities::{
    Cursor, Store,
    queries::audit::{self, AuditFilter, StoredEvent},
};
use callboard_protocol::{
    AuditCheck, AuditEntry, AuditExport, AuditExportFormat, AuditPage, AuditSearch, ErrorCode,
};
use futures_util::{Stream, stream};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
    routes::{
        conversations::{checked_cursor, checked_limit},
        export::{csv_row, harmless},
    },
};

/// Events that are read at once for an export.
const PAGE: u32 = 1_000;
/// The longest action and object that are looked for, in bytes.
const LONGEST: usize = 200;

/// Events, the latest first.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", params(AuditSearch),
    responses((status = 200, body = AuditPage)))]
pub(crate) async fn list_audit(
    _: Allowed<permit::AuditRead>,
    state: State,
    query: web::Query<AuditSearch>,
) -> Result<web::Json<AuditPage>, ApiError> {
    let AuditSearch { actor, action, object, from, to, limit, cursor } = query.into_inner();
    let filter = checked(AuditFilter { actor, action, object, from, to })?;
    let cursor = cursor.as_deref().map(checked_cursor).transpose()?;
    let limit = checked_limit(limit)?;
    let (events, next) = audit::page(&state.store, &filter, cursor.as_ref(), limit).await?;
    let items = events.into_iter().map(entry).collect();
    Ok(web::Json(AuditPage { items, next_cursor: next.map(|next| next.to_string()) }))
}

/// All events that match, the latest first, as a file. That it was exported is an event, too.
#[utoipa::path(get, path = "/admin/audit/export", tag = "admin", params(AuditExport),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
pub(crate) async fn export_audit(
    caller: Allowed<permit::AuditRead>,
    (state, trail): (State, Trail),
    query: web::Query<AuditExport>,
) -> Result<HttpResponse, ApiError> {
    let AuditExport { actor, action, object, from, to, format } = query.into_inner();
    let filter = checked(AuditFilter { actor, action, object, from, to })?;
    let (kind, ending) = match format {
        AuditExportFormat::Ndjson => ("application/x-ndjson", "ndjson"),
        AuditExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    trail.note(&caller.user, "audit.export", ending).await;
    let name = format!("attachment; filename=\"callboard-audit.{ending}\"");
    let first = match format {
        AuditExportFormat::Csv => csv_row(COLUMNS)?,
        AuditExportFormat::Ndjson => Vec::new(),
    };
    let (store, next) = (state.store.clone(), Next::Head(first.into()));
    let export = Export { store, filter, format, next };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(Box::pin(export.pieces())))
}

/// Whether the chain of the trail holds. It reads all of it.
#[utoipa::path(get, path = "/admin/audit/verify", tag = "admin",
    responses((status = 200, body = AuditCheck)))]
pub(crate) async fn verify_audit(
    _: Allowed<permit::AuditRead>,
    state: State,
) -> Result<web::Json<AuditCheck>, ApiError> {
    Ok(web::Json(AuditCheck::from(audit::verify(&state.store).await?)))
}

fn checked(filter: AuditFilter) -> Result<AuditFilter, ApiError> {
    let long = [&filter.action, &filter.object];
    if long.into_iter().flatten().any(|text| text.len() > LONGEST) {
        let message = format!("action and object have at most {LONGEST} bytes");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    Ok(filter)
}

fn entry(stored: StoredEvent) -> AuditEntry {
    let StoredEvent { id, seq, event, erased } = stored;
    AuditEntry {
        id,
        seq,
        at: event.at,
        actor: event.actor,
        actor_name: event.actor_name,
        action: event.action,
        object: event.object,
        address: event.address,
        request_id: event.request_id,
        details: event.details,
        erased,
    }
}

const COLUMNS: [&str; 10] = [
    "seq",
    "at",
    "actor",
    "actor_name",
    "action",
    "object",
    "address",
    "request_id",
    "details",
    "id",
];

/// What is left to be sent.
struct Export {
    store: Store,
    filter: AuditFilter,
    format: AuditExportFormat,
    next: Next,
}

enum Next {
    Head(Bytes),
    After(Cursor),
    Nothing,
}

impl Export {
    fn pieces(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(self, |mut export| async move {
            let piece = export.piece().await.transpose()?;
            if piece.is_err() {
                export.next = Next::Nothing;
            }
            Some((piece, export))
        })
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        let (mut written, after) = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(None),
            Next::Head(head) => (head.to_vec(), None),
            Next::After(cursor) => (Vec::new(), Some(cursor)),
        };
        let (events, next) = audit::page(&self.store, &self.filter, after.as_ref(), PAGE).await?;
        self.next = next.map_or(Next::Nothing, Next::After);
        for event in events {
            self.write(&mut written, &entry(event))?;
        }
        Ok(Some(written.into()))
    }

    fn write(&self, written: &mut Vec<u8>, entry: &AuditEntry) -> Result<(), ApiError> {
        match self.format {
            AuditExportFormat::Ndjson => {
                serde_json::to_writer(&mut *written, entry).map_err(ApiError::internal)?;
                written.push(b'\n');
            }
            AuditExportFormat::Csv => {
                let text = |value: Option<String>| harmless(&value.unwrap_or_default());
                let cells = [
                    text(entry.seq.map(|seq| seq.to_string())),
                    entry.at.to_string(),
                    text(entry.actor.map(|id| id.to_string())),
                    text(entry.actor_name.clone()),
                    harmless(&entry.action),
                    text(entry.object.clone()),
                    text(entry.address.clone()),
                    text(entry.request_id.map(|id| id.to_string())),
                    harmless(&entry.details.to_string()),
                    entry.id.to_string(),
                ];
                written.extend(csv_row(cells.iter().map(String::as_str))?);
            }
        }
        Ok(())
    }
}
