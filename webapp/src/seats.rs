//! A client in; a seat, or none where it has its share or all are taken, out.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

/// So many at a time in all, and so many of each client.
#[derive(Debug)]
pub(crate) struct Seats {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One of them, free again once it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    client: IpAddr,
}

impl Seats {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, taken: Mutex::default() }
    }

    /// A seat for a client that may have so many.
    pub(crate) fn take(seats: &Arc<Self>, client: IpAddr, max: usize) -> Option<Seat> {
        let mut taken = seats.taken.lock();
        let theirs = taken.by_client.get(&client).copied().unwrap_or_default();
        if taken.all >= seats.max || theirs >= max {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, theirs + 1);
        Some(Seat { seats: Arc::clone(seats), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.all -= 1;
        if let Some(theirs) = taken.by_client.get_mut(&self.client) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_have_a_limit_in_all_and_for_each_client_and_leave_no_trace() {
        let seats = Arc::new(Seats::new(3));
        let take = |last| Seats::take(&seats, [192, 0, 2, last].into(), 2);
        let first = take(1).unwrap();
        let second = take(1).unwrap();
        assert!(take(1).is_none());
        let other = take(2).unwrap();
        assert!(take(2).is_none() && take(3).is_none());
        drop(first);
        drop(take(1).unwrap());
        drop((take(2).unwrap(), second, other));
        let taken = seats.taken.lock();
        assert!(taken.all == 0 && taken.by_client.is_empty());
    }
}
