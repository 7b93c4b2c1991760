//! What the actors do when the store fails: whom it is told, and how often they try again.

use std::time::Duration;

use callboard_entities::StoreError;
use tracing::error;

/// How often, and after which waits, what must not be lost is tried to be stored again.
pub(crate) const STORE_RETRIES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// Logs a failure of the store that is no plain answer.
pub(crate) fn store_failed(what: &str, error: &StoreError) {
    match error {
        StoreError::NotFound(_) | StoreError::Conflict { .. } => {}
        StoreError::Unavailable(_) | StoreError::Internal(_) => {
            error!(%error, what, "the store failed");
        }
    }
}
