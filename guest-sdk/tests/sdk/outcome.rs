//! What a handler's end means for the host.

use std::io::{self, ErrorKind, Read};

use portcell_sdk::{Connection, Error, run};

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
fn errors_of_the_sdk_and_of_std_go_together() {
    fn with_std(conn: Connection) -> io::Result<()> {
        conn.id()?;
        conn.start_tls(b"go")?;
        Ok(())
    }
    fn without(conn: Connection) -> Result<(), Error> {
        conn.id()?;
        conn.start_tls(b"go")?;
        Ok(())
    }
    let refusing = || {
        let (conn, peer) = Connection::pair();
        peer.refuse_tls();
        conn
    };
    assert_eq!(without(refusing()), Err(Error::UNSUPPORTED));
    let error = with_std(refusing()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("no settings for it"), "{error}");
    assert_eq!(run(with_std), 1);
    assert_eq!(run(without), 1);
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
