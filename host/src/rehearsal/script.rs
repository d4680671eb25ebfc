//! Scripts: conversations as their client sees them, one action a line.

use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use super::bytes::{self, BadString};
use crate::config::{UnitError, display_duration, parse_duration};
use crate::exit::Exit;

/// How long a script may be, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How long a client may be made to wait by one line, without or with something that it waits for.
const MOST_PATIENCE: Duration = Duration::from_mins(1);

/// How long a client waits for the next byte if the script does not say.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How large a compiled expression may be, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// One conversation of a script.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The line of its first action, from 1.
    pub line: usize,
    pub(super) steps: Vec<Step>,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) action: Action,
}

/// What the client does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Send(Vec<u8>),
    Expect(Vec<u8>),
    /// The next line; as it was written, and as it matches.
    ExpectLine(String, Regex),
    ExpectEnd,
    ExpectExit(&'static str),
    End,
    Reset,
    /// What follows is not sent before what was expected so far.
    Sync,
    Wait(Duration),
    Timeout(Duration),
}

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
#[error("{line}: {why}")]
pub struct ScriptError {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub why: Mistake,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// It is longer than [`LONGEST`].
    #[error("the script is longer than 1 MiB; make it several")]
    TooLong,
    /// It is not text.
    #[error("this is not UTF-8; write other bytes as \\xHH")]
    NotText,
    /// There is no action in it.
    #[error("the script has no actions; see docs/testing.md for what there is")]
    Empty,
    /// No action has this name.
    #[error(
        "`{0}` is no action; there are send, expect, end, reset, sync, wait, timeout, and --- between conversations"
    )]
    Unknown(String),
    /// Neither a string, nor an expression, nor one of the words.
    #[error("`expect` takes \"STRING\", /REGEX/, end or exit KIND; this is `{0}`")]
    Expect(String),
    /// No exit has this name.
    #[error("`{0}` is no exit; there are {kinds}", kinds = Exit::KINDS.join(", "))]
    Exit(String),
    /// The string has a fault.
    #[error(transparent)]
    String(#[from] BadString),
    /// It would not do anything.
    #[error("the string is empty; leave the line out")]
    Nothing,
    /// The expression has no end.
    #[error("the expression has no `/` at its end")]
    Open,
    /// It is not a regular expression.
    #[error("this is no regular expression: {0}")]
    Regex(String),
    /// It is no duration.
    #[error("{0}; write one like 100ms")]
    Duration(UnitError),
    /// It is too long a duration, or none.
    #[error("this takes a duration from 1ms to {most}", most = display_duration(MOST_PATIENCE))]
    Patience,
    /// The action takes nothing.
    #[error("`{0}` takes nothing after it")]
    Surplus(String),
    /// The client has ended its side, or reset the connection.
    #[error("the client has said `{said}` in line {line}, so it cannot do this any more")]
    Over {
        /// What it has said.
        said: &'static str,
        /// Where.
        line: usize,
    },
    /// The handler has ended its side, as expected.
    #[error("nothing can be expected after `expect end` in line {0} but `expect exit`")]
    AfterEnd(usize),
    /// It knows how the handler has ended.
    #[error("`expect exit` in line {0} is the last line of a conversation")]
    AfterExit(usize),
}

/// The conversations of a script, at least one.
pub fn parse(script: &[u8]) -> Result<Vec<Conversation>, ScriptError> {
    let wrong = |line, why| ScriptError { line, why };
    if script.len() > LONGEST {
        return Err(wrong(1, Mistake::TooLong));
    }
    let mut conversations = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in script.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        let line = str::from_utf8(line).map_err(|_| wrong(number, Mistake::NotText))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "---" {
            conversations.extend(Conversation::of(std::mem::take(&mut steps)));
            continue;
        }
        let action = action(line).map_err(|why| wrong(number, why))?;
        comes_late(&steps, &action).map_err(|why| wrong(number, why))?;
        steps.push(Step { line: number, action });
    }
    conversations.extend(Conversation::of(steps));
    if conversations.is_empty() {
        return Err(wrong(1, Mistake::Empty));
    }
    Ok(conversations)
}

fn action(line: &str) -> Result<Action, Mistake> {
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let alone = |action| {
        if rest.is_empty() { Ok(action) } else { Err(Mistake::Surplus(name.to_owned())) }
    };
    match name {
        "send" => Ok(Action::Send(string(rest)?)),
        "expect" => expect(rest),
        "end" => alone(Action::End),
        "reset" => alone(Action::Reset),
        "sync" => alone(Action::Sync),
        "wait" => Ok(Action::Wait(duration(rest)?)),
        "timeout" => Ok(Action::Timeout(duration(rest)?)),
        _ => Err(Mistake::Unknown(shortened(name))),
    }
}

