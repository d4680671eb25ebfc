//! The client of a conversation: does what the script says, in its manner, and compares what comes.

use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::difference::What;
use super::script::{Action, Conversation, PATIENCE, Step};
use crate::connection::{PipeClient, Received};

/// Bytes that are taken beyond what is expected, at most, while the client waits to send and after
/// its last line. Without it a handler that never ends would be read for ever.
const SURPLUS: usize = 1 << 20;

/// How long a line may be that an expression is to match, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// How long the client waits, byte by byte, for a handler to read what it was sent; one that looks
/// at nothing meanwhile gets the rest at once.
const READS: Duration = Duration::from_secs(1);

/// How a client sends and reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// It sends one byte, and the next when that was read.
    pub(super) sends_bytewise: bool,
    /// It reads so many bytes at once, at most.
    pub(super) reads: usize,
}

/// The client's side of one conversation.
pub(super) struct Client<'a> {
    pipe: &'a PipeClient,
    manner: Manner,
    patience: Duration,
    /// All that has come.
    came: Vec<u8>,
    /// How much of that was expected so far.
    read: usize,
    ended: Option<Received>,
}

/// Something else came than was expected in this line.
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) what: What,
}

impl<'a> Client<'a> {
    pub(super) fn new(pipe: &'a PipeClient, manner: Manner) -> Self {
        let (came, ended) = (Vec::new(), None);
        Self { pipe, manner, patience: PATIENCE, came, read: 0, ended }
    }

    /// Goes through the whole conversation, or up to where the client leaves.
    pub(super) async fn converse(&mut self, conversation: &Conversation) -> Result<(), Wrong> {
        for step in &conversation.steps {
            let done = self.step(step).await;
            if self.pipe.has_left() {
                return Ok(());
            }
            done?;
        }
        Ok(())
    }

    /// Ends this side and reads what is left, until the handler ends too or has sent too much: then
    /// it resets.
    pub(super) async fn close(&mut self) {
        self.pipe.end();
        let most = self.came.len() + SURPLUS;
        while self.came.len() < most {
            if !matches!(self.receive().await, Received::Bytes(_)) {
                return;
            }
        }
        self.pipe.reset();
    }

    /// How long it waits for the next byte.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// All that has come; and whether the handler has ended its side, so that this is all there is.
    pub(super) fn into_came(mut self) -> (Vec<u8>, bool) {
        let mut cx = Context::from_waker(Waker::noop());
        while self.ended.is_none() {
            match self.pipe.poll_receive(&mut cx, usize::MAX, &mut self.came) {
                Poll::Ready(Received::Bytes(_)) => {}
                Poll::Ready(ended) => self.ended = Some(ended),
                Poll::Pending => break,
            }
        }
        (self.came, self.ended == Some(Received::End))
    }

    async fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        let wrong = |what| Wrong { line: step.line, what };
        match &step.action {
            Action::Send(bytes) => self.send(bytes).await,
            Action::Expect(bytes) => self.expect(bytes).await.map_err(wrong)?,
            Action::ExpectLine(written, regex) => {
                let line = self.line(written).await.map_err(wrong)?;
                if !regex.is_match(&self.came[line.clone()]) {
                    return Err(wrong(self.no_match(written, line)));
                }
            }
            Action::ExpectEnd => self.expect_end().await.map_err(wrong)?,
            Action::End => self.pipe.end(),
            Action::Reset => self.pipe.reset(),
            Action::Wait(duration) => sleep(*duration).await,
            Action::Timeout(patience) => self.patience = *patience,
            // Who plays it knows how the handler has ended.
            Action::Sync | Action::ExpectExit(_) => {}
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) {
        if !self.manner.sends_bytewise {
            return self.pipe.send(bytes);
        }
        for (sent, byte) in bytes.iter().enumerate() {
            self.pipe.send(&[*byte]);
            if timeout(READS, self.is_read()).await.is_err() {
                self.manner.sends_bytewise = false;
                return self.pipe.send(&bytes[sent + 1..]);
            }
        }
    }

