//! Clients for whom there is no place, through the library: they wait in the kernel or in a queue,
//! or are turned away with a farewell; and bounds that change meanwhile.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use portcell::Config;
use portcell::config::{PoolConfig, Spawn, WhenFull};
use portcell::listener::State;
use portcell::server::Limit;
use tokio::task::spawn_blocking;

use crate::TestResult;
use crate::harness::{Client, Folder, Local, PATIENCE, config, edit, plugin, until};

const FAREWELL: &str = "421 too many connections\r\n";

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A listener `a` that echoes, with a place for so many.
fn echo(most: u32, when_full: WhenFull) -> Config {
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", |listener| {
        listener.max_connections = Some(number(most));
        listener.when_full = when_full;
        listener.farewell = FAREWELL.into();
    });
    config
}

/// Listeners `a` and `b`, which share the places of a pool.
fn pooled(size: u32) -> Config {
    let mut config = config(&plugin("echo"), &["a", "b"]);
    config.pools = vec![PoolConfig { name: "shared".into(), size: number(size) }];
    for name in ["a", "b"] {
        edit(&mut config, name, |listener| listener.spawn = Spawn::Pool("shared".into()));
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farewell_arrives_whole_though_the_client_had_sent_something() -> TestResult {
    let folder = Folder::new();
    let farewell = "no room. ".repeat(500);
    let mut config = echo(1, WhenFull::Refuse);
    let path = format!("unix:{}", folder.at("a.sock").display());
    edit(&mut config, "a", |listener| {
        listener.bind.push(path.parse().unwrap());
        listener.farewell.clone_from(&farewell);
    });
    let server = Local::start(config).await;
    let place = server.served("a");
    server.control().suspend("a").await?;
    let mut clients = Vec::new();
    for address in [server.address("a"), &path] {
        for _ in 0..20 {
            let mut client = Client::try_connect(address)?;
            // Bytes that are there unread when a socket is closed make the kernel reset it.
            client.send("x".repeat(20_000));
            clients.push(client);
        }
    }
    server.control().resume("a").await?;
    for client in &mut clients {
        assert_eq!(client.rest()?, farewell.as_bytes());
    }
    let listener = server.listener("a").await;
    assert_eq!((listener.state, listener.accepted, listener.refused), (State::Full, 1, 40));
    place.leaves();
    server.has_connections(0).await;
    server.served("a").leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_served_in_its_order_and_turns_away_who_is_one_too_many() -> TestResult {
    let server = Local::start(echo(1, WhenFull::Queue { most: number(3), wait: PATIENCE })).await;
    let mut place = server.served("a");
    let mut queue: Vec<_> = (0..3).map(|_| server.waits("a")).collect();
    let mut one_too_many = server.connect("a");
    assert_eq!(one_too_many.rest()?, FAREWELL.as_bytes());
    let listener = server.listener("a").await;
    assert_eq!((listener.accepted, listener.refused, listener.connections), (4, 1, 4));
    assert_eq!(server.status().await.connections, 1, "those in the queue have no place");
    while !queue.is_empty() {
        place.leaves();
        place = queue.remove(0);
        assert_eq!(place.receive(1), "x");
        assert!(queue.iter_mut().all(Client::hears_nothing));
    }
    place.leaves();
    assert_eq!(server.listener("a").await.refused, 1);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_a_queue_too_long_is_turned_away() -> TestResult {
    let wait = Duration::from_millis(100);
    let server = Local::start(echo(1, WhenFull::Queue { most: number(1), wait })).await;
    let mut place = server.served("a");
    // The second one finds the only place of the queue free again.
    for count in 1..=2 {
        let mut client = server.connect("a");
        client.send("x");
        assert_eq!(client.rest()?, FAREWELL.as_bytes());
        let listener = server.listener("a").await;
        assert_eq!((listener.accepted, listener.refused), (1 + count, count));
        drop(client);
        until("it has left", async || (server.listener("a").await.connections == 1).then_some(()))
            .await;
    }
    place.is_echoed();
    place.leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_serves_the_queue_as_places_become_free() -> TestResult {
    let server = Local::start(echo(1, WhenFull::Queue { most: number(2), wait: PATIENCE })).await;
    let place = server.served("a");
    let mut queue = [server.waits("a"), server.waits("a")];
    server.control().drain();
    assert!(queue.iter_mut().all(Client::hears_nothing));
    place.leaves();
    for mut client in queue {
        assert_eq!(client.receive(1), "x");
        client.leaves();
    }
    assert_eq!(server.ended().await?.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_for_whom_a_drain_has_no_place_are_turned_away() -> TestResult {
    let server = Local::start(echo(1, WhenFull::Wait)).await;
    let mut place = server.served("a");
    let mut waiting: Vec<_> = (0..20).map(|_| server.connect("a")).collect();
    for client in &mut waiting {
        client.send("x");
    }
    server.control().drain();
    for client in &mut waiting {
        assert_eq!(client.rest()?, FAREWELL.as_bytes());
    }
    place.is_echoed();
    place.leaves();
    assert_eq!(server.ended().await?.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_that_share_a_pool_take_turns() -> TestResult {
    let server = Local::start(pooled(2)).await;
    let (a, b) = (server.served("a"), server.served("b"));
    let (mut next_a, mut next_b) = (server.waits("a"), server.waits("b"));
    for name in ["a", "b"] {
        assert_eq!(server.listener(name).await.state, State::Full);
    }
    b.leaves();
    // It came first.
    assert_eq!(next_a.receive(1), "x");
    assert!(next_b.hears_nothing());
    a.leaves();
    assert_eq!(next_b.receive(1), "x");
    next_a.leaves();
    next_b.leaves();
    assert_eq!(server.drain().await.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_larger_bound_lets_in_those_who_wait_and_a_smaller_one_nobody_else() -> TestResult {
    for limit in [Limit::Server, Limit::Listener("a".into()), Limit::Pool("shared".into())] {
        let server = Local::start(pooled(100)).await;
        let control = server.control();
        control.limit(limit.clone(), Some(number(1))).await?;
        let mut first = server.served("a");
        let mut second = server.waits("a");
        control.limit(limit.clone(), Some(number(3))).await?;
        assert_eq!(second.receive(1), "x");
        let third = server.served("a");
        control.limit(limit.clone(), Some(number(1))).await?;
        // Those who are in stay, and until they are fewer than one nobody comes in.
        let mut fourth = server.waits("a");
        third.leaves();
        second.leaves();
        server.has_connections(1).await;
        assert!(fourth.hears_nothing(), "{limit:?}");
        first.is_echoed();
        first.leaves();
        assert_eq!(fourth.receive(1), "x");
        fourth.leaves();
        server.drain().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_grow_over_what_it_started_with() -> TestResult {
    let server = Local::start(config(&plugin("echo"), &["a"])).await;
    let control = server.control();
    control.limit(Limit::Server, Some(number(2))).await?;
    assert_eq!(server.status().await.max_connections, 2);
    let said = control.limit(Limit::Server, Some(number(101))).await.unwrap_err().to_string();
    let expected = "there is room for 100 connections, made at the start; restart it for 101";
    assert_eq!(said, expected);
    assert_eq!(server.status().await.max_connections, 2);
    control.limit(Limit::Server, None).await?;
    assert_eq!(server.status().await.max_connections, 100);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_of_a_listener_outlives_a_restart_of_the_listener() -> TestResult {
    let server = Local::start(echo(5, WhenFull::Wait)).await;
    let control = server.control();
    control.limit(Limit::Listener("a".into()), Some(number(1))).await?;
    server.stop("a").await;
    control.start("a").await?;
    let place = server.served("a");
    let mut next = server.waits("a");
    place.leaves();
    assert_eq!(next.receive(1), "x");
    next.leaves();
    server.drain().await;
    Ok(())
}

/// What clients count together.
#[derive(Debug, Default)]
struct Crowd {
    /// Served at this moment.
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    in_all: AtomicUsize,
    goes_home: AtomicBool,
}

impl Crowd {
    /// Comes in again and again.
    fn member(&self, address: &str) {
        while !self.goes_home.load(SeqCst) {
            let mut client = Client::try_connect(address).unwrap();
            client.is_echoed();
            let inside = self.inside.fetch_add(1, SeqCst) + 1;
            self.most_inside.fetch_max(inside, SeqCst);
            client.is_echoed();
            self.inside.fetch_sub(1, SeqCst);
            self.in_all.fetch_add(1, SeqCst);
            client.leaves();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_than_there_may_be() -> TestResult {
    let server = Local::start(pooled(6)).await;
    let control = server.control();
    let crowd = Arc::<Crowd>::default();
    let member = |number: usize| {
        let (crowd, address) = (Arc::clone(&crowd), server.address(["a", "b"][number % 2]));
        let address = address.to_owned();
        spawn_blocking(move || crowd.member(&address))
    };
    let members: Vec<_> = (0..24).map(member).collect();
    let pool = Limit::Pool("shared".into());
    for (limit, bound) in [(&pool, 6), (&pool, 3), (&Limit::Server, 2), (&pool, 1)] {
        control.limit(limit.clone(), Some(number(bound))).await?;
        let room = bound as usize;
        until("there are no more than that", async || {
            (server.status().await.connections <= room).then_some(())
        })
        .await;
        crowd.most_inside.store(0, SeqCst);
        let before = crowd.in_all.load(SeqCst);
        // Another bound, which is wider, changes all the time: nobody comes in for that.
        let mut wider = 50;
        until("some were served", async || {
            wider += 1;
            control.limit(Limit::Listener("b".into()), Some(number(wider))).await.unwrap();
            (crowd.in_all.load(SeqCst) > before + 200).then_some(())
        })
        .await;
        let most = crowd.most_inside.load(SeqCst);
        assert!(most <= room, "{most} were served at once, and there may be {room}");
    }
    crowd.goes_home.store(true, SeqCst);
    for member in members {
        member.await?;
    }
    server.has_connections(0).await;
    server.drain().await;
    Ok(())
}
