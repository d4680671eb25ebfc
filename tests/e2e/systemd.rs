//! The service manager: readiness.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::harness::{Folder, PATIENCE, Server, plugin, portcell};

/// What a service manager hears next.
fn hears(manager: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = manager.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn a_service_manager_is_told_of_readiness_reload_and_end() {
    let folder = Folder::new();
    let config = format!(
        "[[listener]]\nname = \"e\"\nbind = \"127.0.0.1:0\"\nhandler = \"e\"\n\
         [handler.e]\nmodule = \"{}\"\n",
        plugin("echo").display()
    );
    let manager = UnixDatagram::bind(folder.at("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = portcell();
    command.env("NOTIFY_SOCKET", folder.at("notify"));
    let server = Server::serve(&folder, &config).start_by(command);
    assert_eq!(hears(&manager), "READY=1\n");
    server.connect().is_echoed();

    server.signal(Signal::HUP);
    let reloading = hears(&manager);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(hears(&manager), "READY=1\n");

    server.signal(Signal::TERM);
    assert_eq!(hears(&manager), "STOPPING=1\n");
    assert_eq!(server.wait().0, 0);
}
