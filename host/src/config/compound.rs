//! Checks of values with parts: lists and tables.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kind::SPAWN;
use super::reader::{Checked, Report};
use super::scalar::Count;
use super::units::display_duration;
use super::value::{Data, Field, Value};
use super::{
    Backoff, Cipher, Dir, Keepalive, NamedFile, Origin, Spawn, Version, Versions, WhenFull,
    nearest, scalar,
};
use crate::address::Address;

/// What `keepalive` is where its parts are left out.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_mins(1),
    interval: Duration::from_secs(10),
    count: NonZeroU32::new(3).expect("3 is not 0"),
};

/// What the kernel takes for its waits and its count: `MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL` and
/// `MAX_TCP_KEEPCNT` in Linux's net/tcp.h.
const KEEPALIVE_WAITS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);
const KEEPALIVE_COUNT: u32 = 127;

/// One address or more, each with its place.
pub(super) fn addresses(
    value: &Value,
    base: &Path,
    report: &mut Report<'_>,
) -> Checked<Vec<(Address, Origin)>> {
    let list = one_or_more(value);
    if list.is_empty() {
        return report.wrong(&value.origin, "this list is empty");
    }
    let address = |value: &Value| match &value.data {
        Data::Text(text) => {
            match text.parse::<Address>().and_then(|address| address.relative_to(base)) {
                Ok(address) => Ok((address, value.origin.clone())),
                Err(error) => report.say(&value.origin, error.to_string()),
            }
        }
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    };
    all(list.iter().map(address))
}

/// One address, or none for `"off"`.
pub(super) fn endpoint(
    value: &Value,
    base: &Path,
    report: &mut Report<'_>,
) -> Checked<Option<Address>> {
    match &value.data {
        Data::Text(text) if text == "off" => Ok(None),
        Data::Text(text) => {
            match text.parse::<Address>().and_then(|address| address.relative_to(base)) {
                Ok(address) => Ok(Some(address)),
                // Nobody has written it: the folder's path is too long.
                Err(error) if matches!(value.origin, Origin::Default) => {
                    let key = report.key.name;
                    report
                        .say(&value.origin, format!("`{key}`: {error}; write another, or \"off\""))
                }
                Err(error) => report.say(&value.origin, error.to_string()),
            }
        }
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    }
}

/// Files, relative ones taken from `base`, each with its place.
pub(super) fn files(
    value: &Value,
    base: &Path,
    report: &mut Report<'_>,
) -> Checked<Vec<NamedFile>> {
    all(one_or_more(value).iter().map(|value| match scalar::path(value, base) {
        Ok(path) => Ok(NamedFile { path, origin: value.origin.clone() }),
        Err(why) => report.wrong(&value.origin, &why),
    }))
}

/// Versions of TLS; one that is there twice is there once.
pub(super) fn versions(value: &Value, report: &mut Report<'_>) -> Checked<Versions> {
    let version = |value: &Value| match &value.data {
        Data::Text(text) if text == Version::Tls12.as_str() => Ok(Version::Tls12),
        Data::Text(text) if text == Version::Tls13.as_str() => Ok(Version::Tls13),
        Data::Text(text) if text == "1.0" || text == "1.1" => {
            report.wrong(&value.origin, &format!("{text} is not secure (RFC 8996) and not there"))
        }
        Data::Text(text) => report.wrong(&value.origin, &format!("`{text}` is not one")),
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    };
    let versions = all(one_or_more(value).iter().map(version))?;
    match versions.first() {
        None => report.wrong(&value.origin, "this list is empty"),
        Some(first) if versions.iter().all(|version| version == first) => {
            Ok(Versions::Only(*first))
        }
        Some(_) => Ok(Versions::Both),
    }
}