fn expect(rest: &str) -> Result<Action, Mistake> {
    if rest.starts_with('"') {
        return Ok(Action::Expect(string(rest)?));
    }
    if let Some(expression) = rest.strip_prefix('/') {
        let expression = expression.strip_suffix('/').ok_or(Mistake::Open)?;
        return Ok(Action::ExpectLine(expression.to_owned(), regex(expression)?));
    }
    let words: Vec<_> = rest.split_whitespace().collect();
    match words[..] {
        ["end"] => Ok(Action::ExpectEnd),
        ["exit", kind] => match Exit::KINDS.iter().find(|known| **known == kind) {
            Some(kind) => Ok(Action::ExpectExit(kind)),
            None => Err(Mistake::Exit(shortened(kind))),
        },
        _ => Err(Mistake::Expect(shortened(rest))),
    }
}

fn string(text: &str) -> Result<Vec<u8>, Mistake> {
    match bytes::parse(text)? {
        bytes if bytes.is_empty() => Err(Mistake::Nothing),
        bytes => Ok(bytes),
    }
}

/// The expression for the beginning of a line, of bytes.
fn regex(expression: &str) -> Result<Regex, Mistake> {
    let compile = |expression: &str| {
        RegexBuilder::new(expression).unicode(false).size_limit(REGEX_SIZE).build()
    };
    // As it was written, first: what is wrong is said of that.
    compile(expression).and_then(|_| compile(&format!(r"\A(?:{expression})"))).map_err(|error| {
        let said = error.to_string();
        let last = said.lines().last().unwrap_or_default();
        Mistake::Regex(last.trim_start_matches("error: ").to_owned())
    })
}

fn duration(text: &str) -> Result<Duration, Mistake> {
    match parse_duration(text).map_err(Mistake::Duration)? {
        Duration::ZERO => Err(Mistake::Patience),
        duration if duration > MOST_PATIENCE => Err(Mistake::Patience),
        duration => Ok(duration),
    }
}

/// Whether the action comes after one that leaves no room for it.
fn comes_late(before: &[Step], action: &Action) -> Result<(), Mistake> {
    let line_of = |wanted: fn(&Action) -> bool| {
        before.iter().find(|step| wanted(&step.action)).map(|step| step.line)
    };
    if let Some(line) = line_of(|action| matches!(action, Action::ExpectExit(_))) {
        return Err(Mistake::AfterExit(line));
    }
    let last_word = matches!(action, Action::ExpectExit(_));
    if let Some(line) = line_of(|action| matches!(action, Action::Reset))
        && !last_word
    {
        return Err(Mistake::Over { said: "reset", line });
    }
    if let Some(line) = line_of(|action| matches!(action, Action::End))
        && matches!(action, Action::Send(_) | Action::End)
    {
        return Err(Mistake::Over { said: "end", line });
    }
    let expects = matches!(action, Action::Expect(_) | Action::ExpectLine(..) | Action::ExpectEnd);
    match line_of(|action| matches!(action, Action::ExpectEnd)) {
        Some(line) if expects => Err(Mistake::AfterEnd(line)),
        _ => Ok(()),
    }
}

/// The beginning of what was written, for a message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = text.chars().take(SHOWN).collect();
    let shown = crate::text::printable(&shown);
    if text.chars().count() > SHOWN { format!("{shown} ...") } else { shown }
}

impl Conversation {
    fn of(steps: Vec<Step>) -> Option<Self> {
        let line = steps.first()?.line;
        Some(Self { line, steps })
    }

