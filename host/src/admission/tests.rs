use std::time::Duration;

use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn at_most(n: u32) -> Bounds {
    Bounds { most: Some(number(n)), ..Bounds::default() }
}

fn pool(name: &str) -> Bounds {
    Bounds { pool: Some(name.into()), ..Bounds::default() }
}

#[tokio::test]
async fn the_server_bounds_all_listeners_together() {
    let admission = Admission::new(2, number(1), 1);
    let a = admission.gate(&Bounds::default(), Opening::Plaintext);
    let b = admission.gate(&at_most(1), Opening::Plaintext);
    let first = b.enter().await;
    assert!(b.try_enter().is_none(), "over the listener's bound");
    let second = a.enter().await;
    assert!(a.try_enter().is_none(), "over the server's bound");
    drop(first);
    assert!(b.try_enter().is_some());
    drop(second);
    assert_eq!(admission.free(), 2);
}

#[tokio::test]
async fn a_bound_that_changes_counts_those_who_are_in() {
    let admission = Admission::new(10, number(1), 1);
    let mut gate = admission.gate(&at_most(2), Opening::Plaintext);
    let (first, second) = (gate.enter().await, gate.enter().await);
    gate.set(&at_most(1));
    drop(first);
    assert!(gate.try_enter().is_none(), "one is in, and there may be one");
    let waiting = gate.clone();
    let waits = tokio::spawn(async move { waiting.enter().await });
    tokio::task::yield_now().await;
    gate.set(&at_most(2));
    let third = waits.await.unwrap();
    drop((second, third));
    assert_eq!(admission.free(), 10);
    admission.resize(3);
    assert_eq!(admission.free(), 3);
}

#[tokio::test]
async fn what_leaves_no_place_is_named() {
    let admission = Admission::new(1, number(1), 1);
    admission.set_pools([("small", number(1))]);
    let plain = |bounds: &Bounds| admission.gate(bounds, Opening::Plaintext);
    let _all = plain(&Bounds::default()).enter().await;
    assert_eq!(plain(&at_most(1)).no_place(), "it is full (server.max_connections)");
    let admission = Admission::new(10, number(1), 1);
    admission.set_pools([("small", number(1))]);
    let gates = [
        (Bounds::default(), Opening::Handshake, "it is full (server.max_handshakes)"),
        (Bounds::default(), Opening::Datagram, "it is full (server.max_flows)"),
        (pool("small"), Opening::Plaintext, "it is full (size of the pool)"),
        (
            Bounds { queue: Some(number(1)), ..at_most(1) },
            Opening::Plaintext,
            "it is full (max_connections or spawn of the listener)",
        ),
    ];
    for (bounds, opening, why) in gates {
        let gate = admission.gate(&bounds, opening);
        assert_eq!(gate.no_place(), "it is full", "nobody is there");
        let _place = gate.enter().await;
        assert_eq!(gate.no_place(), why);
        if let Some(_queued) = gate.try_queue(SECOND) {
            assert_eq!(gate.no_place(), "the queue is full (when_full)");
        }
    }
}

