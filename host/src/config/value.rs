//! A value as it was written, in a file or after a flag, with its place.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Origin;

#[derive(Debug)]
pub(super) struct Value {
    pub(super) origin: Origin,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(super) enum Data {
    Text(String),
    /// A path from the command line, which need not be UTF-8.
    Path(PathBuf),
    /// Saturates at the bounds of `i128`.
    Integer(i128),
    /// A number with a fraction or an exponent, as it was written.
    Decimal(String),
    Bool(bool),
    List(Vec<Value>),
    Table(Vec<Field>),
    /// What no key takes; as [`Value::found`] names it.
    Other(String),
}

/// A key of a table; fields are in the order written.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Where the key is, not the value.
    pub(super) origin: Origin,
    pub(super) value: Value,
}

impl Value {
    pub(super) fn text(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, data: Data::Text(text.into()) }
    }

    /// A value of a TOML document; `at` tells the origin of a place in it.
    pub(super) fn from_toml(value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Origin) -> Self {
        let data = match value.get_ref() {
            DeValue::String(text) => Data::Text(text.clone().into_owned()),
            DeValue::Integer(n) => {
                let limit = if n.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
                Data::Integer(i128::from_str_radix(n.as_str(), n.radix()).unwrap_or(limit))
            }
            DeValue::Boolean(value) => Data::Bool(*value),
            DeValue::Float(n) => Data::Decimal(n.as_str().to_owned()),
            DeValue::Datetime(date) => Data::Other(format!("the date {date}")),
            DeValue::Array(list) => {
                Data::List(list.iter().map(|value| Self::from_toml(value, at)).collect())
            }
            DeValue::Table(table) => Data::Table(fields(table, at)),
        };
        let Range { start, .. } = value.span();
        Self { origin: at(start), data }
    }

    /// The value of a default, which is TOML.
    pub(super) fn from_default(text: &str) -> Self {
        let value = DeValue::parse(text).expect("a test reads every default of the table");
        Self::from_toml(&value, &|_| Origin::Default)
    }

    /// What this is, for "but this is ...".
    pub(super) fn found(&self) -> String {
        match &self.data {
            Data::Text(text) if text.chars().count() > 60 => "a long text".to_owned(),
            Data::Text(text) => format!("the text \"{text}\""),
            Data::Path(path) => format!("the path {}", path.display()),
            Data::Integer(n) => format!("the number {n}"),
            Data::Decimal(n) => format!("the number {n}"),
            Data::Bool(value) => value.to_string(),
            Data::List(_) => "a list".to_owned(),
            Data::Table(_) => "a table".to_owned(),
            Data::Other(found) => found.clone(),
        }
    }
}

pub(super) fn fields(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> Vec<Field> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(name, _)| name.span().start);
    let field = |(name, value): (&Spanned<_>, &Spanned<_>)| Field {
        name: ToString::to_string(name.get_ref()),
        origin: at(name.span().start),
        value: Value::from_toml(value, at),
    };
    pairs.into_iter().map(field).collect()
}
