//! Commands and replies, from the greeting to the end.

use std::io;

use time::OffsetDateTime;

use crate::command::Command;
use crate::draft::{self, Draft};
use crate::facts::Facts;
use crate::lines::{self, Line};
use crate::message;
use crate::reply::Reply;
use crate::session::{Next, Session, Transaction};
use crate::settings::Settings;
use crate::wire::Wire;

/// How many commands of a connection are refused before it ends: a peer that goes on does not
/// speak SMTP, or guesses.
const MOST_REFUSALS: usize = 10;

/// Holds a conversation. That the client has gone is an error here.
pub(crate) fn hold(mut wire: Wire, settings: &Settings) -> io::Result<()> {
    let mut session = Session::new(Facts::of(wire.connection(), settings)?, settings);
    let mut messages = 0;
    let mut refusals = 0;
    if settings.require_tls && session.facts().has_no_tls() {
        portcell_sdk::error!(
            "REQUIRE_TLS is 1 and the listener has no TLS, so there is no mail at all"
        );
    }
    wire.reply(&session.greeting())?;
    while let Some(command) = next(&mut wire, session.facts())? {
        let reply = match command.map(|command| session.answer(command)) {
            Err(reply) | Ok(Next::Reply(reply)) => reply,
            Ok(Next::Receive(transaction)) => {
                messages += 1;
                let reply = receive(&mut wire, &transaction, messages, settings)?;
                session.end_transaction();
                reply
            }
            Ok(Next::StartTls) => {
                let is_tls;
                (wire, is_tls) = wire.start_tls(&Reply::new(220, "TLS starts now"))?;
                if is_tls {
                    session = Session::new(Facts::of(wire.connection(), settings)?, settings);
                    continue;
                }
                session.refuse_tls()
            }
        };
        wire.reply(&reply)?;
        if reply.is_last() {
            break;
        }
        refusals += usize::from(reply.is_refusal());
        if refusals == MOST_REFUSALS {
            wire.reply(&session.facts().farewell("These were too many mistakes"))?;
            break;
        }
    }
    wire.flush()
}

/// The next command, or the reply to what is none. `None` at the end of the input.
fn next(wire: &mut Wire, facts: &Facts) -> io::Result<Option<Result<Command, Reply>>> {
    if !wire.wait()? {
        return Ok(Some(Err(facts.farewell("The server stops, come again"))));
    }
    Ok(match lines::command(wire)? {
        Line::Whole(line) => Some(Command::parse(line)),
        Line::TooLong => Some(Err(Reply::new(500, "The line is too long"))),
        Line::Garbage => {
            Some(Err(facts.farewell("Commands are text, in lines that end with CR LF")))
        }
        Line::End => None,
    })
}

/// Receives one message, which is the `number`-th of its connection, and says what became of it.
fn receive(
    wire: &mut Wire,
    transaction: &Transaction<'_>,
    number: usize,
    settings: &Settings,
) -> io::Result<Reply> {
    let now = OffsetDateTime::now_utc();
    let (seconds, nanoseconds) = (now.unix_timestamp(), now.nanosecond());
    let name = format!("{seconds}.{nanoseconds:09}-{}-{number}", transaction.facts.id);
    let header = transaction.header(&name, now)?;
    let begun = Draft::begin(&settings.folder, &name).and_then(|mut draft| {
        draft.write(header.as_bytes())?;
        Ok(draft)
    });
    let draft = match begun {
        Ok(draft) => draft,
        Err(error) => return Ok(draft::refusal(&settings.folder, &error)),
    };
    wire.reply(&Reply::new(354, "End the message with a line that is a dot"))?;
    Ok(match message::receive(wire, draft, transaction.facts, settings)? {
        Ok(draft) => match draft.store() {
            Ok(()) => Reply::new(250, format!("Stored as {name}")),
            Err(error) => draft::refusal(&settings.folder, &error),
        },
        Err(reply) => reply,
    })
}
