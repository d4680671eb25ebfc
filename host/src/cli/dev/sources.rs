//! The files that builds are made from, and when they are others than they were.
//!
//! They are looked at time and again, as the server does with modules. What counts is how they
//! differ from what the last build began with, and a look says that as it is: no event can be lost,
//! come twice, or need a watch that the kernel does not give, and folders of other machines are
//! seen, too. How much time that takes is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ignore::{DirEntry, WalkBuilder};
use portcell::Config;
use portcell::config::{CacheConfig, Receipts};
use portcell::text::printable;
use tokio::time::{Instant, sleep};

use super::project::Project;
use super::unwatched::{is_an_editors, is_output};

/// How often files are looked at; what has changed counts when it has not changed again by the
/// next look.
const LOOK: Duration = Duration::from_millis(100);

/// Between looks there is so much more time than a look takes, up to the longest wait.
const SHARE: u32 = 20;
const LONGEST: Duration = Duration::from_secs(2);

/// Files that never stand still are taken as they are after this time.
const RESTLESS: Duration = Duration::from_secs(2);

/// The most files that are looked at. Without it one folder too many would keep a core busy.
pub(super) const MOST: usize = 20_000;

/// Where sources are.
#[derive(Debug)]
pub(super) struct Sources {
    area: Arc<Area>,
    pause: Duration,
}

#[derive(Debug)]
struct Area {
    folder: PathBuf,
    /// The configuration's file, which is looked at by itself.
    config: PathBuf,
    /// Files and folders that the server or the builds write.
    written: BTreeSet<PathBuf>,
    /// Whether the folder is in a repository, whose `.gitignore`s hold above it, too.
    is_in_git: bool,
}

/// What there was at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    config: Option<Stamp>,
    /// By their paths below the folder.
    files: BTreeMap<PathBuf, Stamp>,
    /// Whether there were more than [`MOST`].
    pub(super) is_cut: bool,
}

/// What tells a file from what it was before: which it is, how long, and when it was written.
type Stamp = (u64, u64, u64, i64, i64);

/// What is different between two times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Whether the configuration's file is.
    pub(super) config: bool,
    /// Files that are others now, or gone.
    pub(super) saved: Vec<PathBuf>,
    /// Files that were not there.
    pub(super) new: Vec<PathBuf>,
}

impl Sources {
    /// Those in the folder of `path`, which is the file of `config`.
    pub(super) fn of(path: &Path, config: &Config) -> io::Result<Self> {
        let folder = fs::canonicalize(Project::folder(path))?;
        let is_in_git = folder.ancestors().any(|folder| folder.join(".git").exists());
        // Of a link, both its own place and where it leads.
        let written = written(config).flat_map(|path| [place(path), resolved(path)]);
        // A folder that guests may write into, and that the project is in, has its sources.
        let written = written.filter(|path| !folder.starts_with(path)).collect();
        let area = Area { config: place(path), folder, written, is_in_git };
        Ok(Self { area: Arc::new(area), pause: LOOK })
    }

    /// Where they are, as an absolute path.
    pub(super) fn folder(&self) -> &Path {
        &self.area.folder
    }

    /// What there is now.
    pub(super) async fn look(&mut self) -> Snapshot {
        let (area, began) = (Arc::clone(&self.area), Instant::now());
        // A folder can be large, or far away.
        let found = tokio::task::spawn_blocking(move || area.snapshot()).await;
        self.pause = (SHARE * began.elapsed()).clamp(LOOK, LONGEST);
        found.unwrap_or_default()
    }

    /// Waits until there is another state than `before`, with changes that are `wanted`, and it is
    /// still; gives these. Safe to cancel.
    pub(super) async fn change(
        &mut self,
        before: &Snapshot,
        wanted: impl Fn(&Changes) -> bool,
    ) -> Changes {
        let mut last: Option<(Instant, Snapshot)> = None;
        loop {
            let now = self.look().await;
            let changes = now.since(before);
            last = match last.filter(|_| wanted(&changes)) {
                Some((since, seen)) if seen == now || since.elapsed() > RESTLESS => return changes,
                Some((since, _)) => Some((since, now)),
                None if wanted(&changes) => Some((Instant::now(), now)),
                None => None,
            };
            sleep(self.pause).await;
        }
    }
}

impl Snapshot {
    /// What is different from `before`.
    pub(super) fn since(&self, before: &Self) -> Changes {
        let is_other = |(path, stamp): &(&PathBuf, &Stamp)| self.files.get(*path) != Some(*stamp);
        let is_new = |path: &&PathBuf| !before.files.contains_key(*path);
        Changes {
            config: self.config != before.config,
            saved: before.files.iter().filter(is_other).map(|(path, _)| path.clone()).collect(),
            new: self.files.keys().filter(is_new).cloned().collect(),
        }
    }

