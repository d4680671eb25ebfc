//! A client for the tests, and the folder where its messages go.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use portcell_sdk::{Connection, Peer};
use smtp::Settings;

/// An empty folder for one test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smtp").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

pub(crate) fn settings(test: &str) -> Settings {
    Settings { server_name: Some("mail.example".into()), ..Settings::new(&folder(test)) }
}

/// The messages in `folder` in the order of their names, without what is put above them. Panics if
/// there is anything else.
pub(crate) fn messages(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            assert_eq!(file.extension().unwrap(), "eml", "{}", file.display());
            let bytes = fs::read(file).unwrap();
            let end = b" +0000\r\n";
            let above = bytes.windows(end.len()).position(|window| window == end).expect("a date");
            bytes[above + end.len()..].to_vec()
        })
        .collect()
}

/// Lets `talk` be the client of a handler that runs beside it; gives the handler's result.
pub(crate) fn beside(settings: &Settings, talk: impl FnOnce(&mut Client)) -> io::Result<()> {
    let (connection, peer) = Connection::pair();
    thread::scope(|scope| {
        let handler = scope.spawn(|| smtp::serve(connection, settings));
        let mut client = Client { peer };
        client.expect("220 ");
        talk(&mut client);
        drop(client);
        handler.join().expect("the handler does not panic")
    })
}

/// All that the handler says to `input`, after which the client ends its side.
pub(crate) fn talk(settings: &Settings, input: impl AsRef<[u8]>) -> String {
    let handler = |connection| smtp::serve(connection, settings);
    String::from_utf8(portcell_sdk::testing::converse(handler, input)).expect("ASCII")
}

/// The codes of replies, each one's last line.
pub(crate) fn codes(replies: &str) -> Vec<&str> {
    replies.lines().filter(|line| &line[3..4] == " ").map(|line| &line[..3]).collect()
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: Peer,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.peer.write_all(bytes.as_ref()).expect("the handler reads");
    }

    /// The next reply, which starts so in its last line.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        let last = reply.lines().next_back().expect("a line");
        assert!(last.starts_with(start), "not {start:?}: {reply}");
        reply
    }

    /// Sends a line and reads the reply, which starts with `code`.
    pub(crate) fn say(&mut self, line: &str, code: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.expect(code)
    }

    /// EHLO, MAIL and RCPT.
    pub(crate) fn begin(&mut self) {
        self.say("EHLO client.example", "250 ");
        self.say("MAIL FROM:<ada@a.example>", "250 ");
        self.say("RCPT TO:<bob@b.example>", "250 ");
    }

    /// Nothing more comes.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(io::read_to_string(&self.peer).expect("an orderly end"), "");
    }

    fn reply(&mut self) -> String {
        // One byte at a time, so that what follows stays in the pipe.
        let mut source = BufReader::with_capacity(1, &self.peer);
        let mut reply = String::new();
        loop {
            let start = reply.len();
            source.by_ref().take(1000).read_line(&mut reply).expect("a line");
            let line = &reply[start..];
            assert!(line.ends_with("\r\n") && line.len() <= 512, "{line:?}");
            if line.get(3..4) == Some(" ") {
                return reply;
            }
        }
    }
}
