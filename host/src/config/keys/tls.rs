//! The keys of `[listener.tls]` and of `[[listener.tls.name]]`.

use super::DefaultValue::{Is, Nothing, Required};
use super::{Change, Flag, Home, Key, flag, repeated, switch};
use crate::config::Kind;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "certificate",
        home: Home::Tls,
        kind: Kind::Path("cert.pem"),
        default: Nothing("none"),
        change: Change::Live,
        doc: "The certificate that clients are shown, unless the name that they ask for has \
              another: PEM with the chain behind it, or DER.",
        without: "Clients that ask for a name without a table of its own, or for none, are \
                  refused (the alert `unrecognized_name`).",
        flag: Some(flag("tls", "CERT")),
    },
    Key {
        name: "key",
        home: Home::Tls,
        kind: Kind::Path("key.pem"),
        default: Nothing("the file of the certificate"),
        change: Change::Live,
        doc: "Its private key: PKCS#8, PKCS#1 or SEC1, PEM or DER, not encrypted. The file can \
              be that of the certificate.",
        without: "The key is looked for in the file of the certificate.",
        flag: Some(flag("tls", "KEY")),
    },
    Key {
        name: "self_signed",
        home: Home::Tls,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Live,
        doc: "Whether a certificate is made at start, for development: for localhost and the \
              hosts of `bind`. It is kept in memory only.",
        without: "Trying a plugin over TLS would need a certificate.",
        flag: Some(switch("tls-self-signed")),
    },
    ocsp(Home::Tls, Some(flag("tls-ocsp", "FILE"))),
    Key {
        name: "client_auth",
        home: Home::Tls,
        kind: Kind::Choice(&["none", "optional", "required"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "Whether clients are asked for a certificate, and whether those without one are \
              refused. One that is shown is checked in either case.",
        without: "Everybody who can connect is served.",
        flag: Some(flag("tls-client-auth", "WORD")),
    },
    Key {
        name: "client_ca",
        home: Home::Tls,
        kind: Kind::Paths("ca.pem"),
        default: Is("[]"),
        change: Change::Live,
        doc: "The certificates of those who may sign certificates of clients: PEM, any number in \
              a file, or DER.",
        without: "No certificate of a client could be checked.",
        flag: Some(repeated("tls-client-ca", "FILE")),
    },
    Key {
        name: "client_crl",
        home: Home::Tls,
        kind: Kind::Paths("crl.pem"),
        default: Is("[]"),
        change: Change::Live,
        doc: "Lists of the certificates that their signers have revoked: PEM, any number in a \
              file, or DER. With one, a client is refused whose signer's list is missing or out \
              of date.",
        without: "A certificate is good until it expires, even if its key was stolen.",
        flag: Some(repeated("tls-client-crl", "FILE")),
    },
    Key {
        name: "client_crl_scope",
        home: Home::Tls,
        kind: Kind::Choice(&["chain", "leaf"]),
        default: Is(r#""chain""#),
        change: Change::Live,
        doc: "Which certificates are looked up in the lists: all of a client's chain, or the \
              client's own only.",
        without: "Every signer in a chain needs a list.",
        flag: Some(flag("tls-client-crl-scope", "WORD")),
    },
    Key {
        name: "versions",
        home: Home::Tls,
        kind: Kind::Versions,
        default: Is(r#"["1.2", "1.3"]"#),
        change: Change::Live,
        doc: "The versions of TLS that clients can use. Older ones are not secure and not there.",
        without: "Clients that know only 1.2 could not be kept out.",
        flag: Some(repeated("tls-version", "VERSION")),
    },
    Key {
        name: "ciphers",
        home: Home::Tls,
        kind: Kind::Ciphers,
        default: Nothing("all that there are for `versions`"),
        change: Change::Live,
        doc: "The cipher suites that clients can use, by their IANA or OpenSSL names. Which of \
              them is used is the client's choice; weak ones are not there.",
        without: "A rule that prescribes suites could not be kept.",
        flag: Some(repeated("tls-cipher", "SUITE")),
    },
    Key {
        name: "alpn",
        home: Home::Tls,
        kind: Kind::Protocols,
        default: Is("[]"),
        change: Change::Live,
        doc: "The protocols that clients can ask for (ALPN), the best first. A client that asks \
              for others only is refused; one that does not ask is not.",
        without: "What a client asks for is not answered.",
        flag: Some(repeated("tls-alpn", "PROTOCOL")),
    },
    Key {
        name: "start",
        home: Home::Tls,
        kind: Kind::Choice(&["connect", "request"]),
        default: Is(r#""connect""#),
        change: Change::Live,
        doc: "When TLS begins: with the connection, or when the guest asks for it with \
              `start_tls`, as in STARTTLS; until then the connection is plaintext.",
        without: "Protocols that begin as plaintext could not be served.",
        flag: Some(flag("tls-start", "WORD")),
    },
    Key {
        name: "truncation",
        home: Home::Tls,
        kind: Kind::Choice(&["error", "eof"]),
        default: Is(r#""error""#),
        change: Change::Live,
        doc: "What the guest reads when the connection ends without TLS's own goodbye \
              (`close_notify`): an error, because somebody may have cut it, or the end.",
        without: "Clients that never say goodbye would end in errors.",
        flag: Some(flag("tls-truncation", "WORD")),
    },
];

pub(super) const NAME_KEYS: &[Key] = &[
    Key {
        name: "name",
        home: Home::TlsName,
        kind: Kind::ServerName,
        default: Required,
        change: Change::Live,
        doc: "The name that a client asks for. With `*.` in front it is every name with one more \
              label that has no table of its own.",
        without: "Nobody could be meant.",
        flag: None,
    },
    Key {
        name: "certificate",
        home: Home::TlsName,
        kind: Kind::Path("cert.pem"),
        default: Nothing("that of `[listener.tls]`"),
        change: Change::Live,
        doc: "The certificate for these clients; it has the name.",
        without: "The name is only there for its `handler`.",
        flag: None,
    },
    Key {
        name: "key",
        home: Home::TlsName,
        kind: Kind::Path("key.pem"),
        default: Nothing("the file of the certificate"),
        change: Change::Live,
        doc: "Its private key, as in `[listener.tls]`.",
        without: "The key is looked for in the file of the certificate.",
        flag: None,
    },
    ocsp(Home::TlsName, None),
    Key {
        name: "handler",
        home: Home::TlsName,
        kind: Kind::Name,
        default: Nothing("that of the listener"),
        change: Change::Live,
        doc: "The handler that these clients get; not with `start = \"request\"`, where the \
              handler runs before the name is known.",
        without: "All names have the listener's handler.",
        flag: None,
    },
];

const fn ocsp(home: Home, flag: Option<Flag>) -> Key {
    Key {
        name: "ocsp",
        home,
        kind: Kind::Path("ocsp.der"),
        default: Nothing("none"),
        change: Change::Live,
        doc: "An OCSP response about the certificate (DER), which is sent to clients as it is.",
        without: "Clients that want to know whether it was revoked ask its signer.",
        flag,
    }
}
