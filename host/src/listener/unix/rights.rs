//! Who may connect at a Unix socket: mode, owner and group of its file.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::unistd::{Group, User};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid, chownat};
use rustix::io::Errno;
use socket2::Socket;

use super::FileId;
use crate::config::SocketOptions;
use crate::listener::error::Why;
use crate::listener::refused::Refused;

/// What is configured of them.
#[derive(Debug)]
pub(super) struct Rights<'a> {
    mode: Option<Mode>,
    /// With what was written for it.
    owner: Option<(Uid, &'a str)>,
    group: Option<(Gid, &'a str)>,
}

impl<'a> Rights<'a> {
    /// Looks up names, which may ask other machines.
    pub(super) async fn of(options: &'a SocketOptions) -> Result<Self, Refused> {
        let SocketOptions { unix_mode, unix_owner, unix_group, .. } = options;
        let user = |name: &str| Ok(User::from_name(name)?.map(|user| user.uid.as_raw()));
        let owner = number("unix_owner", unix_owner.as_deref(), "user", user).await?;
        let group = |name: &str| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()));
        let group = number("unix_group", unix_group.as_deref(), "group", group).await?;
        Ok(Self {
            mode: unix_mode.map(Mode::from_raw_mode),
            owner: owner.map(|(number, given)| (Uid::from_raw(number), given)),
            group: group.map(|(number, given)| (Gid::from_raw(number), given)),
        })
    }

    /// Lets the file that `socket` will be bound to begin with these or less: Linux gives it the
    /// socket's own mode, without the bits of the umask.
    pub(super) fn prepare(&self, socket: &Socket) -> io::Result<()> {
        let Some(mode) = self.mode else { return Ok(()) };
        // Until owner and group are what they should be, others have none.
        let ours = self.owner.is_none() && self.group.is_none();
        Ok(rustix::fs::fchmod(socket, if ours { mode } else { mode & Mode::RWXU })?)
    }

    /// Gives these to the file at `path`, if it is still `id`. In between nobody has more than
    /// they have before or after it.
    pub(super) fn give(&self, path: &Path, id: FileId) -> Result<(), Why> {
        let Self { mode, owner, group } = self;
        if mode.is_none() && owner.is_none() && group.is_none() {
            return Ok(());
        }
        // The file itself, and not what a link points to, whoever may have put one there.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            file => file.map_err(io::Error::from)?,
        };
        let stat = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        if FileId::of(&stat) != id {
            return Ok(());
        }
        let before = Mode::from_raw_mode(stat.st_mode);
        let after = mode.unwrap_or(before);
        let moves = self.differ_in_owner(&stat);
        let first = if moves { before & after } else { after };
        change_mode(&file, before, first)?;
        if let Some((group, given)) = group.filter(|_| moves) {
            let set = chownat(&file, "", None, Some(group), AtFlags::EMPTY_PATH);
            set.map_err(|error| Refused::by("unix_group", &given, &error.into()))?;
        }
        change_mode(&file, first, after)?;
        // At last: who has given a file away cannot change it any more.
        if let Some((owner, given)) = owner.filter(|_| moves) {
            let set = chownat(&file, "", Some(owner), None, AtFlags::EMPTY_PATH);
            set.map_err(|error| Refused::by("unix_owner", &given, &error.into()))?;
        }
        Ok(())
    }

    /// Whether a file with these has another owner or group.
    fn differ_in_owner(&self, file: &Stat) -> bool {
        self.owner.is_some_and(|(owner, _)| owner.as_raw() != file.st_uid)
            || self.group.is_some_and(|(group, _)| group.as_raw() != file.st_gid)
    }
}

/// The number of a user or group that is given by number or name, with what was given.
async fn number<'a>(
    key: &'static str,
    given: Option<&'a str>,
    what: &str,
    find: fn(&str) -> nix::Result<Option<u32>>,
) -> Result<Option<(u32, &'a str)>, Refused> {
    let Some(given) = given else { return Ok(None) };
    let number = if let Ok(number) = given.parse() {
        // The largest means "no change" to the kernel: chown(2).
        Ok((number != u32::MAX).then_some(number))
    } else {
        let name = given.to_owned();
        // The user database may be on another machine.
        let found = tokio::task::spawn_blocking(move || find(&name)).await;
        found.unwrap_or(Err(nix::errno::Errno::EIO))
    };
    match number {
        Ok(Some(number)) => Ok(Some((number, given))),
        Ok(None) => {
            let why = format!("this machine has no such {what}; write one that it has");
            Err(Refused::new(key, &given, why))
        }
        Err(error) => Err(Refused::by(key, &given, &error.into())),
    }
}

