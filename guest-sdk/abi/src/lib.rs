#![doc = include_str!("../ABI.md")]
#![no_std]

/// The import module of version 1.
pub const MODULE: &str = "portcell_v1";

/// The descriptor of the connection.
pub const CONNECTION: i32 = 0;

/// The entry points, in the order in which the host looks for them.
pub const ENTRIES: [&str; 2] = ["handle", "_start"];

/// One function of [`MODULE`]. Every parameter and the result are `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// The name in the module.
    pub name: &'static str,
    /// The names of the parameters, in order.
    pub params: &'static [&'static str],
}

/// Every function of [`MODULE`], in the order of the document.
pub const IMPORTS: [Import; 9] = [
    Import { name: "read", params: &["fd", "buf", "len"] },
    Import { name: "write", params: &["fd", "buf", "len"] },
    Import { name: "shutdown", params: &["fd", "how"] },
    Import { name: "close", params: &["fd"] },
    Import { name: "poll", params: &["ptr", "n", "timeout_ms"] },
    Import { name: "set_timeout", params: &["fd", "which", "ms"] },
    Import { name: "info", params: &["name", "name_len", "buf", "len"] },
    Import { name: "log", params: &["level", "ptr", "len"] },
    Import { name: "start_tls", params: &["fd", "profile", "profile_len", "reply", "reply_len"] },
];

/// The names that `info` knows, in the order of the document.
pub const FACTS: [&str; 27] = [
    "peer.address",
    "local.address",
    "peer.pid",
    "peer.uid",
    "peer.gid",
    "transport",
    "connection.id",
    "listener",
    "handler",
    "handler.version",
    "tenant",
    "datagram.size",
    "limits.memory",
    "limits.cpu",
    "limits.idle_timeout",
    "tls.offered",
    "tls.version",
    "tls.cipher",
    "tls.server_name",
    "tls.alpn",
    "tls.resumed",
    "tls.peer.subject",
    "tls.peer.issuer",
    "tls.peer.serial",
    "tls.peer.sha256",
    "tls.peer.names",
    "tls.peer.chain",
];

/// Why a call failed: the number of WASI preview 1, before it is negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Errno {
    /// The call may not wait and had nothing to do.
    Again = 6,
    /// Not a descriptor, or closed.
    BadFd = 8,
    /// A TLS stream ended without `close_notify`.
    ConnAborted = 13,
    /// The peer reset the connection.
    ConnReset = 15,
    /// An argument is out of its range.
    Inval = 28,
    /// The transport failed in a way that has no number of its own.
    Io = 29,
    /// The datagram is longer than the protocol allows.
    MsgSize = 35,
    /// There is no such fact here.
    NoEnt = 44,
    /// There is no peer.
    NotConn = 53,
    /// The configuration does not offer it.
    NotSup = 58,
    /// This direction has ended.
    Pipe = 64,
    /// The guest's own bound ran out.
    TimedOut = 73,
}

impl Errno {
    /// Every errno, in the order of the document.
    pub const ALL: [Self; 12] = [
        Self::Again,
        Self::BadFd,
        Self::ConnAborted,
        Self::ConnReset,
        Self::Inval,
        Self::Io,
        Self::MsgSize,
        Self::NoEnt,
        Self::NotConn,
        Self::NotSup,
        Self::Pipe,
        Self::TimedOut,
    ];

    /// What an import returns for it: the negated number.
    pub const fn result(self) -> i32 {
        -(self as i32)
    }

    /// The errno of a negative result; `None` for a count and for a number that is not in the
    /// table.
    pub fn from_result(result: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| errno.result() == result)
    }

    /// The name in C.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Again => "EAGAIN",
            Self::BadFd => "EBADF",
            Self::ConnAborted => "ECONNABORTED",
            Self::ConnReset => "ECONNRESET",
            Self::Inval => "EINVAL",
            Self::Io => "EIO",
            Self::MsgSize => "EMSGSIZE",
            Self::NoEnt => "ENOENT",
            Self::NotConn => "ENOTCONN",
            Self::NotSup => "ENOTSUP",
            Self::Pipe => "EPIPE",
            Self::TimedOut => "ETIMEDOUT",
        }
    }
}

/// The largest length that an import takes; a longer one is [`Errno::Inval`].
pub const MAX_LEN: u32 = i32::MAX as u32;

