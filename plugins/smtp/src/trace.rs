//! What is put above a message: `Return-Path`, the recipients, and `Received` (RFC 5321 section
//! 4.4, RFC 3848).

use std::fmt::Write;
use std::io;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::command::Protocol;
use crate::session::Transaction;

impl Transaction<'_> {
    /// The lines above the message, which is called `name`, with their ends.
    pub(crate) fn header(&self, name: &str, time: OffsetDateTime) -> io::Result<String> {
        let Self { facts, client, envelope } = self;
        let mut header = format!("Return-Path: <{}>\r\n", envelope.sender);
        for recipient in &envelope.recipients {
            let _ = write!(header, "X-Envelope-To: <{recipient}>\r\n");
        }
        let _ = write!(header, "Received: from {} ({})\r\n", client.name, facts.peer);
        if let Some(tls) = &facts.tls {
            let _ = write!(header, "\t({tls})\r\n");
        }
        let protocol = match (client.protocol, &facts.tls) {
            (Protocol::Smtp, _) => "SMTP",
            (Protocol::Esmtp, None) => "ESMTP",
            (Protocol::Esmtp, Some(_)) => "ESMTPS",
        };
        let date = time.format(&Rfc2822).map_err(io::Error::other)?;
        let _ = write!(header, "\tby {} with {protocol} id {name};\r\n\t{date}\r\n", facts.server);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcell_sdk::Connection;

    use super::*;
    use crate::address::Address as Mailbox;
    use crate::command::Client;
    use crate::facts::Facts;
    use crate::session::Envelope;
    use crate::settings::Settings;

    fn header(protocol: Protocol, facts: &[(&str, &str)]) -> String {
        let (connection, peer) = Connection::pair();
        for (name, value) in facts {
            peer.set_fact(name, *value);
        }
        let recipient = |path| Mailbox::of_recipient(path).unwrap().0;
        let envelope = Envelope {
            sender: Mailbox::of_sender("<ada@a.example>").unwrap().0,
            recipients: vec![recipient("<bob@b.example>"), recipient("<eve@b.example>")],
        };
        let client = Client { name: "client.example".into(), protocol };
        let time = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let facts = Facts::of(&connection, &Settings::new(Path::new("/mail"))).unwrap();
        let transaction = Transaction { facts: &facts, client: &client, envelope: &envelope };
        transaction.header("name", time).unwrap()
    }

    #[test]
    fn a_message_tells_where_it_comes_from() {
        assert_eq!(
            header(Protocol::Esmtp, &[]),
            "Return-Path: <ada@a.example>\r\n\
             X-Envelope-To: <bob@b.example>\r\n\
             X-Envelope-To: <eve@b.example>\r\n\
             Received: from client.example ([192.0.2.1])\r\n\
             \tby [192.0.2.2] with ESMTP id name;\r\n\
             \tSun, 06 Nov 1994 08:49:37 +0000\r\n"
        );
    }

    #[test]
    fn addresses_are_those_of_their_family() {
        let header = header(
            Protocol::Smtp,
            &[("peer.address", "[2001:db8::1]:5"), ("local.address", "unix:/run/smtp.sock")],
        );
        assert!(header.contains("from client.example ([IPv6:2001:db8::1])\r\n"), "{header}");
        assert!(header.contains("\tby localhost with SMTP id"), "{header}");

        let header = self::header(
            Protocol::Smtp,
            &[("peer.address", "unix:pid=1,uid=0"), ("local.address", "[::1]:25")],
        );
        assert!(header.contains("from client.example (unix:pid=1,uid=0)\r\n"), "{header}");
        assert!(header.contains("\tby [IPv6:::1] with SMTP id"), "{header}");
    }

    #[test]
    fn tls_is_told() {
        let facts = [
            ("transport", "tls"),
            ("tls.version", "1.3"),
            ("tls.cipher", "TLS_AES_256_GCM_SHA384"),
            ("tls.peer.sha256", "00ff"),
        ];
        let with = header(Protocol::Esmtp, &facts);
        let comment = "\t(using TLS 1.3 with TLS_AES_256_GCM_SHA384 and the certificate 00ff)\r\n";
        assert!(with.contains(&format!("{comment}\tby [192.0.2.2] with ESMTPS id")), "{with}");
        let without = header(Protocol::Esmtp, &facts[..3]);
        assert!(without.contains("SHA384)\r\n"), "{without}");
    }
}
