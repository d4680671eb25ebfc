//! What the zones say.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Record, RecordType};

use crate::client::{ID, Reply, ask, example, folder, query, reply};

const SOA: &str = "example.org. 300 IN SOA \
    ns1.example.org. hostmaster.example.org. 2026010100 14400 3600 1209600 300";

fn ask_example(owner: &str, kind: RecordType) -> Reply {
    ask(&example(), owner, kind)
}

fn ask_several(owner: &str, kind: RecordType) -> Reply {
    ask(&folder("several"), owner, kind)
}

fn code(reply: &Reply) -> ResponseCode {
    reply.message.response_code
}

#[test]
fn a_name_is_answered_with_its_records() {
    for (owner, kind, expected) in [
        ("two.example.org.", RecordType::A, &["A 192.0.2.2", "A 192.0.2.3"][..]),
        ("v6.example.org.", RecordType::AAAA, &["AAAA 2001:db8::6"]),
        ("example.org.", RecordType::TXT, &["TXT v=spf1 mx -all"]),
        ("example.org.", RecordType::MX, &["MX 10 mail.example.org."]),
        ("example.org.", RecordType::NS, &["NS ns1.example.org."]),
        ("_sip._tcp.example.org.", RecordType::SRV, &["SRV 10 60 5060 mail.example.org."]),
    ] {
        let reply = ask_example(owner, kind);
        assert_eq!(code(&reply), ResponseCode::NoError);
        assert!(reply.message.authoritative);
        assert!(!reply.message.recursion_available && !reply.message.truncation);
        assert_eq!(reply.message.id, ID);
        assert_eq!(reply.message.queries, query(owner, kind).queries);
        let expected: Vec<_> =
            expected.iter().map(|data| format!("{owner} 3600 IN {data}")).collect();
        assert_eq!(reply.answers, expected);
        assert!(reply.authorities.is_empty() && reply.additionals.is_empty());
    }
}

#[test]
fn names_match_in_any_case_and_the_answer_keeps_that_of_the_question() {
    let reply = ask_several("mIxEd.eXaMpLe.NET.", RecordType::A);
    assert_eq!(reply.message.queries[0].name.to_ascii(), "mIxEd.eXaMpLe.NET.");
    assert_eq!(reply.answers, ["mIxEd.eXaMpLe.NET. 60 IN A 192.0.2.81"]);
}

#[test]
fn the_bit_that_asks_for_recursion_comes_back_and_changes_nothing() {
    let mut question = query("two.example.org.", RecordType::A);
    question.metadata.recursion_desired = true;
    let reply = reply(&example(), &question);
    assert!(reply.recursion_desired && !reply.recursion_available);
    assert_eq!(reply.answers.len(), 2);
}

#[test]
fn a_name_that_is_not_there_is_nxdomain_with_the_soa() {
    for owner in ["nobody.example.org.", "a.b.c.example.org.", "x.www.example.org."] {
        let reply = ask_example(owner, RecordType::A);
        assert_eq!(code(&reply), ResponseCode::NXDomain, "{owner}");
        assert!(reply.message.authoritative);
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities, [SOA]);
    }
}

#[test]
fn a_type_that_is_not_there_is_no_error_with_the_soa() {
    for (owner, kind) in [
        ("two.example.org.", RecordType::AAAA),
        ("example.org.", RecordType::Unknown(65_280)),
        ("x.any.example.org.", RecordType::TXT),
    ] {
        let reply = ask_example(owner, kind);
        assert_eq!(code(&reply), ResponseCode::NoError, "{owner}");
        assert!(reply.message.authoritative);
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities, [SOA]);
    }
}

#[test]
fn a_name_above_another_is_there_though_it_has_no_records() {
    for kind in [RecordType::A, RecordType::ANY] {
        let reply = ask_example("_tcp.example.org.", kind);
        assert_eq!(code(&reply), ResponseCode::NoError);
        assert_eq!(reply.authorities, [SOA]);
    }
}

