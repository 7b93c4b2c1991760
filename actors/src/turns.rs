//! The turns that run or lately ended on this server, for `resume` and for whoever joins late.
//!
//! Bounded in number, age and bytes; a running turn is never dropped.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use callboard_protocol::{ConversationId, TurnId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::turn_log::TurnLog;

/// How much is kept of the turns that ended: whichever bound is reached first.
#[derive(Clone, Copy)]
pub(crate) struct TurnsKept {
    pub(crate) time: Duration,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

#[derive(Default)]
struct Known {
    logs: HashMap<TurnId, Arc<TurnLog>>,
    /// Turns that run, or wait to.
    running: HashSet<TurnId>,
    /// Ended turns, in the order in which they ended.
    ended: VecDeque<Ended>,
    /// The memory of the ended turns.
    ended_bytes: u64,
}

struct Ended {
    at: Instant,
    turn: TurnId,
    bytes: u64,
}

/// See the module. A cheap clone of one shared map.
#[derive(Clone)]
pub(crate) struct Turns {
    known: Arc<Mutex<Known>>,
    kept: TurnsKept,
}

impl Turns {
    pub(crate) fn new(kept: TurnsKept) -> Self {
        Self { known: Arc::default(), kept }
    }

    /// Makes a turn known.
    pub(crate) fn add(&self, log: Arc<TurnLog>) {
        let mut known = self.known.lock();
        known.running.insert(log.turn_id());
        known.logs.insert(log.turn_id(), log);
    }

    /// The log of a turn that runs or lately ended.
    pub(crate) fn get(&self, turn: TurnId) -> Option<Arc<TurnLog>> {
        self.known.lock().logs.get(&turn).cloned()
    }

    /// Starts the clock of a turn that ended, and drops those whose time is over or for which
    /// there is no room. Said twice it changes nothing.
    pub(crate) fn ended(&self, turn: TurnId) {
        let now = Instant::now();
        let mut known = self.known.lock();
        if !known.running.remove(&turn) {
            return;
        }
        let bytes = known.logs.get(&turn).map_or(0, |log| log.bytes());
        known.ended_bytes += bytes;
        known.ended.push_back(Ended { at: now, turn, bytes });
        while known.ended.len() > self.kept.count
            || known.ended_bytes > self.kept.bytes
            || known.ended.front().is_some_and(|oldest| now - oldest.at > self.kept.time)
        {
            let Some(oldest) = known.ended.pop_front() else { break };
            known.ended_bytes = known.ended_bytes.saturating_sub(oldest.bytes);
            known.logs.remove(&oldest.turn);
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
        self.known.lock().running.len()
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
            max_bytes: 1 << 20,
            coalesce: Duration::ZERO,
        })
    }

    fn end(turns: &Turns, log: &TurnLog) {
        log.append(TurnEvent::Failed(ClientError::from(ErrorCode::Internal)));
        turns.ended(log.turn_id());
    }

    fn kept(count: usize, bytes: u64) -> TurnsKept {
        TurnsKept { time: Duration::from_secs(60), count, bytes }
    }

    #[tokio::test(start_paused = true)]
    async fn ended_turns_are_kept_by_their_bytes() {
        let turns = Turns::new(kept(1_000, 200_000));
        let running = log();
        turns.add(Arc::clone(&running));
        let old: Vec<_> = (0..3).map(|_| log()).collect();
        for log in &old {
            turns.add(Arc::clone(log));
            log.append_text(&"x".repeat(90_000)).unwrap();
            end(&turns, log);
        }
        assert!(turns.get(old[0].turn_id()).is_none(), "no room for three");
        assert!(turns.get(old[1].turn_id()).is_some() && turns.get(old[2].turn_id()).is_some());
        let huge = log();
        turns.add(Arc::clone(&huge));
        for _ in 0..20 {
            huge.append_text(&"x".repeat(5_000)).unwrap();
            huge.append_text(&"y".repeat(5_000)).unwrap();
        }
        end(&turns, &huge);
        assert!(turns.get(huge.turn_id()).is_none(), "more than there is room for at all");
        assert!(turns.get(running.turn_id()).is_some());
        assert_eq!(turns.known.lock().ended_bytes, 0);
        assert_eq!(turns.running(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_once() {
        let turns = Turns::new(kept(10, 1 << 20));
        let log = log();
        end(&turns, &log);
        assert_eq!(turns.running(), 0, "one that is not known");
        turns.add(Arc::clone(&log));
        end(&turns, &log);
        end(&turns, &log);
        assert_eq!(turns.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn ended_turns_are_kept_by_number_and_age_and_running_ones_always() {
        let turns = Turns::new(kept(2, 1 << 20));
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
