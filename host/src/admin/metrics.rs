//! Metrics in the text format of Prometheus. All of them are read when they are asked for; what
//! happens to connections is counted elsewhere.
//!
//! Labels are names of the configuration and words of ours, so their number is bounded.

use std::time::Duration;

use hyper::StatusCode;
use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as Shown, LabelPair, Metric, MetricFamily, MetricType,
};

use super::body::Refusal;
use crate::listener::State;
use crate::server::{ListenerStatus, Status, TenantStatus, Traffic};
use crate::tally::{BUCKETS, Histogram, Numbers};

/// What the text is.
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics of one name at a time, in the order of the page.
#[derive(Default)]
struct Page(Vec<MetricFamily>);

/// All metrics of a server.
pub(super) fn text(status: &Status, traffic: &[Traffic]) -> Result<String, Refusal> {
    let mut page = Page::default();
    of_server(&mut page, status);
    of_listeners(&mut page, &status.listeners);
    of_tenants(&mut page, &status.tenants);
    of_traffic(&mut page, traffic);
    TextEncoder::new().encode_to_string(&page.0).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write metrics: {error}"))
    })
}

fn of_server(page: &mut Page, status: &Status) {
    page.gauge("build_info", "Which portcell this is.", |family| {
        family.add(&[("version", status.version)], 1.0);
    });
    page.gauge("uptime_seconds", "How long ago the server was loaded.", |family| {
        family.add(&[], seconds(Duration::from_millis(status.uptime_ms)));
    });
    page.gauge("limit_used", "How much of a bound is used.", |family| {
        for limit in &status.limits {
            family.add(&[("limit", &limit.name)], number(limit.used));
        }
    });
    page.gauge("limit_max", "A bound on how many there may be at once.", |family| {
        for limit in &status.limits {
            if let Some(most) = limit.most {
                family.add(&[("limit", &limit.name)], number(most));
            }
        }
    });
    page.gauge("max_memory_bytes", "How much memory all instances may have.", |family| {
        if let Some(most) = status.max_memory {
            family.add(&[], number(most));
        }
    });
    let denied = "How often the memory of all was not enough for an instance.";
    page.counter("memory_denied_total", denied, |family| {
        family.add(&[], number(status.memory_denied));
    });
    page.counter("receipts_lost_total", "Receipts that were not written.", |family| {
        family.add(&[], number(status.receipts_lost));
    });
    let reloads = "Configurations that were to be applied while the server runs.";
    let swaps = "Modules that handlers were to have instead of theirs.";
    for (name, help, outcomes) in
        [("reloads_total", reloads, &status.reloads), ("swaps_total", swaps, &status.swaps)]
    {
        page.counter(name, help, |family| {
            family.add(&[("outcome", "applied")], number(outcomes.applied));
            family.add(&[("outcome", "refused")], number(outcomes.refused));
        });
    }
    page.gauge("handler_version", "The version of a handler in service.", |family| {
        for handler in &status.handlers {
            family.add(&[("handler", &handler.name)], number(handler.version));
        }
    });
}

fn of_listeners(page: &mut Page, listeners: &[ListenerStatus]) {
    page.gauge("listener_state", "1 for the state that a listener is in.", |family| {
        for listener in listeners {
            for state in State::ALL {
                let is_it = if listener.state == state { 1.0 } else { 0.0 };
                family.add(&[("listener", &listener.name), ("state", state.name())], is_it);
            }
        }
    });
    let open = "Connections and flows that are open, with those on their way in or out.";
    page.gauge("listener_connections", open, |family| {
        for listener in listeners {
            family.add(&[("listener", &listener.name)], number(listener.connections as u64));
        }
    });
    page.counter("connections_refused_total", "Clients turned away, by why.", |family| {
        for listener in listeners {
            for (reason, count) in &listener.refusals {
                let labels = [("listener", &*listener.name), ("reason", reason)];
                family.add(&labels, number(*count));
            }
        }
    });
    page.counter("handshakes_total", "Handshakes of TLS that have ended.", |family| {
        for listener in listeners {
            let (done, failed) = (listener.handshakes_done, listener.handshakes_failed);
            for (outcome, count) in [("ok", done), ("failed", failed)] {
                let labels = [("listener", &*listener.name), ("outcome", outcome)];
                family.add(&labels, number(count));
            }
        }
    });
    let waited = "Time in which accepting had failed and was not tried.";
    page.counter("backoff_seconds_total", waited, |family| {
        for listener in listeners {
            let time = Duration::from_millis(listener.backoff_ms);
            family.add(&[("listener", &listener.name)], seconds(time));
        }
    });
    for (name, help, count) in COUNTS {
        page.counter(name, help, |family| {
            for listener in listeners {
                family.add(&[("listener", &listener.name)], number(count(listener)));
            }
        });
    }
}

type Count = fn(&ListenerStatus) -> u64;

/// Numbers of listeners that have no other label.
const COUNTS: [(&str, &str, Count); 9] = [
    ("connections_accepted_total", "Clients taken in, flows included.", |l| l.accepted),
    ("backoffs_total", "Waits after accepts that failed.", |l| l.backoffs),
    (
        "discarded_bytes_total",
        "Bytes that came in plaintext and were dropped before TLS began.",
        |l| l.discarded,
    ),
    ("datagrams_received_total", "Datagrams that came in.", |l| l.datagrams),
    ("datagrams_truncated_total", "Datagrams that were cut.", |l| l.truncated),
    ("datagrams_dropped_total", "Datagrams that were dropped here.", |l| l.dropped),
    ("datagrams_kernel_dropped_total", "Datagrams that the kernel dropped.", |l| l.kernel_dropped),
    ("datagrams_unsent_total", "Answers that were not sent.", |l| l.unsent),
    ("flows_evicted_total", "Flows that made room for others.", |l| l.evicted),
];