    /// Waits until the handler has read all that was sent; it may write meanwhile.
    async fn is_read(&mut self) {
        let most = self.read + SURPLUS;
        poll_fn(|cx| {
            while self.ended.is_none() && self.came.len() < most {
                match self.pipe.poll_receive(cx, self.manner.reads, &mut self.came) {
                    Poll::Ready(Received::Bytes(_)) => {}
                    Poll::Ready(ended) => self.ended = Some(ended),
                    Poll::Pending => break,
                }
            }
            self.pipe.poll_read_all(cx)
        })
        .await;
    }

    async fn expect(&mut self, wanted: &[u8]) -> Result<(), What> {
        let mut same = 0;
        loop {
            let came = &self.came[self.read..];
            let both = wanted.iter().zip(came).skip(same);
            same += both.take_while(|(wanted, came)| wanted == came).count();
            if same == wanted.len() {
                self.read += same;
                return Ok(());
            }
            if same < came.len() {
                return Err(self.other(wanted, same));
            }
            if let Err(missing) = self.more().await {
                return Err(What::Missing {
                    expected: wanted.to_vec(),
                    came: self.came[self.read..].to_vec(),
                    offset: self.read,
                    missing,
                });
            }
        }
    }

    fn other(&self, wanted: &[u8], same: usize) -> What {
        let (expected, came) = (wanted.to_vec(), self.came[self.read..].to_vec());
        What::Other { expected, came, same, offset: self.read }
    }

    /// Where the next line is in all that has come, without its end.
    async fn line(&mut self, expression: &str) -> Result<Range<usize>, What> {
        let begin = self.read;
        let mut searched = begin;
        loop {
            if let Some(length) = self.came[searched..].iter().position(|byte| *byte == b'\n') {
                let end = searched + length;
                self.read = end + 1;
                let has_return = self.came[begin..end].ends_with(b"\r");
                return Ok(begin..end - usize::from(has_return));
            }
            searched = self.came.len();
            if searched - begin >= LONGEST_LINE {
                return Err(self.no_match(expression, begin..searched));
            }
            match self.more().await {
                Ok(()) => {}
                // The last line of all needs no line end.
                Err(Missing::Ended) if searched > begin => {
                    self.read = searched;
                    return Ok(begin..searched);
                }
                Err(missing) => {
                    let came = self.came[self.read..].to_vec();
                    let (expression, offset) = (expression.to_owned(), self.read);
                    return Err(What::MissingLine { expression, came, offset, missing });
                }
            }
        }
    }

    fn no_match(&self, expression: &str, line: Range<usize>) -> What {
        let offset = line.start;
        What::Line { expression: expression.to_owned(), line: self.came[line].to_vec(), offset }
    }

    async fn expect_end(&mut self) -> Result<(), What> {
        loop {
            if self.came.len() > self.read {
                let came = self.came[self.read..].to_vec();
                return Err(What::Surplus { came, offset: self.read });
            }
            match self.more().await {
                Ok(()) => {}
                Err(Missing::Ended) => return Ok(()),
                Err(missing) => return Err(What::MissingEnd(missing)),
            }
        }
    }

    /// Waits until more has come.
    async fn more(&mut self) -> Result<(), Missing> {
        match timeout(self.patience, self.receive()).await {
            Err(_) => Err(Missing::Silent(self.patience)),
            Ok(Received::Bytes(_)) => Ok(()),
            Ok(Received::End) => Err(Missing::Ended),
            Ok(Received::Reset) => Err(Missing::Reset),
        }
    }

    async fn receive(&mut self) -> Received {
        if let Some(ended) = self.ended {
            return ended;
        }
        let most = self.manner.reads;
        let received = poll_fn(|cx| self.pipe.poll_receive(cx, most, &mut self.came)).await;
        if !matches!(received, Received::Bytes(_)) {
            self.ended = Some(received);
        }
        received
    }
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The handler has ended its side.
    Ended,
    /// The connection was reset.
    Reset,
    /// Nothing has come for so long.
    Silent(Duration),
}
