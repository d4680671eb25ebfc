//! What a guest is told about its connection.

use crate::harness::{Folder, Server};

#[test]
fn the_addresses_are_those_that_the_client_sees() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("tells_facts")).arguments(&["--tenant", "me"]).start();
    let mut client = server.connect();
    assert_eq!(client.ask("peer.address"), client.address());
    assert_eq!(client.ask("local.address"), format!("127.0.0.1:{}", server.port()));
    assert_eq!(client.ask("transport"), "tcp");
    assert_eq!(client.ask("listener"), "tells_facts");
    assert_eq!(client.ask("handler"), "tells_facts");
    assert_eq!(client.ask("handler.version"), "1");
    assert_eq!(client.ask("tenant"), "me");
    for absent in ["tls.version", "peer.uid", "datagram.size", "nonsense", ""] {
        assert_eq!(client.ask(absent), "-", "{absent}");
    }
    let receipt_id = client.ask("connection.id");
    client.end();
    client.ends_in_good_order();
    assert_eq!(server.receipt()["id"].to_string(), receipt_id);
}
