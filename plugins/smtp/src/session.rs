//! What a client has said so far, and what follows from it (RFC 5321 section 4.1.4). Neither reads
//! nor writes.
//!
//! A session ends with STARTTLS: what was said in plaintext is not believed over TLS (RFC 3207
//! section 4.2).

use crate::address::Address;
use crate::command::{Client, Command, Mail, Protocol};
use crate::facts::Facts;
use crate::reply::Reply;
use crate::settings::Settings;

/// As many as a client may count on (RFC 5321 section 4.5.3.1.8). Without it a message could have
/// recipients until the memory is full.
const MOST_RECIPIENTS: usize = 100;

pub(crate) struct Session<'a> {
    settings: &'a Settings,
    facts: Facts,
    offers_tls: bool,
    client: Option<Client>,
    envelope: Option<Envelope>,
}

/// From whom to whom a message goes.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) sender: Address,
    pub(crate) recipients: Vec<Address>,
}

/// What a message comes with, before its text.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) client: &'a Client,
    pub(crate) envelope: &'a Envelope,
}

/// What a command leads to.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// The text of a message.
    Receive(Transaction<'a>),
    /// Nothing but this reply.
    Reply(Reply),
    StartTls,
}

impl<'a> Session<'a> {
    pub(crate) fn new(facts: Facts, settings: &'a Settings) -> Self {
        let offers_tls = facts.tls_is_offered;
        Self { settings, facts, offers_tls, client: None, envelope: None }
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The first reply of a connection.
    pub(crate) fn greeting(&self) -> Reply {
        Reply::new(220, format!("{} ESMTP portcell", self.facts.server))
    }

    pub(crate) fn answer(&mut self, command: Command) -> Next<'_> {
        Next::Reply(match command {
            Command::Data => return self.data(),
            Command::Hello(client) => self.hello(client),
            Command::Mail(mail) => self.mail(mail),
            Command::Noop => Reply::new(250, "OK"),
            Command::Quit => Reply::new(221, format!("{} bye", self.facts.server)),
            Command::Rcpt(recipient) => self.rcpt(recipient),
            Command::Rset => {
                self.envelope = None;
                Reply::new(250, "OK")
            }
            Command::StartTls if self.facts.tls.is_some() => Reply::new(503, "TLS is on"),
            Command::StartTls if self.offers_tls => return Next::StartTls,
            Command::StartTls => no_tls(),
            Command::Vrfy => Reply::new(252, "Nobody is verified here; send it and see"),
        })
    }

    /// The message was received or refused.
    pub(crate) fn end_transaction(&mut self) {
        self.envelope = None;
    }

    /// The host has no TLS for this connection.
    pub(crate) fn refuse_tls(&mut self) -> Reply {
        self.offers_tls = false;
        no_tls()
    }

    fn data(&self) -> Next<'_> {
        match (&self.client, &self.envelope) {
            (Some(client), Some(envelope)) if !envelope.recipients.is_empty() => {
                Next::Receive(Transaction { facts: &self.facts, client, envelope })
            }
            _ => Next::Reply(Reply::new(503, "MAIL and RCPT come first")),
        }
    }

    /// Does what RSET does, too (RFC 5321 section 4.1.4).
    fn hello(&mut self, client: Client) -> Reply {
        self.envelope = None;
        let server = &self.facts.server;
        let text = match client.protocol {
            Protocol::Smtp => server.clone(),
            Protocol::Esmtp => {
                let starttls = if self.offers_tls { "\nSTARTTLS" } else { "" };
                let size = self.settings.max_size;
                format!("{server}\nPIPELINING\n8BITMIME\nSIZE {size}{starttls}")
            }
        };
        self.client = Some(client);
        Reply::new(250, text)
    }

    fn mail(&mut self, mail: Mail) -> Reply {
        let Some(client) = &self.client else {
            return Reply::new(503, "EHLO comes first");
        };
        if self.settings.require_tls && self.facts.tls.is_none() {
            return Reply::new(530, "STARTTLS comes first");
        }
        if self.envelope.is_some() {
            return Reply::new(503, "A message has begun: RSET forgets it");
        }
        if mail.is_extended && client.protocol == Protocol::Smtp {
            return Reply::new(555, "Parameters are for those who say EHLO");
        }
        if mail.size.is_some_and(|size| size > self.settings.max_size) {
            return too_large(self.settings.max_size);
        }
        self.envelope = Some(Envelope { sender: mail.sender, recipients: Vec::new() });
        Reply::new(250, "OK")
    }

    fn rcpt(&mut self, recipient: Address) -> Reply {
        let Some(envelope) = &mut self.envelope else {
            return Reply::new(503, "MAIL comes first");
        };
        if envelope.recipients.len() == MOST_RECIPIENTS {
            return Reply::new(452, "These are all recipients that a message can have");
        }
        envelope.recipients.push(recipient);
        Reply::new(250, "OK")
    }
}

/// The reply to a message of more than `max_size` bytes.
pub(crate) fn too_large(max_size: u64) -> Reply {
    Reply::new(552, format!("A message has at most {max_size} bytes"))
}

