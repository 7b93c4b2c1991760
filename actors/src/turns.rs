//! The turns that run or lately ended on this server, for `resume` and for whoever joins late.
//!
//! Bounded in number and age; a running turn is never dropped.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use callboard_protocol::{ConversationId, TurnId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::turn_log::TurnLog;

#[derive(Default)]
struct Known {
    logs: HashMap<TurnId, Arc<TurnLog>>,
    /// Ended turns, in the order in which they ended.
    ended: VecDeque<(Instant, TurnId)>,
}

/// See the module. A cheap clone of one shared map.
#[derive(Clone)]
pub(crate) struct Turns {
    known: Arc<Mutex<Known>>,
    keep_for: Duration,
    keep_most: usize,
}

impl Turns {
    /// Keeps ended turns for `keep_for`, and at most `keep_most` of them.
    pub(crate) fn new(keep_for: Duration, keep_most: usize) -> Self {
        Self { known: Arc::default(), keep_for, keep_most }
    }

    /// Makes a turn known.
    pub(crate) fn add(&self, log: Arc<TurnLog>) {
        self.known.lock().logs.insert(log.turn_id(), log);
    }

    /// The log of a turn that runs or lately ended.
    pub(crate) fn get(&self, turn: TurnId) -> Option<Arc<TurnLog>> {
        self.known.lock().logs.get(&turn).cloned()
    }

    /// Starts the clock of a turn that ended, and drops those whose time is over.
    pub(crate) fn ended(&self, turn: TurnId) {
        let now = Instant::now();
        let mut known = self.known.lock();
        known.ended.push_back((now, turn));
        while known.ended.len() > self.keep_most
            || known.ended.front().is_some_and(|(at, _)| now - *at > self.keep_for)
        {
            let Some((_, old)) = known.ended.pop_front() else { break };
            known.logs.remove(&old);
        }
    }

    /// The turn that runs in a conversation.
    pub(crate) fn running_in(&self, conversation: ConversationId) -> Option<TurnId> {
        let known = self.known.lock();
        let of_it = known.logs.values().filter(|log| log.conversation_id() == conversation);
        // Ids grow with time: the oldest is the one that runs, the others wait behind it.
        of_it.filter(|log| !log.has_ended()).map(|log| log.turn_id()).min()
    }

    /// Stops the turns of a conversation.
    pub(crate) fn cancel_in(&self, conversation: ConversationId) {
        let known = self.known.lock();
        for log in known.logs.values().filter(|log| log.conversation_id() == conversation) {
            log.cancel();
        }
    }

    /// Turns that run now.
    pub(crate) fn running(&self) -> usize {
        let known = self.known.lock();
        known.logs.len() - known.ended.len()
    }

    /// Stops every turn that runs.
    pub(crate) fn cancel_all(&self) {
        for log in self.known.lock().logs.values() {
            log.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::{ClientError, ConversationId, ErrorCode, MessageId, UserId};

    use super::*;
    use crate::turn_log::{TurnEvent, TurnHead};

    fn log() -> Arc<TurnLog> {
        TurnLog::new(TurnHead {
            turn_id: TurnId::new(),
            conversation_id: ConversationId::new(),
            message_id: MessageId::new(),
            owner: UserId::new(),
            max_bytes: 100,
            coalesce: Duration::ZERO,
        })
    }

    fn end(turns: &Turns, log: &TurnLog) {
        log.append(TurnEvent::Failed(ClientError::from(ErrorCode::Internal)));
        turns.ended(log.turn_id());
    }

    #[tokio::test(start_paused = true)]
    async fn ended_turns_are_kept_by_number_and_age_and_running_ones_always() {
        let turns = Turns::new(Duration::from_secs(60), 2);
        let running = log();
        turns.add(Arc::clone(&running));
        let old: Vec<_> = (0..3).map(|_| log()).collect();
        for log in &old {
            turns.add(Arc::clone(log));
            end(&turns, log);
        }
        assert!(turns.get(old[0].turn_id()).is_none(), "more than two");
        assert!(turns.get(old[2].turn_id()).is_some());
        assert_eq!(turns.running(), 1);
        tokio::time::advance(Duration::from_secs(61)).await;
        let late = log();
        turns.add(Arc::clone(&late));
        end(&turns, &late);
        assert!(turns.get(old[2].turn_id()).is_none(), "older than a minute");
        assert!(turns.get(late.turn_id()).is_some());
        assert!(turns.get(running.turn_id()).is_some());
    }
}
