//! What the host keeps beside one instance: its connection, its memory account, its log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcell_abi::Errno;
use rustix::io::Errno as MachineError;
use wasmtime::{AsContextMut as _, Caller, Memory, OutOfMemory, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;

use crate::account::Account;
use crate::call_meter::CallMeter;
use crate::config::{DrainInput, HandlerConfig};
use crate::connection::Connection;
use crate::engine::TABLE_ELEMENTS;
use crate::exit::Exit;
use crate::guest_log::GuestLog;
use crate::host_calls::{HostCall, HostCalls};
use crate::memory_budget::Share;
use crate::plugin::{Entry, TABLE_ELEMENT};

/// The data of one instance's store.
pub(crate) struct Guest {
    pub(crate) connection: Connection,
    pub(crate) config: Arc<HandlerConfig>,
    pub(crate) entry: Entry,
    pub(crate) log: GuestLog,
    pub(crate) meter: MemoryMeter,
    pub(crate) calls: CallMeter,
    /// The same calls by kind, for the receipt.
    pub(crate) host_calls: HostCalls,
    /// The exported memory, once there is an instance to have one.
    pub(crate) memory: Option<Memory>,
    /// WASI commands only: which of stdin and stdout the guest has closed.
    pub(crate) stdio_closed: [bool; 2],
    /// WASI commands only: the connection as a socket.
    pub(crate) socket: Option<SocketDescriptor>,
    /// Made at the first call that needs it: most guests never do.
    pub(crate) wasi: Option<Box<WasiP1Ctx>>,
}

/// What the guest has made of the descriptor of WASI that is the connection as a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketDescriptor {
    /// Whether its calls wait.
    pub(crate) waits: bool,
    pub(crate) closed: bool,
}

impl SocketDescriptor {
    pub(crate) const NUMBER: i32 = 3;
}

/// Why the host ends an instance from inside a host call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// WASI's `proc_exit`.
    #[error("the guest exited with code {0}")]
    Code(i32),
    /// `abort` of AssemblyScript, with its message.
    #[error("{0}")]
    Abort(String),
    /// `start_tls`, whose handshake failed; why.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// A pointer of the guest's is outside its memory.
    #[error("{call}: {pointer:#x}..+{length} is outside the guest's memory")]
    OutOfBounds {
        /// The host call.
        call: &'static str,
        /// Where the range begins.
        pointer: u32,
        /// How long it is, in bytes.
        length: u32,
    },
}

impl Guest {
    pub(crate) fn new(
        config: Arc<HandlerConfig>,
        entry: Entry,
        mut connection: Connection,
        memory: Share,
    ) -> Self {
        if entry == Entry::Command {
            // Its stdin is a stream.
            connection.skip_empty_datagrams();
            if config.drain_input == DrainInput::End {
                connection.end_input_with_drain();
            }
        }
        let account = Arc::clone(connection.account());
        Self {
            log: GuestLog::new(
                &config.name,
                config.log,
                connection.has_peer(),
                Arc::clone(&account),
            ),
            calls: CallMeter::new(config.max_host_calls, account.recently()),
            host_calls: HostCalls::default(),
            meter: MemoryMeter {
                account,
                used: 0,
                limit: config.memory,
                granted: 0,
                share: memory,
                denied: None,
            },
            connection,
            config,
            entry,
            memory: None,
            stdio_closed: [false; 2],
            socket: (entry == Entry::Command).then(SocketDescriptor::default),
            wasi: None,
        }
    }

    /// Looks at what it has used so far: charges its host calls, and its CPU time by the thread's
    /// clock. Gives how long the running poll has lasted.
    pub(crate) fn look(&mut self) -> Duration {
        let account = self.connection.account();
        self.calls.look(account.recently());
        account.computes()
    }

    /// The connection, for the descriptor that the guest names it by.
    pub(crate) fn connection(&mut self, fd: i32) -> Result<&mut Connection, Errno> {
        if fd == portcell_abi::CONNECTION { Ok(&mut self.connection) } else { Err(Errno::BadFd) }
    }
}

/// The memory of the guest that calls, and the rest of what the host keeps for it.
pub(crate) fn split<'a>(
    caller: &'a mut Caller<'_, Guest>,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        // The start function runs before the instance is there to ask.
        None => caller
            .get_export("memory")
            .and_then(wasmtime::Extern::into_memory)
            .ok_or_else(|| wasmtime::format_err!("the module exports no memory"))?,
    };
    Ok(memory.data_and_store_mut(caller.as_context_mut()))
}

/// The memory of an instance that does not run; empty if it has none.
pub(crate) fn memory(store: &Store<Guest>) -> &[u8] {
    store.data().memory.map_or(&[], |memory| memory.data(store))
}

/// Counts a host call. Each has to come here once.
pub(crate) fn count(caller: &mut Caller<'_, Guest>, call: HostCall) {
    let guest = caller.data_mut();
    guest.host_calls.add(call);
    if guest.calls.count() {
        // Code without loops between its host calls is looked at here only.
        guest.look();
        if guest.calls.paid_at().is_some() {
            // It is made to wait when it looks, at the latest at the next tick.
            caller.as_context_mut().set_epoch_deadline(0);
        }
    }
}

