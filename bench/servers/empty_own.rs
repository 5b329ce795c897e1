//! An empty handler on Throng's serving layout, deadlines and all: what is left is the cost of the vote.
//!
//! `empty_own ADDRESS:PORT`

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use throng::serve::{Core, Cores, Shutdown};

const ANSWER: &str = r#"{"1":100000,"2":0,"3":100000,"4":0,"5":0}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: empty_own ADDRESS:PORT")?;
    let router: Router =
        Router::new().route("/api/submit", post(async || ([(CONTENT_TYPE, "application/json")], ANSWER)));
    let count = std::thread::available_parallelism()?.get();
    let cores = (0..count).map(|_| Core {
        service: TowerToHyperService::new(router.clone()),
        beside: Box::pin(std::future::ready(())),
        connections: Gauge::default(),
    });
    Cores::start(address.parse()?, cores.collect(), |_| Bytes::new(), Arc::new(Shutdown::default()))?.join();
    Ok(())
}
