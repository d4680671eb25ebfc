//! Which connections are asked for: the query of `/v1/connections`.

use std::cmp::Reverse;
use std::time::Duration;

use crate::config::{nearest, parse_duration};
use crate::server::ConnectionStatus;

/// The keys of the query.
const KEYS: [&str; 7] =
    ["listener", "handler", "peer", "older_than", "idle_longer_than", "sort", "limit"];

/// What they can be sorted by.
pub(super) const SORTS: [&str; 8] =
    ["id", "age", "idle", "bytes_in", "bytes_out", "cpu", "memory", "memory_peak"];

/// Which connections, in which order, how many.
#[derive(Debug, Default)]
pub(super) struct Filter {
    listener: Option<String>,
    handler: Option<String>,
    /// How the peer's address begins.
    peer: Option<String>,
    older_than: Option<Duration>,
    idle_longer_than: Option<Duration>,
    sort: Option<&'static str>,
    limit: Option<usize>,
}

impl Filter {
    /// Reads a query like `listener=echo&sort=idle`.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let duration = |value: &str| match parse_duration(value) {
                Ok(duration) => Ok(Some(duration)),
                Err(error) => Err(format!("`{key}` takes a duration like 30s; {error}")),
            };
            match &*key {
                "listener" => filter.listener = Some(value.into_owned()),
                "handler" => filter.handler = Some(value.into_owned()),
                "peer" => filter.peer = Some(value.into_owned()),
                "older_than" => filter.older_than = duration(&value)?,
                "idle_longer_than" => filter.idle_longer_than = duration(&value)?,
                "sort" => filter.sort = Some(sort(&value)?),
                "limit" => match value.parse() {
                    Ok(limit) if limit > 0 => filter.limit = Some(limit),
                    _ => return Err(format!("`limit` takes a number from 1 on; not `{value}`")),
                },
                _ => {
                    let hint = nearest::did_you_mean(&key, KEYS);
                    return Err(format!("there is no `{key}` to filter by{hint}"));
                }
            }
        }
        Ok(filter)
    }

    /// Whether this one is asked for.
    pub(super) fn wants(&self, one: &ConnectionStatus) -> bool {
        let is = |wanted: Option<&String>, name: Option<&String>| {
            wanted.is_none_or(|wanted| name == Some(wanted))
        };
        let longer = |wanted: Option<Duration>, millis: u64| {
            wanted.is_none_or(|wanted| Duration::from_millis(millis) > wanted)
        };
        let begins =
            |wanted: &String| one.peer.as_ref().is_some_and(|peer| peer.starts_with(wanted));
        is(self.listener.as_ref(), Some(&one.listener))
            && is(self.handler.as_ref(), one.handler.as_ref())
            && self.peer.as_ref().is_none_or(begins)
            && longer(self.older_than, one.age_ms)
            && longer(self.idle_longer_than, one.idle_ms)
    }

    /// Puts those that are asked for in order, the most first, and leaves as many as are asked for.
    pub(super) fn arrange(&self, found: &mut Vec<ConnectionStatus>) {
        let number = |one: &ConnectionStatus| match self.sort {
            Some("age") => one.age_ms,
            Some("idle") => one.idle_ms,
            Some("bytes_in") => one.bytes_in,
            Some("bytes_out") => one.bytes_out,
            Some("cpu") => one.cpu_us,
            Some("memory") => one.memory,
            Some("memory_peak") => one.memory_peak,
            _ => 0,
        };
        found.sort_unstable_by_key(|one| (Reverse(number(one)), one.id));
        if let Some(limit) = self.limit {
            found.truncate(limit);
        }
    }
}

fn sort(by: &str) -> Result<&'static str, String> {
    SORTS.into_iter().find(|sort| *sort == by).ok_or_else(|| {
        let hint = nearest::did_you_mean(by, SORTS);
        format!("cannot sort by `{by}`, but by {}{hint}", SORTS.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Activity;

    fn connection(id: u64, peer: &str) -> ConnectionStatus {
        ConnectionStatus {
            id,
            listener: "echo".into(),
            handler: None,
            version: None,
            peer: Some(peer.into()),
            transport: "tcp",
            state: Activity::Waiting,
            age_ms: 1000 * id,
            idle_ms: 0,
            bytes_in: 0,
            bytes_out: 0,
            cpu_us: 0,
            memory: 0,
            memory_peak: 0,
        }
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let (old, new) = (connection(9, "[::1]:5"), connection(1, "10.0.0.1:5"));
        for (query, wanted) in [
            ("", [true, true]),
            ("listener=echo", [true, true]),
            ("listener=ech", [false, false]),
            ("handler=echo", [false, false]),
            ("peer=10.0.", [false, true]),
            ("peer=%5B%3A%3A1%5D", [true, false]),
            ("older_than=1s", [true, false]),
            ("idle_longer_than=0s", [false, false]),
            ("older_than=1s&peer=10.", [false, false]),
        ] {
            let filter = Filter::parse(query).unwrap();
            assert_eq!([filter.wants(&old), filter.wants(&new)], wanted, "{query}");
        }
    }

    #[test]
    fn the_most_comes_first_and_without_an_order_the_oldest() {
        let arranged = |query| {
            let mut found = [2, 3, 1].map(|id| connection(id, "")).to_vec();
            Filter::parse(query).unwrap().arrange(&mut found);
            found.iter().map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(arranged(""), [1, 2, 3]);
        assert_eq!(arranged("sort=age"), [3, 2, 1]);
        assert_eq!(arranged("sort=age&limit=1"), [3]);
        assert_eq!(arranged("sort=memory"), [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for (query, said) in [
            ("listner=a", "there is no `listner` to filter by; did you mean `listener`?"),
            (
                "older_than=5",
                "`older_than` takes a duration like 30s; `5` has no unit; the units are ms, s, m, h and d",
            ),
            ("limit=0", "`limit` takes a number from 1 on; not `0`"),
            (
                "sort=cpus",
                "cannot sort by `cpus`, but by id, age, idle, bytes_in, bytes_out, cpu, memory, memory_peak; did you mean `cpu`?",
            ),
        ] {
            assert_eq!(Filter::parse(query).unwrap_err(), said);
        }
    }
}
