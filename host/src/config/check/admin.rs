//! Where a server is seen and steered.

use crate::address::Address;
use crate::config::AdminConfig;
use crate::config::reader::{Checked, Reader};

/// The admin socket and its token.
pub(super) fn admin(read: &mut Reader<'_>) -> Checked<Option<AdminConfig>> {
    let address = read.endpoint("admin");
    let token = read.written("admin_token", Reader::path);
    let is_written = read.section.value("admin").is_some();
    match (address?, token?) {
        (None, None) => Ok(None),
        (Some(address @ Address::Unix(_)), None) => {
            Ok(Some(AdminConfig { address, token: None, is_written }))
        }
        (Some(address @ Address::Tcp { .. }), Some(token)) => {
            Ok(Some(AdminConfig { address, token: Some(token), is_written }))
        }
        (Some(Address::Tcp { .. }), None) => read.refuse(
            "admin",
            "every program that reaches this port could steer the server; name a file with a token \
             with `admin_token`, or use a Unix socket",
        ),
        (None | Some(Address::Unix(_)), Some(_)) => read.refuse(
            "admin_token",
            "a token is for an `admin` at a TCP address; a Unix socket is open to its owner only; \
             leave this out",
        ),
        (Some(Address::UnixAbstract(_)), _) => read.refuse(
            "admin",
            "a name that is no file has no owner, and every program could steer the server; write \
             a path",
        ),
        (Some(Address::Udp { .. } | Address::Inherited(_)), _) => {
            read.refuse("admin", "it is a Unix socket or a TCP address")
        }
    }
}

/// Where metrics are read.
pub(super) fn metrics(read: &mut Reader<'_>) -> Checked<Option<Address>> {
    match read.endpoint("metrics")? {
        Some(address) if !matches!(address, Address::Tcp { .. }) => {
            read.refuse("metrics", "it is a TCP address; at a Unix socket they are with `admin`")
        }
        address => Ok(address),
    }
}