/// Cipher suites, at least one and none twice, each with its place.
pub(super) fn ciphers(
    value: &Value,
    report: &mut Report<'_>,
) -> Checked<Vec<(&'static Cipher, Origin)>> {
    let list = one_or_more(value);
    if list.is_empty() {
        return report.wrong(&value.origin, "this list is empty");
    }
    let cipher = |value: &Value| match &value.data {
        Data::Text(text) => match Cipher::named(text) {
            Ok(cipher) => Ok((cipher, value.origin.clone())),
            Err(why) => report.wrong(&value.origin, &why),
        },
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    };
    let ciphers = all(list.iter().map(cipher))?;
    for (i, (cipher, origin)) in ciphers.iter().enumerate() {
        if ciphers[..i].iter().any(|(other, _)| other == cipher) {
            return report.refuse(origin, &format!("{} is there twice", cipher.iana));
        }
    }
    Ok(ciphers)
}

/// Protocols of applications, none twice (RFC 7301, section 3.1: 1 to 255 bytes).
pub(super) fn protocols(value: &Value, report: &mut Report<'_>) -> Checked<Vec<String>> {
    let list = one_or_more(value);
    let protocol = |value: &Value| match &value.data {
        Data::Text(text) => match text.len() {
            0 => report.wrong(&value.origin, "this one is empty"),
            1..=255 => Ok(text.clone()),
            length => report
                .wrong(&value.origin, &format!("this one has {length} bytes, the most is 255")),
        },
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    };
    let protocols = all(list.iter().map(protocol))?;
    for (i, protocol) in protocols.iter().enumerate() {
        if protocols[..i].contains(protocol) {
            return report.refuse(&list[i].origin, &format!("`{protocol}` is there twice"));
        }
    }
    Ok(protocols)
}

/// Multicast groups: none, one or more, none of them twice.
pub(super) fn groups(value: &Value, report: &mut Report<'_>) -> Checked<Vec<IpAddr>> {
    let list = one_or_more(value);
    let groups = all(list.iter().map(|value| group(value, report)))?;
    for (i, group) in groups.iter().enumerate() {
        if groups[..i].contains(group) {
            return report.refuse(&list[i].origin, &format!("{group} is there twice"));
        }
    }
    Ok(groups)
}

fn group(value: &Value, report: &mut Report<'_>) -> Checked<IpAddr> {
    let Data::Text(text) = &value.data else {
        return report.wrong(&value.origin, &scalar::this_is(value));
    };
    match text.parse::<IpAddr>() {
        Ok(group) if group.is_multicast() => Ok(group),
        Ok(ip) => {
            let why =
                format!("{ip} is not a multicast group; those begin with 224 to 239, or with ff");
            report.refuse(&value.origin, &why)
        }
        Err(_) => report.wrong(&value.origin, &format!("`{text}` is not one")),
    }
}

pub(super) fn env(value: &Value, report: &mut Report<'_>) -> Checked<Vec<(String, String)>> {
    let fields = table(value, report)?;
    for (i, Field { name, origin, .. }) in fields.iter().enumerate() {
        if fields[..i].iter().any(|other| other.name == *name) {
            return report.refuse(origin, &format!("`{name}` is there twice"));
        }
    }
    all(fields.iter().map(|field| variable(field, report)))
}

fn variable(field: &Field, report: &mut Report<'_>) -> Checked<(String, String)> {
    let Field { name, origin, value } = field;
    let why = match &value.data {
        _ if name.is_empty() => "the name of a variable is empty".to_owned(),
        _ if name.contains(['=', '\0']) => {
            format!("`{name}` has a `=` or a NUL, which the name of a variable cannot have")
        }
        Data::Text(text) if text.contains('\0') => format!("the value of `{name}` has a NUL in it"),
        Data::Text(text) => return Ok((name.clone(), text.clone())),
        _ => {
            let why = format!("the value of `{name}` is a string, {}", scalar::this_is(value));
            return report.wrong(&value.origin, &why);
        }
    };
    report.refuse(origin, &why)
}

pub(super) fn dirs(value: &Value, base: &Path, report: &mut Report<'_>) -> Checked<Vec<Dir>> {
    let Data::List(list) = &value.data else {
        return report.wrong(&value.origin, &scalar::this_is(value));
    };
    let dirs = all(list.iter().map(|value| dir(value, base, report)))?;
    for (i, dir) in dirs.iter().enumerate() {
        if dirs[..i].iter().any(|other| other.guest == dir.guest) {
            return report.refuse(&list[i].origin, &format!("`{}` is granted twice", dir.guest));
        }
    }
    Ok(dirs)
}