    /// Adds files that are there in `other` only.
    pub(super) fn adopt_new(&mut self, other: &Self) {
        for (path, stamp) in &other.files {
            self.files.entry(path.clone()).or_insert(*stamp);
        }
    }

    /// Takes the configuration's file as it is in `other`.
    pub(super) fn adopt_config(&mut self, other: &Self) {
        self.config = other.config;
    }

    /// Leaves out files that are not in `other`, and adds those that are there only.
    pub(super) fn keep_to(&mut self, other: &Self) {
        self.files.retain(|path, _| other.files.contains_key(path));
        self.adopt_new(other);
    }

    /// How many files there are, without the configuration's.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }
}

impl Changes {
    /// Whether something is different that a build may be made from.
    pub(super) fn are_of_sources(&self) -> bool {
        !self.saved.is_empty() || !self.new.is_empty()
    }

    pub(super) fn are_any(&self) -> bool {
        self.config || self.are_of_sources()
    }
}

/// `src/main.rs has changed`, `src/main.rs and 2 more have changed`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut paths = self.saved.iter().chain(&self.new);
        match (paths.next(), paths.count()) {
            (None, _) => write!(f, "nothing has changed"),
            (Some(path), 0) => write!(f, "{} has changed", shown(path)),
            (Some(path), more) => write!(f, "{} and {more} more have changed", shown(path)),
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

impl Area {
    fn snapshot(self: Arc<Self>) -> Snapshot {
        let mut found = Snapshot { config: stamp(&self.config), ..Snapshot::default() };
        for entry in Arc::clone(&self).walk().build() {
            // What cannot be looked at is not there, as for a compiler.
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            let Some(stamp) = stamp(entry.path()) else { continue };
            if found.files.len() == MOST {
                found.is_cut = true;
                break;
            }
            let path = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path());
            found.files.insert(path.to_path_buf(), stamp);
        }
        found
    }

    fn walk(self: Arc<Self>) -> WalkBuilder {
        let mut walk = WalkBuilder::new(&self.folder);
        walk.hidden(false)
            .ignore(false)
            .require_git(false)
            .parents(self.is_in_git)
            // So that those that are left out for want of room are always the same.
            .sort_by_file_name(Ord::cmp)
            .filter_entry(move |entry| self.is_source(entry));
        walk
    }

    fn is_source(&self, entry: &DirEntry) -> bool {
        let path = entry.path();
        let Ok(below) = path.strip_prefix(&self.folder) else { return true };
        if entry.depth() == 0 {
            return true;
        }
        if path == self.config || self.written.contains(path) {
            return false;
        }
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            return !is_output(below);
        }
        !is_an_editors(&entry.file_name().to_string_lossy())
    }
}

/// `None` if it is not there, or no file.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

/// What builds, the server and guests write while they run.
fn written(config: &Config) -> impl Iterator<Item = &Path> {
    let modules = config.handlers.iter().map(|handler| &handler.module);
    let folders = config.handlers.iter().flat_map(|handler| &handler.dirs);
    let folders = folders.filter(|dir| dir.write).map(|dir| &dir.host);
    let receipts = match &config.server.receipts {
        Receipts::File(path) => Some(path),
        Receipts::Off | Receipts::Stderr => None,
    };
    let cache = match &config.server.cache {
        CacheConfig::Folder(path) => Some(path),
        CacheConfig::Auto | CacheConfig::Off => None,
    };
    let of_server = [receipts, cache, config.server.coredumps.as_ref()].into_iter().flatten();
    modules.chain(folders).chain(of_server).map(PathBuf::as_path)
}

/// The path as [`resolved`] gives it, unless it is a link itself: where that is, then.
fn place(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if folder == Path::new("") => {
            resolved(Path::new(".")).join(name)
        }
        (Some(folder), Some(name)) => resolved(folder).join(name),
        _ => resolved(path),
    }
}

