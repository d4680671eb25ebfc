//! The life of one connection, from its arrival to its receipt.

use std::sync::Arc;

use crate::admission::{Entry, Full};
use crate::connection::{Connection, dismiss};
use crate::drain::{Connections, Registration};
use crate::exit::Exit;
use crate::instance;
use crate::listener::{Accepted, Life};
use crate::receipt::{Receipt, Receipts};
use crate::route::Routes;

/// What the connections of a listener need.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) routes: Routes,
    pub(super) connections: Arc<Connections>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) life: Arc<Life>,
    /// What a client is sent that waited for a place in vain.
    pub(super) farewell: String,
}

/// One connection, from its arrival to its receipt.
pub(super) async fn serve(
    service: Arc<Service>,
    registration: Registration,
    client: Accepted,
    entry: Entry,
) {
    let socket = client.into_socket();
    let account = Arc::clone(registration.account());
    let permit = tokio::select! {
        permit = entry.connection() => permit,
        () = account.cut() => Err(Full),
    };
    let Ok(_permit) = permit else {
        service.life.counts().refused.add(1);
        return dismiss(socket, &service.farewell).await;
    };
    let route = service.routes.find();
    let connection = Connection::new(socket, Arc::clone(&account), Arc::clone(&route.placement));
    let receipt = service.receipts.are_wanted().then(|| Receipt::begin(&connection, &route));
    let made = |made| service.life.was_handed_over(made);
    let (connection, exit) = instance::run(&route.handler, connection, route.limits, made).await;
    if exit == Exit::Cut {
        registration.was_cut();
    }
    connection.end(exit.closing()).await;
    tracing::debug!(
        connection = account.id(),
        listener = route.placement.listener,
        handler = route.placement.handler,
        bytes_in = account.bytes_in(),
        bytes_out = account.bytes_out(),
        "ended: {exit}"
    );
    if let Some(receipt) = receipt {
        service.receipts.file(&receipt.end(&account, exit));
    }
}
