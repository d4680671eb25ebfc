//! The descriptors that this process was started with: by systemd or anybody else who opens
//! sockets before the server is there. Whether they are what a listener can use is not seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use super::adopt::Unfit;
use super::bind::Made;
use super::handover::{self, Left, Note};
use crate::address::Inherited;
use crate::config::SocketOptions;

/// What [`inherit`] took.
static INHERITANCE: OnceLock<Inheritance> = OnceLock::new();

/// They stay open as long as the process lives: a number never comes to mean another socket, and
/// one can be taken again after its listener has gone. Listeners get duplicates.
#[derive(Debug)]
struct Inheritance {
    descriptors: BTreeMap<RawFd, OwnedFd>,
    /// What `LISTEN_FDS` and `LISTEN_FDNAMES` say of them (`sd_listen_fds(3)`).
    names: io::Result<Names>,
}

/// Descriptors and what they are called; several can have the same name.
type Names = Vec<(RawFd, String)>;

/// An inherited socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum InheritError {
    /// Nobody has called [`inherit`].
    #[error("this program does not take sockets that it is started with")]
    NotTaken,
    /// `LISTEN_FDS` is not there, or `LISTEN_PID` is another process.
    #[error("no socket was passed under a name (LISTEN_FDS); start it by a systemd socket unit")]
    NoNames,
    /// There are others.
    #[error("no socket was passed under this name; there is {0}")]
    UnknownName(String),
    /// The variables contradict themselves, or what is open.
    #[error("LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are not those of sd_listen_fds(3): {0}")]
    BadNames(String),
    /// Nothing was passed there.
    #[error("descriptor {0} was not open when the program began; pass a socket there")]
    NotOpen(u32),
    /// It is not what a listener can use.
    #[error("descriptor {0} {1}")]
    Unfit(RawFd, Unfit),
}

/// Takes over the descriptors from 3 on that this process was started with, so that `fd://`
/// addresses can be bound; without it they are an error. They stay open as long as the process
/// lives. A second call changes nothing.
///
/// # Safety
///
/// No open descriptor above 2 belongs to anybody in this process yet. At the beginning of `main`
/// that is so, unless something that ran before it has kept one.
#[expect(unsafe_code, reason = "that nobody owns them is for the caller to know")]
pub unsafe fn inherit() {
    INHERITANCE.get_or_init(|| {
        let own = |number| {
            // SAFETY: it is open, and the caller says that nobody owns it.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            // For this program, and not for those that it starts. That it is open is all it needs.
            let _ = rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC);
            (number, descriptor)
        };
        let mut descriptors = open_descriptors().into_iter().map(own).collect();
        let names = match std::env::var(handover::VARIABLE) {
            Ok(note) => from_predecessor(&note, &mut descriptors),
            Err(_) => names(),
        };
        Inheritance { descriptors, names }
    });
}

/// Sorts out what a process has left to this one that was the server before; the rest it was
/// started with itself.
fn from_predecessor(note: &str, descriptors: &mut BTreeMap<RawFd, OwnedFd>) -> io::Result<Names> {
    let Note { sockets, names, ready } = serde_json::from_str(note).map_err(io::Error::other)?;
    let ready = descriptors.remove(&ready);
    let sockets = sockets.into_iter().filter_map(|entry| {
        let socket = descriptors.remove(&entry.descriptor)?;
        Some((entry, socket))
    });
    handover::receive(Left { sockets: sockets.collect(), ready });
    Ok(names)
}

/// Duplicates of all that this process was started with, and the names.
pub(super) fn passed_on() -> io::Result<(Vec<(RawFd, OwnedFd)>, Names)> {
    let Some(Inheritance { descriptors, names }) = INHERITANCE.get() else {
        return Ok((Vec::new(), Vec::new()));
    };
    let duplicates = descriptors.iter().map(|(number, own)| Ok((*number, own.try_clone()?)));
    // Contradictions of whoever started this process end with it.
    let names = names.as_deref().unwrap_or_default().to_vec();
    Ok((duplicates.collect::<io::Result<_>>()?, names))
}

/// The sockets that `which` means, at least one. It must run inside a tokio runtime.
pub(super) fn inherited(
    which: &Inherited,
    options: &SocketOptions,
) -> Result<Vec<Made>, InheritError> {
    INHERITANCE.get().ok_or(InheritError::NotTaken)?.adopt(which, options)
}

impl Inheritance {
    fn adopt(&self, which: &Inherited, options: &SocketOptions) -> Result<Vec<Made>, InheritError> {
        let adopt = |number: RawFd| {
            let not_open = || InheritError::NotOpen(number.unsigned_abs());
            let descriptor = self.descriptors.get(&number).ok_or_else(not_open)?;
            let own = descriptor.try_clone().map_err(Unfit::Failed);
            own.and_then(|own| Made::adopt(own, options))
                .map_err(|unfit| InheritError::Unfit(number, unfit))
        };
        match which {
            Inherited::Name(name) => self.named(name)?.into_iter().map(adopt).collect(),
            Inherited::Number(number) => match RawFd::try_from(*number) {
                Ok(number) => adopt(number).map(|made| vec![made]),
                Err(_) => Err(InheritError::NotOpen(*number)),
            },
        }
    }

