//! The audit trail: who signed in, failed to, was refused, and changed what.
//!
//! A handler that changes something takes a [`Trail`] and notes what it did, after it was done. A
//! note that cannot be written is logged as an error and does not undo what was done. Refusals are noted
//! by the extractors.

use std::{
    fmt::Display,
    future::{Ready, ready},
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use callboard_entities::queries::audit::{self, AuditEvent};
use callboard_protocol::{Timestamp, User, UserId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{ApiError, edge::State, extract, request_id};

/// Who did something.
pub(crate) struct Actor {
    id: Option<UserId>,
    name: Option<String>,
}

impl Actor {
    /// Somebody unknown, who gave this name.
    pub(crate) fn claiming(name: String) -> Self {
        Self { id: None, name: Some(name) }
    }

    /// Somebody of whom nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { id: None, name: None }
    }
}

impl From<&User> for Actor {
    fn from(user: &User) -> Self {
        Self { id: Some(user.id), name: Some(user.username.clone()) }
    }
}

impl From<UserId> for Actor {
    fn from(id: UserId) -> Self {
        Self { id: Some(id), name: None }
    }
}

/// Notes what one request does.
pub(crate) struct Trail {
    state: State,
    address: Option<String>,
}

impl Trail {
    /// Notes that `actor` did `action` to `object`, which tells of no person but by their id.
    pub(crate) async fn note(&self, actor: impl Into<Actor>, action: &str, object: impl Display) {
        self.write(actor.into(), action, object.to_string(), json!({})).await;
    }

    /// The same of a change, with what is different of the thing since. Neither holds a secret.
    pub(crate) async fn change(
        &self,
        actor: impl Into<Actor>,
        action: &str,
        object: impl Display,
        (before, after): (Option<impl Serialize>, Option<impl Serialize>),
    ) {
        let value = |it: Result<Value, _>| it.unwrap_or_default();
        let before = value(serde_json::to_value(before));
        let after = value(serde_json::to_value(after));
        let details = difference(before, after);
        self.write(actor.into(), action, object.to_string(), details).await;
    }

    /// The same, with more about it.
    pub(crate) async fn note_with(
        &self,
        actor: impl Into<Actor>,
        action: &str,
        object: impl Display,
        details: Value,
    ) {
        self.write(actor.into(), action, object.to_string(), details).await;
    }

    async fn write(&self, actor: Actor, action: &str, object: String, details: Value) {
        let event = AuditEvent {
            actor: actor.id,
            actor_name: actor.name,
            action: action.to_owned(),
            object: Some(object),
            address: self.address.clone(),
            request_id: Some(request_id::current()),
            details,
            at: Timestamp::now(),
        };
        if let Err(error) = audit::append(&self.state.store, &event).await {
            tracing::error!(%error, action, "the audit trail could not be written");
        }
    }

    /// The trail of a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let state = State::of(request)?;
        let address = extract::client_address(request, state.edge().config());
        Ok(Self { state, address: address.map(|address| address.to_string()) })
    }
}

/// The fields that are not the same: `{"before": …, "after": …}`; of what was made or deleted, all.
fn difference(before: Value, after: Value) -> Value {
    match (before, after) {
        (Value::Object(mut before), Value::Object(mut after)) => {
            let same: Vec<String> =
                before.keys().filter(|key| before.get(*key) == after.get(*key)).cloned().collect();
            for key in same {
                before.remove(&key);
                after.remove(&key);
            }
            json!({ "before": before, "after": after })
        }
        (Value::Null, after) => json!({ "after": after }),
        (before, Value::Null) => json!({ "before": before }),
        (before, after) => json!({ "before": before, "after": after }),
    }
}

impl FromRequest for Trail {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_tells_what_is_different() {
        let before = json!({ "role": "viewer", "name": "ada", "email": "a@x" });
        let after = json!({ "role": "admin", "name": "ada" });
        let told =
            json!({ "before": { "role": "viewer", "email": "a@x" }, "after": { "role": "admin" } });
        assert_eq!(difference(before, after), told);
        assert_eq!(difference(Value::Null, json!({ "a": 1 })), json!({ "after": { "a": 1 } }));
    }
}
