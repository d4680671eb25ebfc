//! The files of Unix sockets: what is in the way of a new one, and its end.

mod rights;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::fs::Stat;
use socket2::{Domain, SockAddr, Socket, Type};

use self::rights::Rights;
use super::error::Why;
use super::handover;
use crate::config::SocketOptions;

/// How long another program may hold the lock of a folder before a start fails. Servers hold it
/// while they look at one file.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Between two tries to take it.
const LOCK_RETRY: Duration = Duration::from_millis(10);

const TAKEN: &str = "it is taken by another program; stop that, or choose another path";

/// The file of a socket that is ours. It is removed when this is dropped, if it is still the one;
/// this must go before the socket does.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    id: FileId,
    /// A predecessor made it, and may go on with it if this process fails to start.
    borrowed: bool,
    /// A successor goes on with it.
    left: AtomicBool,
}

/// What tells a file from another at the same path: device and inode. No other file has the same
/// as long as the socket is open, which holds its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

/// Binds `socket` to `path` and gives its file the rights that are configured. The caller lets it
/// listen after that: until then the kernel refuses everybody, whatever the rights are.
///
/// A file of a socket that nobody has any more is replaced; one that somebody has, and anything
/// else, is not.
pub(super) async fn bind(
    socket: &Socket,
    path: &Path,
    options: &SocketOptions,
) -> Result<SocketFile, Why> {
    let rights = Rights::of(options).await?;
    rights.prepare(socket)?;
    bind_path(socket, path).await?;
    let file = SocketFile::at(path)?;
    rights.give(&file.path, file.id)?;
    Ok(file)
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Self::found(path, false)
    }

    /// The file of a socket that came from a predecessor.
    pub(super) fn left_by_predecessor(path: &Path) -> io::Result<Self> {
        Self::found(path, true)
    }

    fn found(path: &Path, borrowed: bool) -> io::Result<Self> {
        let (path, id) = (path.to_path_buf(), FileId::at(path)?);
        Ok(Self { path, id, borrowed, left: AtomicBool::new(false) })
    }

    /// Leaves it to a successor: it is not removed.
    pub(super) fn leave(&self) {
        self.left.store(true, Relaxed);
    }

    /// Gives it the rights that are configured; the others stay.
    pub(super) async fn adjust(&self, options: &SocketOptions) -> Result<(), Why> {
        Rights::of(options).await?.give(&self.path, self.id)
    }

    /// Removes it, if it is still there: nobody finds the socket any more. May be called again.
    pub(super) fn remove(&self) {
        if self.left.load(Relaxed) || self.borrowed && !handover::is_complete() {
            return;
        }
        // Another server may have taken the path meanwhile.
        if FileId::at(&self.path).is_ok_and(|id| id == self.id) {
            // Somebody else may remove it at the same time.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

impl FileId {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::lstat(path)?))
    }

    fn of(stat: &Stat) -> Self {
        Self(stat.st_dev, stat.st_ino)
    }
}

/// Binds `socket` to `path`, in place of a file that nobody has.
async fn bind_path(socket: &Socket, path: &Path) -> Result<(), Why> {
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return Ok(bound?),
    }
    // Of two servers that find the same file dead, the second would remove the first one's new
    // file. They look and replace one after the other.
    let _lock = lock(path).await?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(Why::File(
                "there is a file that is no socket; remove it, or choose another path",
            ));
        }
        Ok(_) if is_dead(path)? => fs::remove_file(path)?,
        Ok(_) => return Err(Why::File(TAKEN)),
    }
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Why::File(TAKEN)),
        bound => Ok(bound?),
    }
}

