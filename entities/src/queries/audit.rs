//! The audit trail: it only grows, and each event is chained to the one before.
//!
//! An event's hash is SHA-256 over its number, what it says, and the hash before (as in RFC 6962's logs
//! in spirit, and in a plain list, since it is read from end to end). Whoever changes, takes out or adds
//! an event in between breaks the chain; [`verify`] tells where. The latest number and hash are kept
//! beside it, so that cutting off its end shows, too; whoever may write the whole database can forge
//! both, so [`verify`] tells the head, to be kept elsewhere.
//!
//! What may tell of a person (name, address, details) counts to the hash by a salted digest alone: it can
//! be [erased](erase) with its salt, and the chain still holds.

mod chain;

use callboard_protocol::{AuditEventId, RequestId, Timestamp, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use serde_json::{Value, json};

use super::{before, settings};
use crate::{
    Cursor, Store, StoreError,
    entity::audit_event::{Column, Entity, Model},
    value::{clean, to_json},
};
pub use chain::{Breach, Verified, verify};
use chain::{Link, personal_digest};

/// On PostgreSQL whoever adds an event holds this lock until it is committed.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7236417215401)";
/// The latest link, and the last that was let go.
const HEAD: &str = "audit_head";
const ANCHOR: &str = "audit_anchor";
/// Events that are let go in one transaction.
const MOST_AT_ONCE: u64 = 5_000;

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Who did it; none for the server itself, or for somebody unknown.
    pub actor: Option<UserId>,
    /// Their name then, or the one that somebody unknown gave.
    pub actor_name: Option<String>,
    /// What: `auth.login`, `conversation.delete`…
    pub action: String,
    /// To what: an id, a path, a name of ours; nothing that tells of a person.
    pub object: Option<String>,
    /// From which network address.
    pub address: Option<String>,
    /// In which request.
    pub request_id: Option<RequestId>,
    /// More, as before and after; no secrets.
    pub details: Value,
    /// When.
    pub at: Timestamp,
}

impl AuditEvent {
    /// What the server itself did.
    #[must_use]
    pub fn of_server(action: &str, object: Option<String>, at: Timestamp) -> Self {
        Self {
            actor: None,
            actor_name: None,
            action: action.to_owned(),
            object,
            address: None,
            request_id: None,
            details: json!({}),
            at,
        }
    }
}

/// An event as it stands in the trail.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its id.
    pub id: AuditEventId,
    /// Its number in the chain; none for one from before there was a chain.
    pub seq: Option<u64>,
    /// What it says.
    pub event: AuditEvent,
    /// Whether what may tell of a person was erased.
    pub erased: bool,
}

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this account.
    pub actor: Option<UserId>,
    /// Of this action, or of all that begin so: `auth.` ends with a dot.
    pub action: Option<String>,
    /// To this.
    pub object: Option<String>,
    /// From here on.
    pub from: Option<Timestamp>,
    /// Until before this.
    pub to: Option<Timestamp>,
}

/// Adds to the trail.
pub async fn append(store: &Store, event: &AuditEvent) -> Result<(), StoreError> {
    store
        .run("audit.append", async {
            let tx = store.begin().await?;
            append_in(&tx, event).await?;
            Ok(tx.commit().await?)
        })
        .await
}

/// As [`append`], within a transaction.
pub(super) async fn append_in(
    tx: &DatabaseTransaction,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(LOCK).await?;
    }
    let head: Link = settings::read(tx, HEAD).await?.unwrap_or_default();
    let mut row = Model {
        id: AuditEventId::new().0,
        at: event.at.as_millis(),
        actor_id: event.actor.map(|id| id.0),
        action: clean(&event.action),
        object: event.object.as_deref().map(clean),
        address: event.address.as_deref().map(clean),
        request_id: event.request_id.map(|id| id.0),
        details: to_json(&event.details)?,
        seq: Some(head.seq + 1),
        actor_name: event.actor_name.as_deref().map(clean),
        salt: Some(chain::salt()?),
        personal_digest: None,
        hash: None,
    };
    row.personal_digest = Some(personal_digest(&row).to_vec());
    let link = head.next(&row);
    row.hash = Some(link.hash.to_vec());
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    settings::write(tx, HEAD, &link, event.at).await
}

/// A page of events, the latest first.
pub async fn page(
    store: &Store,
    filter: &AuditFilter,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<(Vec<StoredEvent>, Option<Cursor>), StoreError> {
    store
        .run("audit.page", async {
            let mut find = Entity::find().filter(condition(filter));
            if let Some(cursor) = after {
                find = find.filter(before(Column::At, Column::Id, cursor));
            }
            let mut rows = find
                .order_by_desc(Column::At)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit) + 1)
                .all(store.reader())
                .await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let last = rows.last().filter(|_| more);
            let next = last.map(|row| Cursor { at: Timestamp::from_millis(row.at), id: row.id });
            Ok((rows.into_iter().map(event_of).collect(), next))
        })
        .await
}