#[test]
fn what_a_negative_answer_says_about_time_is_the_smaller_one() {
    // The SOA record has a TTL of 60 seconds, and says one day.
    let reply = ask_several("nobody.example.net.", RecordType::A);
    assert!(reply.authorities[0].starts_with("example.net. 60 IN SOA "), "{reply:?}");
}

#[test]
fn an_alias_is_followed_in_its_zone_and_into_others() {
    let reply = ask_example("docs.example.org.", RecordType::AAAA);
    assert_eq!(
        reply.answers,
        [
            "docs.example.org. 3600 IN CNAME www.example.org.",
            "www.example.org. 3600 IN CNAME example.org.",
            "example.org. 3600 IN AAAA 2001:db8::1",
        ]
    );

    let reply = ask_several("pages.example.net.", RecordType::A);
    assert_eq!(
        reply.answers,
        [
            "pages.example.net. 60 IN CNAME www.example.com.",
            "www.example.com. 60 IN A 192.0.2.90",
            "www.example.com. 60 IN A 192.0.2.91",
        ]
    );
}

#[test]
fn an_alias_is_not_followed_if_it_was_asked_for() {
    for kind in [RecordType::CNAME, RecordType::ANY] {
        let reply = ask_example("docs.example.org.", kind);
        assert_eq!(reply.answers, ["docs.example.org. 3600 IN CNAME www.example.org."]);
    }
}

#[test]
fn an_alias_of_a_name_in_no_zone_is_all_that_is_said() {
    let reply = ask_example("blog.example.org.", RecordType::A);
    assert_eq!(code(&reply), ResponseCode::NoError);
    assert!(reply.message.authoritative);
    assert_eq!(reply.answers, ["blog.example.org. 3600 IN CNAME pages.example.net."]);
    assert!(reply.authorities.is_empty());
}

#[test]
fn the_code_is_about_the_name_behind_the_alias() {
    let reply = ask_several("lost.example.net.", RecordType::A);
    assert_eq!(code(&reply), ResponseCode::NXDomain);
    assert_eq!(reply.answers, ["lost.example.net. 60 IN CNAME missing.example.com."]);
    assert!(reply.authorities[0].starts_with("example.com. 120 IN SOA "), "{reply:?}");

    let reply = ask_example("docs.example.org.", RecordType::SRV);
    assert_eq!(code(&reply), ResponseCode::NoError);
    assert_eq!((reply.answers.len(), reply.authorities), (2, vec![SOA.to_owned()]));
}

#[test]
fn aliases_that_go_round_or_on_and_on_come_to_an_end() {
    let (a, cname) = (RecordType::A, RecordType::CNAME);
    for (owner, count, last) in
        [("ring", 2, cname), ("self", 1, cname), ("a1", 9, a), ("a0", 9, cname)]
    {
        let reply = ask_several(&format!("{owner}.example.net."), RecordType::A);
        assert_eq!(code(&reply), ResponseCode::NoError);
        assert_eq!(reply.answers.len(), count, "{reply:?}");
        assert_eq!(reply.message.answers.last().map(Record::record_type), Some(last));
    }
}

#[test]
fn a_wildcard_stands_for_names_that_are_not_there() {
    for owner in ["x.any.example.org.", "X.y.any.example.org.", "*.any.example.org."] {
        let reply = ask_example(owner, RecordType::A);
        assert_eq!(reply.answers, [format!("{owner} 3600 IN A 192.0.2.9")]);
    }
}

#[test]
fn a_part_that_is_delegated_is_a_referral_with_addresses() {
    for owner in ["part.example.com.", "a.b.part.example.com.", "ns.part.example.com."] {
        let reply = ask_several(owner, RecordType::AAAA);
        assert_eq!(code(&reply), ResponseCode::NoError);
        assert!(!reply.message.authoritative);
        assert!(reply.answers.is_empty());
        assert_eq!(
            reply.authorities,
            [
                "part.example.com. 120 IN NS ns.part.example.com.",
                "part.example.com. 120 IN NS ns.elsewhere.example.",
            ]
        );
        assert_eq!(reply.additionals, ["ns.part.example.com. 120 IN AAAA 2001:db8::99"]);
    }
}

