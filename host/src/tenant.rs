//! Tenants: what all handlers of one owner have together, and may have.
//!
//! Counts and bounds only: others ask here for a place, for memory and for the processor.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::admission::{Place, Places};
use crate::config::TenantConfig;
use crate::cpu_quota::CpuQuota;
use crate::memory_budget::MemoryBudget;

/// The key that bounds a tenant's memory, as exits name it.
pub(crate) const TENANT_MEMORY: &str = "tenant.memory";

/// One tenant. It lasts as long as a connection or a handler of it does, whatever the configuration
/// says meanwhile, so that nothing is counted twice or forgotten.
#[derive(Debug)]
pub struct Tenant {
    name: String,
    places: Arc<Places>,
    memory: Arc<MemoryBudget>,
    cpu: Arc<CpuQuota>,
    refused: AtomicU64,
}

/// All tenants of a server, by their names.
#[derive(Debug)]
pub struct Tenants {
    all: Mutex<BTreeMap<String, Arc<Tenant>>>,
    /// The memory of all of them.
    memory: Arc<MemoryBudget>,
}

impl Tenants {
    /// None yet; their memory is a part of `memory`.
    pub const fn new(memory: Arc<MemoryBudget>) -> Self {
        Self { all: Mutex::new(BTreeMap::new()), memory }
    }

    /// The memory of all of them.
    pub const fn memory(&self) -> &Arc<MemoryBudget> {
        &self.memory
    }

    /// The one of this name, without bounds if it is new.
    pub fn of(&self, name: &str) -> Arc<Tenant> {
        let mut all = self.lock();
        let tenant = all.entry(name.to_owned());
        Arc::clone(tenant.or_insert_with(|| Arc::new(Tenant::new(name, &self.memory))))
    }

    /// Bounds those that are in `configs`, and only those, from now on. What a tenant has already
    /// it keeps, also if that is more.
    pub fn bound(&self, configs: &[TenantConfig]) {
        for config in configs {
            self.of(&config.name);
        }
        self.lock().retain(|name, tenant| {
            let config = configs.iter().find(|config| config.name == *name);
            tenant.bound(config);
            config.is_some() || Arc::strong_count(tenant) > 1
        });
    }

    /// All of them that a handler belongs to, or did whose connections are still there.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        // A configuration that was refused may have left one that nobody uses.
        let all = self.lock();
        all.values().filter(|tenant| Arc::strong_count(tenant) > 1).map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Tenant>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    fn new(name: &str, memory: &Arc<MemoryBudget>) -> Self {
        Self {
            name: name.to_owned(),
            places: Places::new(usize::MAX),
            memory: Arc::new(MemoryBudget::new(TENANT_MEMORY, Some(Arc::clone(memory)))),
            cpu: Arc::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A place for a connection or a flow, which is given back when it is dropped. `None` if all
    /// are taken: that counts as a client that was refused.
    pub fn enter(&self) -> Option<Place> {
        let place = self.places.try_take();
        if place.is_none() {
            self.refused.fetch_add(1, Relaxed);
        }
        place
    }

    /// How many connections and flows it has.
    pub fn connections(&self) -> usize {
        self.places.taken()
    }

    /// How many it may have; `None` is no bound.
    pub fn max_connections(&self) -> Option<usize> {
        Some(self.places.most()).filter(|most| *most < usize::MAX)
    }

    /// How many of its clients were turned away for that.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// The memory of its instances.
    pub const fn memory(&self) -> &Arc<MemoryBudget> {
        &self.memory
    }

    /// The CPU time of its instances.
    pub const fn cpu(&self) -> &Arc<CpuQuota> {
        &self.cpu
    }

    fn bound(&self, config: Option<&TenantConfig>) {
        let most = config.and_then(|config| config.max_connections).map(NonZeroU32::get);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        self.places.resize(most);
        self.memory.set_limit(config.and_then(|config| config.memory).unwrap_or(u64::MAX));
        self.cpu.bound(config.and_then(|config| config.cpu), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants() -> Tenants {
        Tenants::new(Arc::new(MemoryBudget::new("all", None)))
    }

    fn at_most(name: &str, most: u32) -> TenantConfig {
        let max_connections = NonZeroU32::new(most);
        TenantConfig { name: name.into(), max_connections, memory: None, cpu: None }
    }

    #[test]
    fn a_tenant_has_so_many_places_and_gets_them_back() {
        let tenants = tenants();
        tenants.bound(&[at_most("a", 2)]);
        let (a, b) = (tenants.of("a"), tenants.of("b"));
        let places = [a.enter().unwrap(), a.enter().unwrap()];
        assert!(a.enter().is_none() && b.enter().is_some());
        assert_eq!((a.connections(), a.refused(), b.refused()), (2, 1, 0));
        drop(places);
        assert_eq!(a.connections(), 0);
        assert!(a.enter().is_some());
    }

    #[test]
    fn who_is_there_stays_and_is_counted_when_the_bound_changes() {
        let tenants = tenants();
        let a = tenants.of("a");
        let places = [a.enter().unwrap(), a.enter().unwrap()];
        tenants.bound(&[at_most("a", 1)]);
        assert_eq!((a.connections(), a.max_connections()), (2, Some(1)));
        assert!(a.enter().is_none());
        tenants.bound(&[]);
        assert_eq!(a.max_connections(), None);
        assert!(a.enter().is_some());
        drop(places);
    }

    #[test]
    fn one_that_is_configured_again_has_what_it_had() {
        let tenants = tenants();
        tenants.bound(&[at_most("a", 2)]);
        let a = tenants.of("a");
        let place = a.enter();
        tenants.bound(&[]);
        tenants.bound(&[at_most("a", 1)]);
        assert!(tenants.of("a").enter().is_none());
        drop(place);
    }

    #[test]
    fn those_that_nobody_has_are_forgotten() {
        let tenants = tenants();
        drop(tenants.of("typo"));
        let kept = tenants.of("kept");
        assert_eq!(tenants.all().iter().map(|t| t.name()).collect::<Vec<_>>(), ["kept"]);
        tenants.bound(&[]);
        assert_eq!(tenants.lock().len(), 1);
        drop(kept);
    }
}