/// Whether nobody has the socket at `path`. Asked with a datagram socket: the kernel answers that
/// the kinds differ where somebody has a stream socket, whether it listens already or not, and the
/// program that has it does not see a client (unix(7), connect(2)). Whatever else it answers,
/// somebody has it: it may be another user's.
fn is_dead(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    let asked = socket.connect(&SockAddr::unix(path)?);
    Ok(asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

/// Locks the folder of `path` against other servers that replace a file in it, until the result
/// is dropped. Nothing is left in the folder.
async fn lock(path: &Path) -> Result<File, Why> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let unlockable = || {
        Why::File(
            "a socket is there already, and its folder cannot be locked to see whether anybody has \
             it; remove the file if nobody does",
        )
    };
    let folder = File::open(folder).map_err(|_| unlockable())?;
    let locked = tokio::time::timeout(LOCK_WAIT, async {
        loop {
            match folder.try_lock() {
                Ok(()) => return true,
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
                Err(fs::TryLockError::Error(_)) => return false,
            }
        }
    });
    match locked.await {
        Ok(true) => Ok(folder),
        Ok(false) | Err(_) => Err(unlockable()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::sync::{Arc, Barrier};

    use tempfile::TempDir;

    use super::*;
    use crate::address::Address;
    use crate::listener::Source as _;
    use crate::listener::options::defaults;
    use crate::listener::{Listening, Made, bind};

    pub(super) struct Folder(TempDir);

    impl Folder {
        pub(super) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub(super) fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
    }

    pub(super) async fn listen(path: &Path, options: &SocketOptions) -> Result<Listening, String> {
        let made = bind(&Address::Unix(path.to_path_buf()), options).await;
        match made.map_err(|error| error.to_string())?.remove(0) {
            Made::Stream(listening) => Ok(listening),
            Made::Datagram(socket) => panic!("{socket:?}"),
        }
    }

    /// Why `path` cannot be had.
    async fn refused(path: &Path) -> String {
        let said = listen(path, &defaults()).await.unwrap_err();
        assert_eq!(said.lines().count(), 1, "{said}");
        let begin = format!("cannot listen on unix:{}: ", path.display());
        said.strip_prefix(&begin).unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    pub(super) fn mode(mode: u32) -> SocketOptions {
        SocketOptions { unix_mode: Some(mode), ..defaults() }
    }

    pub(super) fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn socket() -> Socket {
        Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()
    }

    /// What a server that was killed leaves behind.
    fn leave_dead(path: &Path) {
        drop(UnixListener::bind(path).unwrap());
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_file_never_has_more_rights_than_were_asked_for() {
        let folder = Folder::new();
        for asked in [0o600, 0o400, 0o000] {
            let path = folder.at(&format!("{asked:o}.sock"));
            let socket = socket();
            Rights::of(&mode(asked)).await.unwrap().prepare(&socket).unwrap();
            bind_path(&socket, &path).await.unwrap();
            assert_eq!(mode_of(&path), asked, "{asked:o}");
        }
    }

    #[tokio::test]
    async fn a_file_is_removed_with_its_socket_unless_it_is_another_by_then() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let listening = listen(&path, &defaults()).await.unwrap();
        listening.remove_file();
        assert!(!path.exists());
        // The inode's number is free for the next file only when the socket is closed.
        let next = listen(&path, &defaults()).await.unwrap();
        listening.remove_file();
        drop(listening);
        UnixStream::connect(&path).unwrap();
        drop(next);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_nobody_has_is_replaced() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        leave_dead(&path);
        let _listening = listen(&path, &mode(0o600)).await.unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(mode_of(&path), 0o600);
    }

    #[tokio::test]
    async fn a_socket_that_somebody_has_is_left_to_them_and_they_do_not_notice() {
        let folder = Folder::new();
        let listens = folder.at("listens.sock");
        let theirs = UnixListener::bind(&listens).unwrap();
        theirs.set_nonblocking(true).unwrap();
        // A server that is about to listen.
        let bound = folder.at("bound.sock");
        let starts = socket();
        starts.bind(&SockAddr::unix(&bound).unwrap()).unwrap();
        let datagrams = folder.at("datagrams.sock");
        let receives = UnixDatagram::bind(&datagrams).unwrap();
        let packets = folder.at("packets.sock");
        let other = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        other.bind(&SockAddr::unix(&packets).unwrap()).unwrap();
        for path in [&listens, &bound, &datagrams, &packets] {
            assert_eq!(refused(path).await, TAKEN);
        }
        assert_eq!(theirs.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        starts.listen(1).unwrap();
        UnixStream::connect(&bound).unwrap();
        drop(receives);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_where_it_is() {
        let folder = Folder::new();
        let file = folder.at("file");
        fs::write(&file, "text").unwrap();
        let link = folder.at("link");
        let dead = folder.at("dead.sock");
        leave_dead(&dead);
        symlink(&dead, &link).unwrap();
        for path in [&file, &link] {
            let why = "there is a file that is no socket; remove it, or choose another path";
            assert_eq!(refused(path).await, why);
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert!(link.is_symlink() && dead.exists());
    }

    #[test]
    fn of_servers_that_start_at_once_one_replaces_a_dead_file() {
        const SERVERS: usize = 4;
        let folder = Folder::new();
        for round in 0..50 {
            let path = folder.at(&format!("{round}.sock"));
            leave_dead(&path);
            let begin = Arc::new(Barrier::new(SERVERS));
            let all_done = Arc::new(Barrier::new(SERVERS));
            let servers: Vec<_> = (0..SERVERS)
                .map(|_| {
                    let (path, begin, all_done) = (path.clone(), begin.clone(), all_done.clone());
                    std::thread::spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread();
                        let runtime = { runtime }.enable_all().build().unwrap();
                        runtime.block_on(async {
                            begin.wait();
                            let outcome = listen(&path, &defaults()).await;
                            all_done.wait();
                            if let Ok(listening) = &outcome {
                                let _client = UnixStream::connect(&path).unwrap();
                                listening.ready().await.unwrap();
                                listening.accept().unwrap();
                            }
                            outcome.map(drop)
                        })
                    })
                })
                .collect();
            let outcomes: Vec<_> =
                servers.into_iter().map(|server| server.join().unwrap()).collect();
            let lost: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
            assert_eq!(lost.len(), SERVERS - 1, "{lost:?}");
            assert!(lost.iter().all(|said| said.ends_with(TAKEN)), "{lost:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_another_server_is_replacing_is_looked_at_afterwards() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        leave_dead(&path);
        let lock = File::open(folder.0.path()).unwrap();
        lock.lock().unwrap();
        let other = async {
            fs::remove_file(&path).unwrap();
            let listener = UnixListener::bind(&path).unwrap();
            lock.unlock().unwrap();
            listener
        };
        let (said, _theirs) = tokio::join!(refused(&path), other);
        assert_eq!(said, TAKEN);
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_file_in_a_folder_that_stays_locked_is_left() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        leave_dead(&path);
        let lock = File::open(folder.0.path()).unwrap();
        lock.lock().unwrap();
        let began = tokio::time::Instant::now();
        assert!(refused(&path).await.contains("its folder cannot be locked"));
        assert!(began.elapsed() >= LOCK_WAIT);
        // Where nothing is in the way, nobody asks for the lock.
        listen(&folder.at("y.sock"), &defaults()).await.unwrap();
        lock.unlock().unwrap();
        listen(&path, &defaults()).await.unwrap();
    }

    #[tokio::test]
    async fn a_path_may_be_relative() {
        assert!(is_dead(Path::new("no/such/socket")).is_ok_and(|dead| !dead));
        drop(lock(Path::new("x.sock")).await.unwrap());
    }
}