fn dir(value: &Value, base: &Path, report: &mut Report<'_>) -> Checked<Dir> {
    let fields = table(value, report)?;
    let known = known(fields, &["host", "guest", "write"], report);
    let host = required(value, "host", report);
    let guest = required(value, "guest", report);
    let host = host.and_then(|host| match scalar::path(host, base) {
        Ok(path) => folder(&host.origin, path, report),
        Err(why) => report.wrong(&host.origin, &format!("`host` is a path, {why}")),
    });
    let guest = guest.and_then(|guest| match &guest.data {
        Data::Text(path) => guest_path(&guest.origin, path, report),
        _ => report.wrong(&guest.origin, &format!("`guest` is a path, {}", scalar::this_is(guest))),
    });
    let write = match field(value, "write").map(|value| (value, scalar::boolean(value))) {
        None => Ok(false),
        Some((_, Ok(write))) => Ok(write),
        Some((value, Err(why))) => {
            report.wrong(&value.origin, &format!("`write` is true or false, {why}"))
        }
    };
    known.and(Ok(Dir { host: host?, guest: guest?, write: write? }))
}

fn folder(origin: &Origin, path: PathBuf, report: &mut Report<'_>) -> Checked<PathBuf> {
    let shown = path.display();
    let why = match fs::metadata(&path) {
        Ok(data) if data.is_dir() => return Ok(path),
        Ok(_) => format!("`{shown}` is not a folder"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("there is no folder `{shown}`")
        }
        Err(error) => format!("cannot look at the folder `{shown}`: {error}"),
    };
    report.refuse(origin, &why)
}

fn guest_path(origin: &Origin, path: &str, report: &mut Report<'_>) -> Checked<String> {
    let parts = || path[1..].split('/');
    if !path.starts_with('/') {
        return report.refuse(origin, &format!("the guest's path `{path}` needs a `/` in front"));
    }
    if path.contains('\0') || (path != "/" && parts().any(|part| matches!(part, "" | "." | ".."))) {
        return report.refuse(
            origin,
            &format!("the guest's path `{path}` has an empty part, a `.`, a `..` or a NUL"),
        );
    }
    Ok(path.to_owned())
}

/// A part that is left out is the default's.
pub(super) fn backoff(
    value: &Value,
    default: Option<Backoff>,
    report: &mut Report<'_>,
) -> Checked<Backoff> {
    let known = known(table(value, report)?, &["min", "max"], report);
    let mut part = |name: &str, default: Option<Duration>| match field(value, name) {
        None => {
            default.map_or_else(|| report.wrong(&value.origin, &format!("`{name}` is missing")), Ok)
        }
        Some(value) => duration_above_zero(value, name, report),
    };
    let min = part("min", default.map(|default| default.min));
    let max = part("max", default.map(|default| default.max));
    let backoff = Backoff { min: min?, max: max? };
    if backoff.min > backoff.max {
        let (min, max) = (display_duration(backoff.min), display_duration(backoff.max));
        return report.refuse(&value.origin, &format!("`min` ({min}) is more than `max` ({max})"));
    }
    known.map(|()| backoff)
}

pub(super) fn spawn(value: &Value, report: &mut Report<'_>) -> Checked<Spawn> {
    let Data::Table(fields) = &value.data else {
        return match scalar::count(value, SPAWN) {
            Ok(Count::Word(0)) => Ok(Spawn::PerConnection),
            Ok(Count::Word(_)) => Ok(Spawn::AtMost(NonZeroU32::MIN)),
            Ok(Count::Number(n)) => Ok(Spawn::AtMost(n)),
            Err(why) => report.wrong(&value.origin, &why),
        };
    };
    let known = known(fields, &["pool"], report);
    let pool = required(value, "pool", report)?;
    match scalar::name(pool) {
        Ok(pool) => known.map(|()| Spawn::Pool(pool)),
        Err(why) => report.wrong(&pool.origin, &format!("`pool` is a name, {why}")),
    }
}

