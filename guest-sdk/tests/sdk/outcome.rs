//! What a handler's end means for the host.

use std::io::{ErrorKind, Read};

use portcell_sdk::{Connection, run};

#[test]
fn success_is_exit_code_0() {
    assert_eq!(run(|_: Connection| ()), 0);
    assert_eq!(run(|_: Connection| Ok::<(), String>(())), 0);
}

#[test]
fn an_error_is_exit_code_1() {
    assert_eq!(run(|_: Connection| Err("no such page")), 1);
}

#[test]
fn without_a_host_there_is_no_peer() {
    let code = run(|mut conn: Connection| {
        assert_eq!(conn.peer_address().unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(conn.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(conn.info("transport"), None);
        assert_eq!(conn.recv(&mut [0]).unwrap(), None);
        assert_eq!(conn.read(&mut [0]).unwrap(), 0);
    });
    assert_eq!(code, 0);
}

mod named_like_the_export {
    use portcell_sdk::{Connection, handler};

    #[handler]
    fn handle(conn: Connection) -> Result<(), &'static str> {
        conn.close().map_err(|_| "still open")
    }

    #[test]
    fn a_handler_stays_an_ordinary_function() {
        assert_eq!(handle(Connection::pair().0), Ok(()));
    }
}