/// Changes the mode of what `file` names, which is not open: fchmod(2) does not take it.
fn change_mode(file: &OwnedFd, before: Mode, after: Mode) -> Result<(), Refused> {
    if before == after {
        return Ok(());
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::chmod(path, after).map_err(|error| {
        Refused::by("unix_mode", &format_args!("{:04o}", after.as_raw_mode()), &error.into())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::os::unix::net::UnixStream;

    use super::super::tests::{Folder, listen, mode, mode_of};
    use super::*;
    use crate::listener::options::defaults;

    #[tokio::test]
    async fn a_file_has_the_mode_that_was_asked_for_whatever_the_umask_is() {
        let folder = Folder::new();
        for asked in [0o600, 0o660, 0o666, 0o777, 0o622] {
            let path = folder.at(&format!("{asked:o}.sock"));
            let listening = listen(&path, &mode(asked)).await.unwrap();
            assert_eq!(mode_of(&path), asked, "{asked:o}");
            UnixStream::connect(&path).unwrap();
            drop(listening);
        }
    }

    #[tokio::test]
    async fn a_file_belongs_to_whom_it_was_asked_for() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let own = |user: String, group: String| SocketOptions {
            unix_owner: Some(user),
            unix_group: Some(group),
            ..mode(0o660)
        };
        let ours = own(uid.to_string(), gid.to_string());
        let listening = listen(&path, &ours).await.unwrap();
        let is = fs::metadata(&path).unwrap();
        assert_eq!((is.uid(), is.gid(), mode_of(&path)), (uid.as_raw(), gid.as_raw(), 0o660));
        drop(listening);
        let another = |number: u32| 1 + u32::from(number == 1);
        let (other_user, other_group) = (another(uid.as_raw()), another(gid.as_raw()));
        let theirs = own(other_user.to_string(), other_group.to_string());
        if uid.is_root() {
            let _listening = listen(&path, &theirs).await.unwrap();
            let is = fs::metadata(&path).unwrap();
            assert_eq!((is.uid(), is.gid(), mode_of(&path)), (other_user, other_group, 0o660));
            return;
        }
        let said = listen(&path, &theirs).await.unwrap_err();
        assert!(said.contains(&format!("`unix_group` ({other_group}) is refused: only")), "{said}");
        assert!(!path.exists(), "what could not be made is not left behind");
        let said = listen(&path, &own(other_user.to_string(), gid.to_string())).await.unwrap_err();
        assert!(said.contains(&format!("`unix_owner` ({other_user}) is refused: only")), "{said}");
    }

    #[tokio::test]
    async fn users_and_groups_have_names() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let uid = nix::unistd::geteuid();
        // One that runs under a number only has no name to give.
        if let Some(user) = User::from_uid(uid).unwrap() {
            let options = SocketOptions { unix_owner: Some(user.name), ..defaults() };
            let _listening = listen(&path, &options).await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().uid(), uid.as_raw());
        }
        let nobody = Some("no such name".to_owned());
        for (key, what, options) in [
            ("unix_owner", "user", SocketOptions { unix_owner: nobody.clone(), ..defaults() }),
            ("unix_group", "group", SocketOptions { unix_group: nobody, ..defaults() }),
        ] {
            let said = listen(&path, &options).await.unwrap_err();
            let why = format!("`{key}` (no such name) is refused: this machine has no such {what}");
            assert!(said.contains(&why), "{said}");
        }
        let largest = SocketOptions { unix_owner: Some(u32::MAX.to_string()), ..defaults() };
        let said = listen(&path, &largest).await.unwrap_err();
        assert!(said.contains("`unix_owner` (4294967295) is refused"), "{said}");
    }

    #[tokio::test]
    async fn the_rights_of_a_file_that_is_there_are_changed_and_no_other_files() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let listening = listen(&path, &mode(0o600)).await.unwrap();
        listening.adjust(&mode(0o622)).await.unwrap();
        assert_eq!(mode_of(&path), 0o622);
        listening.adjust(&defaults()).await.unwrap();
        assert_eq!(mode_of(&path), 0o622, "what is not configured stays");
        fs::remove_file(&path).unwrap();
        let _theirs = listen(&path, &mode(0o600)).await.unwrap();
        listening.adjust(&mode(0o622)).await.unwrap();
        assert_eq!(mode_of(&path), 0o600);
        fs::remove_file(&path).unwrap();
        let file = folder.at("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&file, &path).unwrap();
        listening.adjust(&mode(0o666)).await.unwrap();
        assert_eq!(mode_of(&file), 0o600);
    }
}
