//! The life of one connection, from its arrival to its receipt.

use std::borrow::Cow;
use std::sync::Arc;

use crate::account::Account;
use crate::admission::{Entry, Full, Permit, Place};
use crate::background::Background;
use crate::connection::{Connection, Socket, Transport, Upgrade, dismiss};
use crate::coredumps::Coredumps;
use crate::drain::{Connections, Registration};
use crate::exit::Exit;
use crate::instance::{self, Ended};
use crate::listener::{Accepted, Handshaking, Life, Refused};
use crate::receipt::{Ending, Receipt, Receipts};
use crate::route::{Route, Routes};

/// What the connections of a listener need.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) routes: Routes,
    pub(super) connections: Arc<Connections>,
    /// Where those go whose guests compute.
    pub(super) background: Arc<Background>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) dumps: Option<Arc<Coredumps>>,
    pub(super) life: Arc<Life>,
    /// What a client is sent that waited for a place in vain.
    pub(super) farewell: String,
    pub(super) tls: Tls,
}

/// Whether and when connections come to TLS.
#[derive(Debug)]
pub(super) enum Tls {
    Never,
    /// When the guest asks for it.
    OnRequest(Arc<Handshaking>),
    /// Before anything else.
    First(Arc<Handshaking>),
}

/// A connection that has its place.
struct Admitted {
    socket: Socket,
    route: Arc<Route>,
    _permit: Permit,
    /// In its tenant's number.
    _place: Place,
}

/// One connection, from its arrival to its receipt.
pub(super) async fn serve(
    service: Arc<Service>,
    registration: Registration,
    client: Accepted,
    entry: Entry,
) {
    let account = Arc::clone(registration.account());
    let socket = client.into_socket();
    account.presence().arrived(socket.peer(), socket.transport());
    let Some(admitted) = service.admit(socket, entry, &account).await else { return };
    let Admitted { socket, route, _permit, _place } = admitted;
    account.presence().landed(&route.placement, socket.transport());
    let mut connection =
        Connection::new(socket, Arc::clone(&account), Arc::clone(&route.placement));
    if let Tls::OnRequest(handshaking) = &service.tls {
        connection.can_upgrade(Arc::clone(handshaking) as Arc<dyn Upgrade>);
    }
    let local = service.receipts.are_wanted().then(|| local_address(&connection));
    // That a drain of this version finds it.
    let of_version = route.handler.connections().enter(Arc::clone(&account));
    let made = |made| service.life.was_handed_over(made);
    let Ended { connection, exit, backtrace, host_calls } =
        instance::run(&route.handler, connection, route.limits, made, service.dumps.as_ref()).await;
    account.closes();
    if exit == Exit::Cut {
        let by_version = route.handler.connections().are_cut();
        if by_version { &of_version } else { &registration }.was_cut();
    }
    // Somebody may have asked for receipts since.
    let local = local.or_else(|| service.receipts.are_wanted().then(|| local_address(&connection)));
    let secured = connection.secured().map(Arc::clone);
    connection.end(exit.closing()).await;
    let exit = if account.is_killed() { Exit::Killed } else { exit };
    tracing::debug!(
        connection = account.id(),
        listener = route.placement.listener,
        handler = route.placement.handler,
        bytes_in = account.bytes_in(),
        bytes_out = account.bytes_out(),
        backtrace = (!backtrace.is_empty()).then(|| backtrace.join(" < ")),
        "ended: {exit}"
    );
    route.tally.add(&account, exit.kind());
    if let Some(local) = local {
        let (placement, ending) = (Arc::clone(&route.placement), Ending { exit, backtrace });
        let receipt = Receipt::of_connection(&account, placement, local, host_calls, ending);
        service.receipts.file(receipt.secured(secured));
    }
}

/// This end of a connection, for its receipt: only an open socket knows it.
fn local_address(connection: &Connection) -> Option<String> {
    connection.info("local.address").map(Cow::into_owned)
}

impl Service {
    /// Does the handshake where TLS comes first, and waits for a place. `None` if there is none;
    /// the client was told then.
    async fn admit(&self, socket: Socket, entry: Entry, account: &Account) -> Option<Admitted> {
        let (socket, permit, handler) = match &self.tls {
            Tls::First(handshaking) => {
                // The gate is one for handshakes, or nobody could be let in.
                let handshake = entry.handshake().ok()?;
                account.presence().shakes();
                // On its own: the state of a handshake is large, and would be a part of what every
                // connection is for as long as it lasts.
                let shaken = Box::pin(handshaking.shake(socket, handshake, account)).await?;
                (shaken.socket, shaken.permit, shaken.handler)
            }
            Tls::Never | Tls::OnRequest(_) => {
                let permit = tokio::select! {
                    biased;
                    permit = entry.connection() => {
                        permit.map_err(|Full| "no place became free in time (when_full)")
                    }
                    () = account.cut() => Err("it was cut by a drain or a command"),
                };
                match permit {
                    Ok(permit) => (socket, permit, None),
                    Err(why) => {
                        self.life.turns_away(&socket, Some(account), Refused::Waited, why);
                        dismiss(socket, &self.farewell).await;
                        return None;
                    }
                }
            }
        };
        let Some(route) = self.routes.find(handler.as_deref()) else {
            // A configuration without it came in between.
            let why = "its handler is gone";
            self.life.turns_away(&socket, Some(account), Refused::Gone, why);
            dismiss(socket, "").await;
            return None;
        };
        let tenant = route.handler.tenant();
        let Some(place) = tenant.enter() else {
            let why = format!("tenant.max_connections of {}", tenant.name());
            self.life.turns_away(&socket, Some(account), Refused::Tenant, &why);
            match (&self.tls, socket.transport()) {
                // A datagram, whose sender may be forged, is not answered.
                (_, Transport::Udp) => {}
                (Tls::First(_), _) => dismiss(socket, "").await,
                (Tls::Never | Tls::OnRequest(_), _) => dismiss(socket, &self.farewell).await,
            }
            return None;
        };
        Some(Admitted { socket, route, _permit: permit, _place: place })
    }
}
