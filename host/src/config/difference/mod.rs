//! What is different between two configurations, key by key, and when that takes effect.

mod tables;

use std::fmt;
use std::sync::Arc;

use super::keys::{self, Change, Home};
use super::{Config, HandlerConfig, ListenerConfig, NameConfig, PoolConfig, TenantConfig};

/// Something that is different in another configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table that it is in: `server`, `listener echo`, `listener echo: tls`, `handler echo`.
    pub table: String,
    /// What is different there.
    pub what: What,
}

/// What is different in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Only the other configuration has the table.
    New,
    /// The other configuration does not have it.
    Gone,
    /// A key has another value.
    Key {
        /// Its name.
        name: &'static str,
        /// Its value, as it would be written, without quotes. Of values that may be secret or
        /// long it says less, and can be the same as `to`.
        from: String,
        /// Its value in the other configuration.
        to: String,
        /// When a server takes it over.
        change: Change,
    },
}

impl Difference {
    /// Whether a server has to be started again for it.
    pub fn needs_restart(&self) -> bool {
        matches!(self.what, What::Key { change: Change::Restart, .. })
    }

    /// The name of the key with that of its table before it, `server.receipts`; the table, where it
    /// is new or gone.
    pub fn path(&self) -> String {
        match self.what {
            What::New | What::Gone => self.table.clone(),
            What::Key { name, .. } => format!("{}.{name}", self.table),
        }
    }
}

/// `listener echo: idle_timeout 1m -> 5m`, `handler echo: new`, `handler echo: env changed`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.table;
        match &self.what {
            What::New => write!(f, "{table}: new"),
            What::Gone => write!(f, "{table}: gone"),
            What::Key { name, from, to, .. } if from == to => write!(f, "{table}: {name} changed"),
            What::Key { name, from, to, .. } => write!(f, "{table}: {name} {from} -> {to}"),
        }
    }
}

/// What is different in `other`, in the order of the tables and of their keys. Where something was
/// written is no difference, nor is the order of tables.
pub fn difference(config: &Config, other: &Config) -> Vec<Difference> {
    let mut found = Found::default();
    found.keys("server", Home::Server, tables::server(&config.server, &other.server));
    found.tables(
        ("listener", |listener: &Arc<ListenerConfig>| &listener.name),
        (&config.listeners, &other.listeners),
        |found, table, old, new| {
            found.keys(table, Home::Listener, tables::listener(old, new));
            found.tls(table, (old.tls.as_ref(), new.tls.as_ref()));
        },
    );
    found.tables(
        ("handler", |handler: &Arc<HandlerConfig>| &handler.name),
        (&config.handlers, &other.handlers),
        |found, table, old, new| {
            found.keys(table, Home::Handler, tables::handler(old, new));
        },
    );
    found.tables(
        ("pool", |pool: &PoolConfig| &pool.name),
        (&config.pools, &other.pools),
        |found, table, old, new| found.keys(table, Home::Pool, tables::pool(old, new)),
    );
    found.tables(
        ("tenant", |tenant: &TenantConfig| &tenant.name),
        (&config.tenants, &other.tenants),
        |found, table, old, new| found.keys(table, Home::Tenant, tables::tenant(old, new)),
    );
    found.0
}

