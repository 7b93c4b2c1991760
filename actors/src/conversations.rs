//! Which conversations are live, and where: the way from an id to its actor.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{ArbiterHandle, Handler, Message};
use callboard_protocol::{ClientError, ConversationId, ErrorCode};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    conversation::{Conversation, ConversationSeed, MAILBOX},
    keeper::{Keeper, Placement},
    mailbox::{Mailbox, Posted},
    system::Shared,
};

/// The longest that a conversation may take to answer: a transaction, and those queued before it.
const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// See the module. A cheap clone of one shared map.
#[derive(Clone)]
pub(crate) struct Conversations {
    live: Arc<Mutex<HashMap<ConversationId, Mailbox<Conversation>>>>,
    arbiters: Arc<[ArbiterHandle]>,
    keeper: Keeper,
}

impl Conversations {
    pub(crate) fn new(keeper: Keeper, arbiters: Arc<[ArbiterHandle]>) -> Self {
        Self { live: Arc::default(), arbiters, keeper }
    }

    /// The actor of a conversation, started if need be.
    fn open(&self, id: ConversationId, shared: &Arc<Shared>) -> Mailbox<Conversation> {
        let mut live = self.live.lock();
        if let Some(address) = live.get(&id).filter(|address| address.connected()) {
            return address.clone();
        }
        let seed = ConversationSeed { id, shared: Arc::clone(shared), directory: self.clone() };
        let place = id.0.as_u128() as usize % self.arbiters.len();
        let address = self.keeper.keep(
            format!("conversation:{id}"),
            Placement::of_many(&self.arbiters[place], MAILBOX),
            move |life| Conversation::new(seed, life),
        );
        live.insert(id, address.clone());
        address
    }

    /// Sent by a conversation that ends.
    pub(crate) fn forget(&self, id: ConversationId) {
        self.live.lock().remove(&id);
    }

    /// Asks a conversation; one that ended just then is opened again, once. The message is on its
    /// way when this returns, so that of two asks the first one called is the first one answered.
    ///
    /// # Errors
    /// `timeout` when it does not answer in time, `overloaded` when it is gone again.
    pub(crate) fn ask<M, F>(
        &self,
        id: ConversationId,
        shared: &Arc<Shared>,
        message: F,
    ) -> impl Future<Output = Result<M::Result, ClientError>> + use<M, F>
    where
        F: Fn() -> M,
        M: Message + Send + 'static,
        M::Result: Send,
        Conversation: Handler<Posted<M>>,
    {
        let asked = self.open(id, shared).send(message());
        let (live, shared) = (self.clone(), Arc::clone(shared));
        async move {
            let late = |_| ClientError::from(ErrorCode::Timeout);
            if let Ok(answer) = timeout(ASK_TIMEOUT, asked).await.map_err(late)? {
                return Ok(answer);
            }
            let again = live.open(id, &shared).send(message());
            let answer = timeout(ASK_TIMEOUT, again).await.map_err(late)?;
            answer.map_err(|_| ErrorCode::Overloaded.into())
        }
    }

    /// Tells a live conversation; one that is not live has nobody to tell.
    pub(crate) fn tell<M>(&self, id: ConversationId, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Conversation: Handler<Posted<M>>,
    {
        let address = self.live.lock().get(&id).cloned();
        if let Some(address) = address
            && address.try_send(message).is_err()
        {
            tracing::debug!(conversation_id = %id, "a conversation was told nothing: it is full or gone");
        }
    }
}
