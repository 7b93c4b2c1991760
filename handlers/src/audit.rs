//! The audit trail: who signed in, failed to, and changed what.
//!
//! A handler that changes something takes a [`Trail`] and notes what it did, after it was done. A
//! note that cannot be written is logged as an error and does not undo what was done.

use std::{
    fmt::Display,
    future::{Ready, ready},
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use callboard_entities::queries::audit::{self, AuditEvent};
use callboard_protocol::{Timestamp, UserId};
use serde_json::json;

use crate::{ApiError, edge::State, extract, request_id};

/// Notes what one request does.
pub(crate) struct Trail {
    state: State,
    address: Option<String>,
}

impl Trail {
    /// Notes that `actor`, if it is known, did `action` to `object`.
    pub(crate) async fn note(&self, actor: Option<UserId>, action: &str, object: impl Display) {
        let event = AuditEvent {
            actor,
            action: action.to_owned(),
            object: Some(object.to_string()),
            address: self.address.clone(),
            request_id: Some(request_id::current()),
            details: json!({}),
            at: Timestamp::now(),
        };
        if let Err(error) = audit::append(&self.state.store, &event).await {
            tracing::error!(%error, action, "the audit trail could not be written");
        }
    }
}

impl FromRequest for Trail {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = State::from_request(request, payload).into_inner();
        ready(state.map(|state| {
            let address = extract::client_address(request, state.edge().config());
            Self { state, address: address.map(|address| address.to_string()) }
        }))
    }
}