pub(super) fn when_full(value: &Value, report: &mut Report<'_>) -> Checked<WhenFull> {
    let fields = match &value.data {
        Data::Text(text) if text == "wait" => return Ok(WhenFull::Wait),
        Data::Text(text) if text == "refuse" => return Ok(WhenFull::Refuse),
        _ => table(value, report)?,
    };
    let known = known(fields, &["queue", "for"], report);
    let most = required(value, "queue", report);
    let most = most.and_then(|value| match scalar::count(value, &[]) {
        Ok(Count::Number(n)) => Ok(n),
        Ok(Count::Word(_)) => report.wrong(&value.origin, &scalar::this_is(value)),
        Err(why) => report.wrong(&value.origin, &format!("`queue` is a number, {why}")),
    });
    let wait = required(value, "for", report);
    let wait = wait.and_then(|value| duration_above_zero(value, "for", report));
    known.and(Ok(WhenFull::Queue { most: most?, wait: wait? }))
}

/// A part that is left out is that of [`KEEPALIVE`].
pub(super) fn keepalive(value: &Value, report: &mut Report<'_>) -> Checked<Option<Keepalive>> {
    let fields = match &value.data {
        Data::Text(text) if text == "none" => return Ok(None),
        _ => table(value, report)?,
    };
    let known = known(fields, &["idle", "interval", "count"], report);
    let mut seconds = |name: &str, default| match field(value, name) {
        None => Ok(default),
        Some(value) => match scalar::duration(value) {
            Ok(duration) if duration.subsec_nanos() == 0 && KEEPALIVE_WAITS.contains(&duration) => {
                Ok(duration)
            }
            Ok(_) => {
                report.wrong(&value.origin, &format!("`{name}` is whole seconds from 1s to 32767s"))
            }
            Err(why) => report.wrong(&value.origin, &why),
        },
    };
    let idle = seconds("idle", KEEPALIVE.idle);
    let interval = seconds("interval", KEEPALIVE.interval);
    let count = match field(value, "count") {
        None => Ok(KEEPALIVE.count),
        Some(value) => match scalar::count(value, &[]) {
            Ok(Count::Number(n)) if n.get() <= KEEPALIVE_COUNT => Ok(n),
            _ => report
                .wrong(&value.origin, &format!("`count` is a number from 1 to {KEEPALIVE_COUNT}")),
        },
    };
    known.and(Ok(Some(Keepalive { idle: idle?, interval: interval?, count: count? })))
}

pub(super) fn duration_above_zero(
    value: &Value,
    name: &str,
    report: &mut Report<'_>,
) -> Checked<Duration> {
    match scalar::duration(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => report.wrong(&value.origin, &format!("`{name}` is above 0")),
        Err(why) => report.wrong(&value.origin, &why),
    }
}

fn one_or_more(value: &Value) -> &[Value] {
    match &value.data {
        Data::List(list) => list,
        _ => std::slice::from_ref(value),
    }
}

pub(super) fn table<'a>(value: &'a Value, report: &mut Report<'_>) -> Checked<&'a [Field]> {
    match &value.data {
        Data::Table(fields) => Ok(fields),
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    }
}

pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match &value.data {
        Data::Table(fields) => {
            fields.iter().find(|field| field.name == name).map(|field| &field.value)
        }
        _ => None,
    }
}

pub(super) fn required<'a>(
    value: &'a Value,
    name: &str,
    report: &mut Report<'_>,
) -> Checked<&'a Value> {
    match field(value, name) {
        Some(value) => Ok(value),
        None => report.wrong(&value.origin, &format!("`{name}` is missing")),
    }
}

/// Reports every field that is not one of `names`.
pub(super) fn known(fields: &[Field], names: &[&str], report: &mut Report<'_>) -> Checked<()> {
    let mut known = Ok(());
    for Field { name, origin, .. } in fields {
        if !names.contains(&name.as_str()) {
            let hint = nearest::did_you_mean(name, names.iter().copied());
            known = report.refuse(origin, &format!("unknown key `{name}`{hint}"));
        }
    }
    known
}

/// All of them or, after every error was reported, none.
fn all<T>(items: impl Iterator<Item = Checked<T>>) -> Checked<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}