    /// Whether all bytes that it expects are written out.
    pub(super) fn is_exact(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.action, Action::ExpectLine(..)))
    }

    /// The exit that it expects: its line, and the kind.
    pub(super) fn exit(&self) -> Option<(usize, &'static str)> {
        self.steps.iter().find_map(|step| match step.action {
            Action::ExpectExit(kind) => Some((step.line, kind)),
            _ => None,
        })
    }

    /// Whether its client ends it with a reset.
    pub(super) fn resets(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Reset))
    }

    /// Its last line.
    pub(super) fn last_line(&self) -> usize {
        self.steps.last().map_or(self.line, |step| step.line)
    }

    /// The same with a client that sends as much as it may at once: what nothing keeps apart is one
    /// write, before anything is expected.
    pub(super) fn merged(&self) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len());
        let apart =
            |step: &Step| matches!(step.action, Action::Sync | Action::Wait(_) | Action::Reset);
        for stretch in self.steps.split_inclusive(apart) {
            let mut all = Vec::new();
            let (mut first, mut end) = (None, None);
            let mut others = Vec::new();
            for step in stretch {
                match &step.action {
                    Action::Send(bytes) => {
                        first.get_or_insert(step.line);
                        all.extend_from_slice(bytes);
                    }
                    Action::End => end = Some(step.clone()),
                    _ => others.push(step.clone()),
                }
            }
            steps.extend(first.map(|line| Step { line, action: Action::Send(all) }));
            steps.extend(end);
            steps.extend(others);
        }
        Self { line: self.line, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(conversation: &Conversation) -> Vec<String> {
        let word = |step: &Step| match &step.action {
            Action::Send(bytes) => format!("{}>{}", step.line, bytes.escape_ascii()),
            Action::Expect(bytes) => format!("{}<{}", step.line, bytes.escape_ascii()),
            action => format!("{}{action:?}", step.line),
        };
        conversation.steps.iter().map(word).collect()
    }

    #[test]
    fn a_line_is_an_action_and_a_rule_begins_another_conversation() {
        let script = b"# greets\r\n\nsend \"a\\n\"\r\n  expect \"A\"  \nend\nexpect end\n---\n---\nwait 1.5s\nexpect exit failed\n";
        let conversations = parse(script).unwrap();
        let found: Vec<_> = conversations.iter().map(|one| (one.line, words(one))).collect();
        let first = ["3>a\\n", "4<A", "5End", "6ExpectEnd"].map(String::from).to_vec();
        let second = ["9Wait(1.5s)", "10ExpectExit(\"failed\")"].map(String::from).to_vec();
        assert_eq!(found, [(3, first), (9, second)]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (script, said) in [
            ("", "1: the script has no actions"),
            ("\n---\n# nothing\n", "1: the script has no actions"),
            ("\nsned \"a\"", "2: `sned` is no action"),
            ("send", "1: a string begins with `\"`"),
            ("send \"\"", "1: the string is empty"),
            ("send \"a\" b", "1: there is something after the string: `b`"),
            ("expect hello", "1: `expect` takes \"STRING\""),
            ("expect /a", "1: the expression has no `/`"),
            ("expect /(a/", "1: this is no regular expression: unclosed group"),
            ("expect /a)(?:b/", "1: this is no regular expression: unopened group"),
            ("expect /[a-z]{9999}{9999}/", "1: this is no regular expression: "),
            ("expect exit crashed", "1: `crashed` is no exit; there are ok, failed, trap"),
            ("end now", "1: `end` takes nothing"),
            ("wait 5", "1: `5` has no unit"),
            ("wait 0ms", "1: this takes a duration from 1ms to 1m"),
            ("timeout 1h", "1: this takes a duration from 1ms to 1m"),
            ("end\nsend \"a\"", "2: the client has said `end` in line 1"),
            ("reset\nexpect end", "2: the client has said `reset` in line 1"),
            ("expect end\nexpect \"a\"", "2: nothing can be expected after `expect end`"),
            ("expect exit ok\nend", "2: `expect exit` in line 1 is the last line"),
        ] {
            let error = parse(script.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(said), "{script:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(matches!(parse(b"send \"\xff\"").unwrap_err().why, Mistake::NotText));
        let long = vec![b'\n'; LONGEST + 1];
        assert!(matches!(parse(&long).unwrap_err().why, Mistake::TooLong));
    }

    #[test]
    fn what_nothing_keeps_apart_is_merged() {
        let script =
            "expect \"hi\"\nsync\nsend \"a\"\nexpect \"A\"\nsend \"b\"\nend\nexpect \"B\"\n";
        let [conversation] = &parse(script.as_bytes()).unwrap()[..] else { panic!() };
        let merged = words(&conversation.merged());
        assert_eq!(merged, ["1<hi", "2Sync", "3>ab", "6End", "4<A", "7<B"]);
    }

    #[test]
    fn an_expression_is_for_the_beginning_of_a_line_and_knows_bytes() {
        let Action::ExpectLine(_, regex) = action(r"expect /a|[\x80-\xff]{2}\/?$/").unwrap() else {
            panic!()
        };
        assert!(regex.is_match(b"ab") && !regex.is_match(b"ba"));
        assert!(regex.is_match(b"\xff\x80/") && !regex.is_match(b"\xff\x80/x"));
    }
}
