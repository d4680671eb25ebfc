//! Reads answers as a client does.

use std::io::{BufRead, BufReader, Read};

/// One answer, its body without chunks. Of the fields, Date is left out, because it changes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// All answers in `bytes`, which end with the last of them.
pub(crate) fn answers(bytes: &[u8]) -> Vec<Answer> {
    let mut rest = bytes;
    let mut answers = Vec::new();
    while !rest.is_empty() {
        answers.push(Answer::read(&mut rest));
    }
    answers
}

impl Answer {
    /// The next answer, and nothing after it.
    pub(crate) fn read(source: &mut impl Read) -> Self {
        // One byte at a time, so that what follows stays in the source.
        let mut source = BufReader::with_capacity(1, source);
        let mut answer = Self::read_head(&mut source);
        if answer.field("Transfer-Encoding").is_some() {
            loop {
                let size =
                    usize::from_str_radix(&line(&mut source), 16).expect("the size of a chunk");
                let start = answer.body.len();
                answer.body.resize(start + size, 0);
                source.read_exact(&mut answer.body[start..]).expect("a whole chunk");
                assert_eq!(line(&mut source), "", "after a chunk");
                if size == 0 {
                    return answer;
                }
            }
        }
        let length =
            answer.field("Content-Length").map_or(0, |length| length.parse().expect("a length"));
        answer.body.resize(length, 0);
        source.read_exact(&mut answer.body).expect("a whole body");
        answer
    }

    /// A head, and all that follows it as the body.
    pub(crate) fn head_of(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let mut answer = Self::read_head(&mut rest);
        answer.body = rest.to_vec();
        answer
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn read_head(source: &mut impl BufRead) -> Self {
        let status_line = line(source);
        let status = status_line.strip_prefix("HTTP/1.1 ").expect("a status line");
        let status = status[..3].parse().expect("a status");
        let mut fields = Vec::new();
        loop {
            let field = line(source);
            if field.is_empty() {
                return Self { status, fields, body: Vec::new() };
            }
            let (name, value) = field.split_once(": ").expect("a field");
            if name != "Date" {
                fields.push((name.into(), value.into()));
            }
        }
    }
}

fn line(source: &mut impl BufRead) -> String {
    let mut line = String::new();
    source.read_line(&mut line).expect("a line");
    line.strip_suffix("\r\n").expect("a line with its end").into()
}
