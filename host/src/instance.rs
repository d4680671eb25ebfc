//! One sandbox, for one connection: made, run under its limits, thrown away.

use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;

use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Instance, Store, StoreContextMut, Trap, UpdateDeadline};
use wiggle::GuestError;

use crate::backtrace;
use crate::connection::Connection;
use crate::coredump::Coredump;
use crate::coredumps::Coredumps;
use crate::engine::one_line;
use crate::exit::Exit;
use crate::guest::{Denied, Guest, Stop};
use crate::handler::Handler;
use crate::host_calls::HostCalls;
use crate::memory_budget::{MemoryBudget, Share};
use crate::plugin::Entry;
use crate::tenant::TENANT_MEMORY;
use crate::text::printable;
use crate::watchdog::{Limits, watch};

/// What one host call may make the WASI library allocate, in bytes.
const HOST_CALL_FUEL: usize = 1 << 20;

/// What is left of an instance that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its connection, still open unless the guest closed it.
    pub connection: Connection,
    /// How it ended.
    pub exit: Exit,
    /// The guest's functions that were running when it trapped, from the innermost; empty if it did
    /// not.
    pub backtrace: Vec<String>,
    /// How often it called the host.
    pub host_calls: HostCalls,
}

/// Serves `connection` with a new instance of `handler`, which is gone afterwards. `made` is told,
/// once, whether there was an instance; if not, that is the host's fault and no guest's. `dumps` is
/// the folder for coredumps, if they are wanted.
pub async fn run(
    handler: &Arc<Handler>,
    mut connection: Connection,
    limits: Limits,
    made: impl FnOnce(bool),
    dumps: Option<&Arc<Coredumps>>,
) -> Ended {
    let account = Arc::clone(connection.account());
    connection.limit_bytes(limits.bytes_in, limits.bytes_out);
    let tenant = handler.tenant();
    let mut store = store(handler, connection, tenant.memory());
    let call = async {
        let instance = make(handler, &mut store, made).await?;
        enter(handler, instance, &mut store).await
    };
    let ended = watch(&account, &limits, tenant.cpu(), pin!(call)).await;
    if let (Ok(Err(error)), Some(dumps)) = (&ended, dumps) {
        dump(handler, &mut store, error, dumps).await;
    }
    let guest = store.into_data();
    let exit = match &ended {
        Ok(ended) => exit_of(ended, &guest),
        Err(exit) => exit.clone(),
    };
    let backtrace = match (&exit, &ended) {
        (Exit::Trap(_), Ok(Err(error))) => backtrace::of(error),
        _ => Vec::new(),
    };
    let Guest { connection, host_calls, .. } = guest;
    Ended { connection, exit, backtrace, host_calls }
}

/// Where an instance of `handler` is made, with its limits; its memory is taken from `memory`.
pub(crate) fn store(
    handler: &Handler,
    connection: Connection,
    memory: &Arc<MemoryBudget>,
) -> Store<Guest> {
    let config = Arc::clone(handler.config());
    let fuel = config.fuel.map_or(u64::MAX, NonZeroU64::get);
    let memory = Share::of(Arc::clone(memory));
    let guest = Guest::new(config, handler.entry(), connection, memory);
    let mut store = Store::new(handler.code.pre.module().engine(), guest);
    if handler.code.counts_fuel {
        // It cannot fail where fuel is counted.
        let _ = store.set_fuel(fuel);
    }
    store.limiter(|guest| &mut guest.meter);
    store.set_hostcall_fuel(HOST_CALL_FUEL);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| Ok(on_tick(store)));
    store
}

/// Instantiates, and runs what comes before the entry point.
pub(crate) async fn make(
    handler: &Handler,
    store: &mut Store<Guest>,
    made: impl FnOnce(bool),
) -> wasmtime::Result<Instance> {
    let instance = handler.code.pre.instantiate_async(&mut *store).await;
    // A tenant that has no memory left is no trouble of the host's, which others would feel.
    let is_of_the_tenant = store.data().meter.denied == Some(Denied::By(TENANT_MEMORY));
    made(instance.as_ref().map_or_else(is_of_the_guest, |_| true) || is_of_the_tenant);
    let instance = instance?;
    let memory =
        handler.code.memory.and_then(|memory| instance.get_module_export(&mut *store, &memory));
    store.data_mut().memory = memory.and_then(wasmtime::Extern::into_memory);
    if let Some(initialize) = &handler.code.initialize {
        let function = instance
            .get_module_export(&mut *store, initialize)
            .and_then(wasmtime::Extern::into_func)
            .ok_or_else(|| wasmtime::format_err!("`_initialize` is gone"))?;
        function.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await?;
    }
    Ok(instance)
}

