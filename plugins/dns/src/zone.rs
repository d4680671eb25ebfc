//! The records of one zone, and what they say about a name.

use std::collections::BTreeMap;

use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};

/// Records by name and type. Names have the order of RFC 4034 section 6.1: what is below a name
/// follows it.
pub(crate) type Records = BTreeMap<RrKey, RecordSet>;

/// One zone: a SOA record, and no record outside of the name that has it.
#[derive(Debug)]
pub(crate) struct Zone {
    apex: LowerName,
    negative: Record,
    records: Records,
}

/// What a zone has about a name and a type.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// The records of this type; for `ANY` those of one type.
    Records(&'a RecordSet),
    /// The name is an alias: its record, and the name that stands there.
    Alias(&'a RecordSet, &'a Name),
    /// The name, or one above it, is delegated to these name servers.
    Referral(&'a RecordSet),
    /// The name is there, with other types or only with names below it.
    NoData,
    /// There is no such name.
    NoName,
}

impl Zone {
    /// Makes a zone of its records. An error says why they are none.
    pub(crate) fn new(records: Records) -> Result<Self, String> {
        let mut negative = None;
        for record in records.values().flat_map(RecordSet::records_without_rrsigs) {
            if record.dns_class != DNSClass::IN {
                return Err(format!("{} has records of another class than IN", record.name));
            }
            if let RData::SOA(soa) = &record.data {
                let ttl = record.ttl.min(soa.minimum);
                let head = Record::from_rdata(record.name.clone(), ttl, record.data.clone());
                if negative.replace(head).is_some() {
                    return Err("there are two SOA records, and a zone has one".into());
                }
            }
        }
        let negative = negative.ok_or("there is no SOA record, and a zone has one")?;
        let apex = LowerName::new(&negative.name);
        match records.keys().find(|key| !apex.zone_of(&key.name)) {
            Some(key) => Err(format!("{} is not in the zone {apex}", key.name)),
            None => Ok(Self { apex, negative, records }),
        }
    }

    /// The name of the zone.
    pub(crate) fn apex(&self) -> &LowerName {
        &self.apex
    }

    /// The SOA record for a negative answer. Its TTL says how long that may be kept (RFC 2308
    /// section 3).
    pub(crate) fn negative(&self) -> &Record {
        &self.negative
    }

    /// What there is about `name`, which is in the zone: the algorithm of RFC 1034 section 4.3.2,
    /// with the wildcards of RFC 4592.
    pub(crate) fn find(&self, name: &Name, wanted: RecordType) -> Found<'_> {
        let apex = self.apex.iter().len();
        let whole = name.iter().len();
        for labels in apex..=whole {
            let node = LowerName::new(&name.trim_to(labels));
            if !self.has(&node) {
                let wildcard = node.into_wildcard();
                return if self.has(&wildcard) {
                    self.at(&wildcard, wanted)
                } else {
                    Found::NoName
                };
            }
            // The zone above a delegation has its DS records (RFC 4035 section 3.1.4.1).
            let is_ours = labels == apex || (labels == whole && wanted == RecordType::DS);
            if !is_ours && let Some(servers) = self.set(&node, RecordType::NS) {
                return Found::Referral(servers);
            }
        }
        self.at(&LowerName::new(name), wanted)
    }

    /// The addresses that this zone knows of `servers`, which are NS records.
    pub(crate) fn addresses(&self, servers: &RecordSet) -> impl Iterator<Item = &RecordSet> {
        let names = servers.records_without_rrsigs().filter_map(|record| match &record.data {
            RData::NS(server) => Some(LowerName::new(server)),
            _ => None,
        });
        names
            .flat_map(|name| [self.set(&name, RecordType::A), self.set(&name, RecordType::AAAA)])
            .flatten()
    }

    fn at(&self, name: &LowerName, wanted: RecordType) -> Found<'_> {
        let set = if wanted == RecordType::ANY {
            self.from(name).next().filter(|(key, _)| key.name == *name).map(|(_, set)| set)
        } else {
            self.set(name, wanted)
        };
        if let Some(set) = set {
            return Found::Records(set);
        }
        let alias = self.set(name, RecordType::CNAME);
        match alias.and_then(|set| Some((set, &set.record()?.data))) {
            Some((alias, RData::CNAME(target))) => Found::Alias(alias, target),
            _ => Found::NoData,
        }
    }

    /// Whether there are records at `name` or below it.
    fn has(&self, name: &LowerName) -> bool {
        self.from(name).next().is_some_and(|(key, _)| name.zone_of(&key.name))
    }

    fn from(&self, name: &LowerName) -> impl Iterator<Item = (&RrKey, &RecordSet)> {
        self.records.range(RrKey::new(name.clone(), RecordType::ZERO)..)
    }

    fn set(&self, name: &LowerName, kind: RecordType) -> Option<&RecordSet> {
        self.records.get(&RrKey::new(name.clone(), kind))
    }
}