/// `how` of `shutdown`.
pub mod shutdown {
    /// Reading ends.
    pub const READ: i32 = 0;
    /// Writing ends.
    pub const WRITE: i32 = 1;
    /// Both end.
    pub const BOTH: i32 = 2;
    /// The connection breaks.
    pub const RESET: i32 = 3;
}

/// `which` of `set_timeout`.
pub mod timeout {
    /// The bound of reads.
    pub const READ: i32 = 0;
    /// The bound of writes.
    pub const WRITE: i32 = 1;
}

/// Records and bits of `poll`.
pub mod poll {
    /// The size of a record `{ i32 fd; u16 events; u16 revents }`, in bytes.
    pub const RECORD: u32 = 8;
    /// The largest `n`.
    pub const MAX_RECORDS: u32 = 64;
    /// A read would not wait.
    pub const READABLE: u16 = 0x0001;
    /// A write would not wait.
    pub const WRITABLE: u16 = 0x0002;
    /// The host asks the handler to finish.
    pub const DRAINING: u16 = 0x0008;
    /// The connection broke.
    pub const FAILED: u16 = 0x1000;
    /// Both directions have ended.
    pub const OVER: u16 = 0x2000;
    /// Not a descriptor.
    pub const INVALID: u16 = 0x4000;
    /// What `events` may hold.
    pub const ASKABLE: u16 = READABLE | WRITABLE | DRAINING;
}

/// Levels of `log`.
pub mod level {
    /// Something failed.
    pub const ERROR: i32 = 1;
    /// Something is not as it should be.
    pub const WARN: i32 = 2;
    /// Worth knowing.
    pub const INFO: i32 = 3;
    /// For whoever writes the handler.
    pub const DEBUG: i32 = 4;
    /// Everything.
    pub const TRACE: i32 = 5;
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    use super::*;

    const DOCUMENT: &str = include_str!("../ABI.md");

    fn section(title: &str) -> &'static str {
        let start = DOCUMENT.find(&format!("\n{title}\n")).expect(title) + title.len() + 2;
        let rest = &DOCUMENT[start..];
        let level = title.split(' ').next().unwrap();
        let end = (1..=level.len())
            .filter_map(|n| rest.find(&format!("\n{} ", "#".repeat(n))))
            .min()
            .unwrap_or(rest.len());
        &rest[..end]
    }

    fn first_column(text: &str) -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
            .skip(1)
            .map(|line| line.split('|').nth(1).unwrap().trim().trim_matches('`').into())
            .collect()
    }

    #[test]
    fn the_imports_are_those_of_the_document() {
        let documented: Vec<&str> =
            DOCUMENT.lines().filter_map(|line| line.strip_prefix("## `")).collect();
        let expected: Vec<String> = IMPORTS
            .iter()
            .map(|import| format!("{}({})", import.name, import.params.join(", ")))
            .collect();
        let names: Vec<&str> =
            documented.iter().map(|line| line.split(" -> ").next().unwrap()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_facts_are_those_of_the_document() {
        let title = DOCUMENT.lines().find(|line| line.starts_with("## `info(")).unwrap();
        assert_eq!(first_column(section(title)), FACTS);
    }

    #[test]
    fn the_errnos_are_those_of_the_document() {
        let documented: Vec<(String, String)> = section("# Errnos")
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
            .skip(1)
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                (cells[1].into(), cells[2].trim_matches('`').into())
            })
            .collect();
        let expected: Vec<(String, String)> = Errno::ALL
            .iter()
            .map(|errno| (format!("{}", *errno as i32), errno.name().into()))
            .collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn the_poll_bits_are_those_of_the_document() {
        let title = DOCUMENT.lines().find(|line| line.starts_with("## `poll(")).unwrap();
        let bits = vec![
            poll::READABLE,
            poll::WRITABLE,
            poll::DRAINING,
            poll::FAILED,
            poll::OVER,
            poll::INVALID,
        ];
        let expected: Vec<String> = bits.into_iter().map(|bit| format!("{bit:#06x}")).collect();
        assert_eq!(first_column(section(title)), expected);
    }

    #[test]
    fn a_result_maps_back_to_its_errno() {
        for errno in Errno::ALL {
            assert_eq!(Errno::from_result(errno.result()), Some(errno));
        }
        assert_eq!(Errno::from_result(0), None);
        assert_eq!(Errno::from_result(-1), None);
    }
}