/// The path without links and dots, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for part in absolute.ancestors() {
        if let (Ok(there), Ok(rest)) = (fs::canonicalize(part), absolute.strip_prefix(part)) {
            return if rest == Path::new("") { there } else { there.join(rest) };
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const CONFIG: &str = "\
[server]
receipts = \"./receipts.json\"
[[listener]]
name = \"a\"
bind = \"unix:a.sock\"
handler = \"a\"
[handler.a]
module = \"out/a.wasm\"
dirs = [{ host = \"data\", guest = \"/data\", write = true }, { host = \"www\", guest = \"/www\" },
        { host = \".\", guest = \"/all\", write = true }]
";

    fn project() -> (TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "www"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        write(&folder, "portcell.toml", CONFIG);
        let path = folder.path().join("portcell.toml");
        let sources = Sources::of(&path, &Config::read(&path).unwrap()).unwrap();
        (folder, sources)
    }

    fn write(folder: &TempDir, name: &str, text: &str) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[tokio::test]
    async fn sources_are_seen_and_what_tools_and_servers_write_is_not() {
        let (folder, mut sources) = project();
        write(&folder, ".gitignore", "*.o\n/gen/\n");
        write(&folder, "src/.gitignore", "private.h\n");
        let seen = ["src/main.c", "src/build/mod.c", ".cargo/config.toml", "www/index.html", "a.h"];
        let unseen = [
            "main.o",
            "gen/x.c",
            "src/private.h",
            "target/x",
            "lib/node_modules/x.js",
            ".git/HEAD",
            "build/x",
            "out/a.wasm",
            "data/guest",
            "receipts.json",
            "src/.main.c.swp",
            "src/main.c~",
        ];
        for name in seen.iter().chain(&unseen) {
            write(&folder, name, "");
        }
        symlink("a.h", folder.path().join("link.h")).unwrap();
        symlink("nowhere", folder.path().join(".#a.h")).unwrap();
        symlink("nowhere", folder.path().join("dangling.h")).unwrap();
        let mut wanted = paths(&seen);
        wanted.extend(paths(&[".gitignore", "src/.gitignore", "link.h"]));
        wanted.sort();
        assert_eq!(sources.look().await.files.into_keys().collect::<Vec<_>>(), wanted);
    }

    #[tokio::test]
    async fn gitignore_holds_above_the_folder_in_a_repository_only() {
        for is_in_git in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            write(&folder, ".gitignore", "*.gen\n");
            write(&folder, "inner/a.gen", "");
            let config = CONFIG.lines().filter(|line| !line.contains("host"));
            write(&folder, "inner/portcell.toml", &config.collect::<Vec<_>>().join("\n"));
            if is_in_git {
                fs::create_dir(folder.path().join(".git")).unwrap();
            }
            let path = folder.path().join("inner/portcell.toml");
            let mut sources = Sources::of(&path, &Config::read(&path).unwrap()).unwrap();
            assert_eq!(sources.look().await.count(), usize::from(!is_in_git));
        }
    }

    #[tokio::test]
    async fn a_module_that_is_a_link_is_no_source_nor_is_what_it_leads_to() {
        let (folder, _) = project();
        write(&folder, "deep/a.wasm", "");
        fs::create_dir(folder.path().join("out")).unwrap();
        symlink("../deep/a.wasm", folder.path().join("out/a.wasm")).unwrap();
        let path = folder.path().join("portcell.toml");
        let mut sources = Sources::of(&path, &Config::read(&path).unwrap()).unwrap();
        assert_eq!(sources.look().await.count(), 0);
    }

    #[tokio::test]
    async fn a_change_says_what_was_saved_and_what_is_new() {
        let (folder, mut sources) = project();
        write(&folder, "a.c", "");
        write(&folder, "b.c", "");
        let before = sources.look().await;
        write(&folder, "new.c", "");
        let changes = sources.change(&before, Changes::are_any).await;
        assert_eq!(changes, Changes { new: paths(&["new.c"]), ..Changes::default() });
        write(&folder, "a.c", "longer");
        fs::remove_file(folder.path().join("b.c")).unwrap();
        let changes = sources.change(&before, |changes| changes.saved.len() == 2).await;
        assert_eq!(changes.saved, paths(&["a.c", "b.c"]));
        assert_eq!(changes.to_string(), "a.c and 2 more have changed");
        assert!(changes.are_of_sources() && !changes.config);
        let before = sources.look().await;
        write(&folder, "portcell.toml", "");
        let changes = sources.change(&before, Changes::are_any).await;
        assert_eq!(changes, Changes { config: true, ..Changes::default() });
    }

    #[tokio::test]
    async fn what_is_adopted_is_no_change() {
        let (folder, mut sources) = project();
        write(&folder, "a.c", "");
        let mut before = sources.look().await;
        write(&folder, "a.c", "longer");
        write(&folder, "new.c", "");
        let after = sources.look().await;
        before.adopt_new(&after);
        let only_saved = Changes { saved: paths(&["a.c"]), ..Changes::default() };
        assert_eq!(after.since(&before), only_saved);
        fs::remove_file(folder.path().join("new.c")).unwrap();
        let after = sources.look().await;
        before.keep_to(&after);
        assert_eq!(after.since(&before), only_saved);
    }
}
