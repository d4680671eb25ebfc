//! The text of a message: from after DATA to the line with a dot (RFC 5321 sections 4.1.1.4 and
//! 4.5.2).

use std::io;
use std::path::Path;

use crate::draft::{self, Draft};
use crate::facts::Facts;
use crate::lines::{self, LONGEST_PLAIN_TEXT};
use crate::reply::Reply;
use crate::session::too_large;
use crate::settings::Settings;
use crate::wire::Wire;

/// Reads to the end of the message and gives the draft with all of it, or the reply that says why
/// it is not taken.
///
/// Only a line that is a dot, between line ends that are whole, ends a message. What is like it, to
/// a server that is less strict, would begin other commands there; so a message with a CR or LF
/// alone is refused.
pub(crate) fn receive(
    wire: &mut Wire,
    draft: Draft,
    facts: &Facts,
    settings: &Settings,
) -> io::Result<Result<Draft, Reply>> {
    let mut message = Message { draft: Ok(draft), size: 0 };
    let mut is_start = true;
    loop {
        let line = lines::text(wire)?;
        let mut bytes = line.bytes;
        if is_start {
            if line.is_ended && bytes == b"." {
                return Ok(message.draft);
            }
            bytes = bytes.strip_prefix(b".").unwrap_or(bytes);
        }
        message.take(bytes, line.is_ended, settings);
        // A client that is told SIZE and sends more than twice as much is not waited for.
        if message.size > settings.max_size.saturating_mul(2) {
            return Ok(Err(facts.farewell("This message is far too large")));
        }
        is_start = line.is_ended;
    }
}

struct Message {
    /// Without it, the rest is read and dropped.
    draft: Result<Draft, Reply>,
    /// In bytes, with line ends and without the dots that are taken away.
    size: u64,
}

impl Message {
    fn take(&mut self, bytes: &[u8], is_ended: bool, settings: &Settings) {
        let end: &[u8] = if is_ended { b"\r\n" } else { b"" };
        let length = bytes.len() + end.len();
        self.size += length as u64;
        let Ok(draft) = &mut self.draft else { return };
        let written = if self.size > settings.max_size {
            Err(too_large(settings.max_size))
        } else if !is_ended || length > LONGEST_PLAIN_TEXT {
            Err(Reply::new(554, format!("A line has at most {LONGEST_PLAIN_TEXT} bytes")))
        } else if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            Err(Reply::new(554, "Lines end with CR LF, and neither stands alone"))
        } else {
            write(draft, bytes, end, &settings.folder)
        };
        if let Err(reply) = written {
            self.draft = Err(reply);
        }
    }
}

fn write(draft: &mut Draft, bytes: &[u8], end: &[u8], folder: &Path) -> Result<(), Reply> {
    draft
        .write(bytes)
        .and_then(|()| draft.write(end))
        .map_err(|error| draft::refusal(folder, &error))
}
