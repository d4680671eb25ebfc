//! The life of a listener through the library: suspended, resumed, stopped, started again, lost;
//! and of the binary that loses its last one.

use std::time::Duration;

use portcell::listener::State;
use portcell::server::{Limit, RunError};
use rustix::process::getpid;

use crate::TestResult;
use crate::harness::{
    Client, Folder, Local, Port, Server, config, edit, lose, open_at, plugin, wait_until,
};

/// Echoing listeners of these names.
async fn echo(names: &[&str]) -> Local {
    Local::start(config(&plugin("echo"), names)).await
}

/// The same, with a place for one connection each.
async fn echo_one(names: &[&str]) -> Local {
    let mut config = config(&plugin("echo"), names);
    for name in names {
        edit(&mut config, name, |listener| listener.max_connections = 1.try_into().ok());
    }
    Local::start(config).await
}

fn is_refused(server: &Local, listener: &str) -> bool {
    Client::try_connect(server.address(listener)).is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_is_suspended_resumed_stopped_and_started_again() -> TestResult {
    let server = echo_one(&["a"]).await;
    let control = server.control();
    let mut open = server.served("a");
    control.suspend("a").await?;
    assert_eq!(server.listener("a").await.state, State::Suspended);
    open.is_echoed();
    open.leaves();
    // There is a place, and nobody takes it.
    let mut waiting = server.waits("a");
    control.resume("a").await?;
    assert_eq!(waiting.receive(1), "x");

    let (cut, ()) = tokio::join!(server.stop("a"), async {
        server.becomes("a", State::Draining).await;
        wait_until("clients are refused", || is_refused(&server, "a"));
        waiting.is_echoed();
        waiting.leaves();
    });
    assert_eq!(cut, 0);
    assert_eq!(server.listener("a").await.state, State::Stopped);
    assert_eq!(open_at(server.address("a")), 0);
    assert!(is_refused(&server, "a"));

    control.start("a").await?;
    assert_eq!(server.listener("a").await.addresses, [server.address("a")]);
    let first = server.served("a");
    let mut second = server.waits("a");
    first.leaves();
    assert_eq!(second.receive(1), "x");
    drop(second);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_be_told_the_same_twice_changes_nothing() -> TestResult {
    let server = echo(&["a"]).await;
    let control = server.control();
    let mut open = server.served("a");
    for _ in 0..2 {
        control.suspend("a").await?;
    }
    let mut waiting = server.waits("a");
    // It runs, so it is not started; and it stays suspended.
    control.start("a").await?;
    assert_eq!(server.listener("a").await.state, State::Suspended);
    for _ in 0..2 {
        control.resume("a").await?;
    }
    assert_eq!(waiting.receive(1), "x");
    for _ in 0..2 {
        control.start("a").await?;
    }
    open.is_echoed();
    assert_eq!(server.listener("a").await.accepted, 2);
    open.leaves();
    waiting.leaves();
    for _ in 0..2 {
        assert_eq!(server.stop("a").await, 0);
        assert_eq!(server.listener("a").await.state, State::Stopped);
    }
    for _ in 0..2 {
        control.start("a").await?;
    }
    server.served("a").leaves();
    assert_eq!(server.listener("a").await.accepted, 3, "it counts on");
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_leaves_a_listener_as_it_was_told_and_its_counts_go_on() -> TestResult {
    let names = ["runs", "suspended", "draining", "stopped"];
    let mut config = config(&plugin("echo"), &names);
    let server = Local::start(config.clone()).await;
    let control = server.control();
    let mut open = names.map(|name| server.served(name));
    control.suspend("suspended").await?;
    let [runs, suspended, draining, stopped] = &mut open;
    let stop = tokio::spawn({
        let control = control.clone();
        async move { control.drain_listener("draining", None).await }
    });
    server.becomes("draining", State::Draining).await;
    assert_eq!(control.stop_listener("stopped").await?, 1);
    stopped.is_reset();

    for name in names {
        edit(&mut config, name, |listener| listener.farewell = "bye".into());
    }
    assert_eq!(control.apply(config).await?.len(), names.len());
    let mut states = Vec::new();
    for name in names {
        let listener = server.listener(name).await;
        states.push((listener.state, listener.accepted));
    }
    let all = [State::Accepting, State::Suspended, State::Draining, State::Stopped];
    assert_eq!(states, all.map(|state| (state, 1)));
    let mut waiting = server.waits("suspended");
    for open in [runs, suspended, draining] {
        open.is_echoed();
    }
    control.resume("suspended").await?;
    assert_eq!(waiting.receive(1), "x");
    server.served("runs").leaves();
    assert_eq!(server.listener("runs").await.accepted, 2);
    let [runs, suspended, draining, _] = open;
    draining.leaves();
    assert_eq!(stop.await??, 0);
    control.start("draining").await?;
    server.served("draining").leaves();
    assert_eq!(server.listener("draining").await.accepted, 2);
    for client in [runs, suspended, waiting] {
        client.leaves();
    }
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_stopped_twice_at_once_stops_once() -> TestResult {
    let server = echo(&["a", "b"]).await;
    let control = server.control();
    control.suspend("a").await?;
    // They are taken in by the drain.
    let mut clients: Vec<_> = (0..50).map(|_| server.connect("a")).collect();
    let (first, second, ()) = tokio::join!(server.stop("a"), server.stop("a"), async {
        server.becomes("a", State::Draining).await;
        for client in &mut clients {
            client.is_echoed();
        }
        assert_eq!(server.listener("a").await.state, State::Draining);
        clients.into_iter().for_each(Client::leaves);
    });
    assert_eq!((first, second), (0, 0));
    assert_eq!(open_at(server.address("a")), 0);
    control.start("a").await?;
    server.served("a").leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_or_draining_is_not_suspended_or_resumed() -> TestResult {
    let server = echo(&["a"]).await;
    let control = server.control();
    let open = server.served("a");
    let (cut, said) = tokio::join!(server.stop("a"), async {
        server.becomes("a", State::Draining).await;
        let said =
            [control.suspend("a").await, control.resume("a").await, control.start("a").await];
        open.leaves();
        said
    });
    assert_eq!(cut, 0);
    for said in said {
        let expected = "listener a is draining; start it when it has stopped";
        assert_eq!(said.unwrap_err().to_string(), expected);
    }
    for said in [control.suspend("a").await, control.resume("a").await] {
        assert_eq!(said.unwrap_err().to_string(), "listener a is stopped; start it first");
    }
    assert_eq!(server.listener("a").await.state, State::Stopped);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_not_there_is_answered_with_the_nearest() -> TestResult {
    let server = echo(&["front"]).await;
    let control = server.control();
    let hint = "there is no listener `fornt`; did you mean `front`?";
    let said = [
        control.suspend("fornt").await,
        control.resume("fornt").await,
        control.start("fornt").await,
        control.drain_listener("fornt", None).await.map(drop),
        control.limit(Limit::Listener("fornt".into()), None).await,
    ];
    for said in said {
        assert_eq!(said.unwrap_err().to_string(), hint);
    }
    let said = control.swap("ecko", plugin("echo")).await.unwrap_err();
    assert_eq!(said.to_string(), "there is no handler `ecko`; did you mean `echo`?");
    let said = control.limit(Limit::Pool("small".into()), None).await.unwrap_err();
    assert_eq!(said.to_string(), "there is no pool `small`");
    server.served("front").leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_address_was_taken_meanwhile_has_failed_until_it_is_free() -> TestResult {
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a", "b"]);
    edit(&mut config, "a", |listener| listener.bind = vec![port.address().parse().unwrap()]);
    let server = Local::start(config).await;
    let control = server.control();
    let mut other = server.served("b");
    server.stop("a").await;
    let taken = port.take();
    for _ in 0..2 {
        let said = control.start("a").await.unwrap_err().to_string();
        let expected = format!("cannot listen on {}: it is taken by another", port.address());
        assert!(said.starts_with(&expected), "{said}");
        let listener = server.listener("a").await;
        assert_eq!((listener.state, listener.why), (State::Failed, Some(said)));
        assert_eq!(server.listener("b").await.state, State::Accepting);
    }
    other.is_echoed();
    drop(taken);
    control.start("a").await?;
    assert_eq!(server.listener("a").await.why, None);
    server.served("a").leaves();
    other.leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_is_full_while_a_client_waits_for_a_place() -> TestResult {
    let server = echo_one(&["a"]).await;
    let first = server.served("a");
    assert_eq!(server.listener("a").await.state, State::Accepting);
    let mut second = server.connect("a");
    second.send("x");
    let full = server.becomes("a", State::Full).await;
    assert_eq!((full.connections, full.accepted, full.refused), (1, 1, 0));
    // A place that becomes free does not undo it.
    server.control().suspend("a").await?;
    first.leaves();
    server.has_connections(0).await;
    assert!(second.hears_nothing());
    assert_eq!(server.listener("a").await.state, State::Suspended);
    server.control().resume("a").await?;
    assert_eq!(second.receive(1), "x");
    assert_eq!(server.listener("a").await.state, State::Accepting);
    second.leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_lost_leaves_its_connections_and_can_be_started_again() -> TestResult {
    let server = echo_one(&["a", "b"]).await;
    let control = server.control();
    let mut open = server.served("a");
    lose(getpid(), server.address("a"));
    let why = server.becomes("a", State::Failed).await.why.unwrap();
    let expected = format!("the listener at {} is gone: Invalid argument", server.address("a"));
    assert!(why.starts_with(&expected), "{why}");
    assert!(is_refused(&server, "a"));
    open.is_echoed();
    server.served("b").leaves();
    server.has_connections(1).await;

    control.start("a").await?;
    let listener = server.listener("a").await;
    assert_eq!((listener.state, listener.why), (State::Accepting, None));
    // The one from before has the only place.
    let mut next = server.waits("a");
    open.is_echoed();
    open.leaves();
    assert_eq!(next.receive(1), "x");
    next.leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loses_its_last_listener_ends_with_an_error() {
    let server = echo(&["a", "b"]).await;
    let mut open = server.served("b");
    for name in ["a", "b"] {
        lose(getpid(), server.address(name));
        if name == "a" {
            server.becomes("a", State::Failed).await;
        }
    }
    open.is_echoed();
    open.leaves();
    let RunError::LastListener { listener, .. } = server.ended().await.unwrap_err() else {
        panic!("it is another error");
    };
    assert_eq!(listener, "b");
}

#[test]
fn the_binary_without_listeners_lets_connections_end_and_ends_with_1() {
    let server = Server::run(plugin("echo")).start();
    let address = format!("tcp://127.0.0.1:{}", server.port());
    let mut client = server.connect();
    client.is_echoed();
    lose(server.pid(), &address);
    server.find_line("draining: 1 connection is open");
    wait_until("nobody listens", || open_at(&address) == 1);
    client.is_echoed();
    client.leaves();
    let (code, log) = server.wait();
    assert_eq!(code, 1, "{log}");
    let gone = format!("the listener at {address} is gone: Invalid argument");
    assert!(log.contains(&gone), "{log}");
    assert!(log.contains("listener echo failed, and it was the last"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_listener_touches_no_connection_of_another() -> TestResult {
    use portcell::config::{PoolConfig, Spawn};
    for shares_a_pool in [false, true] {
        let mut config = config(&plugin("echo"), &["a", "b"]);
        if shares_a_pool {
            config.pools = vec![PoolConfig { name: "p".into(), size: 6.try_into()? }];
            for name in ["a", "b"] {
                edit(&mut config, name, |listener| listener.spawn = Spawn::Pool("p".into()));
            }
        }
        let server = Local::start(config).await;
        let control = server.control();
        let mut cut: Vec<_> = (0..3).map(|_| server.served("a")).collect();
        let mut others: Vec<_> = (0..3).map(|_| server.served("b")).collect();
        assert_eq!(control.drain_listener("a", Some(Duration::ZERO)).await?, 3);
        for client in &mut cut {
            client.is_reset();
        }
        let listener = server.listener("a").await;
        assert_eq!((listener.state, listener.connections), (State::Stopped, 0));
        for client in &mut others {
            client.is_echoed();
        }
        server.has_connections(3).await;
        // The places of those that were cut are free for both.
        control.start("a").await?;
        others.extend((0..2).map(|_| server.served("b")));
        server.served("a").leaves();
        others.into_iter().for_each(Client::leaves);
        assert_eq!(server.drain().await.cut, 0, "they were cut before");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_a_listener_that_drains_is_counted_once() -> TestResult {
    let server = echo(&["a", "b"]).await;
    let mut open = [server.served("a"), server.served("b")];
    let (of_listener, ()) = tokio::join!(server.stop("a"), async {
        server.becomes("a", State::Draining).await;
        server.control().stop();
    });
    assert_eq!((of_listener, server.ended().await?.cut), (1, 2));
    for client in &mut open {
        client.is_reset();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_waits_can_become_one_that_cuts() -> TestResult {
    let folder = Folder::new();
    let server = Local::start(config(&folder.guest("does_as_told"), &["a"])).await;
    let tell = |told| {
        let mut client = server.connect("a");
        client.send(told);
        assert_eq!(client.receive(1), "e");
        client
    };
    // It asks for the drain, and ends by itself.
    let mut told = tell("ed");
    let mut stays = tell("e");
    let (first, second) = tokio::join!(server.stop("a"), async {
        server.becomes("a", State::Draining).await;
        assert_eq!(told.rest().unwrap(), b"d");
        drop(told);
        server.has_connections(1).await;
        stays.send("e");
        assert_eq!(stays.receive(1), "e");
        server.control().drain_listener("a", Some(Duration::from_millis(50))).await
    });
    assert_eq!((first, second?), (1, 1));
    stays.is_reset();
    server.drain().await;
    Ok(())
}

/// A guest that answers each byte with `answer`.
fn answers(answer: char) -> String {
    format!(
        "(module
           (import \"portcell_v1\" \"read\" (func $read (param i32 i32 i32) (result i32)))
           (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
           (memory (export \"memory\") 1)
           (data (i32.const 8) \"{answer}\")
           (func (export \"handle\")
             (loop $next
               (if (i32.gt_s (call $read (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0))
                 (then
                   (drop (call $write (i32.const 0) (i32.const 8) (i32.const 1)))
                   (br $next))))))"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_is_swapped_for_new_connections_or_stays_as_it_is() -> TestResult {
    let folder = Folder::new();
    let [a, b] = ['a', 'b'].map(|name| folder.wat(&name.to_string(), &answers(name)));
    let server = Local::start(config(&a, &["one", "two"])).await;
    let control = server.control();
    let answer = |client: &mut Client| {
        client.send("x");
        client.receive(1)
    };
    let mut old = server.connect("one");
    assert_eq!(answer(&mut old), "a");
    // A listener that is suspended meanwhile is told, too.
    control.suspend("two").await?;
    assert_eq!(control.swap("a", &b).await?, 2);
    for name in ["one", "two"] {
        control.resume(name).await?;
        assert_eq!(answer(&mut server.connect(name)), "b");
    }
    assert_eq!(answer(&mut old), "a");
    let handler = server.status().await.handlers.remove(0);
    assert_eq!((handler.version, handler.module), (2, b.display().to_string()));
    assert_eq!(control.swap("a", &b).await?, 2, "the same module is no new version");

    let bad = folder.write("bad.wasm", "no module");
    let said = control.swap("a", &bad).await.unwrap_err().to_string();
    assert!(said.contains("bad.wasm"), "{said}");
    assert!(control.swap("a", folder.at("nowhere.wasm")).await.is_err());
    let kept = server.status().await.handlers.remove(0);
    assert_eq!((kept.version, kept.module), (2, b.display().to_string()));
    assert_eq!(answer(&mut server.connect("one")), "b");
    assert_eq!(answer(&mut old), "a");
    // A module that comes back has the number that it had.
    assert_eq!(control.swap("a", &a).await?, 1);
    assert_eq!(answer(&mut server.connect("two")), "a");
    drop(old);
    server.drain().await;
    Ok(())
}
