//! A question that became durable and whose turn never began, because its conversation failed in
//! between: without this its answer would be `streaming` until the next start of the server.

use std::sync::Arc;

use callboard_entities::{
    StoreError,
    queries::messages::{self, BegunTurn},
};
use callboard_protocol::{ClientMessageId, ErrorCode, Timestamp, TurnId, UserId};
use tokio::time::sleep;
use tracing::warn;

use super::fail;
use crate::{
    storage::{STORE_RETRIES, store_failed},
    system::Shared,
};

/// A question between its arrival and the beginning of its turn.
#[derive(Clone)]
pub(crate) struct Unbegun {
    /// Who asks.
    pub(crate) user: UserId,
    /// The client's id of the question.
    pub(crate) client_message_id: ClientMessageId,
}

/// Ends the turn of such a question, if it was stored and is not the one that runs.
pub(crate) async fn end_orphan(shared: Arc<Shared>, unbegun: Unbegun, running: Option<TurnId>) {
    let Some(begun) = find(&shared, &unbegun).await else { return };
    let turn_id = begun.turn_id;
    if running == Some(turn_id) {
        return;
    }
    if let Some(log) = shared.turns.get(turn_id) {
        // Submitted before, and over: nothing is owed.
        if !log.has_ended() {
            warn!(%turn_id, "a turn was known and never began; it is ended");
            fail(&shared, &log, ErrorCode::Internal.into()).await;
            shared.turns.ended(turn_id);
        }
        return;
    }
    let now = Timestamp::now();
    match messages::interrupt(&shared.store, begun.answer_message_id, now).await {
        Ok(true) => warn!(%turn_id, "a turn was stored and never began; it is interrupted"),
        Ok(false) => {}
        Err(error) => store_failed("interrupt an orphaned turn", &error),
    }
}

/// The turn that the question began; a store that is away for a moment is asked again.
async fn find(shared: &Shared, unbegun: &Unbegun) -> Option<BegunTurn> {
    let mut waits = STORE_RETRIES.iter();
    loop {
        let Unbegun { user, client_message_id } = unbegun;
        match messages::begun(&shared.store, *user, client_message_id).await {
            Ok(begun) => return begun,
            Err(StoreError::NotFound(_)) => return None,
            Err(error) => store_failed("look for an orphaned turn", &error),
        }
        sleep(*waits.next()?).await;
    }
}
