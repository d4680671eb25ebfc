//! What imports are granted by: which keys and flags, or none.

use portcell::plugin::{Entry, Import};

/// What an import is granted by. In the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// `portcell_v1`.
    Connection,
    /// `start_tls` of it.
    Tls,
    /// Clocks, random numbers and the like.
    System,
    /// Standard input and output.
    Streams,
    /// Variables of the environment.
    Environment,
    /// Folders and files.
    Files,
    /// The connection of a command as a socket.
    Socket,
    /// The same for those who are no commands: there is none.
    NoSocket,
    /// `env.abort` of AssemblyScript.
    Abort,
    /// Nothing that the host has.
    NotOffered,
}

impl Grant {
    pub(super) const ALL: [Self; 10] = [
        Self::Connection,
        Self::Tls,
        Self::System,
        Self::Streams,
        Self::Environment,
        Self::Files,
        Self::Socket,
        Self::NoSocket,
        Self::Abort,
        Self::NotOffered,
    ];

    /// What an import that is offered is granted by, in a plugin with this entry.
    pub(super) fn of(import: &Import, entry: Option<Entry>) -> Self {
        let Import { module, name, .. } = import;
        match (&**module, &**name) {
            ("portcell_v1", "start_tls") => Self::Tls,
            ("portcell_v1", _) => Self::Connection,
            ("env", _) => Self::Abort,
            (_, "fd_read" | "fd_write" | "fd_close" | "fd_seek" | "fd_renumber") => Self::Streams,
            (_, name) if name.starts_with("fd_fdstat_") => Self::Streams,
            (_, name) if name.starts_with("environ_") => Self::Environment,
            (_, name) if name.starts_with("fd_") || name.starts_with("path_") => Self::Files,
            (_, name) if name.starts_with("sock_") => match entry {
                Some(Entry::Handle { .. }) => Self::NoSocket,
                _ => Self::Socket,
            },
            _ => Self::System,
        }
    }

    /// Its name in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::System => "system",
            Self::Streams => "streams",
            Self::Environment => "environment",
            Self::Files => "files",
            Self::Socket | Self::NoSocket => "socket",
            Self::Abort => "abort",
            Self::NotOffered => "unknown",
        }
    }

    /// The key of the configuration that grants it, `always` or `never`, for JSON.
    pub(super) const fn granted_by(self) -> &'static str {
        match self {
            Self::Connection | Self::System | Self::Streams | Self::Socket | Self::Abort => {
                "always"
            }
            Self::Tls => "listener.tls",
            Self::Environment => "handler.env",
            Self::Files => "handler.dirs",
            Self::NoSocket | Self::NotOffered => "never",
        }
    }

    /// What they are and what grants them, for people.
    pub(super) const fn title(self, entry: Option<Entry>) -> &'static str {
        match self {
            Self::Connection => "the connection: always offered",
            Self::Tls => {
                "TLS on demand: works at listeners with `start = \"request\"` in [listener.tls] (--tls-start request)"
            }
            Self::System => "clocks, random numbers, waiting, exit: always offered",
            Self::Streams => match entry {
                Some(Entry::Command) => {
                    "standard streams: always offered; they are the connection, stderr is the log"
                }
                _ => "standard streams: always offered; input is empty, output is the log",
            },
            Self::Environment => match entry {
                Some(Entry::Command) => {
                    "environment: facts of the connection, and what `env` (--env NAME=VALUE) grants"
                }
                _ => "environment: what `env` (--env NAME=VALUE) grants, by default nothing",
            },
            Self::Files => "files: what `dirs` (--dir HOST::GUEST) grants, by default nothing",
            Self::Socket => "the connection as a socket, descriptor 3: always offered",
            Self::NoSocket => "sockets: none; only a command has its connection as one",
            Self::Abort => "abort of AssemblyScript: always offered; a trap with its message",
            Self::NotOffered => "not offered: with these it cannot be served",
        }
    }
}
