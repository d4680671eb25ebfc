//! From a question to the records of its answer: of one zone or, along aliases, of several.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordSet, RecordType};

use crate::zone::Found;
use crate::zones::Zones;

/// How many aliases an answer follows. The client can go on from there.
const MOST_ALIASES: usize = 8;

/// Puts into `reply` what the zones have about `query`: code, authority and records.
///
/// Records that answer belong to the name that was asked for, in the spelling of the question.
pub(crate) fn answer(query: &Query, zones: &Zones, reply: &mut Message) {
    let is_transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
    if is_transfer || query.query_class != DNSClass::IN {
        reply.metadata.response_code = ResponseCode::Refused;
        return;
    }
    let mut name = &query.name;
    let mut zone = match zones.find(name) {
        Ok(zone) => zone,
        Err(code) => {
            reply.metadata.response_code = code;
            return;
        }
    };
    reply.metadata.authoritative = true;
    loop {
        match zone.find(name, query.query_type) {
            Found::Records(set) => return reply.answers.extend(records(name, set)),
            Found::Alias(alias, target) => {
                reply.answers.extend(records(name, alias));
                let is_last = reply.answers.len() > MOST_ALIASES
                    || reply.answers.iter().any(|record| record.name == *target);
                match zones.find(target) {
                    Ok(next) if !is_last => (name, zone) = (target, next),
                    _ => return,
                }
            }
            Found::Referral(servers) => {
                // Authority is about the first name.
                reply.metadata.authoritative = !reply.answers.is_empty();
                reply.authorities.extend(records(servers.name(), servers));
                for glue in zone.addresses(servers) {
                    reply.additionals.extend(records(glue.name(), glue));
                }
                return;
            }
            Found::NoData => return reply.authorities.push(zone.negative().clone()),
            Found::NoName => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                return reply.authorities.push(zone.negative().clone());
            }
        }
    }
}

/// The records of `set` as records of `owner`, all with one TTL (RFC 2181 section 5.2).
fn records(owner: &Name, set: &RecordSet) -> impl Iterator<Item = Record> {
    set.records_without_rrsigs()
        .map(|record| Record::from_rdata(owner.clone(), set.ttl(), record.data.clone()))
}
