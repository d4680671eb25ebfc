//! Thousands of messages that are nearly questions.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record, RecordType};

use crate::client::{bytes, datagrams, example, query, roomy_query, stream};

/// How many messages a conversation has. A pipe holds so many, and the replies to them.
const AT_ONCE: usize = 40;

#[test]
fn each_message_gets_its_reply_or_silence_and_none_ends_the_handler() {
    let seeds = seeds();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..250 {
        let messages: Vec<_> = (0..AT_ONCE).map(|_| random.changed(&seeds)).collect();
        let expected: Vec<_> = messages
            .iter()
            .filter(|message| message.len() >= 12 && message[2] & 0x80 == 0)
            .map(|message| [message[0], message[1]])
            .collect();
        for replies in [datagrams(&example(), &messages), stream(&example(), &messages)] {
            assert!(replies.iter().all(|reply| reply.len() >= 12 && reply[2] & 0x80 != 0));
            let ids: Vec<_> = replies.iter().map(|reply| [reply[0], reply[1]]).collect();
            assert_eq!(ids, expected);
        }
    }
}

/// A question for each kind of answer, as short as can be and with everything.
fn seeds() -> Vec<Vec<u8>> {
    let questions = [
        ("two.example.org.", RecordType::A),
        ("docs.example.org.", RecordType::AAAA),
        ("x.any.example.org.", RecordType::A),
        ("x.sub.example.org.", RecordType::A),
        ("large.example.org.", RecordType::TXT),
        ("nobody.example.org.", RecordType::MX),
        ("example.org.", RecordType::ANY),
    ];
    let short = questions.iter().map(|(owner, kind)| query(owner, *kind));
    let long = questions.iter().map(|(owner, kind)| {
        let mut message = roomy_query(owner, *kind, 1232);
        if let Some(edns) = &mut message.edns {
            edns.options_mut().insert(EdnsOption::Unknown(10, vec![7; 8]));
        }
        let text = RData::TXT(TXT::new(vec!["text".into()]));
        message.add_authority(Record::from_rdata(message.queries[0].name.clone(), 1, text));
        message
    });
    short.chain(long).map(|message| bytes(&message)).collect()
}

/// The same numbers in every run: xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to `bound`, without `bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % bound
    }

    /// Half of them are bytes that lengths, counts and pointers are made of.
    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 0x0c, 0x3f, 0x40, 0x7f, 0xc0, 0xff];
        let [any, ..] = self.next().to_be_bytes();
        if self.below(2) == 0 { any } else { TELLING[self.below(TELLING.len())] }
    }

    /// One of `seeds` with one to four changes.
    fn changed(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut message = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(message.len() + 1);
            match self.below(6) {
                0 => message.truncate(at),
                1 => message.insert(at, self.byte()),
                2 => {
                    let other = &seeds[self.below(seeds.len())];
                    message.truncate(at);
                    message.extend(&other[self.below(other.len())..]);
                }
                _ => {
                    if let Some(byte) = message.get_mut(at) {
                        *byte = self.byte();
                    }
                }
            }
        }
        message
    }
}
