//! What else WASI offers: clocks, random, the end of a program, and what is not offered.

use portcell::exit::Exit;

use crate::harness::Guest;

#[tokio::test]
async fn the_clocks_are_the_time_and_one_that_does_not_go_back() {
    let calls = [
        "clock_time_get 0 0 128",
        "tell64 128",
        "clock_time_get 1 0 128",
        "tell64 128",
        "clock_time_get 1 0 128",
        "tell64 128",
    ];
    let told = Guest::calls(&calls).serve().await.tells().await;
    let number = |at: usize| told[at].parse::<u128>().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_nanos();
    assert!(number(1) <= now && now - number(1) < 60_000_000_000, "{told:?}");
    assert!(number(5) >= number(3), "{told:?}");
}

#[tokio::test]
async fn clocks_of_cpu_time_are_not_offered() {
    let calls = ["clock_time_get 2 0 128", "clock_time_get 3 0 128", "clock_time_get -1 0 128"];
    assert_eq!(Guest::calls(&calls).serve().await.tells().await, ["28", "28", "28"]);
    let calls = ["clock_res_get 0 128", "clock_res_get 1 128"];
    assert_eq!(Guest::calls(&calls).serve().await.tells().await, ["0", "0"]);
}

#[tokio::test]
async fn random_fills_what_it_is_asked_for_up_to_a_bound() {
    let calls = ["random_get 128 8", "random_get 136 8", "tell64 128", "tell64 136", "tell64 144"];
    let told = Guest::calls(&calls).serve().await.tells().await;
    assert_eq!(told[..2], ["0", "0"]);
    assert_ne!(told[2], told[3]);
    assert_eq!(told[4], "0", "no more than was asked for");
    let calls = ["random_get 0 0", "random_get 0 65536", "random_get 0 65537", "random_get 0 -1"];
    // The script's own place in memory is overwritten: the results are those of the calls still.
    assert_eq!(Guest::calls(&calls).serve().await.tells().await, ["0", "0", "28", "28"]);
    let exit = Guest::calls(&["random_get 65000 60000"]).serve().await.exit().await;
    assert!(matches!(exit, Exit::Trap(_)));
}

#[tokio::test]
async fn two_instances_do_not_get_the_same_random_bytes() {
    let guest = Guest::calls(&["random_get 128 8", "tell64 128"]);
    assert_ne!(guest.clone().serve().await.tells().await, guest.serve().await.tells().await);
}

#[tokio::test]
async fn the_code_of_proc_exit_is_how_it_ended() {
    for (code, exit) in [
        ("0", Exit::Ok),
        ("3", Exit::Failed(3)),
        ("-1", Exit::Failed(-1)),
        ("255", Exit::Failed(255)),
    ] {
        let call = format!("proc_exit {code}");
        let mut command = Guest::command(&[], &["write 0 64 2", &call, "trap"]).serve().await;
        assert_eq!(command.peer.receive(2).await.len(), 2);
        assert_eq!(command.exit().await, exit);
        assert_eq!(Guest::calls(&[&call, "trap"]).serve().await.exit().await, exit);
    }
}

#[tokio::test]
async fn sockets_of_wasi_are_not_offered() {
    let calls = [
        "sock_accept 0 0 128",
        "sock_recv 0 256 1 0 128 132",
        "sock_send 0 256 1 0 128",
        "sock_shutdown 0 1",
    ];
    assert_eq!(Guest::command(&[], &calls).serve().await.tells().await, vec!["58"; 4]);
}

#[tokio::test]
async fn yielding_succeeds() {
    let calls = ["sched_yield", "sched_yield"];
    assert_eq!(Guest::command(&[], &calls).serve().await.tells().await, ["0", "0"]);
}