    /// Those with this name: more than one where a unit has several addresses.
    fn named(&self, name: &str) -> Result<Vec<RawFd>, InheritError> {
        let all = self.names.as_ref();
        let all = all.map_err(|error| InheritError::BadNames(error.to_string()))?;
        let these: Vec<_> =
            all.iter().filter(|(_, other)| other == name).map(|(number, _)| *number).collect();
        match all.first() {
            _ if !these.is_empty() => Ok(these),
            None => Err(InheritError::NoNames),
            Some(_) => {
                let names: BTreeSet<_> = all.iter().map(|(_, name)| name.as_str()).collect();
                Err(InheritError::UnknownName(Vec::from_iter(names).join(", ")))
            }
        }
    }
}

/// What was passed to this process, with its names.
fn names() -> io::Result<Names> {
    // The names of what was passed to another one would be too many.
    if sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    Ok(sd_notify::listen_fds_with_names()?.collect())
}

fn open_descriptors() -> Vec<RawFd> {
    const FOLDER: &str = "/proc/self/fd";
    let Ok(folder) = fs::read_dir(FOLDER) else { return Vec::new() };
    let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<RawFd> = numbers.filter(|number| *number > 2).collect();
    // The folder had one itself while it was read.
    numbers.retain(|number| fs::symlink_metadata(format!("{FOLDER}/{number}")).is_ok());
    numbers
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::listener::Source as _;
    use crate::listener::options::defaults;

    /// A process that was started with these, under these names.
    fn started_with(passed: Vec<(&str, OwnedFd)>) -> Inheritance {
        let numbered = |(name, descriptor): (&str, OwnedFd)| {
            let number = descriptor.as_raw_fd();
            ((number, descriptor), (number, name.to_owned()))
        };
        let (descriptors, names) = passed.into_iter().map(numbered).unzip();
        Inheritance { descriptors, names: Ok(names) }
    }

    fn tcp() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn named(name: &str) -> Inherited {
        Inherited::Name(name.to_owned())
    }

    fn refused(inheritance: &Inheritance, which: &Inherited) -> String {
        inheritance.adopt(which, &defaults()).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_name_stands_for_all_sockets_that_have_it() {
        let (first, second, other) = (tcp(), UdpSocket::bind("127.0.0.1:0").unwrap(), tcp());
        let addresses = [first.local_addr().unwrap(), second.local_addr().unwrap()];
        let passed =
            vec![("web", first.into()), ("admin", other.into()), ("web", OwnedFd::from(second))];
        let inheritance = started_with(passed);
        let made = inheritance.adopt(&named("web"), &defaults()).unwrap();
        let made: Vec<_> = made.iter().map(|made| made.address().to_string()).collect();
        assert_eq!(made, [format!("tcp://{}", addresses[0]), format!("udp://{}", addresses[1])]);
        assert_eq!(
            refused(&inheritance, &named("mail")),
            "no socket was passed under this name; there is admin, web"
        );
    }

    #[tokio::test]
    async fn a_socket_can_be_taken_again_after_its_listener_has_gone() {
        let socket = tcp();
        let address = socket.local_addr().unwrap();
        let number = Inherited::Number(socket.as_raw_fd().unsigned_abs());
        let inheritance = started_with(vec![("web", socket.into())]);
        for _ in 0..2 {
            let made = inheritance.adopt(&number, &defaults()).unwrap().remove(0);
            let Made::Stream(listening) = made else { panic!("{made:?}") };
            let _client = TcpStream::connect(address).unwrap();
            listening.ready().await.unwrap();
            listening.accept().unwrap();
            assert!(!inheritance.descriptors.contains_key(&listening.socket.as_raw_fd()));
        }
    }

    #[tokio::test]
    async fn what_was_not_passed_is_said() {
        let nothing = started_with(Vec::new());
        assert_eq!(
            refused(&nothing, &Inherited::Number(7)),
            "descriptor 7 was not open when the program began; pass a socket there"
        );
        assert!(refused(&nothing, &Inherited::Number(u32::MAX)).contains("4294967295 was not"));
        assert!(refused(&nothing, &named("web")).starts_with("no socket was passed under a name"));
        let names = Err(io::Error::other("invalid LISTEN_FDNAMES"));
        let wrong = Inheritance { names, ..nothing };
        assert!(refused(&wrong, &named("web")).ends_with(": invalid LISTEN_FDNAMES"));
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_named_by_its_number() {
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        let number = file.as_raw_fd();
        let inheritance = started_with(vec![("web", file)]);
        let said = refused(&inheritance, &named("web"));
        assert_eq!(said, format!("descriptor {number} is a file; pass a socket"));
    }

    #[tokio::test]
    async fn without_taking_over_there_is_nothing() {
        let said = inherited(&Inherited::Number(3), &defaults()).unwrap_err().to_string();
        assert_eq!(said, "this program does not take sockets that it is started with");
    }

    #[test]
    fn what_is_open_is_found() {
        let socket = tcp();
        assert!(open_descriptors().contains(&socket.as_raw_fd()));
        assert!(open_descriptors().iter().all(|number| *number > 2));
    }
}
