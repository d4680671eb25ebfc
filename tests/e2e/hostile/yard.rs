//! A server with guests that misbehave beside one that does not, and what they must never change.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::row::{Peer, Row};
use crate::harness::{Client, Folder, Program, Server, wait_until};

/// Places of the server.
const PLACES: usize = 12;

/// What the server's resident memory may grow by while guests misbehave that have done so before, in
/// KiB. It is what allocators and the pool of instances keep, and less than one instance can have.
const GROWTH: u64 = 4 << 10;

/// A running server.
pub(super) struct Yard {
    folder: Folder,
    server: Server,
    /// Somebody who is served all the time.
    victim: RefCell<Client>,
    /// Clients there have been.
    clients: Cell<usize>,
    /// Descriptors of the server with one connection, that of the victim.
    descriptors: usize,
}

impl Yard {
    /// A server with a listener and a handler for each row, both of its name, and `victim`, which
    /// echoes.
    pub(super) fn new(rows: &[Row], flags: &[&str]) -> Self {
        Self::with(rows, "", flags)
    }

    /// The same with keys of `[server]`.
    pub(super) fn with(rows: &[Row], server: &str, flags: &[&str]) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.at("granted")).unwrap();
        let mut config = format!(
            "[server]\nreceipts = \"stderr\"\nmax_connections = {PLACES}\n{server}\n\
             [[listener]]\nname = \"victim\"\nhandler = \"victim\"\nbind = \"tcp://127.0.0.1:0\"\n\
             [handler.victim]\nmodule = \"echo.wasm\"\ncpu = \"none\"\n"
        );
        folder.guest("echo");
        for row in rows {
            let Row { name, guest, listener, handler, .. } = row;
            if let Some(text) = &row.text {
                folder.wat(guest, text);
            } else if !folder.at(&format!("{guest}.wasm")).exists() {
                folder.guest(guest);
            }
            // Writing to a string cannot fail.
            let _ = write!(
                config,
                "[[listener]]\nname = \"{name}\"\nhandler = \"{name}\"\n\
                 bind = \"tcp://127.0.0.1:0\"\n{listener}\n\
                 [handler.{name}]\nmodule = \"{guest}.wasm\"\ntrial = false\n{handler}\n"
            );
        }
        let server = Server::serve(&folder, &config).arguments(flags).start();
        let mut victim = server.connect_to("victim");
        victim.is_echoed();
        let (victim, clients) = (RefCell::new(victim), Cell::new(1));
        let mut this = Self { folder, server, victim, clients, descriptors: 0 };
        // Those of the rows, the victim's and that of the admin socket.
        this.loops_have_begun(rows.len() + 2);
        // What is opened once and stays, such as a thread's, is there after the first clients.
        this.others_are_served();
        this.server.receipts(1);
        this.descriptors = this.open();
        this
    }

    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// Where its files are: the modules, and `granted`.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.at(name)
    }

    /// A client of the handler of this name.
    pub(super) fn connect(&self, name: &str) -> Client {
        self.clients.set(self.clients.get() + 1);
        self.server.connect_to(name)
    }

    /// Connects to the row's guest; gives the receipt when it has ended as it should and everything
    /// is as it was before.
    pub(super) fn check(&self, row: &Row) -> Value {
        let Row { name, exit, .. } = row;
        let mut client = self.connect(name);
        let seen = match row.peer {
            Peer::Waits => client.rest().map(drop),
            Peer::Sends(bytes) => {
                client.send(bytes);
                client.rest().map(drop)
            }
            Peer::Ends => {
                client.end();
                client.rest().map(drop)
            }
            Peer::Vanishes => {
                client.send("x");
                client.reset();
                return self.ended(row);
            }
            Peer::Floods => {
                client.flood();
                drop(client);
                return self.ended(row);
            }
            Peer::NeverReads => {
                // While it runs, not after it.
                self.others_are_served();
                let receipt = self.ended(row);
                client.is_reset();
                return receipt;
            }
        };
        drop(client);
        let receipt = self.ended(row);
        match seen {
            Ok(()) => assert!(!row.is_reset(), "{name}: {exit} in good order"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                assert!(row.is_reset(), "{name}: {exit} with a reset");
            }
            Err(error) => panic!("{name}: {error}"),
        }
        receipt
    }

    /// Connects to a guest that does as it is told, and gives it this program; gives the receipt.
    /// Nothing is looked at but that.
    pub(super) fn told(&self, row: &Row, program: &[u8]) -> Value {
        let mut client = self.connect(row.name);
        let peer = client.address();
        let length = u16::try_from(program.len()).unwrap();
        client.send([&length.to_le_bytes(), program].concat());
        client.end();
        // It may end in any way.
        let _ = client.rest();
        drop(client);
        self.server.find_receipt(|receipt| receipt["peer"] == *peer)
    }

    /// Waits for the receipt of the row's last client.
    fn ended(&self, row: &Row) -> Value {
        let name = row.name;
        self.others_are_served();
        // All but the victim's.
        let receipts = self.server.receipts(self.clients.get() - 1);
        let receipt = receipts.into_iter().rfind(|receipt| receipt["handler"] == name);
        let receipt = receipt.unwrap_or_else(|| panic!("{name} has no receipt"));
        let (exit, said) = (&receipt["exit"]["kind"], receipt["exit"]["detail"].as_str());
        assert_eq!(exit, row.exit, "{name}: {receipt}");
        assert!(said.unwrap_or_default().contains(row.says), "{name}: {receipt}");
        self.descriptors_are_given_back(name);
        receipt
    }

    /// Somebody who was there before, and somebody who comes now, get right answers.
    pub(super) fn others_are_served(&self) {
        let mut victim = self.victim.borrow_mut();
        for line in ["are you there?", "", "0123456789"] {
            assert_eq!(victim.ask(line), line);
        }
        drop(victim);
        let mut newcomer = self.connect("victim");
        assert_eq!(newcomer.ask("and you?"), "and you?");
        newcomer.end();
        newcomer.ends_in_good_order();
    }

    /// Waits until the server has as many descriptors open as before.
    pub(super) fn descriptors_are_given_back(&self, name: &str) {
        let what = format!("{} descriptors are open after {name}", self.descriptors);
        wait_until(&what, || self.open() == self.descriptors);
    }

    /// Waits until so many accept loops have begun: each opens the descriptor then that it keeps in
    /// reserve, after others are served already.
    fn loops_have_begun(&self, count: usize) {
        let server = PathBuf::from(format!("/proc/{}", self.server.pid().as_raw_nonzero()));
        let inherited = nulls(Path::new("/proc/self"), is_inherited);
        wait_until(&format!("{count} accept loops have begun"), || {
            let all = nulls(&server, |number, _| number > 2);
            all.iter().filter(|&it| !inherited.contains(it)).count() == count
        });
    }

    fn open(&self) -> usize {
        let pid = self.server.pid().as_raw_nonzero();
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    /// The server's resident memory, in KiB.
    fn resident(&self) -> u64 {
        let pid = self.server.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Does it again and again; the server's memory stays within a bound.
    pub(super) fn memory_is_given_back(&self, misbehave: impl Fn()) {
        misbehave();
        let before = self.resident();
        misbehave();
        misbehave();
        let after = self.resident();
        assert!(after <= before + GROWTH, "{before} KiB became {after} KiB");
    }

    /// Ends the server: every place was free, no connection is left, what is counted of those that
    /// are open is zero, there was a receipt for each, and nothing panicked.
    pub(super) fn close(self) {
        let log = self.server.log();
        assert!(!log.contains("panicked"), "{log}");
        let mut all: Vec<_> = (1..PLACES).map(|_| self.connect("victim")).collect();
        for client in &mut all {
            client.is_echoed();
        }
        // And no more than that.
        let mut waiting = self.connect("victim");
        waiting.send("x");
        assert!(waiting.hears_nothing(), "there are more places than {PLACES}");
        drop(all);
        assert_eq!(waiting.receive(1), "x");
        drop(waiting);
        let Self { folder, server, victim, clients, .. } = self;
        drop(victim);
        wait_until("all counters are zero", || counters_are_zero(&folder));
        let clients = clients.get();
        assert_eq!(server.receipts(clients).len(), clients);
        assert_eq!(server.stop().len(), clients);
    }
}

/// Whether the server in this folder says that nobody has anything of it.
fn counters_are_zero(folder: &Folder) -> bool {
    let status = Program::portcell().arguments(&["status", "--json"]).directory(folder.path());
    let status: Value = serde_json::from_str(&status.text()).unwrap();
    let of = |list: &str| status[list].as_array().unwrap().clone();
    let versions = of("handlers").into_iter().filter_map(|it| it["versions"].as_array().cloned());
    let everybody = [of("listeners"), of("tenants"), of("limits"), versions.flatten().collect()];
    let counts = ["connections", "flows", "memory", "used"];
    everybody
        .iter()
        .flatten()
        .chain([&status])
        .flat_map(|one| counts.map(|count| &one[count]))
        .all(|count| count.is_null() || *count == 0)
}

/// The descriptors of a process that are `/dev/null`, and of which `is_meant` is true: it is told
/// the number, and what `/proc/PID/fdinfo` says of it. One that is closed meanwhile is left out.
fn nulls(process: &Path, is_meant: impl Fn(u32, &str) -> bool) -> Vec<u32> {
    let numbers = fs::read_dir(process.join("fd")).unwrap();
    let numbers = numbers.map(|it| it.unwrap().file_name().to_str().unwrap().parse().unwrap());
    let is_null = |&number: &u32| {
        let target = fs::read_link(process.join(format!("fd/{number}")));
        let info = fs::read_to_string(process.join(format!("fdinfo/{number}")));
        target.is_ok_and(|it| it == Path::new("/dev/null"))
            && info.is_ok_and(|it| is_meant(number, &it))
    };
    numbers.filter(is_null).collect()
}

/// Whether children get this descriptor: its flags (proc(5)) do not close it on exec.
fn is_inherited(_: u32, info: &str) -> bool {
    const CLOSES_ON_EXEC: u32 = 0o2_000_000;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSES_ON_EXEC == 0
}