/// The latest events, the last first.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<AuditEvent>, StoreError> {
    let (events, _) = page(store, &AuditFilter::default(), None, limit).await?;
    Ok(events.into_iter().map(|stored| stored.event).collect())
}

/// The hash of the event of this number, as hexadecimal digits.
pub async fn hash_at(store: &Store, seq: u64) -> Result<Option<String>, StoreError> {
    store
        .run("audit.hash_at", async {
            let Ok(seq) = i64::try_from(seq) else { return Ok(None) };
            let row = Entity::find().filter(Column::Seq.eq(seq)).one(store.reader()).await?;
            Ok(row.and_then(|row| row.hash).map(|hash| chain::hex(&hash)))
        })
        .await
}

/// Erases what tells of a person: from all that they did, and that was done to their account. Tells
/// from how many events.
pub async fn erase(store: &Store, user: UserId, username: &str) -> Result<u64, StoreError> {
    store
        .run("audit.erase", async {
            let theirs = Condition::any()
                .add(Column::ActorId.eq(user.0))
                .add(Column::Object.eq(user.to_string()))
                .add(Column::ActorName.eq(clean(username)));
            let erased = Entity::update_many()
                .col_expr(Column::ActorName, Expr::value(None::<String>))
                .col_expr(Column::Address, Expr::value(None::<String>))
                .col_expr(Column::Details, Expr::value(json!({})))
                .col_expr(Column::Salt, Expr::value(None::<Vec<u8>>))
                .filter(theirs)
                .exec(store.writer())
                .await?;
            Ok(erased.rows_affected)
        })
        .await
}

/// Lets go of events from before `since`, at most some thousands at once; tells how many. The chain
/// begins anew behind them.
pub async fn let_go(store: &Store, since: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
    store
        .run("audit.let_go", async {
            let tx = store.begin().await?;
            if tx.get_database_backend() == DbBackend::Postgres {
                tx.execute_unprepared(LOCK).await?;
            }
            let going = Entity::find()
                .filter(Column::At.lt(since.as_millis()))
                .order_by_asc(Column::Seq)
                .limit(MOST_AT_ONCE)
                .all(&tx)
                .await?;
            // The chain is cut at one place alone: an event whose clock was set back waits for those
            // before it.
            let anchor: Link = settings::read(&tx, ANCHOR).await?.unwrap_or_default();
            let mut last = anchor;
            let mut ids = Vec::new();
            for row in going {
                if row.seq.is_some() {
                    let Some(link) = Link::of(&row).filter(|link| link.seq == last.seq + 1) else {
                        break;
                    };
                    last = link;
                }
                ids.push(row.id);
            }
            let gone = ids.len() as u64;
            if gone == 0 {
                return Ok(0);
            }
            Entity::delete_many().filter(Column::Id.is_in(ids)).exec(&tx).await?;
            settings::write(&tx, ANCHOR, &last, now).await?;
            let mut event = AuditEvent::of_server("audit.let_go", None, now);
            event.details = json!({ "events": gone, "through_seq": last.seq });
            append_in(&tx, &event).await?;
            tx.commit().await?;
            Ok(gone)
        })
        .await
}

fn condition(filter: &AuditFilter) -> Condition {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    Condition::all()
        .add_option(filter.actor.map(|actor| Column::ActorId.eq(actor.0)))
        .add_option(filter.action.as_deref().map(clean).map(|action| {
            if action.ends_with('.') {
                Expr::col(Column::Action).like(crate::value::beginning(&action))
            } else {
                Column::Action.eq(action)
            }
        }))
        .add_option(filter.object.as_deref().map(|object| Column::Object.eq(clean(object))))
        .add_option(millis(filter.from).map(|from| Column::At.gte(from)))
        .add_option(millis(filter.to).map(|to| Column::At.lt(to)))
}

fn event_of(row: Model) -> StoredEvent {
    StoredEvent {
        id: AuditEventId(row.id),
        seq: row.seq.and_then(|seq| u64::try_from(seq).ok()),
        erased: row.seq.is_some() && row.salt.is_none(),
        event: AuditEvent {
            actor: row.actor_id.map(UserId),
            actor_name: row.actor_name,
            action: row.action,
            object: row.object,
            address: row.address,
            request_id: row.request_id.map(RequestId),
            details: row.details,
            at: Timestamp::from_millis(row.at),
        },
    }
}
