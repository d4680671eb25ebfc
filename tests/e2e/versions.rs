//! Versions of a handler: in service, kept, left; steered through the library.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::future::{Future as _, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use portcell::Server;
use portcell::config::HandlerConfig;
use portcell::server::VersionState::{InService, Kept, Leaving};
use portcell::server::{HandlerStatus, VersionState};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::TestResult;
use crate::harness::{Client, Folder, Local, config, until};

async fn handler(server: &Local) -> HandlerStatus {
    server.status().await.handlers.remove(0)
}

/// Numbers, states and connections of the versions that there are.
async fn versions(server: &Local) -> Vec<(u64, VersionState, usize)> {
    let versions = handler(server).await.versions;
    versions.into_iter().map(|one| (one.version, one.state, one.connections)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_goes_back_to_the_version_before_and_stays_there() -> TestResult {
    let folder = Folder::new();
    let config = config(&folder.version("module", "first-"), &["l"]);
    let server = Local::start(config.clone()).await;
    let control = server.control();
    let mut first = server.connect("l");
    assert_eq!(first.ask(""), "first- 1");
    folder.version("module", "second");
    assert_eq!(control.reload_handler("module").await?, 2);
    folder.version("module", "third-");
    assert_eq!(control.reload_handler("module").await?, 3);
    assert_eq!(control.reload_handler("module").await?, 3, "nothing is new");

    assert_eq!(control.rollback("module").await?, 2);
    assert_eq!(server.connect("l").ask(""), "second 2");
    // Its file has the third one still, and nobody has asked for it.
    control.apply(config.clone()).await?;
    assert_eq!(server.connect("l").ask(""), "second 2");
    assert_eq!(control.rollback("module").await?, 1);
    assert_eq!(server.connect("l").ask(""), "first- 1");
    let said = control.rollback("module").await.unwrap_err().to_string();
    assert_eq!(said, "handler module has no version before v1 to go back to");
    assert_eq!(control.reload_handler("module").await?, 3);
    assert_eq!(server.connect("l").ask(""), "third- 3");

    // Another module in the file is taken again, with a number of its own.
    assert_eq!(control.rollback("module").await?, 2);
    folder.version("module", "fourth");
    control.apply(config).await?;
    assert_eq!(server.connect("l").ask(""), "fourth 4");
    assert_eq!(first.ask(""), "first- 1");
    let said = control.rollback("modul").await.unwrap_err().to_string();
    assert_eq!(said, "there is no handler `modul`; did you mean `module`?");
    drop(first);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_versions_with_their_connections() -> TestResult {
    let folder = Folder::new();
    let server = Local::start(config(&folder.version("module", "mod001"), &["l", "m"])).await;
    let control = server.control();
    let asks = |listener| {
        let mut client = server.connect(listener);
        client.ask("");
        client
    };
    let of_first = [asks("l"), asks("m")];
    for version in 2..=5 {
        folder.version("module", &format!("mod{version:03}"));
        assert_eq!(control.reload_handler("module").await?, version);
    }
    let of_fifth = asks("l");
    let all = [(1, Leaving, 2), (2, Kept, 0), (3, Kept, 0), (4, Kept, 0), (5, InService, 1)];
    assert_eq!(versions(&server).await, all);
    let status = handler(&server).await;
    assert_eq!((status.version, status.error), (5, None));
    let in_service = status.versions.last().unwrap();
    assert_eq!((&in_service.digest, &in_service.loaded), (&status.digest, &status.loaded));

    // Connections of two terms of one version count together.
    assert_eq!(control.rollback("module").await?, 4);
    assert_eq!(control.reload_handler("module").await?, 5);
    let again = asks("m");
    assert_eq!(versions(&server).await.last(), Some(&(5, InService, 2)));
    for client in of_first.into_iter().chain([of_fifth, again]) {
        client.leaves();
    }
    until("the old version is gone", async || {
        let all = [(2, Kept, 0), (3, Kept, 0), (4, Kept, 0), (5, InService, 0)];
        (versions(&server).await == all).then_some(())
    })
    .await;
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_load_is_told_until_there_is_a_good_one() -> TestResult {
    let folder = Folder::new();
    let config = config(&folder.version("module", "first-"), &["l"]);
    let server = Local::start(config.clone()).await;
    let control = server.control();
    folder.write("module.wasm", "");
    assert!(control.reload_handler("module").await.is_err());
    let failed = handler(&server).await.error.unwrap();
    assert!(
        failed.error.ends_with("module.wasm: is empty; was the build interrupted?"),
        "{failed:?}"
    );
    assert!(control.apply(config).await.is_err());
    assert_eq!(server.connect("l").ask(""), "first- 1");
    folder.wat(
        "module",
        r#"(module (memory (export "memory") 1) (func (export "handle") unreachable))"#,
    );
    assert!(control.reload_handler("module").await.is_err());
    let failed = handler(&server).await.error.unwrap();
    assert!(failed.error.contains("the trial of v2 failed"), "{failed:?}");
    folder.version("module", "first-");
    assert_eq!(control.reload_handler("module").await?, 1);
    assert_eq!(handler(&server).await.error, None);
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_an_old_version_are_asked_to_finish_and_cut_then() -> TestResult {
    let folder = Folder::new();
    let module = folder.guest("does_as_told");
    let mut config = config(&module, &["l"]);
    config.server.drain_timeout = None;
    let brief = Some(Duration::from_millis(50));
    let old = HandlerConfig::clone(&config.handlers[0]);
    let with =
        |module: &Path| HandlerConfig { module: module.into(), retire_after: brief, ..old.clone() };
    config.handlers = vec![with(&module).into()];
    let server = Local::start(config.clone()).await;
    let tell = |told: &str| {
        let mut client = server.connect("l");
        client.send(told);
        client
    };
    let is_echoed = |client: &mut Client| {
        client.send("e");
        assert_eq!(client.receive(1), "e");
    };
    let (mut asks, mut stays) = (tell("d"), tell(""));
    is_echoed(&mut stays);
    let next = folder.version("next", "second");
    assert_eq!(server.control().swap("does_as_told", &next).await?, 2);
    let mut new = server.connect("l");
    assert_eq!(new.ask(""), "second 2");
    assert_eq!(asks.rest()?, b"d", "it asks for the drain, and ends by itself");
    is_echoed(&mut stays);
    // As long as a drain may take, and no longer.
    config.handlers = vec![with(&next).into()];
    config.server.drain_timeout = brief;
    server.control().apply(config).await?;
    stays.is_reset();
    assert_eq!(new.ask(""), "second 2");
    new.leaves();
    assert_eq!(server.drain().await.cut, 0, "the end of the server has cut none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_made_in_the_order_in_which_they_are_asked_for() -> TestResult {
    let folder = Folder::new();
    let [first, second, third] = ["first-", "second", "third-"].map(|tag| folder.version(tag, tag));
    let server = Local::start(config(&first, &["l"])).await;
    let control = server.control();
    let (to_second, to_third, back) = tokio::join!(
        biased;
        control.swap("first-", second),
        control.swap("first-", third),
        control.rollback("first-"),
    );
    assert_eq!((to_second?, to_third?, back?), (2, 3, 2));
    assert_eq!(server.connect("l").ask(""), "second 2");
    server.drain().await;
    Ok(())
}

/// A module that takes a while to compile.
fn large() -> String {
    let mut text =
        String::from("(module (memory (export \"memory\") 1) (func (export \"handle\"))");
    let step = "(local.set 0 (i32.rotl (i32.mul (local.get 0) (i32.const 77)) (local.get 0)))";
    for _ in 0..1500 {
        let _ = write!(text, "(func (param i32) (result i32) {} (local.get 0))", step.repeat(60));
    }
    text + ")"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_module_is_compiled_the_server_listens_to_others_and_ends_when_it_is_told()
-> TestResult {
    let folder = Folder::new();
    let server = Local::start(config(&folder.version("module", "first-"), &["l"])).await;
    let control = server.control().clone();
    let large = folder.wat("large", &large());
    let mut swapping = Box::pin(control.swap("module", large));
    let status = tokio::select! {
        biased;
        swapped = &mut swapping => panic!("{swapped:?}"),
        status = control.status() => status?,
    };
    assert_eq!(status.handlers[0].version, 1);
    assert_eq!(server.connect("l").ask(""), "first- 1");
    let (swapped, ended) = tokio::join!(swapping, server.drain());
    assert_eq!(swapped.unwrap_err().to_string(), "the server is draining, and then ends");
    assert_eq!(ended.cut, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_old_versions_only_those_that_did_not_come_back_are_retired() -> TestResult {
    let folder = Folder::new();
    let mut config = config(&folder.guest("does_as_told"), &["l"]);
    let brief = Some(Duration::from_millis(50));
    config.server.drain_timeout = brief;
    let server = Local::start(config.clone()).await;
    let control = server.control();
    let mut first = server.connect("l");
    let mut is_echoed = || {
        first.send("e");
        assert_eq!(first.receive(1), "e");
    };
    is_echoed();
    let mut of_others = Vec::new();
    for (number, tag) in [(2, "second"), (3, "third-")] {
        assert_eq!(control.swap("does_as_told", folder.version(tag, tag)).await?, number);
        let mut client = server.connect("l");
        assert_eq!(client.ask(""), format!("{tag} {number}"));
        of_others.push(client);
    }
    // Both are leaving when the first one comes back, with a bound for those that leave.
    assert_eq!(control.rollback("does_as_told").await?, 2);
    assert_eq!(control.rollback("does_as_told").await?, 1);
    let handler = HandlerConfig::clone(&config.handlers[0]);
    config.handlers = vec![HandlerConfig { retire_after: brief, ..handler }.into()];
    control.apply(config).await?;
    for mut client in of_others {
        client.is_reset();
    }
    let left = [(1, InService, 1), (2, Kept, 0), (3, Kept, 0)];
    until("they are gone", async || (versions(&server).await == left).then_some(())).await;
    is_echoed();
    first.leaves();
    server.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_from_before_the_start_holds_up_nobody() -> TestResult {
    let folder = Folder::new();
    let module = folder.version("module", "first-");
    let mut server = Server::load(config(&module, &["l"])).await?;
    let source = folder.at("config");
    mkfifoat(CWD, &source, Mode::RWXU)?;
    let writer = Pipe(source.clone());
    server.reads_from(source);
    server.bind().await?;
    let control = server.control();
    let mut reload = pin!(control.reload());
    // It is asked for when it is polled for the first time.
    assert!(poll_fn(|cx| Poll::Ready(reload.as_mut().poll(cx).is_pending())).await);
    let server = Local::run(server);
    assert_eq!(server.connect("l").ask(""), "first- 1");
    server.drain().await;
    assert!(reload.await.is_err());
    drop(writer);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_changes_wait_and_no_more() -> TestResult {
    let folder = Folder::new();
    let module = folder.version("module", "first-");
    let mut server = Server::load(config(&module, &["l"])).await?;
    // The first reload waits for somebody to write its configuration.
    let source = folder.at("config");
    mkfifoat(CWD, &source, Mode::RWXU)?;
    let writer = Pipe(source.clone());
    server.reads_from(source);
    server.bind().await?;
    let server = Local::run(server);
    let reloads: Vec<_> = (0..66)
        .map(|_| {
            let control = server.control().clone();
            tokio::spawn(async move { control.reload().await })
        })
        .collect();
    let refused = until("one is refused", async || {
        let swaps = server.status().await.reloads;
        swaps.last.and_then(|last| last.error)
    });
    assert_eq!(refused.await, "64 changes wait already; try again when they are made");
    assert_eq!(server.status().await.reloads.refused, 1);
    server.connect("l").leaves();
    server.drain().await;
    for reload in reloads {
        assert!(reload.await?.is_err());
    }
    drop(writer);
    Ok(())
}

/// A named pipe whose reader waits no longer when this is dropped, also by a test that fails.
struct Pipe(PathBuf);

impl Drop for Pipe {
    fn drop(&mut self) {
        // Who opens it to read and to write waits for nobody (fifo(7)). Who reads finds its end then,
        // and who comes later finds nothing.
        let _open = OpenOptions::new().read(true).write(true).open(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}
