//! The accept loop on a listener that does what a list says, in paused time.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::*;
use crate::admission::{Admission, Bounds, Opening};
use crate::config::Config;
use crate::connection::Socket;
use crate::listener::State;

/// What the listener has for one call of accept.
#[derive(Debug)]
enum Step {
    Client(UnixStream),
    Error(Errno),
}

/// A listener that does what a list says, and notes when.
#[derive(Debug)]
struct Script {
    address: Bound,
    began: Instant,
    steps: Mutex<VecDeque<Step>>,
    /// Clients who came when nobody listened for them any more.
    unheard: Mutex<VecDeque<UnixStream>>,
    /// It was heard of a client who has been taken since.
    stale: AtomicBool,
    more: Notify,
    /// Milliseconds from the beginning to each call that had something for it.
    calls: Mutex<Vec<u128>>,
    closed: Mutex<bool>,
}

impl Source for Script {
    async fn ready(&self) -> io::Result<()> {
        loop {
            let more = self.more.notified();
            if !self.steps.lock().unwrap().is_empty() || self.stale.load(SeqCst) {
                return Ok(());
            }
            more.await;
        }
    }

    fn has_client(&self) -> io::Result<bool> {
        self.stale.store(false, SeqCst);
        Ok(!self.steps.lock().unwrap().is_empty())
    }

    fn accept(&self) -> io::Result<Accepted> {
        let step = self.steps.lock().unwrap().pop_front();
        let Some(step) = step else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.calls.lock().unwrap().push(self.began.elapsed().as_millis());
        match step {
            Step::Client(stream) => Ok(Accepted(Socket::Unix(stream))),
            Step::Error(errno) => Err(errno.into()),
        }
    }

    fn accept_unheard(&self) -> io::Result<Accepted> {
        match self.unheard.lock().unwrap().pop_front() {
            Some(stream) => Ok(Accepted(Socket::Unix(stream))),
            None => self.accept(),
        }
    }

    fn address(&self) -> &Bound {
        &self.address
    }

    fn close_to_newcomers(&self, _: &Life) -> bool {
        *self.closed.lock().unwrap() = true;
        true
    }

    fn is_connecting(&self) -> bool {
        false
    }
}

/// A loop on a script, with what it needs.
struct Scene {
    script: Arc<Script>,
    life: Arc<Life>,
    admission: Arc<Admission>,
    gate: Gate,
    config: ListenerConfig,
    /// Whether instances can be made.
    made: bool,
    taken: Arc<Mutex<Vec<(Accepted, Entry)>>>,
}

impl Scene {
    fn new() -> Self {
        let config = Config::from_flags(Path::new("x.wasm"), &[]).unwrap();
        let admission = Admission::new(1000, NonZeroU32::MIN, 1);
        let script = Script {
            address: Bound::UnixAbstract("script".into()),
            began: Instant::now(),
            steps: Mutex::default(),
            unheard: Mutex::default(),
            stale: AtomicBool::new(false),
            more: Notify::new(),
            calls: Mutex::default(),
            closed: Mutex::new(false),
        };
        Self {
            script: Arc::new(script),
            life: Arc::new(Life::new(Phase::Accepting)),
            gate: admission.gate(&Bounds::default(), Opening::Plaintext),
            admission,
            config: ListenerConfig::clone(&config.listeners[0]),
            made: true,
            taken: Arc::default(),
        }
    }

    fn most(mut self, most: u32) -> Self {
        let bounds = Bounds { most: NonZeroU32::new(most), ..Bounds::default() };
        self.gate.set(&bounds);
        self
    }

    fn errors(&self, errno: Errno, times: usize) {
        for _ in 0..times {
            self.push(Step::Error(errno));
        }
    }

    /// A client comes; its end of the connection.
    fn client(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.push(Step::Client(ours));
        theirs
    }

    fn clients(&self, number: usize) -> Vec<UnixStream> {
        (0..number).map(|_| self.client()).collect()
    }

    fn push(&self, step: Step) {
        self.script.steps.lock().unwrap().push_back(step);
        self.script.more.notify_one();
    }