/// Which poll of the instance is running, for [`forget_ticks`].
pub(crate) fn poll_stamp(caller: &Caller<'_, Guest>) -> u64 {
    caller.data().connection.account().poll_stamp()
}

/// After a host call that waited: the ticks that went by meanwhile are not the guest's. Those of a
/// call that did not wait stay, or a guest in a loop of such calls would hardly be looked at.
pub(crate) fn forget_ticks(caller: &mut Caller<'_, Guest>, poll_before: u64) {
    if poll_stamp(caller) != poll_before {
        let ticks = u64::from(caller.data().calls.paid_at().is_none());
        caller.as_context_mut().set_epoch_deadline(ticks);
    }
}

/// The `length` bytes at `pointer`; a trap if they are not all in `memory`.
pub(crate) fn range<'a>(
    memory: &'a mut [u8],
    call: &'static str,
    pointer: u32,
    length: u32,
) -> wasmtime::Result<&'a mut [u8]> {
    memory
        .get_mut(pointer as usize..)
        .and_then(|rest| rest.get_mut(..length as usize))
        .ok_or_else(|| Stop::OutOfBounds { call, pointer, length }.into())
}

/// Counts the memories and tables of one instance against the handler's limit.
pub(crate) struct MemoryMeter {
    account: Arc<Account>,
    used: u64,
    limit: u64,
    /// By how much it may have grown last.
    granted: u64,
    share: Share,
    /// Who has denied a growth: what fails later most likely fails for that.
    pub(crate) denied: Option<Denied>,
}

/// Who has denied a growth of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The limit of this key.
    By(&'static str),
    /// The machine: what the kernel said.
    ByTheMachine(MachineError),
}

impl Denied {
    /// How an instance ends that fails for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::By(key) => Exit::MemoryLimit(key),
            Self::ByTheMachine(why) => {
                Exit::HostError(format!("the machine gives no more memory: {why}"))
            }
        }
    }
}

impl MemoryMeter {
    fn grow(&mut self, from: usize, to: usize) -> bool {
        let more = to.saturating_sub(from) as u64;
        let used = self.used.saturating_add(more);
        let granted = if used > self.limit { Err("handler.memory") } else { self.share.grow(more) };
        if let Err(key) = granted {
            self.denied = Some(Denied::By(key));
            return false;
        }
        self.granted = more;
        self.used = used;
        self.account.memory_is(used);
        true
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum is the module's business, not the limit's.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    /// Gives back what was granted, if it is the machine that did not give it. Other growths that
    /// fail were not granted.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if let Some(why) = of_the_machine(&error) {
            let granted = std::mem::take(&mut self.granted);
            self.share.shrink(granted);
            self.used = self.used.saturating_sub(granted);
            self.account.memory_stays(self.used);
            self.denied = Some(Denied::ByTheMachine(why));
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let element = usize::try_from(TABLE_ELEMENT).unwrap_or(usize::MAX);
        Ok(desired <= TABLE_ELEMENTS
            && maximum.is_none_or(|maximum| desired <= maximum)
            && self.grow(current.saturating_mul(element), desired.saturating_mul(element)))
    }
}

/// What the kernel said, if it is that for which a memory could not grow. It depends on how the
/// memory begins which type that has; and there may not have been memory for the error either.
fn of_the_machine(error: &wasmtime::Error) -> Option<MachineError> {
    let errno = error.downcast_ref::<MachineError>().copied();
    let errno = errno.or_else(|| MachineError::from_io_error(error.downcast_ref::<io::Error>()?));
    errno.or_else(|| error.is::<OutOfMemory>().then_some(MachineError::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_budget::MemoryBudget;

    #[test]
    fn what_the_machine_does_not_give_is_given_back_and_is_no_limits_doing() {
        let budget = Arc::new(MemoryBudget::new("all", None));
        let mut meter = MemoryMeter {
            account: Arc::new(Account::new(1)),
            used: 0,
            limit: 100,
            granted: 0,
            share: Share::of(Arc::clone(&budget)),
            denied: None,
        };
        assert!(meter.memory_growing(0, 40, None).unwrap());
        // One that its own type forbids: nobody was asked, and what it has it keeps.
        meter.memory_grow_failed(wasmtime::format_err!("beyond 4 GiB")).unwrap();
        assert_eq!((budget.used(), &meter.denied), (40, &None));
        let io_error = io::Error::from(MachineError::NOMEM);
        for error in [MachineError::NOMEM.into(), io_error.into(), OutOfMemory::new(1).into()] {
            assert!(meter.memory_growing(40, 90, None).unwrap());
            meter.memory_grow_failed(error).unwrap();
            assert_eq!((budget.used(), meter.account.memory_peak()), (40, 40));
            assert_eq!(meter.denied, Some(Denied::ByTheMachine(MachineError::NOMEM)));
        }
        let exit = meter.denied.as_ref().unwrap().exit();
        assert_eq!(exit.kind(), "host_error");
        meter.memory_grow_failed(MachineError::NOMEM.into()).unwrap();
        assert_eq!(budget.used(), 40, "once");
        assert!(!meter.memory_growing(40, 101, None).unwrap());
        assert_eq!(meter.denied, Some(Denied::By("handler.memory")));
        drop(meter);
        assert_eq!(budget.used(), 0);
    }
}