#[test]
fn a_referral_behind_an_alias_leaves_the_authority_over_the_alias() {
    let reply = ask_several("down.example.net.", RecordType::A);
    assert!(reply.message.authoritative);
    assert_eq!((reply.answers.len(), reply.authorities.len()), (1, 2));
}

#[test]
fn what_signs_a_delegation_is_asked_of_the_zone_above_it() {
    let reply = ask_several("part.example.com.", RecordType::DS);
    assert!(reply.message.authoritative);
    assert!(reply.authorities[0].contains(" SOA "), "{reply:?}");
}

#[test]
fn a_question_for_any_type_gets_the_records_of_one() {
    let reply = ask_example("example.org.", RecordType::ANY);
    assert_eq!(reply.answers, ["example.org. 3600 IN A 192.0.2.1"]);
}

#[test]
fn of_two_zones_the_inner_one_has_the_name() {
    let reply = ask_several("www.inner.example.net.", RecordType::A);
    assert_eq!(reply.answers, ["www.inner.example.net. 60 IN A 192.0.2.100"]);
    let reply = ask_several("www.example.net.", RecordType::A);
    assert_eq!(reply.answers, ["www.example.net. 60 IN A 192.0.2.80"]);
}

#[test]
fn other_names_other_classes_and_zone_transfers_are_refused() {
    for (owner, kind) in [
        ("example.com.", RecordType::A),
        ("org.", RecordType::A),
        (".", RecordType::NS),
        ("notexample.org.", RecordType::A),
        ("example.org.", RecordType::AXFR),
        ("example.org.", RecordType::IXFR),
    ] {
        let reply = ask_example(owner, kind);
        assert_eq!(code(&reply), ResponseCode::Refused, "{owner} {kind}");
        assert!(!reply.message.authoritative);
        assert!(reply.answers.is_empty() && reply.authorities.is_empty());
    }
    let mut question = query("example.org.", RecordType::A);
    question.queries[0].query_class = DNSClass::CH;
    assert_eq!(reply(&example(), &question).response_code, ResponseCode::Refused);
}

#[test]
fn a_zone_includes_what_is_beside_it() {
    let reply = ask_several("included.example.com.", RecordType::A);
    assert_eq!(reply.answers, ["included.example.com. 120 IN A 192.0.2.92"]);
}

#[test]
fn only_files_that_end_as_zones_and_are_not_hidden_are_read() {
    // Every other file of the folder would be a fault, and so SERVFAIL.
    assert_eq!(code(&ask_several("elsewhere.example.", RecordType::A)), ResponseCode::Refused);
}

#[test]
fn of_two_files_with_one_zone_the_second_is_a_fault() {
    let twice = folder("twice");
    let reply = ask(&twice, "www.example.edu.", RecordType::A);
    assert_eq!(reply.answers, ["www.example.edu. 60 IN A 192.0.2.1"]);
    assert_eq!(code(&ask(&twice, "elsewhere.example.", RecordType::A)), ResponseCode::ServFail);
}

#[test]
fn beside_a_file_that_is_no_zone_the_others_are_served() {
    let faulty = folder("faulty");
    let reply = ask(&faulty, "www.whole.example.", RecordType::A);
    assert_eq!(reply.answers, ["www.whole.example. 60 IN A 192.0.2.80"]);
    for owner in ["www.broken.example.", "elsewhere.example."] {
        let reply = ask(&faulty, owner, RecordType::A);
        assert_eq!(code(&reply), ResponseCode::ServFail);
        assert!(!reply.message.authoritative);
    }
}

#[test]
fn without_a_folder_no_question_can_be_answered() {
    let reply = ask(&folder("missing"), "www.example.org.", RecordType::A);
    assert_eq!(code(&reply), ResponseCode::ServFail);
}

#[test]
fn a_record_that_no_message_can_hold_is_a_failure_of_the_server() {
    let reply = ask_several("unsendable.example.net.", RecordType::TXT);
    assert_eq!(code(&reply), ResponseCode::ServFail);
    assert!(!reply.message.authoritative && !reply.message.truncation);
    assert!(reply.answers.is_empty());
}
