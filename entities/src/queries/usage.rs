//! The usage ledger: rows go in once each, sums come out.
//!
//! Numbers come from outside (a provider reports its tokens), so they are clamped to
//! [`MOST_TOKENS`] and [`MOST_COST`] on their way in: no row can make a sum overflow.

use callboard_protocol::{
    ApiKeyId, CallTokens, RequestId, Role, Timestamp, TurnId, UsageEvent, UserId,
};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, TryInsertResult,
    sea_query::{Expr, Func, SimpleExpr},
};

use crate::{
    Store, StoreError,
    entity::{
        usage_event::{ActiveModel, Column, Entity, Model},
        user,
    },
    value::{clean, from_name, name_of},
};

mod spending;
mod totals;

pub use spending::{Spending, SpendingUnit, spending_since, spent_since};
pub use totals::totals;

/// The most tokens of one kind that a row can hold.
pub const MOST_TOKENS: u64 = 1 << 40;

/// The most micro-dollars that a row can hold: about a thousand million dollars.
pub const MOST_COST: u64 = 1 << 50;

/// Rows in one statement at most. The statements of a connection are prepared once and kept, a large
/// one in a tenth of a megabyte: so there are no more shapes of them than powers of two up to this.
const MOST_ROWS: usize = 64;

/// Which calls are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Of this request. With `from`, an index finds them.
    pub request: Option<RequestId>,
    /// Of this account.
    pub user: Option<UserId>,
    /// With this key.
    pub key: Option<ApiKeyId>,
    /// Of this model, as the provider calls it.
    pub model: Option<String>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
}

impl UsageFilter {
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.request.map(|id| Column::RequestId.eq(id.0)))
            .add_option(self.user.map(|id| Column::UserId.eq(id.0)))
            .add_option(self.key.map(|id| Column::ApiKeyId.eq(id.0)))
            .add_option(self.model.as_deref().map(|name| Column::Model.eq(clean(name))))
            .add_option(self.provider.as_deref().map(|name| Column::Provider.eq(clean(name))))
            .add_option(self.from.map(|at| Column::StartedAt.gte(at.as_millis())))
            .add_option(self.to.map(|at| Column::StartedAt.lt(at.as_millis())))
    }
}

/// Whose money is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spender {
    /// One account.
    User(UserId),
    /// One key.
    Key(ApiKeyId),
    /// All accounts that have this role now.
    Role(Role),
}

/// Adds rows; those whose id is there already are left as they are, so that adding the same rows
/// again changes nothing. Tells how many were new.
pub async fn insert_many(store: &Store, events: &[UsageEvent]) -> Result<u64, StoreError> {
    store
        .run("usage.insert_many", async {
            let tx = store.begin().await?;
            let (mut new, mut rest) = (0, events);
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at(statement_rows(rest.len()));
                let rows: Vec<ActiveModel> = chunk
                    .iter()
                    .map(|event| row_of(event).map(IntoActiveModel::into_active_model))
                    .collect::<Result<_, _>>()?;
                new += insert_rows(&tx, rows).await?;
                rest = behind;
            }
            tx.commit().await?;
            Ok(new)
        })
        .await
}

/// How many of so many rows go into the next statement.
fn statement_rows(left: usize) -> usize {
    if left >= MOST_ROWS { MOST_ROWS } else { 1 << left.ilog2() }
}

async fn insert_rows(tx: &DatabaseTransaction, rows: Vec<ActiveModel>) -> Result<u64, StoreError> {
    let inserted = Entity::insert_many(rows)
        .on_conflict_do_nothing_on([Column::Id])
        .exec_without_returning(tx)
        .await?;
    Ok(match inserted {
        TryInsertResult::Inserted(rows) => rows,
        TryInsertResult::Conflicted | TryInsertResult::Empty => 0,
    })
}

