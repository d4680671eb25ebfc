//! From the bytes of a message to those of its reply: the header, EDNS, and what fits.
//!
//! Nothing that comes in is believed: a message that does not read to its end is FORMERR.

use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use portcell_sdk::Transport;

use crate::answer::answer;
use crate::zones::Zones;

/// The most bytes of a datagram, in and out: it passes every usual path in one piece.
pub(crate) const LARGEST_DATAGRAM: u16 = 1232;

/// The most bytes of a reply over UDP to a client without EDNS (RFC 1035 section 2.3.4).
const USUAL_DATAGRAM: u16 = 512;

/// The reply to `message`, or `None` where silence is right: a response must not be answered, or
/// two servers could go on for ever, and less than a header has no id.
///
/// Over UDP it has at most as many bytes as the client takes, and never more than
/// [`LARGEST_DATAGRAM`]. One that would be longer says so (TC) and is without records.
pub(crate) fn reply(message: &[u8], transport: Transport, zones: &Zones) -> Option<Vec<u8>> {
    let mut decoder = BinDecoder::new(message);
    let header = Header::read(&mut decoder).ok()?;
    if header.message_type != MessageType::Query {
        return None;
    }

    let mut reply = Message::response(header.id, header.op_code);
    reply.metadata = Metadata::response_from_request(&header);
    let request = Request::read(&header, &mut decoder);
    let room = match (transport, &request) {
        (Transport::Udp, Ok(Request { edns: Some(edns), .. })) => {
            edns.max_payload().min(LARGEST_DATAGRAM) // 512 or more, whatever came in
        }
        (Transport::Udp, _) => USUAL_DATAGRAM,
        _ => u16::MAX,
    };
    match request {
        Ok(request) => respond(request, zones, &mut reply),
        Err(code) => reply.metadata.response_code = code,
    }
    encode(&reply, room)
}

struct Request {
    query: Query,
    edns: Option<Edns>,
}

impl Request {
    /// Reads what follows the header. An error is the code of the reply.
    fn read(header: &Header, decoder: &mut BinDecoder<'_>) -> Result<Self, ResponseCode> {
        if header.op_code != OpCode::Query {
            return Err(ResponseCode::NotImp);
        }
        if header.counts.queries != 1 {
            return Err(ResponseCode::FormErr);
        }
        let query = Query::read(decoder).map_err(|_| ResponseCode::FormErr)?;
        let mut records = |count: u16, last| {
            Message::read_records(decoder, count.into(), last, header.op_code)
                .map_err(|_| ResponseCode::FormErr)
        };
        records(header.counts.answers, false)?;
        records(header.counts.authorities, false)?;
        let (_, edns, _) = records(header.counts.additionals, true)?;
        if decoder.is_empty() { Ok(Self { query, edns }) } else { Err(ResponseCode::FormErr) }
    }
}

fn respond(request: Request, zones: &Zones, reply: &mut Message) {
    let mut version = 0;
    if let Some(theirs) = request.edns {
        version = theirs.version();
        let mut ours = Edns::new();
        ours.set_max_payload(LARGEST_DATAGRAM);
        ours.set_dnssec_ok(theirs.flags().dnssec_ok); // copied: RFC 3225 section 3
        reply.set_edns(ours);
    }
    if version == 0 {
        answer(&request.query, zones, reply);
    } else {
        reply.metadata.response_code = ResponseCode::BADVERS;
    }
    reply.add_query(request.query);
}

/// The bytes of `reply`, at most `room`: without records if those do not fit, or SERVFAIL if one of
/// the zone's records cannot be sent, such as a TXT string of more than 255 bytes.
fn encode(reply: &Message, room: u16) -> Option<Vec<u8>> {
    let mut short = reply.truncate();
    match encoded(reply, room) {
        Ok(bytes) if !is_truncated(&bytes) => return Some(bytes),
        Ok(_) => {}
        Err(error) => {
            let question = reply.queries.first().map(Query::to_string).unwrap_or_default();
            portcell_sdk::error!("the answer to {question} cannot be sent: {error}");
            short.metadata.truncation = false;
            short.metadata.authoritative = false;
            short.metadata.response_code = ResponseCode::ServFail;
        }
    }
    encoded(&short, room).ok()
}

fn encoded(reply: &Message, room: u16) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(room);
    reply.emit(&mut encoder)?;
    Ok(bytes)
}

/// Whether the header has the bit TC: the encoder sets it where it leaves out records.
fn is_truncated(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & 0x02 != 0)
}
