//! Which receipts are asked for.

use std::time::{Duration, SystemTime};

use anyhow::{Error, anyhow};
use clap::ArgMatches;
use portcell::config::parse_duration;
use portcell::exit::Exit;
use serde_json::Value;

/// What a receipt must be. Of one kind one is enough; all kinds must hold.
#[derive(Debug, Default)]
pub(super) struct Filter {
    handlers: Vec<String>,
    listeners: Vec<String>,
    exits: Vec<String>,
    /// Kinds of exits that it must not have.
    not: Vec<String>,
    peers: Vec<String>,
    since: Option<SystemTime>,
}

impl Filter {
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Error> {
        let all = |name: &str| -> Vec<String> {
            matches.get_many(name).unwrap_or_default().cloned().collect()
        };
        let mut filter = Self {
            handlers: all("handler"),
            listeners: all("listener"),
            peers: all("peer"),
            since: matches.get_one::<Duration>("since").map(|ago| {
                // Longer ago than time can tell is everything.
                SystemTime::now().checked_sub(*ago).unwrap_or(SystemTime::UNIX_EPOCH)
            }),
            ..Self::default()
        };
        for exit in all("exit") {
            let (kinds, kind) = match exit.strip_prefix('!') {
                Some(kind) => (&mut filter.not, kind),
                None => (&mut filter.exits, &*exit),
            };
            if !Exit::KINDS.contains(&kind) {
                let known = Exit::KINDS.join(", ");
                return Err(anyhow!("--exit: `{kind}` is not an exit; they are {known}"));
            }
            kinds.push(kind.to_owned());
        }
        if matches.get_flag("failed") {
            filter.not.push("ok".into());
        }
        Ok(filter)
    }

    pub(super) fn matches(&self, receipt: &Value) -> bool {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let is_one_of = |names: &[String], field: &Value| {
            names.is_empty() || names.iter().any(|name| *name == text(field))
        };
        let kind = text(&receipt["exit"]["kind"]);
        let peer = text(&receipt["peer"]);
        is_one_of(&self.handlers, &receipt["handler"])
            && is_one_of(&self.listeners, &receipt["listener"])
            && is_one_of(&self.exits, &receipt["exit"]["kind"])
            && !self.not.contains(&kind)
            && (self.peers.is_empty() || self.peers.iter().any(|wanted| is_peer(&peer, wanted)))
            && self.since.is_none_or(|since| {
                humantime::parse_rfc3339(&text(&receipt["time"])).is_ok_and(|time| time >= since)
            })
    }
}

/// A duration as the configuration has them.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Whether `peer` is `wanted`: an address with or without its port; of a Unix socket, its process
/// or user (`uid=0`).
fn is_peer(peer: &str, wanted: &str) -> bool {
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if let Some(parts) = peer.strip_prefix("unix:") {
        return peer == wanted || parts.split(',').any(|part| part == wanted);
    }
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    peer == wanted || bare(host) == bare(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_with_and_without_its_port() {
        for (peer, wanted, is_it) in [
            ("127.0.0.1:5", "127.0.0.1", true),
            ("127.0.0.1:5", "127.0.0.1:5", true),
            ("127.0.0.1:5", "127.0.0.1:6", false),
            ("127.0.0.11:5", "127.0.0.1", false),
            ("[::1]:5", "::1", true),
            ("[::1]:5", "[::1]", true),
            ("[::1]:5", "[::1]:5", true),
            ("[fe80::1:2]:5", "fe80::1", false),
            ("unix:pid=12,uid=0", "uid=0", true),
            ("unix:pid=12,uid=0", "pid=1", false),
            ("", "127.0.0.1", false),
        ] {
            assert_eq!(is_peer(peer, wanted), is_it, "{peer} {wanted}");
        }
    }
}