fn of_tenants(page: &mut Page, tenants: &[TenantStatus]) {
    for (name, help, kind, value) in OF_TENANTS {
        page.family(name, help, kind, |family| {
            for tenant in tenants {
                if let Some(value) = value(tenant) {
                    family.add(&[("tenant", &tenant.name)], value);
                }
            }
        });
    }
}

type OfTenant = fn(&TenantStatus) -> Option<f64>;

/// Numbers of a tenant; those that there are.
const OF_TENANTS: [(&str, &str, MetricType, OfTenant); 9] = [
    ("tenant_connections", "Connections and flows of a tenant.", MetricType::GAUGE, |t| {
        Some(number(t.connections as u64))
    }),
    ("tenant_max_connections", "How many there may be.", MetricType::GAUGE, |t| {
        Some(number(t.max_connections? as u64))
    }),
    (
        "tenant_refused_total",
        "Clients turned away because their tenant has no place.",
        MetricType::COUNTER,
        |t| Some(number(t.refused)),
    ),
    ("tenant_memory_bytes", "Memory of a tenant's instances.", MetricType::GAUGE, |t| {
        Some(number(t.memory))
    }),
    ("tenant_max_memory_bytes", "How much there may be.", MetricType::GAUGE, |t| {
        Some(number(t.max_memory?))
    }),
    (
        "tenant_memory_denied_total",
        "How often a tenant's memory was not enough for an instance.",
        MetricType::COUNTER,
        |t| Some(number(t.memory_denied)),
    ),
    ("tenant_cpu_seconds_total", "CPU time of a tenant's instances.", MetricType::COUNTER, |t| {
        Some(seconds(Duration::from_micros(t.cpu_us)))
    }),
    ("tenant_max_cpu", "How many processors they may keep busy.", MetricType::GAUGE, |t| {
        Some(seconds(Duration::from_micros(t.max_cpu_us?.get().into())))
    }),
    (
        "tenant_held_seconds_total",
        "How long instances of a tenant were held because it had used more CPU time.",
        MetricType::COUNTER,
        |t| Some(seconds(Duration::from_millis(t.held_ms))),
    ),
];

fn of_traffic(page: &mut Page, traffic: &[Traffic]) {
    for (name, help, kind, value) in VALUES {
        page.family(name, help, kind, |family| {
            for one in traffic {
                family.add(&names(one), value(one));
            }
        });
    }
    page.counter("connections_ended_total", "Connections that have ended, by how.", |family| {
        for one in traffic {
            for (exit, count) in &one.ended.exits {
                let [listener, handler] = names(one);
                family.add(&[listener, handler, ("exit", exit)], number(*count));
            }
        }
    });
    for (name, help, times) in TIMES {
        page.family(name, help, MetricType::HISTOGRAM, |family| {
            for one in traffic {
                family.add_histogram(&names(one), times(&one.ended));
            }
        });
    }
}

type Value = fn(&Traffic) -> f64;

/// Numbers of a listener with a handler.
const VALUES: [(&str, &str, MetricType, Value); 5] = [
    ("connections", "Connections that have an instance, or are closing.", MetricType::GAUGE, |t| {
        number(t.open)
    }),
    ("memory_bytes", "Memory of instances.", MetricType::GAUGE, |t| number(t.memory)),
    ("received_bytes_total", "Bytes that guests have read.", MetricType::COUNTER, |t| {
        number(t.moved.bytes_in)
    }),
    (
        "sent_bytes_total",
        "Bytes that guests have written and the kernel has taken.",
        MetricType::COUNTER,
        |t| number(t.moved.bytes_out),
    ),
    ("cpu_seconds_total", "CPU time of instances.", MetricType::COUNTER, |t| seconds(t.moved.cpu)),
];

type Times = fn(&Numbers) -> &Histogram;

/// How long things took.
const TIMES: [(&str, &str, Times); 2] = [
    ("connection_duration_seconds", "How long connections have lasted.", |n| &n.durations),
    ("first_byte_seconds", "From the arrival of a connection to its guest's first byte.", |n| {
        &n.first_bytes
    }),
];

fn names(traffic: &Traffic) -> [(&str, &str); 2] {
    [("listener", &traffic.listener), ("handler", &traffic.handler)]
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Family)) {
        self.family(name, help, MetricType::GAUGE, fill);
    }

    fn counter(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Family)) {
        self.family(name, help, MetricType::COUNTER, fill);
    }

    /// The metrics that `fill` adds, if there are any.
    fn family(&mut self, name: &str, help: &str, kind: MetricType, fill: impl FnOnce(&mut Family)) {
        let mut family = MetricFamily::default();
        family.set_name(format!("portcell_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        let mut family = Family(family);
        fill(&mut family);
        if !family.0.get_metric().is_empty() {
            self.0.push(family.0);
        }
    }
}

/// The metrics of one name.
struct Family(MetricFamily);

impl Family {
    fn add(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = metric(labels);
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    fn add_histogram(&mut self, labels: Labels<'_>, times: &Histogram) {
        let mut count = 0;
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let bucket = |(bound, here): (f64, &u64)| {
            count += here;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let buckets = bounds.zip(&times.buckets).map(bucket).collect();
        let mut shown = Shown::default();
        shown.set_bucket(buckets);
        shown.set_sample_count(count);
        shown.set_sample_sum(times.sum.as_secs_f64());
        let mut metric = metric(labels);
        metric.set_histogram(shown);
        self.0.mut_metric().push(metric);
    }
}

fn metric(labels: Labels<'_>) -> Metric {
    let label = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(label).collect())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of Prometheus are floats, exact to 2^53")]
const fn number(whole: u64) -> f64 {
    whole as f64
}

const fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