/// The differences so far.
#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, table: &str, what: What) {
        self.0.push(Difference { table: table.to_owned(), what });
    }

    /// The keys of one table that is in both.
    fn keys(&mut self, table: &str, home: Home, compared: Vec<tables::Compared>) {
        for key in compared.into_iter().filter(|key| key.differs) {
            let tables::Compared { name, from, to, .. } = key;
            let change = keys::find(home, name).map_or(Change::Live, |key| key.change);
            self.add(table, What::Key { name, from, to, change });
        }
    }

    /// Tables that have names.
    fn tables<T>(
        &mut self,
        (kind, name): (&str, fn(&T) -> &String),
        (old, new): (&[T], &[T]),
        mut both: impl FnMut(&mut Self, &str, &T, &T),
    ) {
        let of = |all: &[T], wanted: &str| all.iter().position(|table| name(table) == wanted);
        for table in new {
            let title = format!("{kind} {}", name(table));
            match of(old, name(table)).and_then(|at| old.get(at)) {
                Some(before) => both(self, &title, before, table),
                None => self.add(&title, What::New),
            }
        }
        for table in old.iter().filter(|table| of(new, name(table)).is_none()) {
            self.add(&format!("{kind} {}", name(table)), What::Gone);
        }
    }

    fn tls(&mut self, listener: &str, both: tables::BothTls<'_>) {
        let table = format!("{listener}: tls");
        match both {
            (None, None) => {}
            (None, Some(_)) => self.add(&table, What::New),
            (Some(_), None) => self.add(&table, What::Gone),
            (Some(old), Some(new)) => {
                self.keys(&table, Home::Tls, tables::tls(old, new));
                self.tables(
                    (&format!("{table} name"), |name: &NameConfig| &name.name),
                    (&old.names, &new.names),
                    |found, table, old, new| {
                        found.keys(table, Home::TlsName, tables::tls_name(old, new));
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::address::Address;
    use crate::config::{
        AdminConfig, CacheConfig, KEYS, MemoryBound, Meter, Receipts, ReceiptsFor, ServerConfig,
    };

    fn config(flags: &[(&str, &str)]) -> Config {
        Config::from_flags(Path::new("echo.wasm"), flags).unwrap()
    }

    fn tenant(micros: Option<u32>) -> TenantConfig {
        let cpu = micros.and_then(NonZeroU32::new);
        TenantConfig { name: "t".into(), max_connections: NonZeroU32::new(9), memory: None, cpu }
    }

    fn said(old: &Config, new: &Config) -> Vec<String> {
        difference(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_key_of_the_table_is_compared() {
        let config = config(&[("tls-self-signed", "true")]);
        let (listener, handler) = (&config.listeners[0], &config.handlers[0]);
        let tls = listener.tls.as_ref().unwrap();
        let name = NameConfig {
            name: "a.example".into(),
            certificate: tls.certificate.clone().unwrap(),
            handler: None,
        };
        let pool = PoolConfig { name: "p".into(), size: NonZeroU32::MIN };
        let tenant = tenant(None);
        let names = |keys: Vec<tables::Compared>| keys.into_iter().map(|key| key.name).collect();
        let homes = [
            (Home::Server, tables::server(&config.server, &config.server)),
            (Home::Listener, tables::listener(listener, listener)),
            (Home::Tls, tables::tls(tls, tls)),
            (Home::TlsName, tables::tls_name(&name, &name)),
            (Home::Handler, tables::handler(handler, handler)),
            (Home::Pool, tables::pool(&pool, &pool)),
            (Home::Tenant, tables::tenant(&tenant, &tenant)),
        ];
        assert!(KEYS.iter().all(|key| homes.iter().any(|(home, _)| *home == key.home)));
        for (home, compared) in homes {
            let keys = KEYS.iter().filter(|key| key.home == home && key.name != "name");
            let mut wanted: Vec<_> = keys.map(|key| key.name).collect();
            let mut found: Vec<_> = names(compared);
            wanted.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, wanted, "{home:?}");
        }
    }

    #[test]
    fn keys_are_told_with_what_they_were_and_are() {
        let old = config(&[("idle-timeout", "60s"), ("env", "A=secret"), ("max-flows", "9")]);
        let new = config(&[
            ("listen", "tcp://127.0.0.1:1"),
            ("idle-timeout", "5m"),
            ("env", "A=other"),
            ("cpu", "none"),
            ("memory", "1MiB"),
            ("receipts", "stderr"),
        ]);
        assert_eq!(
            said(&old, &new),
            [
                "server: max_flows 9 -> 1024",
                "server: receipts off -> stderr",
                "listener echo: bind tcp://127.0.0.1:7000 -> tcp://127.0.0.1:1",
                "listener echo: idle_timeout 1m -> 5m",
                "handler echo: memory 32MiB -> 1MiB",
                "handler echo: cpu 1s -> none",
                "handler echo: env changed",
            ]
        );
        let fixed: Vec<_> = difference(&old, &new)
            .iter()
            .filter(|difference| difference.needs_restart())
            .map(Difference::path)
            .collect();
        assert_eq!(fixed, ["server.max_flows", "server.receipts"]);
        assert_eq!(said(&old, &old), [""; 0]);
    }

    #[test]
    fn what_needs_a_restart_is_what_the_table_of_keys_says() {
        let old = config(&[]);
        let mut new = old.clone();
        let address: Address = "tcp://127.0.0.1:1".parse().unwrap();
        new.server = ServerConfig {
            max_connections: NonZeroU32::new(7),
            max_handshakes: NonZeroU32::MIN,
            max_flows: NonZeroU32::MIN,
            drain_timeout: None,
            drain_idle: None,
            receipts: Receipts::Stderr,
            receipts_for: ReceiptsFor::All,
            coredumps: Some("cores".into()),
            admin: Some(AdminConfig {
                address: address.clone(),
                token: Some("token".into()),
                is_written: true,
            }),
            metrics: Some(address),
            max_module_size: 1,
            compile_timeout: Duration::from_secs(1),
            compile_memory: 1,
            cache: CacheConfig::Off,
            max_memory: MemoryBound::Bytes(1),
            stack: 1 << 17,
            meter: Meter::Fuel,
            share_data: true,
        };
        let differences = difference(&old, &new);
        let fixed = differences.iter().filter(|difference| difference.needs_restart());
        let restart = KEYS.iter().filter(|key| key.change == Change::Restart);
        assert_eq!(
            fixed.map(Difference::path).collect::<Vec<_>>(),
            restart.map(|key| format!("server.{}", key.name)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn quotas_of_tenants_are_told() {
        let quota = |max_connections, memory, cpu| {
            let name = "t".to_owned();
            let max_connections = NonZeroU32::new(max_connections);
            let tenant = TenantConfig { name, max_connections, memory, cpu: NonZeroU32::new(cpu) };
            Config { tenants: vec![tenant], ..config(&[]) }
        };
        let (old, new) = (quota(0, None, 500_000), quota(7, Some(1 << 20), 2_000_000));
        assert_eq!(
            said(&old, &new),
            [
                "tenant t: max_connections none -> 7",
                "tenant t: memory none -> 1MiB",
                "tenant t: cpu 0.5 -> 2",
            ]
        );
        assert_eq!(said(&config(&[]), &old), ["tenant t: new"]);
        assert_eq!(said(&old, &config(&[])), ["tenant t: gone"]);
    }

    #[test]
    fn tables_come_and_go() {
        let old = config(&[]);
        let mut new = config(&[("tls-self-signed", "true")]);
        assert_eq!(said(&old, &new), ["listener echo: tls: new"]);
        assert_eq!(said(&new, &old), ["listener echo: tls: gone"]);
        let listener = ListenerConfig::clone(&new.listeners[0]);
        new.listeners = vec![Arc::new(ListenerConfig { name: "web".into(), ..listener })];
        assert_eq!(said(&old, &new), ["listener web: new", "listener echo: gone"]);
    }

    #[test]
    fn bounds_of_tenants_are_told() {
        let mut old = config(&[]);
        let mut new = old.clone();
        new.tenants = vec![tenant(Some(500_000))];
        assert_eq!(said(&old, &new), ["tenant t: new"]);
        old.tenants = vec![TenantConfig {
            max_connections: None,
            memory: Some(1 << 20),
            ..tenant(Some(2_000_000))
        }];
        assert_eq!(
            said(&old, &new),
            [
                "tenant t: max_connections none -> 9",
                "tenant t: memory 1MiB -> none",
                "tenant t: cpu 2 -> 0.5"
            ]
        );
    }
}
