//! Reads the keys of one section as the types that the checks give.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::{self, Home, Key};
use super::scalar::{self, Count};
use super::value::{Data, Value};
use super::{
    Backoff, CacheConfig, Cipher, ConfigError, Dir, Keepalive, Kind, LogBounds, MemoryBound,
    MinRate, NamedFile, Origin, Receipts, Spawn, Versions, WhenFull, compound, limits, server_name,
};
use crate::address::Address;

/// One table of the configuration: known keys with their values.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) home: Home,
    /// The table's header as messages name it.
    pub(super) header: String,
    /// The table's place.
    pub(super) origin: Origin,
    pub(super) entries: Vec<(&'static Key, Value)>,
    /// The tables in it: those that [`Home::part`] says.
    pub(super) parts: Vec<Self>,
}

impl Section {
    pub(super) fn new(home: Home, header: impl Into<String>, origin: Origin) -> Self {
        Self { home, header: header.into(), origin, entries: Vec::new(), parts: Vec::new() }
    }

    /// The value of a key, if it was written.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The text of a key and its place, if it was written and is text.
    pub(super) fn text(&self, name: &str) -> Option<(&str, &Origin)> {
        match self.value(name)? {
            Value { origin, data: Data::Text(text) } => Some((text, origin)),
            _ => None,
        }
    }
}

/// A check's failure: what is wrong is among the errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// What a check gives.
pub(super) type Checked<T> = Result<T, Reported>;

/// Gives the keys of a section, or reports why not.
pub(super) struct Reader<'a> {
    pub(super) section: &'a Section,
    /// The folder that relative paths are taken from.
    pub(super) base: &'a Path,
    pub(super) errors: &'a mut Vec<ConfigError>,
}

