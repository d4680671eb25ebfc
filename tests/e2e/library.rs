//! A server in this process, before it runs: loaded, bound, and what it was told by then.

use std::future::ready;
use std::net::TcpStream;
use std::sync::Arc;

use portcell::Server;
use portcell::config::{Environment, ListenerConfig};
use portcell::listener::State;

use crate::TestResult;
use crate::harness::{Client, Local, Port, config, edit, plugin};

/// Listens at `port` instead.
fn at(port: &Port) -> impl FnOnce(&mut ListenerConfig) {
    let address = port.address().parse().unwrap();
    |listener| listener.bind = vec![address]
}

/// Checks that nobody listens at this port.
fn refused(port: u16) {
    let error = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// A client that has sent a byte and hears nothing.
fn waits(address: &str) -> Client {
    let mut client = Client::try_connect(address).unwrap();
    client.send("x");
    assert!(client.hears_nothing());
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_refused_until_it_is_bound_and_wait_until_it_runs() -> TestResult {
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", at(&port));
    let mut server = Server::load(config).await?;
    refused(port.number());
    assert_eq!(server.listening(), []);
    assert_eq!(server.status().listener("a").unwrap().state, State::Created);
    assert_eq!(server.status().listener("a").unwrap().addresses, [port.address()]);

    server.bind().await?;
    assert_eq!(server.status().listener("a").unwrap().state, State::Bound);
    let mut client = waits(&port.address());

    let server = Local::run(server);
    assert_eq!(client.receive(1), "x");
    assert_eq!(server.listener("a").await.state, State::Accepting);
    server.connect("a").is_echoed();
    drop(client);
    assert_eq!(server.drain().await.cut, 0);
    refused(port.number());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_the_kernel_picks_is_known_when_it_is_bound() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a", "b"])).await?;
    server.bind().await?;
    let listening = server.listening();
    let names: Vec<_> = listening.iter().map(|on| on.listener.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(listening[0].to_string(), format!("listening on {} (a)", listening[0].address));
    let mut clients: Vec<_> = listening.iter().map(|on| waits(&on.address)).collect();
    // A server that is bound stays so.
    server.bind().await?;
    assert_eq!(server.listening(), listening);
    let server = Local::run(server);
    for client in &mut clients {
        assert_eq!(client.receive(1), "x");
        client.end();
        client.ends_in_good_order();
    }
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_binds_when_it_runs_if_that_was_not_done() -> TestResult {
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", at(&port));
    let server = Local::run(Server::load(config).await?);
    server.becomes("a", State::Accepting).await;
    Client::try_connect(&port.address())?.is_echoed();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_before_it_ran_serves_nobody() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a"])).await?;
    server.bind().await?;
    let address = server.listening()[0].address.clone();
    let mut client = waits(&address);
    server.control().stop();
    assert_eq!(server.run().await?.cut, 0);
    assert!(client.rest().unwrap_or_default().is_empty(), "it was served");
    assert!(Client::try_connect(&address).is_err());

    // The same without sockets: there are none for a moment either.
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", at(&port));
    // A listener that could not be bound would be an error.
    let _taken = port.take();
    let server = Server::load(config).await?;
    server.control().stop();
    assert_eq!(server.run().await?.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_before_it_runs_serves_those_who_wait_and_nobody_else() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a"])).await?;
    server.bind().await?;
    let address = server.listening()[0].address.clone();
    let mut client = waits(&address);
    server.control().drain();
    let server = Local::run(server);
    assert_eq!(client.receive(1), "x");
    assert!(Client::try_connect(&address).is_err());
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    assert_eq!(server.ended().await?.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_is_ready_drains_at_once() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a"])).await?;
    server.bind().await?;
    let address = server.listening()[0].address.clone();
    let mut client = waits(&address);
    let running = tokio::spawn(server.run_until(ready(())));
    assert_eq!(client.receive(1), "x");
    client.end();
    client.ends_in_good_order();
    assert_eq!(running.await??.cut, 0);
    assert!(Client::try_connect(&address).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_comes_later_drains_then() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a"])).await?;
    server.bind().await?;
    let address = server.listening()[0].address.clone();
    let (shutdown, asked) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run_until(async { drop(asked.await) }));
    let mut client = Client::try_connect(&address)?;
    client.is_echoed();
    drop(shutdown);
    crate::harness::wait_until("nobody listens", || Client::try_connect(&address).is_err());
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    assert_eq!(running.await??.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_listeners_are_told_before_it_runs_is_done_when_it_runs() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["first", "second", "third"])).await?;
    server.bind().await?;
    let control = server.control();
    let (suspended, stopped, server) = tokio::join!(
        biased;
        control.suspend("first"),
        control.drain_listener("second", None),
        async { Local::run(server) },
    );
    suspended?;
    assert_eq!(stopped?, 0);
    refused(server.port("second"));
    let mut client = waits(server.address("first"));
    server.connect("third").is_echoed();
    let listeners = server.status().await.listeners;
    let states: Vec<_> = listeners.iter().map(|listener| listener.state).collect();
    assert_eq!(states, [State::Suspended, State::Stopped, State::Accepting]);

    control.resume("first").await?;
    assert_eq!(client.receive(1), "x");
    control.start("second").await?;
    server.connect("second").is_echoed();
    drop(client);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_stopped_before_it_was_bound_is_not_bound() -> TestResult {
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a", "b"]);
    edit(&mut config, "a", at(&port));
    // If it were bound, that would be an error.
    let taken = port.take();
    let server = Server::load(config).await?;
    let control = server.control();
    let (stopped, server) = tokio::join!(
        biased;
        control.drain_listener("a", None),
        async { Local::run(server) },
    );
    assert_eq!(stopped?, 0);
    server.becomes("b", State::Accepting).await;
    assert_eq!(server.listener("a").await.state, State::Stopped);
    drop(taken);
    control.start("a").await?;
    Client::try_connect(&port.address())?.is_echoed();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_named_and_binding_can_be_tried_again() -> TestResult {
    let (free, taken) = (Port::new(), Port::new());
    let mut config = config(&plugin("echo"), &["free", "taken"]);
    edit(&mut config, "free", at(&free));
    edit(&mut config, "taken", at(&taken));
    let mut server = Server::load(config).await?;
    let other = taken.take();
    for _ in 0..2 {
        let said = server.bind().await.unwrap_err().to_string();
        let expected = format!("cannot listen on {}: it is taken by another", taken.address());
        assert!(said.contains(&expected), "{said}");
        assert_eq!(server.listening(), []);
        refused(free.number());
    }
    drop(other);
    server.bind().await?;
    let server = Local::run(server);
    for name in ["free", "taken"] {
        server.connect(name).is_echoed();
    }
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_fails_with_the_address_that_could_not_be_bound() -> TestResult {
    let port = Port::new();
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", at(&port));
    let _other = port.take();
    let said = Server::load(config).await?.run().await.unwrap_err().to_string();
    assert!(said.contains(&port.address()), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dropped_closes_its_ports() -> TestResult {
    let mut server = Server::load(config(&plugin("echo"), &["a"])).await?;
    server.bind().await?;
    let address = server.listening()[0].address.clone();
    drop(server);
    crate::harness::wait_until("nobody listens", || Client::try_connect(&address).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_steers_a_server_that_has_ended_is_told_so() -> TestResult {
    let server = Local::start(config(&plugin("echo"), &["a"])).await;
    let control = server.control().clone();
    server.drain().await;
    let said = control.status().await.unwrap_err().to_string();
    assert_eq!(said, "the server has ended");
    control.drain();
    control.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_debug_text_names_listeners_and_handlers_and_has_no_secret() -> TestResult {
    let mut config = config(&plugin("echo"), &["front"]);
    let handler = Arc::make_mut(&mut config.handlers[0]);
    handler.env = Environment(vec![("TOKEN".into(), "hunter2".into())]);
    let mut server = Server::load(config).await?;
    server.bind().await?;
    let text = format!("{server:?}");
    assert!(text.contains("front") && text.contains("echo"), "{text}");
    assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    Ok(())
}
