//! How many sockets are open, by user and by address, and the place that each one holds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use callboard_protocol::{ClientError, ErrorCode, UserId};
use parking_lot::Mutex;
use prometheus::IntGauge;

use crate::config::SessionConfig;

/// One socket, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(u64);

#[derive(Default)]
struct Open {
    total: usize,
    by_user: HashMap<UserId, usize>,
    by_address: HashMap<IpAddr, usize>,
}

/// See the module. A cheap clone of one shared count.
#[derive(Clone)]
pub(crate) struct Sockets {
    open: Arc<Mutex<Open>>,
    next: Arc<AtomicU64>,
    gauge: IntGauge,
}

/// The place of one open socket; dropping it gives the place back.
pub(crate) struct Place {
    sockets: Sockets,
    user: UserId,
    address: IpAddr,
    pub(crate) connection: ConnectionId,
}

impl Sockets {
    pub(crate) fn new(gauge: IntGauge) -> Self {
        Self { open: Arc::default(), next: Arc::default(), gauge }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `too_many_connections` when the user, the address or the server has its most.
    pub(crate) fn take(
        &self,
        user: UserId,
        address: IpAddr,
        limits: &SessionConfig,
    ) -> Result<Place, ClientError> {
        let mut open = self.open.lock();
        let of_user = open.by_user.get(&user).copied().unwrap_or(0);
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_user >= limits.max_per_user
            || of_address >= limits.max_per_address
            || open.total >= limits.max_total
        {
            return Err(ErrorCode::TooManyConnections.into());
        }
        open.total += 1;
        *open.by_user.entry(user).or_default() += 1;
        *open.by_address.entry(address).or_default() += 1;
        self.gauge.inc();
        let connection = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(Place { sockets: self.clone(), user, address, connection })
    }

    /// Sockets open now.
    pub(crate) fn total(&self) -> usize {
        self.open.lock().total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sockets.open.lock();
        open.total = open.total.saturating_sub(1);
        give_back(&mut open.by_user, &self.user);
        give_back(&mut open.by_address, &self.address);
        self.sockets.gauge.dec();
    }
}

fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn places_are_limited_by_user_address_and_in_all_and_come_back() {
        let sockets = Sockets::new(IntGauge::new("g", "g").unwrap());
        let limits = SessionConfig {
            max_per_user: 2,
            max_per_address: 3,
            max_total: 4,
            ..SessionConfig::default()
        };
        let take = |user, last| sockets.take(user, Ipv4Addr::new(127, 0, 0, last).into(), &limits);
        let (ann, bob, cid) = (UserId::new(), UserId::new(), UserId::new());
        let first = take(ann, 1).unwrap();
        let _second = take(ann, 1).unwrap();
        let refused = take(ann, 2).err().map(|error| error.code);
        assert_eq!(refused, Some(ErrorCode::TooManyConnections), "two of one user");
        let _third = take(bob, 1).unwrap();
        assert!(take(cid, 1).is_err(), "three of one address");
        let _fourth = take(cid, 2).unwrap();
        assert!(take(cid, 3).is_err(), "four in all");
        drop(first);
        assert_eq!(sockets.total(), 3);
        assert!(take(ann, 1).is_ok());
    }
}