impl Reader<'_> {
    /// Of a table in this one.
    pub(super) fn part<'a>(&'a mut self, section: &'a Section) -> Reader<'a> {
        Reader { section, base: self.base, errors: self.errors }
    }

    /// What `read` makes of a key, if it was written.
    pub(super) fn written<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self, &str) -> Checked<T>,
    ) -> Checked<Option<T>> {
        self.section.value(key).is_some().then(|| read(self, key)).transpose()
    }

    pub(super) fn name(&mut self, key: &str) -> Checked<String> {
        self.scalar(key, |value, _, _| scalar::name(value))
    }

    pub(super) fn path(&mut self, key: &str) -> Checked<PathBuf> {
        self.scalar(key, |value, _, base| scalar::path(value, base))
    }

    pub(super) fn command(&mut self, key: &str) -> Checked<String> {
        self.scalar(key, |value, _, _| scalar::command(value))
    }

    pub(super) fn files(&mut self, key: &str) -> Checked<Vec<NamedFile>> {
        self.compound(key, compound::files)
    }

    /// A file, for a key that need not be there.
    pub(super) fn file(&mut self, key: &str) -> Checked<Option<NamedFile>> {
        let path = self.written(key, Reader::path)?;
        let origin = self.section.value(key).map(|value| value.origin.clone());
        Ok(path.zip(origin).map(|(path, origin)| NamedFile { path, origin }))
    }

    pub(super) fn receipts(&mut self, key: &str) -> Checked<Receipts> {
        self.scalar(key, |value, _, base| scalar::receipts(value, base))
    }

    pub(super) fn folder_or_off(&mut self, key: &str) -> Checked<Option<PathBuf>> {
        self.scalar(key, |value, _, base| scalar::folder_or_off(value, base))
    }

    pub(super) fn cache(&mut self, key: &str) -> Checked<CacheConfig> {
        self.scalar(key, |value, _, base| scalar::cache(value, base))
    }

    /// A number, for a key that takes no words.
    pub(super) fn count(&mut self, key: &str) -> Checked<NonZeroU32> {
        match self.any_count(key)? {
            Count::Number(n) => Ok(n),
            Count::Word(_) => Err(Reported),
        }
    }

    /// A number, for a key whose one word says that there is none.
    pub(super) fn count_or_none(&mut self, key: &str) -> Checked<Option<NonZeroU32>> {
        self.any_count(key).map(|count| match count {
            Count::Number(n) => Some(n),
            Count::Word(_) => None,
        })
    }

    fn any_count(&mut self, key: &str) -> Checked<Count> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Count(words) => scalar::count(value, words),
            _ => Err(scalar::this_is(value)),
        })
    }

    pub(super) fn amount(&mut self, key: &str) -> Checked<Option<NonZeroU64>> {
        self.scalar(key, |value, _, _| scalar::amount(value))
    }

    pub(super) fn processors(&mut self, key: &str) -> Checked<Option<NonZeroU32>> {
        self.scalar(key, |value, _, _| scalar::processors(value))
    }

    pub(super) fn total_memory(&mut self, key: &str) -> Checked<MemoryBound> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Size { min, max, .. } => scalar::total_memory(value, min, max),
            _ => Err(scalar::this_is(value)),
        })
    }

    pub(super) fn limit(&mut self, key: &str) -> Checked<Option<Duration>> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::LimitTo(most) => scalar::limit_to(value, most),
            Kind::Seconds => scalar::seconds(value),
            _ => scalar::limit(value),
        })
    }

    /// A duration that cannot be without end.
    pub(super) fn within(&mut self, key: &str) -> Checked<Duration> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Within(most) => scalar::within(value, most),
            _ => Err(scalar::this_is(value)),
        })
    }

    /// The limits for connections and for flows; what was written holds for both.
    pub(super) fn limits(&mut self, key: &str) -> Checked<(Option<Duration>, Option<Duration>)> {
        let connections = self.limit(key)?;
        let default = find(self.section.home, key).default.flows();
        match (self.section.value(key), default.map(Value::from_default)) {
            (None, Some(default)) => {
                let flows = scalar::limit(&default).map_err(|_| Reported)?;
                Ok((connections, flows))
            }
            _ => Ok((connections, connections)),
        }
    }

    /// A size, for a key that takes no words.
    pub(super) fn size(&mut self, key: &str) -> Checked<u64> {
        self.any_size(key)?.ok_or(Reported)
    }

    /// A size of at most 4GiB, for a key whose words say that there is none.
    pub(super) fn size_or_none(&mut self, key: &str) -> Checked<Option<NonZeroU32>> {
        let size = self.any_size(key)?;
        Ok(size.and_then(|size| NonZeroU32::new(u32::try_from(size).unwrap_or(u32::MAX))))
    }

    /// A size of any length, for a key whose words say that there is none.
    pub(super) fn long_size_or_none(&mut self, key: &str) -> Checked<Option<u64>> {
        self.any_size(key)
    }

    fn any_size(&mut self, key: &str) -> Checked<Option<u64>> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Size { min, max, words } => scalar::size_or(value, min, max, words),
            _ => Err(scalar::this_is(value)),
        })
    }

    pub(super) fn boolean(&mut self, key: &str) -> Checked<bool> {
        self.scalar(key, |value, _, _| scalar::boolean(value))
    }

    /// What stands for each word of the key, in their order.
    pub(super) fn choice<T: Copy, const N: usize>(&mut self, key: &str, of: [T; N]) -> Checked<T> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Choice(words) => {
                let of = |place| of.get(place).copied().ok_or_else(|| scalar::this_is(value));
                scalar::choice(value, words).and_then(of)
            }
            _ => Err(scalar::this_is(value)),
        })
    }

    pub(super) fn text(&mut self, key: &str) -> Checked<String> {
        self.scalar(key, |value, kind, _| match kind {
            Kind::Text { max } => scalar::text(value, max),
            _ => Err(scalar::this_is(value)),
        })
    }

    pub(super) fn permissions(&mut self, key: &str) -> Checked<Option<u32>> {
        self.scalar(key, |value, _, _| scalar::permissions(value))
    }

    pub(super) fn owner(&mut self, key: &str) -> Checked<Option<String>> {
        self.scalar(key, |value, _, _| scalar::owner(value))
    }

    pub(super) fn device(&mut self, key: &str) -> Checked<Option<String>> {
        self.scalar(key, |value, _, _| scalar::device(value))
    }

    pub(super) fn server_name(&mut self, key: &str) -> Checked<String> {
        self.scalar(key, |value, _, _| server_name::checked(value))
    }

    pub(super) fn versions(&mut self, key: &str) -> Checked<Versions> {
        self.compound(key, |value, _, report| compound::versions(value, report))
    }

    /// Cipher suites; the values are for errors about single ones.
    pub(super) fn ciphers(&mut self, key: &str) -> Checked<Vec<(&'static Cipher, Origin)>> {
        self.compound(key, |value, _, report| compound::ciphers(value, report))
    }

    pub(super) fn protocols(&mut self, key: &str) -> Checked<Vec<String>> {
        self.compound(key, |value, _, report| compound::protocols(value, report))
    }

    pub(super) fn spawn(&mut self, key: &str) -> Checked<Spawn> {
        self.compound(key, |value, _, report| compound::spawn(value, report))
    }

    pub(super) fn when_full(&mut self, key: &str) -> Checked<WhenFull> {
        self.compound(key, |value, _, report| compound::when_full(value, report))
    }

    pub(super) fn keepalive(&mut self, key: &str) -> Checked<Option<Keepalive>> {
        self.compound(key, |value, _, report| compound::keepalive(value, report))
    }

    pub(super) fn groups(&mut self, key: &str) -> Checked<Vec<IpAddr>> {
        self.compound(key, |value, _, report| compound::groups(value, report))
    }

    pub(super) fn addresses(&mut self, key: &str) -> Checked<Vec<(Address, Origin)>> {
        self.compound(key, compound::addresses)
    }

    pub(super) fn endpoint(&mut self, key: &str) -> Checked<Option<Address>> {
        self.compound(key, compound::endpoint)
    }

    pub(super) fn env(&mut self, key: &str) -> Checked<Vec<(String, String)>> {
        self.compound(key, |value, _, report| compound::env(value, report))
    }

    pub(super) fn dirs(&mut self, key: &str) -> Checked<Vec<Dir>> {
        self.compound(key, compound::dirs)
    }

    pub(super) fn backoff(&mut self, key: &str) -> Checked<Backoff> {
        let default = find(self.section.home, key).default.connections();
        let default = default.map(Value::from_default);
        self.compound(key, |value, _, report| {
            let default =
                default.map(|default| compound::backoff(&default, None, report)).transpose()?;
            compound::backoff(value, default, report)
        })
    }

    pub(super) fn min_rate(&mut self, key: &str) -> Checked<Option<MinRate>> {
        self.compound(key, |value, _, report| limits::min_rate(value, report))
    }

    pub(super) fn log(&mut self, key: &str) -> Checked<LogBounds> {
        let default = find(self.section.home, key).default.connections().unwrap_or("{}");
        let default = Value::from_default(default);
        self.compound(key, |value, _, report| limits::log(value, &default, report))
    }

    /// Says why what was written for `key` cannot be had.
    pub(super) fn refuse<T>(&mut self, key: &str, why: &str) -> Checked<T> {
        let Section { origin, .. } = self.section;
        let origin = self.section.value(key).map_or(origin, |value| &value.origin);
        self.refuse_at(origin, key, why)
    }

    /// The same about a part of the value, at `origin`.
    pub(super) fn refuse_at<T>(&mut self, origin: &Origin, key: &str, why: &str) -> Checked<T> {
        let key = find(self.section.home, key);
        Report { key, errors: self.errors }.refuse(origin, why)
    }

    fn scalar<T>(
        &mut self,
        key: &str,
        check: impl FnOnce(&Value, Kind, &Path) -> Result<T, String>,
    ) -> Checked<T> {
        self.compound(key, |value, base, report| match check(value, report.key.kind, base) {
            Ok(checked) => Ok(checked),
            Err(why) => report.wrong(&value.origin, &why),
        })
    }

    fn compound<T>(
        &mut self,
        key: &str,
        check: impl FnOnce(&Value, &Path, &mut Report<'_>) -> Checked<T>,
    ) -> Checked<T> {
        let Section { home, header, origin, .. } = self.section;
        let key = find(*home, key);
        let mut report = Report { key, errors: self.errors };
        match (self.section.value(key.name), key.default.connections()) {
            (Some(value), _) => check(value, self.base, &mut report),
            (None, Some(default)) => check(&Value::from_default(default), self.base, &mut report),
            (None, None) => {
                let wanted = key.kind.in_file();
                report.say(origin, format!("{header} has no `{}`; it takes {wanted}", key.name))
            }
        }
    }
}