#[tokio::test]
async fn listeners_share_the_places_of_a_pool() {
    let admission = Admission::new(10, number(1), 1);
    admission.set_pools([("small", number(1))]);
    let gates = [(); 2].map(|()| admission.gate(&pool("small"), Opening::Plaintext));
    let other = admission.gate(&Bounds::default(), Opening::Plaintext);
    let first = gates[0].enter().await;
    assert!(gates[1].try_enter().is_none() && other.try_enter().is_some());
    let waiting = gates[1].clone();
    let waits = tokio::spawn(async move { waiting.enter().await });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    admission.set_pools([("small", number(2))]);
    drop((first, waits.await.unwrap()));
    let both = [gates[0].try_enter().unwrap(), gates[1].try_enter().unwrap()];
    assert!(gates[0].try_enter().is_none());
    drop(both);
    assert_eq!(admission.free(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_served_in_its_order_and_before_newcomers() {
    let admission = Admission::new(10, number(1), 1);
    let bounds = Bounds { queue: Some(number(2)), ..at_most(1) };
    let gate = admission.gate(&bounds, Opening::Plaintext);
    let place = gate.try_enter().unwrap();
    let queued = [(); 2].map(|()| gate.try_queue(60 * SECOND).unwrap());
    assert!(gate.try_queue(SECOND).is_none(), "the queue is full");
    let [first, second] = queued.map(|entry| tokio::spawn(entry.connection()));
    tokio::task::yield_now().await;
    drop(place);
    assert!(gate.try_enter().is_none(), "others came first");
    let first = first.await.unwrap().unwrap();
    assert!(!second.is_finished());
    drop(first);
    drop(second.await.unwrap().unwrap());
    assert!(gate.try_enter().is_some());
    assert_eq!(admission.free(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_a_queue_is_that_of_arrival_whoever_begins_to_wait_first() {
    let admission = Admission::new(10, number(1), 1);
    admission.set_pools([("small", number(1))]);
    for bounds in [at_most(1), pool("small")] {
        let bounds = Bounds { queue: Some(number(4)), ..bounds };
        let gate = admission.gate(&bounds, Opening::Plaintext);
        let mut place = gate.try_enter().unwrap().connection().await.unwrap();
        let queued = [(); 4].map(|()| gate.try_queue(60 * SECOND).unwrap());
        let mut waiting = Vec::new();
        for (number, entry) in queued.into_iter().enumerate().rev() {
            waiting.insert(0, (number, tokio::spawn(entry.connection())));
            tokio::task::yield_now().await;
        }
        // One gives up.
        waiting.remove(1).1.abort();
        while !waiting.is_empty() {
            drop(place);
            let (number, first) = waiting.remove(0);
            place = tokio::time::timeout(SECOND, first)
                .await
                .unwrap_or_else(|_| panic!("{bounds:?}: it is the turn of {number}"))
                .unwrap()
                .unwrap();
        }
        drop(place);
        assert!(gate.try_enter().is_some());
    }
    assert_eq!(admission.free(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_the_queue_has_an_end() {
    let admission = Admission::new(1, number(1), 1);
    let bounds = Bounds { queue: Some(number(1)), ..Bounds::default() };
    let gate = admission.gate(&bounds, Opening::Plaintext);
    let place = gate.try_enter().unwrap();
    let began = Instant::now();
    let queued = gate.try_queue(2 * SECOND).unwrap();
    assert_eq!(queued.connection().await.unwrap_err(), Full);
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert!(gate.try_queue(SECOND).is_some(), "its place in the queue is free");
    drop(place);
    assert_eq!(admission.free(), 1);
}

#[tokio::test]
async fn flows_do_not_use_up_connections() {
    let admission = Admission::new(1, number(1), 1);
    let flows = admission.gate(&Bounds::default(), Opening::Datagram);
    let flow = flows.try_enter().unwrap();
    assert!(flows.try_enter().is_none());
    assert_eq!((admission.free(), admission.flows()), (1, 1));
    drop(flow);
    assert_eq!(admission.flows(), 0);
}

#[tokio::test]
async fn handshakes_do_not_use_up_connections() {
    let admission = Admission::new(1, number(2), 1);
    let gate = admission.gate(&Bounds::default(), Opening::Handshake);
    let (first, second) = (gate.enter().await, gate.enter().await);
    assert!(gate.try_enter().is_none(), "over the bound of handshakes");
    assert_eq!(admission.free(), 1);
    let place = first.connection().await.unwrap();
    assert!(gate.try_enter().is_some(), "a finished handshake gives its permit back");
    let waits = tokio::spawn(second.connection());
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    drop(place);
    drop(waits.await.unwrap());
    assert_eq!(admission.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_silent_handshake_makes_room() {
    let admission = Admission::new(1, number(2), 1);
    let gate = admission.gate(&Bounds::default(), Opening::Handshake);
    let begin = || gate.try_enter().map(|entry| entry.handshake().unwrap());
    let (heard, silent) = (begin().unwrap(), begin().unwrap());
    heard.heard();
    let newcomer = begin().unwrap();
    silent.lost().await;
    assert!(!silent.done(), "its place has gone");
    newcomer.heard();
    assert!(begin().is_none(), "both clients have said something");
    heard.failed();
    let last = begin().unwrap();
    heard.lost().await;
    // It fails in the same moment as it loses its place, and is in nobody's way.
    heard.failed();
    drop(last);
    let last = begin().unwrap();
    drop((heard, silent));
    last.heard();
    assert!(begin().is_none(), "who has lost a place does not give it back");
    let waiting = gate.clone();
    let waits = tokio::spawn(async move { drop(waiting.enter().await) });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    drop(last);
    waits.await.unwrap();
    drop(newcomer);
    assert!(begin().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_gets_that_of_one_who_begins_and_is_silent() {
    let admission = Admission::new(1, number(1), 1);
    let gate = admission.gate(&Bounds::default(), Opening::Handshake);
    let entry = gate.try_enter().unwrap();
    let waiting = gate.clone();
    let waits = tokio::spawn(async move { waiting.enter().await });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished(), "whose place that is has not begun");
    let silent = entry.handshake().unwrap();
    let began = Instant::now();
    let _place = tokio::time::timeout(SECOND, waits).await.unwrap().unwrap();
    silent.lost().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_answered_and_is_late_makes_room_unless_it_is_done() {
    let admission = Admission::new(1, number(2), 1);
    let gate = admission.gate(&Bounds::default(), Opening::Handshake);
    let begin = || gate.try_enter().map(|entry| entry.handshake().unwrap());
    let (done, late) = (begin().unwrap(), begin().unwrap());
    done.heard();
    late.heard();
    assert!(done.done());
    assert!(begin().is_none(), "nobody is late yet");
    let start = Instant::now();
    let _place = gate.enter().await;
    assert_eq!(start.elapsed(), SECOND);
    late.lost().await;
    assert!(!late.done());
    tokio::time::advance(60 * SECOND).await;
    assert!(done.done() && gate.try_enter().is_none());
}

#[tokio::test(start_paused = true)]
async fn behind_a_handshake_there_is_the_queue() {
    let admission = Admission::new(1, number(1), 1);
    let bounds = Bounds { queue: Some(number(1)), ..Bounds::default() };
    let gate = admission.gate(&bounds, Opening::Handshake);
    assert!(gate.try_queue(SECOND).is_none(), "not before it");
    let first = gate.try_enter().unwrap().handshake().unwrap();
    let place = first.try_connection().unwrap();
    assert!(first.try_connection().is_none());
    let waits = tokio::spawn(first.queued(60 * SECOND));
    tokio::task::yield_now().await;
    let second = gate.try_enter().unwrap().handshake().unwrap();
    assert_eq!(second.queued(SECOND).await.unwrap_err(), Full);
    drop(place);
    drop(waits.await.unwrap().unwrap());
    assert_eq!(admission.free(), 1);
}

#[tokio::test]
async fn a_wait_that_is_given_up_keeps_nothing() {
    let admission = Admission::new(1, number(1), 1);
    let full = admission.gate(&Bounds::default(), Opening::Plaintext);
    let gate = admission.gate(&at_most(1), Opening::Plaintext);
    let place = full.enter().await;
    let waits = tokio::spawn(async move { drop(gate.enter().await) });
    tokio::task::yield_now().await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    drop(place);
    assert_eq!(admission.free(), 1);
}

#[tokio::test]
async fn whoever_waits_for_descriptors_hears_of_a_connection_that_goes() {
    let admission = Admission::new(1, number(1), 1);
    let gate = admission.gate(&Bounds::default(), Opening::Plaintext);
    let place = gate.try_enter().unwrap();
    let mut departure = std::pin::pin!(gate.departure());
    assert!(!departure.as_mut().enable());
    drop(place);
    departure.await;
}
