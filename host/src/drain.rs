//! The connections that are open, so that they can be asked to finish, waited for, and looked at.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::account::{Account, Order};

/// Numbers of connections, unique in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How many connections are looked at before others get the lock: whoever watches a server with
/// thousands of them keeps no newcomer waiting.
const AT_ONCE: usize = 256;

/// A set of open connections: those of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    listener: String,
    open: Mutex<Open>,
    cut: AtomicUsize,
    none_left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    accounts: BTreeMap<u64, Arc<Account>>,
    /// What connections that come in now are told at once.
    order: Option<Order>,
}

/// One of them; it leaves the set when this is dropped.
#[derive(Debug)]
pub struct Registration {
    account: Arc<Account>,
    set: Arc<Connections>,
}

/// The sets of all listeners of a server, those of listeners that are gone included, as long as
/// they are not empty. It keeps none of them alive.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Vec<Weak<Connections>>>);

impl Registry {
    /// A set for the connections of a listener of this name.
    pub fn set(&self, listener: &str) -> Arc<Connections> {
        let listener = listener.to_owned();
        let set = Arc::new(Connections { listener, ..Connections::default() });
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|set| set.strong_count() > 0);
        sets.push(Arc::downgrade(&set));
        set
    }

    /// The sets that there are.
    pub fn sets(&self) -> Vec<Arc<Connections>> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.iter().filter_map(Weak::upgrade).collect()
    }

    /// The connection of this number, if it is open.
    pub fn find(&self, id: u64) -> Option<Arc<Account>> {
        self.sets().iter().find_map(|set| set.lock().accounts.get(&id).map(Arc::clone))
    }
}

impl Connections {
    /// The name of the listener; empty for a set of no [`Registry`].
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// Shows each connection to `look`, in the order of arrival. Those that come or go meanwhile
    /// may be left out, and nobody waits for a look at all of them.
    pub fn each(&self, mut look: impl FnMut(&Account)) {
        let mut after = 0;
        loop {
            let open = self.lock();
            let later = open.accounts.range((Bound::Excluded(after), Bound::Unbounded));
            let some: Vec<_> =
                later.take(AT_ONCE).map(|(_, account)| Arc::clone(account)).collect();
            drop(open);
            let Some(last) = some.last() else { return };
            after = last.id();
            for account in &some {
                look(account);
            }
        }
    }

    /// Adds a connection that begins now.
    pub fn register(self: &Arc<Self>) -> Registration {
        let account = Arc::new(Account::new(NEXT_ID.fetch_add(1, Relaxed)));
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
    fn all_are_looked_at_and_found_and_nobody_else() {
        let registry = Registry::default();
        let (set, other) = (registry.set("a"), registry.set("b"));
        let open: Vec<_> = (0..3 * AT_ONCE).map(|_| set.register()).collect();
        let elsewhere = other.register();
        let mut seen = Vec::new();
        set.each(|account| seen.push(account.id()));
        let ids: Vec<_> = open.iter().map(|one| one.account().id()).collect();
        assert_eq!(seen, ids);
        let id = elsewhere.account().id();
        assert_eq!(registry.find(id).unwrap().id(), id);
        drop(elsewhere);
        assert!(registry.find(id).is_none());
        drop((open, set));
        let left: Vec<_> = registry.sets().iter().map(|set| set.listener().to_owned()).collect();
        assert_eq!(left, ["b"]);
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
}