fn find(home: Home, key: &str) -> &'static Key {
    keys::find(home, key).expect("a test reads every key of the table")
}

/// Where the checks of one key put what is wrong. Each call is a failure of the check.
pub(super) struct Report<'a> {
    pub(super) key: &'static Key,
    errors: &'a mut Vec<ConfigError>,
}

impl Report<'_> {
    /// The value is not what the key takes: says what it takes, then `why`.
    pub(super) fn wrong<T>(&mut self, origin: &Origin, why: &str) -> Checked<T> {
        let Key { name, kind, .. } = self.key;
        match origin {
            Origin::Flag(_) => {
                self.say(origin, format!("takes {}; {}", kind.in_flag(), why.replace('"', "")))
            }
            _ => self.say(origin, format!("`{name}` takes {}; {why}", kind.in_file())),
        }
    }

    /// The value is of the right kind but cannot be had: says only `why`.
    pub(super) fn refuse<T>(&mut self, origin: &Origin, why: &str) -> Checked<T> {
        match origin {
            Origin::Flag(_) => self.say(origin, why.replace('"', "")),
            _ => self.say(origin, format!("`{}`: {why}", self.key.name)),
        }
    }

    /// A message that stands alone.
    pub(super) fn say<T>(&mut self, origin: &Origin, message: String) -> Checked<T> {
        self.errors.push(ConfigError::new(origin.clone(), message));
        Err(Reported)
    }
}
