//! Storing what an evaluation found, and in the same transaction the jobs that tell of it: so that
//! nobody is told of what is not kept, and of what is kept somebody is told.

use std::collections::HashMap;

use callboard_protocol::{
    Alert, AlertId, AlertRule, AlertRuleId, AlertRuleState, AlertState, Finding, Timestamp,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
    sea_query::{Expr, LockType},
};

use super::{alert_of, rule_of};
use crate::{
    Store, StoreError,
    entity::{
        alert::{Column, Entity, Model},
        alert_rule,
    },
    queries::jobs::{self, NewJob},
    value::{clean, name_of, to_json},
};

/// What came of evaluating a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// What was found; nothing when all is well.
    Found(Vec<Finding>),
    /// There is not enough to go by, and why. What fires goes on.
    Waiting(String),
    /// It cannot be evaluated, and why. What fires goes on.
    Failed(String),
}

/// What is new since the evaluation before, of what somebody is to be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled {
    /// What began, or began to be told of since the rule is muted no more.
    pub fired: Vec<Alert>,
    /// What is over, and somebody was told of.
    pub resolved: Vec<Alert>,
}

/// Stores what came of evaluating `rule` as it was then; of a rule that was changed or deleted
/// meanwhile nothing is stored. `jobs` makes the jobs that tell of what is new, to those whom the rule
/// names by now.
pub async fn settle(
    store: &Store,
    rule: &AlertRule,
    outcome: &Outcome,
    now: Timestamp,
    jobs: impl Fn(&AlertRule, &Settled) -> Result<Vec<NewJob>, StoreError>,
) -> Result<Settled, StoreError> {
    store
        .run("alerts.settle", async {
            let tx = store.begin().await?;
            let row = alert_rule::Entity::find_by_id(rule.id.0)
                .lock(LockType::NoKeyUpdate)
                .one(&tx)
                .await?;
            let Some(current) = row.map(rule_of).transpose()? else {
                return Ok(Settled::default());
            };
            if current.condition != rule.condition || current.state == AlertRuleState::Off {
                return Ok(Settled::default());
            }
            let settled = match outcome {
                Outcome::Found(findings) => found(&tx, &current, findings, now).await?,
                Outcome::Waiting(_) | Outcome::Failed(_) => Settled::default(),
            };
            note(&tx, rule.id, outcome, now).await?;
            for job in jobs(&current, &settled)? {
                jobs::insert(&tx, &job, now).await?;
            }
            tx.commit().await?;
            Ok(settled)
        })
        .await
}

/// Ends all that fires of a rule.
pub(super) async fn end_all(
    db: &impl ConnectionTrait,
    rule: AlertRuleId,
    now: Timestamp,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(name_of(&AlertState::Resolved)?))
        .col_expr(Column::EndedAt, Expr::value(now.as_millis()))
        .filter(Column::RuleId.eq(rule.0))
        .filter(Column::State.eq(name_of(&AlertState::Firing)?))
        .exec(db)
        .await?;
    Ok(())
}

/// Writes down how the rule stands.
async fn note(
    tx: &DatabaseTransaction,
    rule: AlertRuleId,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    use alert_rule::Column;
    let (state, problem) = match outcome {
        Outcome::Found(findings) if findings.is_empty() => (AlertRuleState::Ok, None),
        Outcome::Found(_) => (AlertRuleState::Firing, None),
        Outcome::Waiting(why) => (AlertRuleState::Waiting, Some(why)),
        Outcome::Failed(why) => (AlertRuleState::Failed, Some(why)),
    };
    alert_rule::Entity::update_many()
        .col_expr(Column::State, Expr::value(name_of(&state)?))
        .col_expr(Column::Problem, Expr::value(problem.map(|problem| clean(problem))))
        .col_expr(Column::EvaluatedAt, Expr::value(now.as_millis()))
        .filter(Column::Id.eq(rule.0))
        .exec(tx)
        .await?;
    Ok(())
}

/// Holds what was found against what fires.
async fn found(
    tx: &DatabaseTransaction,
    rule: &AlertRule,
    findings: &[Finding],
    now: Timestamp,
) -> Result<Settled, StoreError> {
    let muted = rule.muted_until.is_some_and(|until| now < until);
    let firing = Entity::find()
        .filter(Column::RuleId.eq(rule.id.0))
        .filter(Column::State.eq(name_of(&AlertState::Firing)?))
        .all(tx)
        .await?;
    let firing: Vec<Alert> = firing.into_iter().map(alert_of).collect::<Result<_, _>>()?;
    let mut firing: HashMap<String, Alert> =
        firing.into_iter().map(|alert| (alert.finding.key.clone(), alert)).collect();
    let mut settled = Settled::default();
    for finding in findings {
        let finding = Finding { key: clean(&finding.key), ..finding.clone() };
        let Some(mut alert) = firing.remove(&finding.key) else {
            let alert = insert(tx, rule.id, finding, (muted, now)).await?;
            settled.fired.extend(Some(alert).filter(|_| !muted));
            continue;
        };
        let speaks_now = alert.muted && !muted;
        (alert.finding, alert.seen_at) = (finding, now);
        alert.muted &= muted;
        update(tx, &alert).await?;
        settled.fired.extend(Some(alert).filter(|_| speaks_now));
    }
    for mut alert in firing.into_values() {
        (alert.state, alert.ended_at) = (AlertState::Resolved, Some(now));
        update(tx, &alert).await?;
        settled.resolved.extend(Some(alert).filter(|alert| !alert.muted));
    }
    settled.resolved.sort_by_key(|alert| alert.id);
    Ok(settled)
}

async fn insert(
    tx: &DatabaseTransaction,
    rule: AlertRuleId,
    finding: Finding,
    (muted, now): (bool, Timestamp),
) -> Result<Alert, StoreError> {
    let row = Model {
        id: AlertId::new().0,
        rule_id: rule.0,
        state: name_of(&AlertState::Firing)?,
        finding: to_json(&finding)?,
        muted,
        started_at: now.as_millis(),
        seen_at: now.as_millis(),
        ended_at: None,
    };
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx).await?;
    alert_of(row)
}

async fn update(tx: &DatabaseTransaction, alert: &Alert) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(name_of(&alert.state)?))
        .col_expr(Column::Finding, Expr::value(to_json(&alert.finding)?))
        .col_expr(Column::Muted, Expr::value(alert.muted))
        .col_expr(Column::SeenAt, Expr::value(alert.seen_at.as_millis()))
        .col_expr(Column::EndedAt, Expr::value(alert.ended_at.map(Timestamp::as_millis)))
        .filter(Column::Id.eq(alert.id.0))
        .exec(tx)
        .await?;
    Ok(())
}
