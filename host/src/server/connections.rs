//! The connections that are open, for people and programs that watch them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::control::{Control, ControlError};
use crate::account::{Account, Activity, Order};
use crate::drain::Registry;
use crate::presence::Stage;
use crate::tally::{Moved, Numbers};

/// An open connection, as it is now. The names are those of receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionStatus {
    /// Unique in this run of the server.
    pub id: u64,
    /// The listener's name.
    pub listener: String,
    /// The handler's name; `None` while it has no place.
    pub handler: Option<String>,
    /// The handler's version; `None` while it has no place.
    pub version: Option<u64>,
    /// The other end.
    pub peer: Option<String>,
    /// How its bytes travel.
    pub transport: &'static str,
    /// What it does.
    pub state: Activity,
    /// How long it has been there, in milliseconds.
    pub age_ms: u64,
    /// How long nothing has moved, in milliseconds.
    pub idle_ms: u64,
    /// Bytes that the guest has read.
    pub bytes_in: u64,
    /// Bytes that the guest has written and the kernel has taken.
    pub bytes_out: u64,
    /// CPU time of the instance, in microseconds; without what the running poll has used.
    pub cpu_us: u64,
    /// The memory of the instance, in bytes.
    pub memory: u64,
    /// The most that it had at once, in bytes.
    pub memory_peak: u64,
}

/// What the connections from one listener to one handler have come to, those that are open
/// included.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The listener's name.
    pub listener: String,
    /// The handler's name.
    pub handler: String,
    /// Exits and times of those that have ended.
    pub ended: Numbers,
    /// What all of them have moved and used. It never shrinks.
    pub moved: Moved,
    /// Those that have an instance, or are closing.
    pub open: u64,
    /// The memory of their instances, in bytes.
    pub memory: u64,
}

impl Control {
    /// The connections that are open and that `wanted` says yes to, by listener, each in the order
    /// of arrival. Does not wait for the server, nor the server for this.
    pub fn connections(&self, wanted: impl Fn(&ConnectionStatus) -> bool) -> Vec<ConnectionStatus> {
        let mut found = Vec::new();
        for set in self.registry.sets() {
            set.each(|account| {
                let status = ConnectionStatus::of(set.listener(), account);
                if account.presence().stage() != Stage::Ended && wanted(&status) {
                    found.push(status);
                }
            });
        }
        found
    }

    /// Ends a connection now, with a reset; its exit is `killed`. Does not wait for its end.
    pub fn kill(&self, id: u64) -> Result<(), ControlError> {
        let account = self.registry.find(id).ok_or(ControlError::NoConnection(id))?;
        account.order(Order::Kill);
        tracing::info!(connection = id, "killed by a command");
        Ok(())
    }

    /// What connections have come to, by listener and handler. Does not wait for the server.
    pub fn traffic(&self) -> Vec<Traffic> {
        // Those that have ended first: one that ends meanwhile is left out, and never there twice.
        let ended =
            self.tallies.all().into_iter().map(|(names, tally)| (names, tally.ended(), tally));
        let ended: Vec<_> = ended.collect();
        let open = open(&self.registry);
        let nothing = Open::default();
        let traffic = ended.into_iter().map(|(names, ended, tally)| {
            let open = open.get(&names).unwrap_or(&nothing);
            let mut moved = ended.moved;
            moved.add(&open.moved);
            let (listener, handler) = names;
            let moved = tally.shown(moved);
            Traffic { listener, handler, ended, moved, open: open.count, memory: open.memory }
        });
        traffic.collect()
    }
}

/// What the connections of one listener to one handler are now.
#[derive(Debug, Default)]
struct Open {
    count: u64,
    memory: u64,
    moved: Moved,
}

fn open(registry: &Registry) -> BTreeMap<(String, String), Open> {
    let mut all = BTreeMap::<_, Open>::new();
    for set in registry.sets() {
        let mut by_placement = BTreeMap::<_, (Arc<_>, Open)>::new();
        set.each(|account| {
            let presence = account.presence();
            let Some(placement) = presence.placement() else { return };
            if presence.stage() == Stage::Ended {
                return;
            }
            let key = Arc::as_ptr(placement) as usize;
            let new = || (Arc::clone(placement), Open::default());
            let (_, open) = by_placement.entry(key).or_insert_with(new);
            open.count += 1;
            open.memory += account.memory();
            open.moved.add(&Moved::by(account));
        });
        for (placement, one) in by_placement.into_values() {
            let names = (placement.listener.clone(), placement.handler.clone());
            let open = all.entry(names).or_default();
            open.count += one.count;
            open.memory += one.memory;
            open.moved.add(&one.moved);
        }
    }
    all
}

/// How many connections each version of each handler has.
pub(super) fn by_version(registry: &Registry) -> BTreeMap<(String, u64), usize> {
    let mut counts = BTreeMap::new();
    for set in registry.sets() {
        let mut by_placement = BTreeMap::<_, (Arc<_>, usize)>::new();
        set.each(|account| {
            let Some(placement) = account.presence().placement() else { return };
            let key = Arc::as_ptr(placement) as usize;
            by_placement.entry(key).or_insert_with(|| (Arc::clone(placement), 0)).1 += 1;
        });
        for (placement, count) in by_placement.into_values() {
            *counts.entry((placement.handler.clone(), placement.version)).or_default() += count;
        }
    }
    counts
}

impl ConnectionStatus {
    fn of(listener: &str, account: &Account) -> Self {
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let millis = |time: Duration| whole(time.as_millis());
        let presence = account.presence();
        let placement = presence.placement();
        Self {
            id: account.id(),
            listener: listener.to_owned(),
            handler: placement.map(|placement| placement.handler.clone()),
            version: placement.map(|placement| placement.version),
            peer: presence.peer().map(|peer| peer.to_string()),
            transport: presence.transport().name(),
            state: account.activity(),
            age_ms: millis(account.age()),
            idle_ms: millis(account.idle()),
            bytes_in: account.bytes_in(),
            bytes_out: account.bytes_out(),
            cpu_us: whole(account.cpu().as_micros()),
            memory: account.memory(),
            memory_peak: account.memory_peak(),
        }
    }
}
