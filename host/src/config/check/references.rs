//! Names that refer to each other, and those that may be there once.

use super::Document;
use crate::config::keys::DEFAULT_TENANT;
use crate::config::kind::SPAWN;
use crate::config::reader::Section;
use crate::config::value::{Data, Value};
use crate::config::{ConfigError, Origin, nearest, scalar};

/// Every listener has a name of its own and what it names is there, every handler and pool is
/// named by a listener, and every tenant by a handler. What a mistake that was reported before would cause is not reported again.
pub(super) fn check(document: &Document, errors: &mut Vec<ConfigError>) {
    let Document { listeners, handlers, pools, tenants, .. } = document;
    listener_names(document, errors);
    if listeners.is_empty() && document.whole {
        errors.push(ConfigError::new(
            document.origin.clone(),
            "there is no [[listener]], so nobody could connect; \
             write one with `name`, `bind` and `handler`",
        ));
    }
    let named = listeners.iter().flat_map(|listener| &listener.parts).flat_map(|tls| &tls.parts);
    let used: Vec<_> = listeners.iter().map(handler_of).chain(named.map(own_handler_of)).collect();
    references("handler", &used, handlers, document, errors);
    let used: Vec<_> = listeners.iter().map(pool_of).collect();
    references("pool", &used, pools, document, errors);
    // A tenant without quotas needs no table.
    let used: Vec<_> = handlers.iter().map(|(_, section)| tenant_of(section)).collect();
    let is_clear = used.iter().all(|used| matches!(used, Named::This(..)));
    if document.whole && is_clear && !used.is_empty() {
        unused("handler", "tenant", &used, tenants, errors);
    }
}

fn listener_names(document: &Document, errors: &mut Vec<ConfigError>) {
    let mut seen: Vec<(&str, &Origin)> = Vec::new();
    for (name, origin) in document.listeners.iter().filter_map(|section| section.text("name")) {
        match seen.iter().find(|(other, _)| *other == name) {
            None => seen.push((name, origin)),
            Some((_, other)) => errors.push(ConfigError::new(
                origin.clone(),
                format!("the listener of {other} is called `{name}` too; each has its own name"),
            )),
        }
    }
}

/// What a listener names.
#[derive(Clone, Copy)]
enum Named<'a> {
    Nothing,
    This(&'a str, &'a Origin),
    /// What was written cannot be a name.
    Unclear,
}

/// Checks the names that listeners `used` against the tables `[kind.NAME]` that there are.
fn references(
    kind: &str,
    used: &[Named<'_>],
    defined: &[(String, Section)],
    document: &Document,
    errors: &mut Vec<ConfigError>,
) {
    let names = || defined.iter().map(|(name, _)| name.as_str());
    let mut all_found = document.whole && !used.is_empty();
    for used in used {
        let (name, origin) = match used {
            Named::Nothing => continue,
            Named::This(name, _) if names().any(|known| known == *name) => continue,
            Named::This(name, origin) => (name, *origin),
            Named::Unclear => {
                all_found = false;
                continue;
            }
        };
        all_found = false;
        if document.whole {
            let hint = nearest::did_you_mean(name, names());
            let message = format!("no [{kind}.{name}] defines this {kind}{hint}");
            errors.push(ConfigError::new(origin.clone(), message));
        }
    }
    if all_found {
        unused("listener", kind, used, defined, errors);
    }
}

/// Reports the tables `[kind.NAME]` whose names are not among those that the `users` have `used`.
fn unused(
    users: &str,
    kind: &str,
    used: &[Named<'_>],
    defined: &[(String, Section)],
    errors: &mut Vec<ConfigError>,
) {
    let is_used =
        |name: &str| used.iter().any(|used| matches!(used, Named::This(this, _) if *this == name));
    for (name, section) in defined.iter().filter(|(name, _)| !is_used(name)) {
        let message = format!("no {users} uses [{kind}.{name}]; name it in one, or take it out");
        errors.push(ConfigError::new(section.origin.clone(), message));
    }
}

fn handler_of(section: &Section) -> Named<'_> {
    section.value("handler").map_or(Named::Unclear, named)
}

/// That of a server name, which need not have one.
fn own_handler_of(section: &Section) -> Named<'_> {
    section.value("handler").map_or(Named::Nothing, named)
}

/// Its owner, which it need not name.
fn tenant_of(section: &Section) -> Named<'_> {
    section.value("tenant").map_or(Named::This(DEFAULT_TENANT, &section.origin), named)
}

fn pool_of(section: &Section) -> Named<'_> {
    match section.value("spawn").map(|value| &value.data) {
        None | Some(Data::Integer(_)) => Named::Nothing,
        Some(Data::Text(text)) if SPAWN.contains(&text.as_str()) => Named::Nothing,
        Some(Data::Table(fields)) => {
            let pool = fields.iter().find(|field| field.name == "pool");
            pool.map_or(Named::Unclear, |field| named(&field.value))
        }
        Some(_) => Named::Unclear,
    }
}

fn named(value: &Value) -> Named<'_> {
    match &value.data {
        Data::Text(text) if scalar::name(value).is_ok() => Named::This(text, &value.origin),
        _ => Named::Unclear,
    }
}
