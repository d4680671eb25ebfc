//! One sandbox, for one connection: made, run under its limits, thrown away.

use std::pin::pin;
use std::sync::Arc;

use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Instance, Store, StoreContextMut, Trap, UpdateDeadline, WasmBacktrace};
use wiggle::GuestError;

use crate::connection::Connection;
use crate::engine::SLICE;
use crate::exit::Exit;
use crate::guest::{Guest, Stop};
use crate::handler::Handler;
use crate::plugin::Entry;
use crate::text::printable;
use crate::watchdog::{Limits, watch};

/// What one host call may make the WASI library allocate, in bytes.
const HOST_CALL_FUEL: usize = 1 << 20;

/// Serves `connection` with a new instance of `handler` and gives it back, with how it ended. The
/// instance is gone by then; the connection is still open, unless the guest closed it. `made` is
/// told, once, whether there was an instance; if not, that is the host's fault and no guest's.
pub async fn run(
    handler: &Arc<Handler>,
    connection: Connection,
    limits: Limits,
    made: impl FnOnce(bool),
) -> (Connection, Exit) {
    let account = Arc::clone(connection.account());
    let mut store = store(handler, connection);
    let call = async {
        let instance = make(handler, &mut store, made).await?;
        enter(handler, instance, &mut store).await
    };
    let ended = watch(&account, &limits, pin!(call)).await;
    let guest = store.into_data();
    let exit = ended.map_or_else(|exit| exit, |ended| exit_of(&ended, &guest));
    (guest.connection, exit)
}

/// Where an instance of `handler` is made, with its limits.
pub(crate) fn store(handler: &Handler, connection: Connection) -> Store<Guest> {
    let guest = Guest::new(Arc::clone(handler.config()), handler.entry(), connection);
    let mut store = Store::new(handler.code.pre.module().engine(), guest);
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
    made(instance.as_ref().map_or_else(is_of_the_guest, |_| true));
    let instance = instance?;
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
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

/// Looks at a guest that is running, once a tick: when its slice is over it gives way, and the
/// watchdog ends it if it has reached a limit.
fn on_tick(mut store: StoreContextMut<'_, Guest>) -> UpdateDeadline {
    if store.data().connection.account().running() < SLICE {
        return UpdateDeadline::Continue(1);
    }
    store.data_mut().connection.flush();
    // tokio's own yield lets its driver run: others get the worker, and sockets are looked at.
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

/// Whether an instance could not be made because of what the guest does when it begins.
fn is_of_the_guest(error: &Error) -> bool {
    error.is::<Trap>() || error.is::<Stop>() || error.is::<GuestError>()
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
    } else if guest.meter.denied {
        Exit::MemoryLimit
    } else {
        Exit::Failed(code)
    }
}

fn exit_of_error(error: &Error, guest: &Guest) -> Exit {
    if let Some(Stop::Code(code)) = error.downcast_ref() {
        return exit_of_code(*code, guest);
    }
    if let Some(Stop::Handshake) = error.downcast_ref() {
        return Exit::HandshakeFailed;
    }
    if guest.meter.denied {
        return Exit::MemoryLimit;
    }
    let what = if let Some(stop) = error.downcast_ref::<Stop>() {
        stop.to_string()
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        trap.to_string()
    } else if let Some(wrong) = error.downcast_ref::<GuestError>() {
        // An argument that WASI's library could not make sense of.
        wrong.to_string()
    } else if error.is::<ResourceTableError>() {
        "too many files are open".to_owned()
    } else {
        // Neither the guest's doing nor a limit: pool exhausted, or a bug of ours.
        return Exit::HostError(format!("{error:#}"));
    };
    Exit::Trap(match error.downcast_ref::<WasmBacktrace>().and_then(innermost) {
        Some(function) => format!("{what} in `{function}`"),
        None => what,
    })
}

/// The function that trapped, by its name or its number.
fn innermost(backtrace: &WasmBacktrace) -> Option<String> {
    let frame = backtrace.frames().first()?;
    Some(frame.func_name().map_or_else(|| format!("#{}", frame.func_index()), printable))
}
