//! The connections that are open, so that they can be asked to finish and waited for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::account::{Account, Order};

/// Numbers of connections, unique in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A set of open connections: those of one listener, or those of one version of a handler.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
    cut: AtomicUsize,
    none_left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    accounts: HashMap<u64, Arc<Account>>,
    /// What connections that come in now are told at once.
    order: Option<Order>,
}

/// One of them; it leaves the set when this is dropped.
#[derive(Debug)]
pub struct Registration {
    account: Arc<Account>,
    set: Arc<Connections>,
}

impl Connections {
    /// Adds a connection that begins now.
    pub fn register(self: &Arc<Self>) -> Registration {
        self.enter(Arc::new(Account::new(NEXT_ID.fetch_add(1, Relaxed))))
    }

    /// Adds a connection that is in another set already.
    pub fn enter(self: &Arc<Self>, account: Arc<Account>) -> Registration {
        let mut open = self.lock();
        if let Some(order) = open.order {
            account.order(order);
        }
        open.accounts.insert(account.id(), Arc::clone(&account));
        drop(open);
        Registration { account, set: Arc::clone(self) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().accounts.len()
    }

    /// How many have ended because a drain's deadline cut them.
    pub fn cut(&self) -> usize {
        self.cut.load(Relaxed)
    }

    /// Whether they were told to end at once.
    pub fn are_cut(&self) -> bool {
        self.lock().order == Some(Order::Cut)
    }

    /// Gives all of them an order, and those that still come in.
    pub fn order(&self, order: Order) {
        let mut open = self.lock();
        open.order = open.order.max(Some(order));
        for account in open.accounts.values() {
            account.order(order);
        }
    }

    /// Waits until there are none.
    pub async fn ended(&self) {
        loop {
            let mut left = std::pin::pin!(self.none_left.notified());
            // Listen before looking, or the last one could leave in between.
            left.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// The account of the connection.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Says that a drain's deadline cut it.
    pub fn was_cut(&self) {
        self.set.cut.fetch_add(1, Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.set.lock();
        open.accounts.remove(&self.account.id());
        if open.accounts.is_empty() {
            self.set.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_when_the_last_one_leaves() {
        let set = Arc::new(Connections::default());
        set.ended().await;
        let (first, second) = (set.register(), set.register());
        let waiting = Arc::clone(&set);
        let ended = tokio::spawn(async move { waiting.ended().await });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        drop(second);
        ended.await.unwrap();
        assert_eq!(set.count(), 0);
    }

    #[test]
    fn a_late_connection_hears_the_order_too() {
        let set = Arc::new(Connections::default());
        let early = set.register();
        set.order(Order::Drain);
        let late = set.register();
        assert!(early.account().is_draining() && late.account().is_draining());
        set.order(Order::Cut);
        assert!(early.account().is_cut() && late.account().is_cut());
    }

    #[test]
    fn a_connection_in_two_sets_hears_both_and_counts_in_each() {
        let [first, second] = [(); 2].map(|()| Arc::new(Connections::default()));
        let (one, neighbour) = (first.register(), first.register());
        let in_second = second.enter(Arc::clone(one.account()));
        second.order(Order::Drain);
        assert!(one.account().is_draining() && !neighbour.account().is_draining());
        assert!(!second.are_cut());
        drop(in_second);
        assert_eq!((first.count(), second.count()), (2, 0));
        first.order(Order::Cut);
        assert!(one.account().is_cut() && first.are_cut());
    }
}
