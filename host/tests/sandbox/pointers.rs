//! Pointers and lengths at every edge of the memory, for every host call that takes them.

use portcell::exit::Exit;

use crate::harness::{Guest, loader};

/// One page of memory; `P` and `L` stand for a pointer and a length.
const CALLS: [&str; 7] = [
    "read 0 P L",
    "write 0 P L",
    "info P L 64 16",
    "info 64 16 P L",
    "log 3 P L",
    "start_tls 0 P L 64 16",
    "start_tls 0 64 16 P L",
];

/// Ranges that are inside, as far as pointers go.
const INSIDE: [(i64, i64); 4] = [(0, 0), (65536, 0), (65535, 1), (64, 65472)];

/// Ranges that are not: beyond the end, and those whose sum wraps.
const OUTSIDE: [(i64, i64); 14] = [
    (65537, 0),
    (65536, 1),
    (65535, 2),
    (0, 65537),
    (1, 65536),
    (-1, 0),
    (-1, 1),
    (-1, 2),
    (-16, 32),
    (-65536, 65536),
    (-2_147_483_648, 0),
    (-2_147_483_648, 1),
    (0, 2_147_483_647),
    (-1, 2_147_483_647),
];

fn call(pattern: &str, (pointer, length): (i64, i64)) -> String {
    pattern.replace('P', &pointer.to_string()).replace('L', &length.to_string())
}

#[tokio::test]
async fn ranges_outside_the_memory_trap() {
    for pattern in CALLS {
        for range in OUTSIDE {
            let call = call(pattern, range);
            let mut served = Guest::calls(&[&call]).serve().await;
            match served.exit().await {
                Exit::Trap(detail) => {
                    let name = pattern.split(' ').next().unwrap();
                    assert!(detail.starts_with(&format!("{name}: 0x")), "{call}: {detail}");
                    assert!(detail.contains("is outside the guest's memory"), "{call}: {detail}");
                }
                exit => panic!("{call}: {exit}"),
            }
        }
    }
}

#[tokio::test]
async fn ranges_that_touch_the_end_of_the_memory_are_inside() {
    for pattern in CALLS {
        for range in INSIDE {
            let call = call(pattern, range);
            let mut served = Guest::calls(&[&call]).serve().await;
            served.peer.send(b"x").await;
            assert_eq!(served.exit().await, Exit::Ok, "{call}");
        }
    }
}

#[tokio::test]
async fn records_of_poll_outside_the_memory_trap() {
    for (pointer, count) in [(65536, 1), (65529, 1), (65536 - 511, 64), (-8, 1), (-8, 2), (-1, 1)] {
        let call = format!("poll {pointer} {count} 0");
        let exit = Guest::calls(&[&call]).serve().await.exit().await;
        assert!(matches!(&exit, Exit::Trap(_)), "{call}: {exit}");
    }
    for (pointer, count) in [(65528, 1), (65536 - 512, 64), (65536, 0)] {
        let call = format!("poll {pointer} {count} 0");
        assert_eq!(Guest::calls(&[&call]).serve().await.exit().await, Exit::Ok, "{call}");
    }
    let exit = Guest::calls(&["poll 65537 0 0"]).serve().await.exit().await;
    assert!(matches!(&exit, Exit::Trap(_)), "{exit}");
}

#[tokio::test]
async fn a_pointer_is_good_as_soon_as_the_memory_has_grown() {
    let calls = ["grow 1", "read 0 131071 1", "read 0 131071 2"];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.send(b"x").await;
    assert!(matches!(cell.exit().await, Exit::Trap(_)));
    assert_eq!(cell.told(), ["1", "1"]);
}

#[tokio::test]
async fn a_guest_that_points_outside_is_trapped_where_it_did() {
    let exit = Guest::wat("points_outside").serve().await.exit().await;
    let said = "write: 0xffffffff..+16 is outside the guest's memory in `reach_out`";
    assert_eq!(exit, Exit::Trap(said.into()));
}

#[tokio::test]
async fn every_function_of_wasi_stands_hostile_arguments() {
    // What pointers, lengths, counts and descriptors can be at their edges, and plain ones.
    let corners: [i64; 9] = [0, 1, 3, 8, 65528, 65536, -1, -8, i32::MIN.into()];
    let mut state = 0x2545_f491_u32;
    let mut random = || {
        // Xorshift: the same arguments in every run.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize
    };
    for import in loader().offered().iter().filter(|import| import.module.starts_with("wasi")) {
        let parameters = import.signature.split(" -> ").next().unwrap().matches('i').count();
        for round in 0..24 {
            // The same corner everywhere first, then mixtures.
            let mut pick =
                || corners[if round < corners.len() { round } else { random() % corners.len() }];
            let arguments: Vec<String> = (0..parameters).map(|_| pick().to_string()).collect();
            let call = format!("{} {}", import.name, arguments.join(" "));
            let guest = Guest::command(&[], &[&call]).with("lifetime", "5s").with("dir", "/::/");
            let mut served = guest.serve().await;
            served.peer.end().await;
            let exit = served.exit().await;
            assert!(matches!(exit, Exit::Ok | Exit::Trap(_) | Exit::Failed(_)), "{call}: {exit}");
        }
    }
}
