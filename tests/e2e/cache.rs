//! The compile cache: what was compiled once is not compiled again, and nothing is run that
//! somebody else could have put there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::process::{Signal, geteuid};

use crate::harness::{Folder, Server, plugin, portcell};

/// The echo plugin, with what it was compiled to in `cache`.
fn echo(cache: &Path) -> Server {
    Server::run(plugin("echo")).arguments(&["--cache", cache.to_str().unwrap()]).start()
}

/// Checks that it serves, and how many modules it has compiled and has taken from the cache.
fn serves(server: &Server, compiled: usize, from_cache: usize) {
    server.find_line(&format!("plugins: {compiled} compiled, {from_cache} from the cache"));
    let mut client = server.connect();
    client.is_echoed();
}

/// The only entry of a cache.
fn entry(cache: &Path) -> PathBuf {
    let mut entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let first = entries.next().unwrap();
    assert_eq!(entries.next(), None);
    first
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Lines of a log that warn.
fn warnings(server: &Server) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(" WARN ")).map(Into::into).collect()
}

#[test]
fn a_restart_with_50_modules_compiles_none_of_them() {
    let folder = Folder::new();
    let mut config = format!("[server]\ncache = \"{}\"\n", folder.at("cache").display());
    for number in 0..50 {
        let name = format!("h{number}");
        let text = format!(
            "(module (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
             (memory (export \"memory\") 1) (data (i32.const 0) \"{name}\\n\")
             (func (export \"handle\")
                (drop (call $write (i32.const 0) (i32.const 0) (i32.const {})))))",
            name.len() + 1
        );
        folder.wat(&name, &text);
        let tables = format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"{name}\"\n\
             [handler.{name}]\nmodule = \"{name}.wasm\"\n"
        );
        config.push_str(&tables);
    }
    let first = Server::serve(&folder, &config).start();
    first.find_line("plugins: 50 compiled, 0 from the cache");
    first.stop();
    let second = Server::serve(&folder, &config).start();
    second.find_line("plugins: 0 compiled, 50 from the cache");
    for number in [0, 7, 49] {
        let name = format!("h{number}");
        assert_eq!(second.connect_to(&name).line(), name);
    }
    // What has not changed is not even loaded again, and only what has changed is compiled.
    let other = "(module (memory (export \"memory\") 2) (func (export \"handle\")))";
    folder.wat("h7", other);
    second.signal(Signal::HUP);
    second.find_line("plugins: 1 compiled, 0 from the cache");
    second.find_line("the configuration was applied");
}

#[test]
fn it_is_this_users_alone() {
    let folder = Folder::new();
    let cache = folder.at("a/cache");
    serves(&echo(&cache), 1, 0);
    assert_eq!((mode(&cache), mode(&entry(&cache))), (0o700, 0o600));
    serves(&echo(&cache), 0, 1);
}

#[test]
fn an_entry_that_is_damaged_or_of_another_version_is_made_anew() {
    let folder = Folder::new();
    let cache = folder.at("cache");
    serves(&echo(&cache), 1, 0);
    let path = entry(&cache);
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    let other_version = [b"portcell code 0\n", &whole[16..]].concat();
    let mut other_key = whole.clone();
    other_key[16] ^= 1;
    for (bytes, said) in [
        (&damaged[..], "it is damaged"),
        (&whole[..middle], "it is damaged"),
        (b"", "it is of another version"),
        (&other_version, "it is of another version"),
        (&other_key, "it is of another module"),
    ] {
        fs::write(&path, bytes).unwrap();
        let server = echo(&cache);
        server.find_line(&format!("is made anew: {said}"));
        serves(&server, 1, 0);
        assert!(fs::read(&path).unwrap() == whole, "it was not made anew");
    }
    serves(&echo(&cache), 0, 1);
}

#[test]
fn what_others_may_write_is_not_run() {
    let folder = Folder::new();
    let cache = folder.at("cache");
    serves(&echo(&cache), 1, 0);
    let path = entry(&cache);
    set_mode(&path, 0o620);
    let server = echo(&cache);
    serves(&server, 1, 0);
    assert!(server.log().contains("is not used: others may write to it"), "{}", server.log());
    assert_eq!((warnings(&server).len(), mode(&path)), (1, 0o600));

    for shared in [0o720, 0o702, 0o777] {
        set_mode(&cache, shared);
        let server = echo(&cache);
        serves(&server, 1, 0);
        let said = warnings(&server);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("is not used: others may write to it, who could"), "{said:?}");
        assert_eq!(mode(&cache), shared);
    }
    // To read it harms nobody.
    set_mode(&cache, 0o755);
    serves(&echo(&cache), 0, 1);
}

#[test]
fn what_belongs_to_another_user_is_not_run() {
    let folder = Folder::new();
    let cache = if geteuid().is_root() {
        let cache = folder.at("cache");
        serves(&echo(&cache), 1, 0);
        chown(&cache, Some(1), None).unwrap();
        cache
    } else {
        "/usr".into()
    };
    let server = echo(&cache);
    serves(&server, 1, 0);
    let said = warnings(&server);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is not used: it belongs to another user, who could"), "{said:?}");
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let folder = Folder::new();
    let cache = folder.at("cache");
    serves(&echo(&cache), 1, 0);
    let (path, elsewhere) = (entry(&cache), folder.at("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    serves(&echo(&cache), 1, 0);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn without_a_place_for_it_the_server_serves() {
    let folder = Folder::new();
    let below_a_file = folder.write("file", "").join("cache");
    let server = echo(&below_a_file);
    serves(&server, 1, 0);
    let said = warnings(&server);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("cannot be used: Not a directory"), "{said:?}");

    // Nobody has asked for this one.
    let mut command = portcell();
    command.env("XDG_CACHE_HOME", &below_a_file);
    let server = Server::run(plugin("echo")).start_by(command);
    serves(&server, 1, 0);
    assert_eq!(warnings(&server).len(), 0, "{}", server.log());
    server.find_line(" INFO portcell::cache: compiled modules are not kept in ");

    let mut command = portcell();
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let server = Server::run(plugin("echo")).start_by(command);
    serves(&server, 1, 0);
    server.find_line("compiled modules are not kept: there is no folder for that");
}

#[test]
fn it_is_where_systemd_says_and_nowhere_when_it_is_off() {
    let folder = Folder::new();
    let (own, users) = (folder.at("own"), folder.at("users"));
    let started = |arguments: &[&str]| {
        let mut command = portcell();
        command.env("CACHE_DIRECTORY", &own).env("XDG_CACHE_HOME", &users);
        Server::run(plugin("echo")).arguments(arguments).start_by(command)
    };
    serves(&started(&["--cache", "off"]), 1, 0);
    assert!(!own.exists() && !users.exists());
    serves(&started(&[]), 1, 0);
    entry(&own);
    assert!(!users.exists());
}

#[test]
fn servers_share_one_without_harm() {
    let folder = Folder::new();
    let cache = folder.at("cache");
    let servers: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| echo(&cache))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    for server in &servers {
        server.connect().is_echoed();
        assert_eq!(warnings(server), [""; 0]);
    }
    entry(&cache);
    serves(&echo(&cache), 0, 1);
}
