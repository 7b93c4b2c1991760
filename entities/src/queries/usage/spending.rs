//! What was spent since an instant, for budgets.

use callboard_protocol::{ApiKeyId, Role, Timestamp, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait as _, Query, SimpleExpr},
};
use uuid::Uuid;

use super::{
    Column, Entity, Spender, Store, StoreError, counted, from_name, name_of, sum_of, user,
};

/// Accounts and keys that are read at once when budgets are loaded.
const MOST_SPENDERS: u64 = 1_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingUnit {
    /// Cost, in millionths of a US dollar.
    MicroUsd,
    /// Tokens, read and written.
    Tokens,
}

impl SpendingUnit {
    fn column(self) -> SimpleExpr {
        let column = |column| Expr::col((Entity, column));
        match self {
            Self::MicroUsd => column(Column::CostMicroUsd),
            Self::Tokens => column(Column::InputTokens).add(column(Column::OutputTokens)),
        }
    }
}

/// What an account spent with one key, or without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The account.
    pub user: UserId,
    /// What it may do now; none when there is no such account any more.
    pub role: Option<Role>,
    /// The key.
    pub key: Option<ApiKeyId>,
    /// Since the beginning of the day.
    pub day: u64,
    /// Since the beginning of the month.
    pub month: u64,
}

/// Micro-dollars that `spender` spent with calls that were started at or after `since`.
pub async fn spent_since(
    store: &Store,
    spender: Spender,
    since: Timestamp,
) -> Result<u64, StoreError> {
    store
        .run("usage.spent_since", async {
            let of = match spender {
                Spender::User(id) => Column::UserId.eq(id.0),
                Spender::Key(id) => Column::ApiKeyId.eq(id.0),
                Spender::Role(role) => {
                    let members = Query::select()
                        .column(user::Column::Id)
                        .from(user::Entity)
                        .and_where(user::Column::Role.eq(name_of(&role)?))
                        .take();
                    Column::UserId.in_subquery(members)
                }
            };
            let spent: Option<i64> = Entity::find()
                .select_only()
                .filter(of)
                .filter(Column::StartedAt.gte(since.as_millis()))
                .expr_as(sum_of(Expr::col(Column::CostMicroUsd)), "spent")
                .into_tuple()
                .one(store.reader())
                .await?;
            Ok(spent.map_or(0, counted))
        })
        .await
}

/// What everybody spent since the beginning of `month`, and of that since the beginning of `day`:
/// a row for each account and key.
pub async fn spending_since(
    store: &Store,
    unit: SpendingUnit,
    day: Timestamp,
    month: Timestamp,
) -> Result<Vec<Spending>, StoreError> {
    store
        .run("usage.spending_since", async {
            let since = day.as_millis();
            let of_the_day = Expr::case(Column::StartedAt.gte(since), unit.column()).finally(0);
            let rows = Entity::find()
                .select_only()
                .column(Column::UserId)
                .column(Column::ApiKeyId)
                .column(user::Column::Role)
                .expr_as(sum_of(of_the_day.into()), "day_spent")
                .expr_as(sum_of(unit.column()), "month_spent")
                .join(
                    sea_orm::JoinType::LeftJoin,
                    Entity::belongs_to(user::Entity)
                        .from(Column::UserId)
                        .to(user::Column::Id)
                        .into(),
                )
                .filter(Column::StartedAt.gte(month.as_millis()))
                .group_by(Column::UserId)
                .group_by(Column::ApiKeyId)
                .group_by(user::Column::Role)
                .limit(MOST_SPENDERS)
                .into_model::<Row>()
                .all(store.reader())
                .await?;
            rows.into_iter().map(Spending::try_from).collect()
        })
        .await
}

#[derive(FromQueryResult)]
struct Row {
    user_id: Uuid,
    api_key_id: Option<Uuid>,
    role: Option<String>,
    day_spent: i64,
    month_spent: i64,
}

impl TryFrom<Row> for Spending {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            user: UserId(row.user_id),
            role: row.role.as_deref().map(from_name).transpose()?,
            key: row.api_key_id.map(ApiKeyId),
            day: counted(row.day_spent),
            month: counted(row.month_spent),
        })
    }
}
