//! Metrics, read as strictly as the text format asks for
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask as _, Steered, open};
use crate::harness::{repository, wait_until};

/// A page: the kinds of families, and the values of series.
struct Page {
    kinds: BTreeMap<String, String>,
    series: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Page {
    fn of(steered: &Steered) -> Self {
        let (status, text) = open(steered).ask("GET", "/metrics", "", "");
        assert_eq!(status, 200, "{text}");
        Self::parse(&text)
    }

    /// Each family has its help, its kind and then its series, together and once.
    fn parse(text: &str) -> Self {
        let mut page = Self { kinds: BTreeMap::new(), series: BTreeMap::new() };
        let (mut helped, mut family) = ("", "");
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.'), "{line}");
                helped = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped, "help comes first");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(page.kinds.insert(name.into(), kind.into()).is_none(), "twice: {line}");
                family = name;
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = match series.split_once('{') {
                    None => (series, Vec::new()),
                    Some((name, labels)) => (name, of_labels(labels.strip_suffix('}').unwrap())),
                };
                let suffixes: &[&str] = match page.kinds[family].as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                let belongs = suffixes.iter().any(|suffix| name == format!("{family}{suffix}"));
                assert!(belongs, "{line} is not of {family}");
                let value = value.parse().unwrap();
                let key = (name.to_owned(), labels);
                assert!(page.series.insert(key, value).is_none(), "twice: {line}");
            }
        }
        page
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let mut labels: Vec<_> = labels.collect();
        labels.sort();
        self.series.get(&(format!("portcell_{name}"), labels)).copied()
    }
}

fn of_labels(text: &str) -> Vec<(String, String)> {
    let mut labels: Vec<_> = text
        .split(',')
        .map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(!value.contains(['"', '\\']), "{label}");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    labels.sort();
    labels
}

