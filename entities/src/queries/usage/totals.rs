//! The sums over the calls of a span, in all and by group.

use callboard_protocol::{
    CallCounts, CallStatus, CallTokens, Timestamp, UsageGroup, UsageReport, UsageRow, UsageTotals,
};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, SimpleExpr},
};
use uuid::Uuid;

use super::{Column, Entity, Store, StoreError, UsageFilter, counted, sum_of};

/// Rows of a report at most; its total is over all of them.
const MOST_ROWS: usize = 1_000;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// The day of a call, in days since 1970. Literal, not a parameter: PostgreSQL would take two
/// parameters of the same value for two expressions.
const DAY: &str = "started_at / 86400000";

/// The sums over the calls that `filter` lets through. They are taken in one statement each, so a
/// call that comes in between may stand in the total and in no row, or the other way round.
pub async fn totals(
    store: &Store,
    filter: &UsageFilter,
    group_by: UsageGroup,
) -> Result<UsageReport, StoreError> {
    store
        .run("usage.totals", async {
            let all = summed(filter).into_model::<Sums>().one(store.reader()).await?;
            let total = all.map(UsageTotals::from).unwrap_or_default();
            let mut rows = match group_by {
                UsageGroup::None => vec![UsageRow { group: None, totals: total }],
                UsageGroup::User => by_id(store, filter, Column::UserId).await?,
                UsageGroup::Key => by_id(store, filter, Column::ApiKeyId).await?,
                UsageGroup::Model => by_name(store, filter, Column::Model).await?,
                UsageGroup::Provider => by_name(store, filter, Column::Provider).await?,
                UsageGroup::Day => by_day(store, filter).await?,
            };
            let truncated = rows.len() > MOST_ROWS;
            rows.truncate(MOST_ROWS);
            Ok(UsageReport { group_by, rows, truncated, total })
        })
        .await
}

async fn by_id(
    store: &Store,
    filter: &UsageFilter,
    column: Column,
) -> Result<Vec<UsageRow>, StoreError> {
    let select = grouped(filter, Expr::col(column), sum(Column::CostMicroUsd));
    let rows = select.into_model::<ById>().all(store.reader()).await?;
    Ok(rows.into_iter().map(|row| of(row.grouped.map(|id| id.to_string()), row.sums)).collect())
}

async fn by_name(
    store: &Store,
    filter: &UsageFilter,
    column: Column,
) -> Result<Vec<UsageRow>, StoreError> {
    let select = grouped(filter, Expr::col(column), sum(Column::CostMicroUsd));
    let rows = select.into_model::<ByName>().all(store.reader()).await?;
    Ok(rows.into_iter().map(|row| of(row.grouped, row.sums)).collect())
}

async fn by_day(store: &Store, filter: &UsageFilter) -> Result<Vec<UsageRow>, StoreError> {
    let select = grouped(filter, Expr::cust(DAY), Expr::cust(DAY));
    let rows = select.into_model::<ByDay>().all(store.reader()).await?;
    let date = |day: i64| {
        let at = Timestamp::from_millis(day.saturating_mul(DAY_MS)).to_string();
        at.chars().take(10).collect()
    };
    Ok(rows.into_iter().map(|row| of(row.grouped.map(date), row.sums)).collect())
}

fn of(group: Option<String>, sums: Sums) -> UsageRow {
    UsageRow { group, totals: sums.into() }
}

/// One row more than are shown: then there are more.
fn grouped(filter: &UsageFilter, key: SimpleExpr, order: SimpleExpr) -> Select<Entity> {
    summed(filter)
        .expr_as(key.clone(), "grouped")
        .group_by(key.clone())
        .order_by(order, Order::Desc)
        .order_by(key, Order::Asc)
        .limit(MOST_ROWS as u64 + 1)
}

fn sum(column: Column) -> SimpleExpr {
    sum_of(Expr::col(column))
}

/// How many rows hold a value in a column.
fn count_of(condition: SimpleExpr) -> SimpleExpr {
    sum_of(Expr::case(condition, 1).finally(0).into())
}

fn ended(status: CallStatus) -> SimpleExpr {
    count_of(Column::Status.eq(status.as_str()))
}

fn summed(filter: &UsageFilter) -> Select<Entity> {
    Entity::find()
        .select_only()
        .filter(filter.condition())
        .expr_as(Expr::cust("CAST(COUNT(*) AS bigint)"), "calls")
        .expr_as(ended(CallStatus::Answered), "answered")
        .expr_as(ended(CallStatus::Cancelled), "cancelled")
        .expr_as(ended(CallStatus::Failed), "failed")
        .expr_as(ended(CallStatus::Cached), "cached")
        .expr_as(ended(CallStatus::HedgeLost), "hedge_lost")
        .expr_as(ended(CallStatus::Lost), "lost")
        .expr_as(count_of(Column::Estimated.eq(true)), "estimated_calls")
        .expr_as(sum(Column::InputTokens), "input")
        .expr_as(sum(Column::OutputTokens), "output")
        .expr_as(sum(Column::CachedInputTokens), "cached_input")
        .expr_as(sum(Column::CacheWriteTokens), "cache_write")
        .expr_as(sum(Column::ReasoningTokens), "reasoning")
        .expr_as(sum(Column::CostMicroUsd), "cost")
}

#[derive(FromQueryResult)]
struct Sums {
    calls: i64,
    answered: i64,
    cancelled: i64,
    failed: i64,
    cached: i64,
    hedge_lost: i64,
    lost: i64,
    estimated_calls: i64,
    input: i64,
    output: i64,
    cached_input: i64,
    cache_write: i64,
    reasoning: i64,
    cost: i64,
}

#[derive(FromQueryResult)]
struct ById {
    grouped: Option<Uuid>,
    #[sea_orm(nested)]
    sums: Sums,
}

#[derive(FromQueryResult)]
struct ByName {
    grouped: Option<String>,
    #[sea_orm(nested)]
    sums: Sums,
}

#[derive(FromQueryResult)]
struct ByDay {
    grouped: Option<i64>,
    #[sea_orm(nested)]
    sums: Sums,
}

impl From<Sums> for UsageTotals {
    fn from(sums: Sums) -> Self {
        Self {
            counts: CallCounts {
                calls: counted(sums.calls),
                answered: counted(sums.answered),
                cancelled: counted(sums.cancelled),
                failed: counted(sums.failed),
                cached: counted(sums.cached),
                hedge_lost: counted(sums.hedge_lost),
                lost: counted(sums.lost),
            },
            tokens: CallTokens {
                input: counted(sums.input),
                output: counted(sums.output),
                cached_input: counted(sums.cached_input),
                cache_write: counted(sums.cache_write),
                reasoning: counted(sums.reasoning),
            },
            cost_micro_usd: counted(sums.cost),
            estimated_calls: counted(sums.estimated_calls),
        }
    }
}
