//! Rules that watch the log lines, and what they found (`settle`).

mod settle;

use callboard_protocol::{
    Alert, AlertCondition, AlertId, AlertPage, AlertRule, AlertRuleChange, AlertRuleId,
    AlertRuleState, AlertState, NewAlertRule, Timestamp, UserId,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait as _, sea_query::Expr,
};

pub use self::settle::{Outcome, Settled, settle};
use super::before;
use crate::{
    Clash, Cursor, Record, Store, StoreError,
    entity::{
        alert,
        alert_rule::{Column, Entity, Model},
    },
    error::is_duplicate,
    value::{clean, from_name, name_of, to_json},
};

/// Makes a rule whose name no other has.
pub async fn create(
    store: &Store,
    new: &NewAlertRule,
    by: UserId,
    now: Timestamp,
) -> Result<AlertRule, StoreError> {
    store
        .run("alerts.create", async {
            let row = Model {
                id: AlertRuleId::new().0,
                name: clean(&new.name),
                condition: to_json(&new.condition)?,
                severity: name_of(&new.severity)?,
                channels: to_json(&new.channels)?,
                state: name_of(&AlertRuleState::Waiting)?,
                problem: None,
                evaluated_at: None,
                muted_until: None,
                created_by: Some(by.0),
                created_at: now.as_millis(),
                updated_at: now.as_millis(),
            };
            let inserted = Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await;
            match inserted {
                Ok(_) => rule_of(row),
                Err(error) if is_duplicate(&error) => {
                    Err(StoreError::Conflict { what: Clash::AlertRuleName })
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
}

/// All rules, by name.
pub async fn rules(store: &Store) -> Result<Vec<AlertRule>, StoreError> {
    store
        .run("alerts.rules", async {
            let rows = Entity::find().order_by_asc(Column::Name).all(store.reader()).await?;
            rows.into_iter().map(rule_of).collect()
        })
        .await
}

/// How many rules there are.
pub async fn count_rules(store: &Store) -> Result<u64, StoreError> {
    store.run("alerts.count_rules", async { Ok(Entity::find().count(store.reader()).await?) }).await
}

/// One rule.
pub async fn rule(store: &Store, id: AlertRuleId) -> Result<AlertRule, StoreError> {
    store.run("alerts.rule", find(store.reader(), id)).await
}

/// Changes a rule. With another condition, or turned off, what it found is over, and nobody is told.
pub async fn change(
    store: &Store,
    id: AlertRuleId,
    change: &AlertRuleChange,
    now: Timestamp,
) -> Result<AlertRule, StoreError> {
    store
        .run("alerts.change", async {
            let tx = store.begin().await?;
            let former = find(&tx, id).await?;
            let is_off = |state| state == AlertRuleState::Off;
            let off = change.enabled.map_or(is_off(former.state), |enabled| !enabled);
            let another = change.condition.as_ref().is_some_and(|new| *new != former.condition);
            let mut update = Entity::update_many()
                .col_expr(Column::UpdatedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0));
            if another || off != is_off(former.state) {
                let state = if off { AlertRuleState::Off } else { AlertRuleState::Waiting };
                settle::end_all(&tx, id, now).await?;
                update = update
                    .col_expr(Column::State, Expr::value(name_of(&state)?))
                    .col_expr(Column::Problem, Expr::value(None::<String>));
            }
            if let Some(name) = &change.name {
                update = update.col_expr(Column::Name, Expr::value(clean(name)));
            }
            if let Some(condition) = &change.condition {
                update = update.col_expr(Column::Condition, Expr::value(to_json(condition)?));
            }
            if let Some(severity) = &change.severity {
                update = update.col_expr(Column::Severity, Expr::value(name_of(severity)?));
            }
            if let Some(channels) = &change.channels {
                update = update.col_expr(Column::Channels, Expr::value(to_json(channels)?));
            }
            update.exec(&tx).await.map_err(|error| {
                let clash = StoreError::Conflict { what: Clash::AlertRuleName };
                if is_duplicate(&error) { clash } else { error.into() }
            })?;
            let changed = find(&tx, id).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
}

/// Lets a rule tell nobody until then; none lets it speak.
pub async fn mute(
    store: &Store,
    id: AlertRuleId,
    until: Option<Timestamp>,
) -> Result<AlertRule, StoreError> {
    store
        .run("alerts.mute", async {
            Entity::update_many()
                .col_expr(Column::MutedUntil, Expr::value(until.map(Timestamp::as_millis)))
                .filter(Column::Id.eq(id.0))
                .exec(store.writer())
                .await?;
            find(store.writer(), id).await
        })
        .await
}

/// Forgets a rule and what it found.
pub async fn delete(store: &Store, id: AlertRuleId) -> Result<(), StoreError> {
    store
        .run("alerts.delete", async {
            let deleted = Entity::delete_by_id(id.0).exec(store.writer()).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::AlertRule));
            }
            Ok(())
        })
        .await
}

/// What was found, the last first: a page of so many.
pub async fn list(
    store: &Store,
    (state, rule): (Option<AlertState>, Option<AlertRuleId>),
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<AlertPage, StoreError> {
    use alert::Column;
    store
        .run("alerts.list", async {
            let state = state.map(|state| name_of(&state)).transpose()?;
            let rows = alert::Entity::find()
                .apply_if(state, |find, state| find.filter(Column::State.eq(state)))
                .apply_if(rule, |find, rule| find.filter(Column::RuleId.eq(rule.0)))
                .apply_if(cursor, |find, cursor| {
                    find.filter(before(Column::StartedAt, Column::Id, &cursor))
                })
                .order_by_desc(Column::StartedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit) + 1)
                .all(store.reader())
                .await?;
            let mut items: Vec<Alert> = rows.into_iter().map(alert_of).collect::<Result<_, _>>()?;
            let more = items.len() > limit as usize;
            items.truncate(limit as usize);
            let last = items.last().filter(|_| more);
            let next = last.map(|last| Cursor { at: last.started_at, id: last.id.0 });
            Ok(AlertPage { items, next_cursor: next.map(|cursor| cursor.to_string()) })
        })
        .await
}

/// How many alerts fire.
pub async fn count_firing(store: &Store) -> Result<u64, StoreError> {
    store
        .run("alerts.count_firing", async {
            let firing = alert::Column::State.eq(name_of(&AlertState::Firing)?);
            Ok(alert::Entity::find().filter(firing).count(store.reader()).await?)
        })
        .await
}

/// Forgets what was over before; answers how many.
pub async fn purge(store: &Store, before: Timestamp) -> Result<u64, StoreError> {
    store
        .run("alerts.purge", async {
            let over = alert::Column::EndedAt.lt(before.as_millis());
            let purged = alert::Entity::delete_many().filter(over).exec(store.writer()).await?;
            Ok(purged.rows_affected)
        })
        .await
}

async fn find(db: &impl ConnectionTrait, id: AlertRuleId) -> Result<AlertRule, StoreError> {
    let row = Entity::find_by_id(id.0).one(db).await?;
    rule_of(row.ok_or(StoreError::NotFound(Record::AlertRule))?)
}

fn rule_of(row: Model) -> Result<AlertRule, StoreError> {
    let condition: AlertCondition = serde_json::from_value(row.condition)?;
    Ok(AlertRule {
        id: AlertRuleId(row.id),
        name: row.name,
        condition,
        severity: from_name(&row.severity)?,
        channels: serde_json::from_value(row.channels)?,
        state: from_name(&row.state)?,
        problem: row.problem,
        evaluated_at: row.evaluated_at.map(Timestamp::from_millis),
        muted_until: row.muted_until.map(Timestamp::from_millis),
        created_by: row.created_by.map(UserId),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    })
}

fn alert_of(row: alert::Model) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: AlertId(row.id),
        rule_id: AlertRuleId(row.rule_id),
        state: from_name(&row.state)?,
        finding: serde_json::from_value(row.finding)?,
        muted: row.muted,
        started_at: Timestamp::from_millis(row.started_at),
        seen_at: Timestamp::from_millis(row.seen_at),
        ended_at: row.ended_at.map(Timestamp::from_millis),
    })
}
