//! The tenants of a server, for people and programs that watch it.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use crate::tenant::{Tenant, Tenants};

/// A tenant, as it is now: all its handlers together. The counts are those since it was first there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantStatus {
    /// Its name.
    pub name: String,
    /// Connections and flows.
    pub connections: usize,
    /// How many there may be; `None` is no bound of its own.
    pub max_connections: Option<usize>,
    /// Clients turned away for that.
    pub refused: u64,
    /// Memory of its instances, in bytes.
    pub memory: u64,
    /// How much there may be; `None` is no bound of its own.
    pub max_memory: Option<u64>,
    /// How often that was not enough for an instance.
    pub memory_denied: u64,
    /// CPU time of its instances, in microseconds. What the running ones have used comes a little
    /// later.
    pub cpu_us: u64,
    /// How much there may be each second, in microseconds; `None` is no bound.
    pub max_cpu_us: Option<NonZeroU32>,
    /// How long its instances were held for that, each for itself, in milliseconds. That of those
    /// that are held now comes once a second.
    pub held_ms: u64,
}

/// All that a handler belongs to, or did whose connections are still there, by name.
pub(super) fn statuses(tenants: &Tenants) -> Vec<TenantStatus> {
    tenants.all().iter().map(|tenant| TenantStatus::of(tenant)).collect()
}

impl TenantStatus {
    fn of(tenant: &Tenant) -> Self {
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let micros = |time: Duration| whole(time.as_micros());
        let (memory, cpu) = (tenant.memory(), tenant.cpu());
        Self {
            name: tenant.name().to_owned(),
            connections: tenant.connections(),
            max_connections: tenant.max_connections(),
            refused: tenant.refused(),
            memory: memory.used(),
            max_memory: memory.limit(),
            memory_denied: memory.denied(),
            cpu_us: micros(cpu.used()),
            max_cpu_us: cpu.most(),
            held_ms: whole(cpu.held().as_millis()),
        }
    }
}
