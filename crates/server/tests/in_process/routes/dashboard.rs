//! What is measured, what is said of it, and what is shown of it: all the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use throng::telemetry::metrics::WorkerMetrics;
use throng_domain::clock::{Clock, ManualClock};
use throng_testkit::{NOW, TestServer};

/// All names of metrics in `text`: words that begin as ours do.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("throng_") && !word.ends_with('_')).collect()
}

/// What a web node's and a worker's `/metrics` print.
fn printed() -> String {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    TestServer::start().get("/metrics").text().to_owned() + &WorkerMetrics::new(&clock).text()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// The names of samples, as a query says them.
fn samples(printed: &str) -> BTreeSet<&str> {
    names(printed).into_iter().filter(|name| is_sample(printed, name)).collect()
}

/// The metrics that they belong to.
fn metrics(printed: &str) -> BTreeSet<&str> {
    samples(printed).into_iter().map(|sample| metric(printed, sample)).collect()
}

fn metric<'a>(printed: &str, sample: &'a str) -> &'a str {
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|part| sample.strip_suffix(part));
    bare.filter(|bare| printed.contains(&format!("# TYPE {bare} histogram"))).unwrap_or(sample)
}

fn is_sample(printed: &str, name: &str) -> bool {
    printed.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let (printed, dashboard) = (printed(), file("deploy/grafana/throng.json"));
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let expressions: Vec<_> = targets.flatten().map(|target| target["expr"].as_str().unwrap()).collect();
    let expressions = expressions.join("\n");
    let shown = names(&expressions);
    let unknown: Vec<_> = shown.difference(&samples(&printed)).copied().collect();
    assert!(unknown.is_empty(), "not measured: {unknown:?}");
    assert_eq!(shown.into_iter().map(|name| metric(&printed, name)).collect::<BTreeSet<_>>(), metrics(&printed));
}

/// The words after `key` on the lines of `text` that have it.
fn values<'a>(text: &'a str, key: &str) -> BTreeSet<&'a str> {
    let after = text.lines().filter_map(|line| line.split_once(key));
    after.map(|(_, rest)| rest.trim_start().split([' ', ',', '`']).next().unwrap()).collect()
}

#[test]
fn every_alert_is_tested_described_and_of_metrics_that_exist() {
    let (alerts, tests) = (file("deploy/prometheus/alerts.yml"), file("deploy/prometheus/alerts_test.yml"));
    let rules = values(&alerts, "alert:");
    assert_eq!(rules, values(&tests, "alertname:"));
    let described = file("docs/metrics.md");
    let rows: Vec<_> = described.lines().filter(|line| line.starts_with("| `Throng")).collect();
    assert_eq!(rules, values(&rows.join("\n"), "| `"));
    let expressions: Vec<_> = alerts.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
    let expressions = expressions.join("\n");
    let (printed, used) = (printed(), names(&expressions));
    let unknown: Vec<_> = used.difference(&samples(&printed)).copied().collect();
    assert!(!used.is_empty() && unknown.is_empty(), "not measured: {unknown:?}");
}

#[test]
fn every_metric_is_described() {
    let (printed, described) = (printed(), file("docs/metrics.md"));
    assert_eq!(names(&described), metrics(&printed));
}
