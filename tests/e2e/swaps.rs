//! Modules are replaced again and again while clients come and go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use rustix::process::Signal;

use crate::harness::{Client, Folder, Server};

const SWAPS: u64 = 100;

/// Threads of clients, and connections that each of them has open at once.
const CROWDS: usize = 8;
const EACH: usize = 40;

/// What a connection asks before it leaves.
const QUESTIONS: usize = 5;

fn tag(version: u64) -> String {
    format!("mod{version:03}")
}

/// The version that an answer tells, whose two halves must agree: code and fact.
fn version(answer: &str) -> u64 {
    let (tagged, told) = answer.split_once(' ').unwrap();
    let told: u64 = told.parse().unwrap();
    assert_eq!(tagged, tag(told), "code of one version and facts of another");
    told
}

/// A client among many.
struct Served {
    client: Client,
    /// What was in service for sure when it connected.
    least: u64,
    version: Option<u64>,
    asked: usize,
}

impl Served {
    fn ask(&mut self) {
        let told = version(&self.client.ask(""));
        assert!(told >= self.least, "v{told} was replaced by v{} before", self.least);
        assert_eq!(self.version.unwrap_or(told), told, "a connection keeps its version");
        self.version = Some(told);
        self.asked += 1;
    }
}

#[test]
fn of_100_swaps_under_load_no_client_notices_more_than_a_new_version() {
    let folder = Folder::new();
    let module = folder.version("module", &tag(1));
    let config = format!(
        "[[listener]]\nname = \"l\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"h\"\n\
         [handler.h]\nmodule = \"{}\"\ncpu = \"none\"\n",
        module.display()
    );
    let server = Server::serve(&folder, &config).start();
    let port = server.port();
    let mut first = server.connect();
    assert_eq!(version(&first.ask("")), 1);

    let (in_service, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let crowd = || {
        let mut open: Vec<Served> = Vec::new();
        let mut left = 0;
        while !over.load(SeqCst) {
            while open.len() < EACH {
                let least = in_service.load(SeqCst);
                let client = Client::connect(("127.0.0.1", port));
                open.push(Served { client, least, version: None, asked: 0 });
            }
            open.iter_mut().for_each(Served::ask);
            let (leaving, stay): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|served| served.asked == QUESTIONS);
            open = stay;
            left += leaving.len();
            for served in leaving {
                served.client.leaves();
            }
        }
        for served in open {
            served.client.leaves();
        }
        left
    };
    thread::scope(|scope| {
        let crowds: Vec<_> = (0..CROWDS).map(|_| scope.spawn(crowd)).collect();
        for swaps in 1..=SWAPS {
            folder.version("module", &tag(swaps + 1));
            server.signal(Signal::HUP);
            let count = usize::try_from(swaps).unwrap();
            server.find_lines(count, "the configuration was applied");
            in_service.store(swaps + 1, SeqCst);
            let mut new = Client::connect(("127.0.0.1", port));
            assert_eq!(version(&new.ask("")), swaps + 1, "what is accepted later is served by it");
            assert_eq!(version(&first.ask("")), 1);
        }
        over.store(true, SeqCst);
        let left: usize = crowds.into_iter().map(|crowd| crowd.join().unwrap()).sum();
        assert!(left > EACH, "clients came and went meanwhile: {left}");
    });
    first.leaves();
}
