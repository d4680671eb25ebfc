//! How many connections this machine allows, and what would allow more.

use std::fmt;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is not a connection: listeners, logs, modules, epoll.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Memory mappings for everything that is not an instance: the program, its libraries, threads,
/// the modules' code and images, and the pool's spare slots.
const RESERVED_MAPPINGS: u64 = 5000;

/// Address space for everything that is not a connection's instance, in bytes: the program, its
/// libraries, and the pool's spare slots.
const RESERVED_ADDRESSES: u64 = 8 << 30;

/// Address space that one contiguous reservation may take, in bytes: the smaller gap that a
/// position-independent program leaves in 47 bits, less some room.
const CONTIGUOUS_ADDRESSES: u64 = 32 << 40;

/// How many connections there can be, and why not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The number of connections.
    pub connections: u32,
    /// What bounds it.
    pub bound: Bound,
}

/// What bounds the number of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `server.max_connections` in the configuration.
    Configured,
    /// The hard limit of open files, of this size.
    Descriptors(u64),
    /// `vm.max_map_count`, of this size.
    Mappings(u64),
    /// `RLIMIT_AS` or the processor's addresses, of this many bytes.
    Addresses(u64),
}

/// What connections need of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Clients that may have been accepted beside the connections: those in a queue, those whose
    /// handshakes are under way, and those who watch the server.
    pub waiting: u32,
    /// Flows of UDP, beside the connections; they need no descriptors but those of files.
    pub flows: u32,
    /// Descriptors of one connection, its socket and its guest's files.
    pub descriptors: u64,
    /// Memory mappings of one instance.
    pub mappings: u64,
    /// Address space of one instance, in bytes.
    pub addresses: u64,
}

/// What the machine gives; separate from [`Capacity`] so that the arithmetic can be tested.
#[derive(Clone, Copy, Debug)]
struct Machine {
    descriptors: u64,
    mappings: u64,
    addresses: u64,
}

/// The machine does not allow what the configuration asks for, or not one connection.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}, but this machine allows {}{}: {}", capacity.connections, beside(*flows), capacity.bound)]
pub struct TooMany {
    what: String,
    flows: u32,
    capacity: Capacity,
}

/// The memory that this process can have, in bytes: the machine's, or what the control groups leave
/// that the process is in (cgroups(7), version 2). `None` if that is not known.
pub fn memory() -> Option<u64> {
    let all = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let group = Path::new("/sys/fs/cgroup").join(group);
    let limits = group.ancestors().take_while(|path| path.starts_with("/sys/fs/cgroup"));
    let limit = |path: &Path| fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok();
    limits.filter_map(limit).chain(all).min()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

impl Capacity {
    /// Raises this process's limit of open files to its hard limit, and works out how many
    /// connections there can be; never 0.
    pub fn of_this_machine(wanted: Option<NonZeroU32>, needs: &Needs) -> Result<Self, TooMany> {
        Machine::measure().capacity(wanted, needs)
    }
}

impl Machine {
    fn measure() -> Self {
        let files = getrlimit(Resource::Nofile);
        // Without the right to it, the soft limit stays, and that is what is counted.
        let raised =
            setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
        let descriptors = if raised.is_ok() { files.maximum } else { files.current };
        Self {
            descriptors: descriptors.unwrap_or(u64::MAX),
            // Only Linux has this limit.
            mappings: fs::read_to_string("/proc/sys/vm/max_map_count")
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(u64::MAX),
            addresses: getrlimit(Resource::As)
                .current
                .map_or(CONTIGUOUS_ADDRESSES, |limit| limit.saturating_sub(RESERVED_ADDRESSES))
                .min(CONTIGUOUS_ADDRESSES),
        }
    }

    fn capacity(self, wanted: Option<NonZeroU32>, needs: &Needs) -> Result<Capacity, TooMany> {
        let flows = u64::from(needs.flows);
        let by_descriptors = self
            .descriptors
            .saturating_sub(RESERVED_DESCRIPTORS)
            .saturating_sub(u64::from(needs.waiting))
            .saturating_sub(flows * needs.descriptors.saturating_sub(1))
            / needs.descriptors;
        let by_mappings = (self.mappings.saturating_sub(RESERVED_MAPPINGS) / needs.mappings)
            .saturating_sub(flows);
        let by_addresses = (self.addresses / needs.addresses).saturating_sub(flows);
        let (most, bound) = [
            (by_mappings, Bound::Mappings(self.mappings)),
            (by_descriptors, Bound::Descriptors(self.descriptors)),
            (by_addresses, Bound::Addresses(self.addresses)),
        ]
        .into_iter()
        .min_by_key(|(most, _)| *most)
        .unwrap_or((0, Bound::Configured));
        let machine = Capacity { connections: u32::try_from(most).unwrap_or(u32::MAX), bound };
        let too_many =
            |what: String| Err(TooMany { what, flows: needs.flows, capacity: machine.clone() });
        match wanted {
            Some(wanted) if wanted.get() > machine.connections => {
                too_many(format!("server.max_connections is {wanted}"))
            }
            Some(wanted) => Ok(Capacity { connections: wanted.get(), bound: Bound::Configured }),
            None if machine.connections == 0 => too_many("a server needs a connection".into()),
            None => Ok(machine),
        }
    }
}

/// What has room first: flows, which are as many as is configured.
fn beside(flows: u32) -> String {
    if flows == 0 { String::new() } else { format!(" beside {flows} flows (server.max_flows)") }
}

/// `room for 15132 connections; ...`, on one line.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room for {} connections; {}", self.connections, self.bound)
    }
}