/// What `promtool check metrics` asks for.
fn is_by_the_conventions(page: &Page) {
    for (name, kind) in &page.kinds {
        assert!(name.starts_with("portcell_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}: a counter is a _total");
        for unit in ["_ms", "_us", "_millis", "_kilobytes", "_counter", "_gauge"] {
            assert!(!name.contains(&format!("{unit}_")) && !name.ends_with(unit), "{name}");
        }
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

/// Buckets grow, and the last is the count.
fn has_whole_histograms(page: &Page) {
    let mut seen = 0;
    for ((name, labels), count) in &page.series {
        let Some(family) = name.strip_suffix("_count") else { continue };
        let bucket = format!("{family}_bucket");
        let mut buckets: Vec<_> = page
            .series
            .iter()
            .filter(|((name, its), _)| {
                let others: Vec<_> = its.iter().filter(|(name, _)| name != "le").cloned().collect();
                *name == bucket && others == *labels
            })
            .map(|((_, its), value)| {
                let le = &its.iter().find(|(name, _)| name == "le").unwrap().1;
                (le.parse::<f64>().unwrap(), *value)
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name}: {buckets:?}");
        assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, *count), "{name}");
        assert!(page.series.contains_key(&(format!("{family}_sum"), labels.clone())), "{name}");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn metrics_are_by_the_conventions_and_tell_what_has_happened() {
    let steered = Steered::start();
    let of = [("listener", "echo"), ("handler", "echo")];
    let mut open = steered.echoed();
    open.send("hello");
    assert_eq!(open.receive(5), "hello");
    let mut told = steered.server.connect_to("told");
    told.send("ef");
    assert_eq!(told.receive(1), "e");
    told.leaves();
    steered.said(&["suspend", "told"]);
    steered.refused(&["reload", "nobody"]);
    let mut page = Page::of(&steered);
    wait_until("the connection is counted", || {
        page = Page::of(&steered);
        let failed = [("listener", "told"), ("handler", "told"), ("exit", "failed")];
        page.value("connections_ended_total", &failed) == Some(1.0)
    });
    is_by_the_conventions(&page);
    has_whole_histograms(&page);
    let told = [("listener", "told"), ("handler", "told")];
    for (name, labels, expected) in [
        ("connections_accepted_total", &[("listener", "echo")][..], 1.0),
        ("listener_connections", &[("listener", "echo")], 1.0),
        ("connections", &of, 1.0),
        ("connections", &told, 0.0),
        ("received_bytes_total", &of, 6.0),
        ("sent_bytes_total", &of, 6.0),
        ("received_bytes_total", &told, 2.0),
        ("connections_refused_total", &[("listener", "echo"), ("reason", "full")], 0.0),
        ("listener_state", &[("listener", "told"), ("state", "suspended")], 1.0),
        ("listener_state", &[("listener", "told"), ("state", "accepting")], 0.0),
        ("handshakes_total", &[("listener", "echo"), ("outcome", "ok")], 0.0),
        ("backoff_seconds_total", &[("listener", "echo")], 0.0),
        ("connection_duration_seconds_count", &told, 1.0),
        ("first_byte_seconds_count", &told, 1.0),
        ("limit_used", &[("limit", "server")], 1.0),
        ("limit_max", &[("limit", "server")], 200.0),
        ("memory_denied_total", &[], 0.0),
        ("receipts_lost_total", &[], 0.0),
        ("discarded_bytes_total", &[("listener", "echo")], 0.0),
        ("swaps_total", &[("outcome", "refused")], 1.0),
        ("reloads_total", &[("outcome", "applied")], 0.0),
        ("handler_version", &[("handler", "echo")], 1.0),
        ("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ] {
        assert_eq!(page.value(name, labels), Some(expected), "{name}{labels:?}");
    }
    assert!(page.value("memory_bytes", &of).unwrap() > 0.0);
    assert!(page.value("cpu_seconds_total", &of).unwrap() > 0.0);
    // A connection that ends is counted once.
    open.leaves();
    wait_until("it has ended", || Page::of(&steered).value("connections", &of) == Some(0.0));
    let page = Page::of(&steered);
    assert_eq!(page.value("received_bytes_total", &of), Some(6.0));
}

#[test]
fn labels_are_names_of_the_configuration_and_words() {
    let steered = Steered::start();
    let names = |page: &Page| -> BTreeSet<_> { page.series.keys().cloned().collect() };
    steered.echoed().leaves();
    wait_until("it has ended", || {
        let ended = [("listener", "echo"), ("handler", "echo"), ("exit", "ok")];
        Page::of(&steered).value("connections_ended_total", &ended) == Some(1.0)
    });
    let few = names(&Page::of(&steered));
    let many: Vec<_> = (0..20).map(|_| steered.echoed()).collect();
    many.into_iter().for_each(crate::harness::Client::leaves);
    assert_eq!(names(&Page::of(&steered)), few);
}

/// A server that has everything that there are metrics of.
fn with_everything() -> Steered {
    let steered = Steered::with(
        "max_memory = \"1GiB\"",
        r#"
        tenant = "acme"
        [[listener]]
        name = "secured"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        spawn = { pool = "small" }
        tls = { self_signed = true }
        [[listener]]
        name = "udp"
        bind = "udp://127.0.0.1:0"
        handler = "echo"
        [pool.small]
        size = 3
        [tenant.acme]
        max_connections = 9
        memory = "64MiB"
        cpu = 0.5
        "#,
    );
    steered.echoed().leaves();
    steered.server.peer_of("udp").is_echoed();
    wait_until("one has ended", || {
        let ended = [("listener", "echo"), ("handler", "echo"), ("exit", "ok")];
        Page::of(&steered).value("connections_ended_total", &ended) == Some(1.0)
    });
    steered
}

#[test]
fn the_page_has_every_metric_and_no_other() {
    let page = std::fs::read_to_string(repository().join("docs/admin.md")).unwrap();
    let words = page.split('`').filter(|word| word.starts_with("portcell_"));
    let named: BTreeSet<_> = words.collect();
    let kinds = Page::of(&with_everything()).kinds;
    let found: BTreeSet<_> = kinds.keys().map(String::as_str).collect();
    assert!(found.len() > 30, "{found:?}");
    assert_eq!(named, found);
}

/// The package that has promtool brings a server that is started at once, so that this is not among
/// the tests that always run.
#[cfg(feature = "promtool-test")]
#[test]
fn promtool_finds_nothing_wrong_with_metrics() {
    let (status, text) = open(&with_everything()).ask("GET", "/metrics", "", "");
    assert_eq!(status, 200);
    let check = crate::harness::Program::new("promtool").arguments(&["check", "metrics"]);
    let said = check.input(text).run();
    assert_eq!((said.code, said.stdout.as_slice(), said.stderr.as_str()), (0, &b""[..], ""));
}