/// The calls of a request, in the order of their starts, up to `limit`. Meant for a request that
/// was made after `since`, so that an index finds it.
pub async fn of_request(
    store: &Store,
    request: RequestId,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<UsageEvent>, StoreError> {
    store
        .run("usage.of_request", async {
            let rows = Entity::find()
                .filter(Column::StartedAt.gte(since.as_millis()))
                .filter(Column::RequestId.eq(request.0))
                .order_by_asc(Column::StartedAt)
                .order_by_asc(Column::Id)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            rows.into_iter().map(event_of).collect()
        })
        .await
}

/// The latest calls that a filter lets through, the last first.
pub async fn list(
    store: &Store,
    filter: &UsageFilter,
    limit: u32,
) -> Result<Vec<UsageEvent>, StoreError> {
    store
        .run("usage.list", async {
            let rows = Entity::find()
                .filter(filter.condition())
                .order_by_desc(Column::StartedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            rows.into_iter().map(event_of).collect()
        })
        .await
}

/// Forgets up to `most` of the calls that were started before `before`; tells how many. The caller
/// comes again until it is fewer than `most`: so that the others can write in between.
pub async fn purge(store: &Store, before: Timestamp, most: u32) -> Result<u64, StoreError> {
    store
        .run("usage.purge", async {
            let old = sea_orm::sea_query::Query::select()
                .column(Column::Id)
                .from(Entity)
                .and_where(Column::StartedAt.lt(before.as_millis()))
                .order_by(Column::StartedAt, sea_orm::Order::Asc)
                .limit(u64::from(most))
                .take();
            let purged = Entity::delete_many()
                .filter(Column::Id.in_subquery(old))
                .exec(store.writer())
                .await?;
            Ok(purged.rows_affected)
        })
        .await
}

fn row_of(event: &UsageEvent) -> Result<Model, StoreError> {
    let tokens = &event.tokens;
    Ok(Model {
        id: event.id.0,
        request_id: event.request_id.0,
        started_at: event.started_at.as_millis(),
        ended_at: event.ended_at.as_millis(),
        user_id: event.user_id.0,
        api_key_id: event.api_key_id.map(|id| id.0),
        turn_id: event.turn_id.map(|id| id.0),
        endpoint: event.endpoint.as_str().to_owned(),
        alias: clean(&event.alias),
        provider: clean(&event.provider),
        model: clean(&event.model),
        status: event.status.as_str().to_owned(),
        error: event.error.as_deref().map(clean),
        input_tokens: clamped(tokens.input, MOST_TOKENS),
        output_tokens: clamped(tokens.output, MOST_TOKENS),
        cached_input_tokens: clamped(tokens.cached_input, MOST_TOKENS),
        cache_write_tokens: clamped(tokens.cache_write, MOST_TOKENS),
        reasoning_tokens: clamped(tokens.reasoning, MOST_TOKENS),
        estimated: event.estimated,
        cost_micro_usd: clamped(event.cost_micro_usd, MOST_COST),
        ttft_ms: event.ttft_ms.map(|ms| clamped(ms, MOST_TOKENS)),
        duration_ms: clamped(event.duration_ms, MOST_TOKENS),
    })
}

fn event_of(row: Model) -> Result<UsageEvent, StoreError> {
    Ok(UsageEvent {
        id: callboard_protocol::CallId(row.id),
        request_id: RequestId(row.request_id),
        started_at: Timestamp::from_millis(row.started_at),
        ended_at: Timestamp::from_millis(row.ended_at),
        user_id: UserId(row.user_id),
        api_key_id: row.api_key_id.map(ApiKeyId),
        turn_id: row.turn_id.map(TurnId),
        endpoint: from_name(&row.endpoint)?,
        alias: row.alias,
        provider: row.provider,
        model: row.model,
        status: from_name(&row.status)?,
        error: row.error,
        tokens: CallTokens {
            input: counted(row.input_tokens),
            output: counted(row.output_tokens),
            cached_input: counted(row.cached_input_tokens),
            cache_write: counted(row.cache_write_tokens),
            reasoning: counted(row.reasoning_tokens),
        },
        estimated: row.estimated,
        cost_micro_usd: counted(row.cost_micro_usd),
        ttft_ms: row.ttft_ms.map(counted),
        duration_ms: counted(row.duration_ms),
    })
}

/// The sum of an expression, zero when there is no row. PostgreSQL's sum of bigints is a numeric;
/// rows are clamped, so that it fits into a bigint.
fn sum_of(expression: SimpleExpr) -> SimpleExpr {
    use sea_orm::ExprTrait as _;
    let sum = SimpleExpr::from(Func::sum(expression));
    SimpleExpr::from(Func::coalesce([sum, Expr::value(0)])).cast_as("bigint")
}

fn clamped(value: u64, most: u64) -> i64 {
    i64::try_from(value.min(most)).unwrap_or(i64::MAX)
}

/// What a column or a sum of one holds; it is never negative.
fn counted(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
