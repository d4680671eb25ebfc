//! Files of WASI: nothing without a grant, and no more than was granted.

use std::fs;
use std::os::unix::fs::symlink;

use portcell::exit::Exit;
use tempfile::TempDir;

use crate::harness::Guest;

/// Rights to read and to write, as a guest asks for them.
const READ: u32 = 2;
const WRITE: u32 = 64;

/// A folder to grant, beside a file that must stay out of reach.
struct Folder {
    outside: TempDir,
}

impl Folder {
    fn new() -> Self {
        let outside = TempDir::new().unwrap();
        let granted = outside.path().join("www");
        fs::create_dir(&granted).unwrap();
        fs::write(granted.join("page"), b"a page").unwrap();
        fs::write(outside.path().join("secret"), b"a secret").unwrap();
        symlink("../secret", granted.join("link")).unwrap();
        symlink("/etc/passwd", granted.join("passwd")).unwrap();
        Self { outside }
    }

    /// Grants it as `/www`, and opens `path` in it.
    fn open(&self, path: &str, flags: u32, rights: u32, more: &[&str], write: bool) -> Guest {
        let vectors = [512_u32.to_le_bytes(), 100_u32.to_le_bytes()].concat();
        let open = format!("path_open 3 1 256 {} {flags} {rights} 0 0 128", path.len());
        let calls = [&[open.as_str()][..], more].concat();
        let grant = format!("{}::/www{}", self.path("www"), if write { "::rw" } else { "" });
        Guest::calls_with(&[(256, path.as_bytes()), (320, &vectors)], &calls).with("dir", &grant)
    }

    fn path(&self, name: &str) -> String {
        self.outside.path().join(name).display().to_string()
    }
}

#[tokio::test]
async fn without_a_grant_there_is_no_folder_and_nothing_can_be_opened() {
    let calls = [
        "fd_prestat_get 4 128",
        "fd_prestat_get 0 128",
        "path_open 3 0 256 1 0 2 0 0 128",
        "path_open 4 0 256 1 0 2 0 0 128",
        "path_open 0 0 256 1 0 2 0 0 128",
        "path_open -1 0 256 1 0 2 0 0 128",
        "fd_readdir 3 512 100 0 128",
    ];
    let told = Guest::command(&[(256, b"/")], &calls).serve().await.tells().await;
    assert_eq!(told[0], "8");
    assert_eq!(told[1], "8");
    for errno in &told[2..] {
        assert!(["8", "54"].contains(&errno.as_str()), "EBADF or ENOTDIR: {told:?}");
    }
}

#[tokio::test]
async fn a_granted_folder_has_its_name_and_its_files_can_be_read() {
    let more = [
        "fd_prestat_get 3 160",
        "tell 164",
        "fd_prestat_dir_name 3 192 4",
        "text 192 4",
        "fd_read @128 320 1 132",
        "text 512 @132",
        "fd_read @128 320 1 132",
        "tell 132",
        "fd_close @128",
        "fd_read @128 320 1 132",
    ];
    let folder = Folder::new();
    let cell = folder.open("page", 0, READ, &more, false).serve().await;
    let expected = ["0", "0", "4", "0", "/www", "0", "a page", "0", "0", "0", "8"];
    assert_eq!(cell.tells().await, expected);
}

#[tokio::test]
async fn a_large_file_is_read_whole_in_one_call_and_in_many() {
    let folder = Folder::new();
    fs::write(format!("{}/large", folder.path("www")), vec![7; 4 << 20]).unwrap();
    for guest in ["reads_a_file_at_once", "reads_a_file_in_pieces"] {
        let grant = format!("{}::/www", folder.path("www"));
        let mut cell = Guest::wat(guest).with("dir", &grant).serve().await;
        cell.peer.end().await;
        let read = cell.peer.rest().await.unwrap();
        assert_eq!(read, (4_u32 << 20).to_le_bytes(), "{guest}");
    }
}

#[tokio::test]
async fn a_folder_granted_for_reading_cannot_be_changed() {
    let folder = Folder::new();
    // Create, truncate, write to what is there.
    for (path, flags) in [("new", 1), ("page", 8), ("page", 0)] {
        let told = folder.open(path, flags, READ | WRITE, &[], false).serve().await.tells().await;
        assert_ne!(told[0], "0", "{path} {flags}");
    }
    let more = [
        "path_create_directory 3 256 4",
        "path_unlink_file 3 256 4",
        "path_rename 3 256 4 3 257 3",
        "path_link 3 0 256 4 3 257 3",
        "path_symlink 256 4 3 257 3",
        "path_filestat_set_times 3 0 256 4 0 0 10",
        "fd_write @128 320 1 132",
        "fd_filestat_set_size @128 0",
    ];
    let told = folder.open("page", 0, READ, &more, false).serve().await.tells().await;
    assert_eq!(told[0], "0");
    for (call, errno) in more.iter().zip(&told[1..]) {
        assert_ne!(errno, "0", "{call}");
    }
    assert_eq!(fs::read(format!("{}/page", folder.path("www"))).unwrap(), b"a page");
    assert_eq!(fs::read_dir(folder.path("www")).unwrap().count(), 3);
}

#[tokio::test]
async fn a_folder_granted_for_writing_can_be_changed() {
    let folder = Folder::new();
    let more = ["fd_write @128 320 1 132", "tell 132", "fd_close @128"];
    let told = folder.open("new", 1, READ | WRITE, &more, true).serve().await.tells().await;
    assert_eq!(told, ["0", "0", "100", "0"]);
    assert_eq!(fs::read(format!("{}/new", folder.path("www"))).unwrap().len(), 100);
}

#[tokio::test]
async fn no_path_leads_out_of_a_granted_folder() {
    let folder = Folder::new();
    for path in [
        "..",
        "../secret",
        "./../secret",
        "page/../../secret",
        "link",
        "passwd",
        "/etc/passwd",
        "/www/page",
        &folder.path("secret"),
    ] {
        for write in [false, true] {
            let told = folder.open(path, 0, READ, &[], write).serve().await.tells().await;
            assert_ne!(told[0], "0", "{path}");
        }
    }
    assert_eq!(fs::read(folder.path("secret")).unwrap(), b"a secret");
}

#[tokio::test]
async fn an_instance_can_have_only_so_many_files_open() {
    let folder = Folder::new();
    let grant = format!("{}::/www", folder.path("www"));
    let exit = |guest| Guest::wat(guest).with("dir", &grant).serve();
    let hoarded = exit("opens_1000_files").await.exit().await;
    assert!(
        matches!(&hoarded, Exit::Trap(why) if why.starts_with("too many files are open")),
        "{hoarded}"
    );
    assert_eq!(exit("opens_and_closes_1000_files").await.exit().await, Exit::Ok);
}