/// What the bound is and what would raise it.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => write!(f, "set by server.max_connections"),
            Self::Descriptors(limit) => write!(
                f,
                "the hard limit of open files is {limit}: raise it with `ulimit -Hn` or systemd's LimitNOFILE for more"
            ),
            Self::Mappings(limit) => write!(
                f,
                "vm.max_map_count is {limit}: raise it with `sysctl vm.max_map_count=1048576` for more"
            ),
            Self::Addresses(limit) => write!(
                f,
                "{} GiB of address space are to be had: raise `ulimit -v` if it is set",
                limit >> 30
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: u64 = 65 << 20;
    const PLENTY: Machine =
        Machine { descriptors: 1 << 40, mappings: 1 << 40, addresses: CONTIGUOUS_ADDRESSES };

    const NEEDS: Needs =
        Needs { waiting: 1000, flows: 0, descriptors: 1, mappings: 4, addresses: SLOT };

    #[test]
    fn the_smallest_of_the_machines_bounds_counts() {
        let cases = [
            (Machine { mappings: 65_530, ..PLENTY }, 15_132, Bound::Mappings(65_530)),
            (Machine { descriptors: 2_000, ..PLENTY }, 872, Bound::Descriptors(2_000)),
            (Machine { addresses: 10 * SLOT, ..PLENTY }, 10, Bound::Addresses(10 * SLOT)),
        ];
        for (machine, connections, bound) in cases {
            let capacity = machine.capacity(None, &NEEDS).unwrap();
            assert_eq!(capacity, Capacity { connections, bound });
        }
    }

    #[test]
    fn a_configured_number_counts_where_the_machine_allows_it() {
        let machine = Machine { mappings: 65_530, ..PLENTY };
        let capacity = machine.capacity(NonZeroU32::new(100), &NEEDS).unwrap();
        assert_eq!(capacity, Capacity { connections: 100, bound: Bound::Configured });
        let refused = machine.capacity(NonZeroU32::new(15_133), &NEEDS).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("allows 15132") && said.contains("vm.max_map_count"), "{said}");
    }

    #[test]
    fn no_room_at_all_is_refused() {
        let machine = Machine { descriptors: 5, ..PLENTY };
        let said = machine.capacity(None, &NEEDS).unwrap_err().to_string();
        assert!(said.contains("allows 0") && said.contains("open files is 5"), "{said}");
    }

    #[test]
    fn where_flows_take_the_room_they_are_named() {
        let machine = Machine { mappings: 65_530, ..PLENTY };
        let needs = Needs { flows: 15_130, ..NEEDS };
        let said = machine.capacity(NonZeroU32::new(3), &needs).unwrap_err().to_string();
        assert!(said.contains("allows 2 beside 15130 flows (server.max_flows): vm."), "{said}");
        let said = machine.capacity(NonZeroU32::new(20_000), &NEEDS).unwrap_err().to_string();
        assert!(said.contains("allows 15132: vm."), "{said}");
    }

    #[test]
    fn data_that_is_shared_costs_mappings() {
        let machine = Machine { mappings: 65_530, ..PLENTY };
        let needs = Needs { mappings: 6, ..NEEDS };
        assert_eq!(machine.capacity(None, &needs).unwrap().connections, 10_088);
    }

    #[test]
    fn files_of_guests_count() {
        let machine = Machine { descriptors: RESERVED_DESCRIPTORS + 1000 + 30, ..PLENTY };
        let needs = Needs { descriptors: 3, ..NEEDS };
        assert_eq!(machine.capacity(None, &needs).unwrap().connections, 10);
    }
}