fn no_tls() -> Reply {
    Reply::new(454, "There is no TLS here")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcell_sdk::Connection;

    use super::*;

    /// The replies to `lines`, each as its code; what is no reply as its name.
    fn codes(session: &mut Session<'_>, lines: &[&str]) -> Vec<String> {
        let code = |line: &&str| match session.answer(Command::parse(line.as_bytes()).unwrap()) {
            Next::Reply(reply) => reply.to_string()[..3].to_owned(),
            Next::Receive(Transaction { client, envelope, .. }) => {
                let recipients: Vec<_> =
                    envelope.recipients.iter().map(ToString::to_string).collect();
                format!("{}: {} -> {}", client.name, envelope.sender, recipients.join(", "))
            }
            Next::StartTls => "starttls".into(),
        };
        lines.iter().map(code).collect()
    }

    fn settings() -> Settings {
        Settings { server_name: Some("mail.example".into()), ..Settings::new(Path::new("/mail")) }
    }

    fn check(settings: &Settings, transport: &str, lines: &[(&str, &str)]) {
        let (connection, peer) = Connection::pair();
        peer.set_fact("transport", transport);
        let facts = Facts::of(&connection, settings).unwrap();
        let mut session = Session::new(facts, settings);
        let (lines, expected): (Vec<&str>, Vec<&str>) = lines.iter().copied().unzip();
        assert_eq!(codes(&mut session, &lines), expected, "{lines:?}");
    }

    #[test]
    fn a_message_has_an_order() {
        check(
            &settings(),
            "tcp",
            &[
                ("MAIL FROM:<a@b>", "503"),
                ("RCPT TO:<c@d>", "503"),
                ("DATA", "503"),
                ("EHLO a", "250"),
                ("RCPT TO:<c@d>", "503"),
                ("DATA", "503"),
                ("MAIL FROM:<a@b>", "250"),
                ("MAIL FROM:<a@b>", "503"),
                ("DATA", "503"),
                ("RCPT TO:<c@d>", "250"),
                ("NOOP", "250"),
                ("VRFY c", "252"),
                ("RCPT TO:<e@f>", "250"),
                ("DATA", "a: a@b -> c@d, e@f"),
                ("QUIT", "221"),
            ],
        );
    }

    #[test]
    fn rset_and_a_hello_forget_a_message() {
        for (forget, client) in [("RSET", "a"), ("EHLO z", "z"), ("HELO z", "z")] {
            check(
                &settings(),
                "tcp",
                &[
                    ("EHLO a", "250"),
                    ("MAIL FROM:<a@b>", "250"),
                    ("RCPT TO:<c@d>", "250"),
                    (forget, "250"),
                    ("RCPT TO:<c@d>", "503"),
                    ("DATA", "503"),
                    ("MAIL FROM:<>", "250"),
                    ("RCPT TO:<e@f>", "250"),
                    ("DATA", &format!("{client}:  -> e@f")),
                ],
            );
        }
    }

    #[test]
    fn extensions_are_for_ehlo() {
        check(
            &settings(),
            "tcp",
            &[
                ("HELO a", "250"),
                ("MAIL FROM:<a@b> SIZE=1", "555"),
                ("MAIL FROM:<a@b>", "250"),
                ("EHLO a", "250"),
                ("MAIL FROM:<a@b> SIZE=10485761", "552"),
                ("MAIL FROM:<a@b> SIZE=10485760 BODY=8BITMIME", "250"),
            ],
        );
    }

    #[test]
    fn tls_comes_once_and_where_it_is_required_before_mail() {
        let settings = Settings { require_tls: true, ..settings() };
        check(
            &settings,
            "tcp",
            &[
                ("EHLO a", "250"),
                ("MAIL FROM:<a@b>", "530"),
                ("VRFY a", "252"),
                ("STARTTLS", "starttls"),
            ],
        );
        check(
            &settings,
            "tls",
            &[("EHLO a", "250"), ("STARTTLS", "503"), ("MAIL FROM:<a@b>", "250")],
        );
        check(&settings, "unix", &[("EHLO a", "250"), ("MAIL FROM:<a@b>", "530")]);
    }

    #[test]
    fn extensions_are_told_and_tls_only_where_it_may_be_had() {
        let (connection, peer) = Connection::pair();
        let settings = settings();
        let greet = |session: &mut Session<'_>, hello: &str| match session
            .answer(Command::parse(hello.as_bytes()).unwrap())
        {
            Next::Reply(reply) => reply.to_string(),
            other => panic!("{other:?}"),
        };
        let extensions =
            "250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10485760\r\n";
        let without = extensions.replace("250-SIZE", "250 SIZE");

        let mut session = Session::new(Facts::of(&connection, &settings).unwrap(), &settings);
        assert_eq!(greet(&mut session, "EHLO a"), format!("{extensions}250 STARTTLS\r\n"));
        assert_eq!(greet(&mut session, "HELO a"), "250 mail.example\r\n");
        session.refuse_tls();
        assert_eq!(codes(&mut session, &["STARTTLS"]), ["454"]);
        assert_eq!(greet(&mut session, "EHLO a"), without);

        peer.refuse_tls();
        let mut session = Session::new(Facts::of(&connection, &settings).unwrap(), &settings);
        assert_eq!(greet(&mut session, "EHLO a"), without);
        assert_eq!(codes(&mut session, &["STARTTLS"]), ["454"]);

        peer.set_fact("transport", "tls");
        let mut session = Session::new(Facts::of(&connection, &settings).unwrap(), &settings);
        assert_eq!(greet(&mut session, "EHLO a"), without);
    }

    #[test]
    fn recipients_have_a_largest_number() {
        let rcpt = ["RCPT TO:<c@d>"; MOST_RECIPIENTS + 1];
        let mut expected = ["250"; MOST_RECIPIENTS + 1];
        expected[MOST_RECIPIENTS] = "452";
        let lines = rcpt.into_iter().zip(expected);
        let begin = [("EHLO a", "250"), ("MAIL FROM:<a@b>", "250")].into_iter();
        check(&settings(), "tcp", &begin.chain(lines).collect::<Vec<_>>());
    }
}