    fn start(&self) -> tokio::task::JoinHandle<Result<(), Gone>> {
        let (script, life, gate) =
            (Arc::clone(&self.script), Arc::clone(&self.life), self.gate.clone());
        let (config, taken, made) = (self.config.clone(), Arc::clone(&self.taken), self.made);
        tokio::spawn(async move {
            let start = |client, entry| {
                life.was_handed_over(made);
                taken.lock().unwrap().push((client, entry));
            };
            accept_until(&*script, &gate, &config, &life, start).await
        })
    }

    /// The milliseconds at which accept was called, when it has gone through the list.
    async fn calls(&self) -> Vec<u128> {
        // Time that is paused goes from one timer to the next while everybody waits.
        sleep(Duration::from_hours(1)).await;
        assert!(self.script.steps.lock().unwrap().is_empty(), "it went through the list");
        self.script.calls.lock().unwrap().clone()
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

/// Lets the loop go on until it waits, at the same moment.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_resources_double_to_their_bound_and_start_over_with_a_client() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
        let scene = Scene::new();
        scene.errors(errno, 9);
        let _client = scene.client();
        scene.errors(errno, 2);
        let looping = scene.start();
        let expected = [0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270, 3270, 3280];
        assert_eq!(scene.calls().await, expected, "{errno}");
        assert_eq!(scene.life.counts().backoffs.get(), 11);
        assert!(!looping.is_finished());
    }
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_single_clients_cost_no_time() {
    let clients = [
        Errno::CONNABORTED,
        Errno::PROTO,
        Errno::PERM,
        Errno::OPNOTSUPP,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
    ];
    let scene = Scene::new();
    for errno in clients {
        scene.errors(errno, 9);
    }
    let _client = scene.client();
    let _looping = scene.start();
    assert_eq!(scene.calls().await, [0; 100]);
    assert_eq!((scene.taken(), scene.life.counts().backoffs.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_long_row_of_lost_clients_backs_off() {
    let mut scene = Scene::new();
    scene.config.max_accept = NonZeroU32::new(3).unwrap();
    scene.errors(Errno::CONNABORTED, 5);
    let _client = scene.client();
    scene.errors(Errno::CONNABORTED, 2);
    let _looping = scene.start();
    assert_eq!(scene.calls().await, [0, 0, 0, 10, 30, 70, 70, 70]);
}

#[tokio::test(start_paused = true)]
async fn instances_that_cannot_be_made_escalate_the_wait() {
    let mut scene = Scene::new();
    scene.made = false;
    let _clients = scene.clients(5);
    let _looping = scene.start();
    assert_eq!(scene.calls().await, [0, 10, 30, 70, 150]);
    assert_eq!(scene.taken(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_gone_ends_the_loop_with_its_error() {
    for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
        let scene = Scene::new();
        scene.errors(errno, 1);
        let gone = scene.start().await.unwrap().unwrap_err();
        let source = std::error::Error::source(&gone).unwrap().to_string();
        assert!(source.contains(&format!("os error {}", errno.raw_os_error())), "{source}");
        assert_eq!(gone.to_string(), "the listener at unix:@script is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_cuts_the_wait_for_descriptors_short() {
    let scene = Scene::new();
    let _client = scene.client();
    scene.errors(Errno::MFILE, 5);
    let _looping = scene.start();
    settle().await;
    sleep(Duration::from_millis(71)).await;
    assert_eq!(scene.life.state(), State::BackingOff);
    assert!(scene.life.why().unwrap().contains("open files"));
    let _another = scene.client();
    drop(scene.taken.lock().unwrap().pop());
    assert_eq!(scene.calls().await, [0, 0, 10, 30, 70, 71, 231]);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_handed_over_before_the_next_one_is_accepted() {
    let mut scene = Scene::new();
    scene.config.max_accept = NonZeroU32::new(3).unwrap();
    let _clients = scene.clients(7);
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (script, notes) = (Arc::clone(&scene.script), Arc::clone(&seen));
    let start = move |client: Accepted, entry| {
        notes.lock().unwrap().push(script.calls.lock().unwrap().len());
        drop((client, entry));
    };
    let (script, life, gate) =
        (Arc::clone(&scene.script), Arc::clone(&scene.life), scene.gate.clone());
    let config = scene.config.clone();
    tokio::spawn(async move { accept_until(&*script, &gate, &config, &life, start).await });
    // One batch, then this task's turn.
    while seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    settle().await;
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_taken_in_while_it_is_suspended_whatever_becomes_free() {
    let scene = Scene::new().most(1);
    let _clients = scene.clients(2);
    let _looping = scene.start();
    settle().await;
    assert_eq!((scene.taken(), scene.life.state()), (1, State::Full));
    // Both before the loop hears of either.
    scene.life.ask(Phase::Suspended);
    drop(scene.taken.lock().unwrap().pop());
    sleep(Duration::from_mins(1)).await;
    assert_eq!((scene.taken(), scene.life.state()), (0, State::Suspended));
    assert_eq!(scene.admission.free(), 1000, "it holds no place");
    scene.life.ask(Phase::Accepting);
    settle().await;
    assert_eq!((scene.taken(), scene.life.state()), (1, State::Accepting));
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_not_full_as_long_as_no_client_is_there() {
    let scene = Scene::new().most(1);
    let _client = scene.client();
    let _looping = scene.start();
    settle().await;
    assert_eq!((scene.taken(), scene.life.state()), (1, State::Accepting));
    scene.script.stale.store(true, SeqCst);
    scene.script.more.notify_one();
    settle().await;
    assert_eq!((scene.script.stale.load(SeqCst), scene.life.state()), (false, State::Accepting));
    let _waits = scene.client();
    settle().await;
    assert_eq!(scene.life.state(), State::Full);
}

#[tokio::test(start_paused = true)]
async fn those_for_whom_there_is_no_place_are_sent_a_farewell() {
    let mut scene = Scene::new().most(1);
    scene.config.when_full = WhenFull::Refuse;
    scene.config.farewell = "421 too many\r\n".into();
    let mut clients = scene.clients(3);
    let _looping = scene.start();
    for client in &mut clients[1..] {
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "421 too many\r\n");
    }
    assert_eq!((scene.taken(), scene.life.counts().refused()), (1, 2));
    assert_eq!(scene.life.state(), State::Full);
    drop(scene.taken.lock().unwrap().pop());
    let _client = scene.client();
    settle().await;
    assert_eq!((scene.taken(), scene.life.state()), (1, State::Accepting));
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_clients_are_turned_away_where_that_is_asked_for() {
    let mut scene = Scene::new();
    scene.config.when_full = WhenFull::Refuse;
    scene.config.farewell = "full".into();
    scene.errors(Errno::MFILE, 1);
    let mut client = scene.client();
    let _looping = scene.start();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "full");
    assert_eq!((scene.taken(), scene.life.counts().backoffs.get()), (0, 0));
    assert_eq!(scene.life.counts().refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_those_who_are_there_as_far_as_there_is_room_and_turns_away_the_rest() {
    let scene = Scene::new().most(2);
    scene.life.ask(Phase::Suspended);
    let looping = scene.start();
    settle().await;
    let mut clients = scene.clients(3);
    scene.life.ask(Phase::Draining);
    looping.await.unwrap().unwrap();
    assert!(*scene.script.closed.lock().unwrap());
    assert_eq!((scene.taken(), scene.life.counts().refused()), (2, 1));
    assert_eq!(clients[2].read(&mut [0]).await.unwrap(), 0, "it ends in good order");
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_those_of_whom_nobody_has_heard_yet() {
    let scene = Scene::new();
    let looping = scene.start();
    settle().await;
    let (ours, _client) = UnixStream::pair().unwrap();
    scene.script.unheard.lock().unwrap().push_back(ours);
    scene.life.ask(Phase::Draining);
    looping.await.unwrap().unwrap();
    assert_eq!(scene.taken(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_those_who_are_there_to_a_successor() {
    let scene = Scene::new();
    scene.life.ask(Phase::Suspended);
    let looping = scene.start();
    settle().await;
    let _clients = scene.clients(3);
    scene.life.ask(Phase::Stopped);
    looping.await.unwrap().unwrap();
    assert_eq!((scene.taken(), *scene.script.closed.lock().unwrap()), (0, false));
    assert_eq!(scene.script.steps.lock().unwrap().len(), 3);
}