/// Calls the entry point; gives its code.
pub(crate) async fn enter(
    handler: &Handler,
    instance: Instance,
    store: &mut Store<Guest>,
) -> wasmtime::Result<i32> {
    let entry = instance
        .get_module_export(&mut *store, &handler.code.start)
        .and_then(wasmtime::Extern::into_func)
        .ok_or_else(|| wasmtime::format_err!("the entry point is gone"))?;
    match handler.entry() {
        Entry::Handle { returns_code: true } => {
            entry.typed::<(), i32>(&*store)?.call_async(store, ()).await
        }
        Entry::Handle { returns_code: false } | Entry::Command => {
            entry.typed::<(), ()>(&*store)?.call_async(store, ()).await.map(|()| 0)
        }
    }
}

/// Has a coredump written of an instance that trapped, if it is its turn.
async fn dump(handler: &Handler, store: &mut Store<Guest>, error: &Error, dumps: &Arc<Coredumps>) {
    // A guest may also end inside a host call because it wants to.
    if matches!(error.downcast_ref(), Some(Stop::Code(_) | Stop::Handshake(_)))
        || !backtrace::is_in(error)
    {
        return;
    }
    let connection = store.data().connection.account().id();
    let Some(turn) = dumps.turn(handler.name(), connection) else { return };
    let module = format!("{}@{} {}", handler.name(), handler.version(), handler.digest());
    let core = Coredump::take(store, error, module).await;
    turn.write(move |output| core.write(output));
}

/// Looks at a guest that is running, once a tick: when its slice is over or it has made too many
/// host calls it gives way, and the watchdog ends it if it has reached a limit.
fn on_tick(mut store: StoreContextMut<'_, Guest>) -> UpdateDeadline {
    let guest = store.data_mut();
    let lasted = guest.look();
    let paid_at = guest.calls.paid_at();
    if paid_at.is_none() && lasted < guest.config.slice {
        return UpdateDeadline::Continue(1);
    }
    let (account, slice) = (Arc::clone(guest.connection.account()), guest.config.slice);
    account.gives_way();
    guest.connection.flush();
    if let Some(at) = paid_at {
        return UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move { account.sleep_until(at).await }),
        );
    }
    // Where the kernel gave most of that time to others, it is no guest that computes.
    if account.has_computed(slice / 2) {
        account.uses_up_slice();
    }
    // tokio's own yield lets its driver run: others get the worker, and sockets are looked at.
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

/// Whether an instance could not be made because of what the guest does when it begins: it traps,
/// or was running already.
fn is_of_the_guest(error: &Error) -> bool {
    error.is::<Trap>() || backtrace::is_in(error)
}

/// How an instance ended by itself.
pub(crate) fn exit_of(ended: &wasmtime::Result<i32>, guest: &Guest) -> Exit {
    match ended {
        Ok(code) => exit_of_code(*code, guest),
        Err(error) => exit_of_error(error, guest),
    }
}

fn exit_of_code(code: i32, guest: &Guest) -> Exit {
    if guest.connection.is_broken() {
        Exit::PeerReset
    } else if code == 0 {
        Exit::Ok
    } else {
        guest.meter.denied.as_ref().map_or(Exit::Failed(code), Denied::exit)
    }
}

fn exit_of_error(error: &Error, guest: &Guest) -> Exit {
    if let Some(Stop::Code(code)) = error.downcast_ref() {
        return exit_of_code(*code, guest);
    }
    if let Some(Stop::Handshake(why)) = error.downcast_ref() {
        return Exit::HandshakeFailed(why.clone());
    }
    if let Some(Trap::OutOfFuel) = error.downcast_ref() {
        return Exit::CpuLimit("handler.fuel");
    }
    if let Some(denied) = &guest.meter.denied {
        return denied.exit();
    }
    let what = if let Some(stop) = error.downcast_ref::<Stop>() {
        stop.to_string()
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        // The one of them that a key bounds.
        let key = if *trap == Trap::StackOverflow { " (server.stack)" } else { "" };
        format!("{trap}{key}")
    } else if let Some(wrong) = error.downcast_ref::<GuestError>() {
        // An argument that WASI's library could not make sense of.
        wrong.to_string()
    } else if error.is::<ResourceTableError>() {
        "too many files are open".to_owned()
    } else {
        // Neither the guest's doing nor a limit: the machine gave too little, or a bug of ours.
        return Exit::HostError(if backtrace::is_in(error) {
            // The rest of it is the backtrace, with names as the module has them.
            printable(&error.root_cause().to_string())
        } else {
            one_line(error)
        });
    };
    Exit::Trap(match backtrace::innermost(error) {
        Some(function) => format!("{what} in `{function}`"),
        None => what,
    })
}
