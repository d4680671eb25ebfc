//! Checks of values with parts: addresses, environment, folders, back-off.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Checked, Report};
use super::units::display_duration;
use super::value::{Data, Field, Value};
use super::{Backoff, Dir, Origin, nearest, scalar};
use crate::address::Address;

/// One address or more, each with its place.
pub(super) fn addresses(
    value: &Value,
    base: &Path,
    report: &mut Report<'_>,
) -> Checked<Vec<(Address, Origin)>> {
    let list = match &value.data {
        Data::List(list) if list.is_empty() => {
            return report.wrong(&value.origin, "this list is empty");
        }
        Data::List(list) => list.as_slice(),
        _ => std::slice::from_ref(value),
    };
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
        Some(value) => match scalar::duration(value) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            Ok(_) => report.wrong(&value.origin, &format!("`{name}` is above 0")),
            Err(why) => report.wrong(&value.origin, &why),
        },
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

fn table<'a>(value: &'a Value, report: &mut Report<'_>) -> Checked<&'a [Field]> {
    match &value.data {
        Data::Table(fields) => Ok(fields),
        _ => report.wrong(&value.origin, &scalar::this_is(value)),
    }
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match &value.data {
        Data::Table(fields) => {
            fields.iter().find(|field| field.name == name).map(|field| &field.value)
        }
        _ => None,
    }
}

fn required<'a>(value: &'a Value, name: &str, report: &mut Report<'_>) -> Checked<&'a Value> {
    match field(value, name) {
        Some(value) => Ok(value),
        None => report.wrong(&value.origin, &format!("`{name}` is missing")),
    }
}

/// Reports every field that is not one of `names`.
fn known(fields: &[Field], names: &[&str], report: &mut Report<'_>) -> Checked<()> {
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
