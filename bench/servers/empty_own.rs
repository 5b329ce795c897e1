//! An empty handler on Throng's network layer, with its timeouts: the difference to Throng is the cost of a vote.
//!
//! `empty_own ADDRESS:PORT` responds as the framework does, by a router on the HTTP library. `empty_own ADDRESS:PORT fast-path`
//! responds on the fast path for simple requests, as Throng does to a vote.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use prometheus_client::metrics::gauge::Gauge;
use throng::net::{Core, Cores, FastPath, IdleTimeouts, Listen, RequestBody, Service, Shutdown, SimpleRequest};
use throng::telemetry::metrics::ConnectionMetrics;
use throng_domain::clock::{Clock, SystemClock};
use tower::ServiceExt as _;

const RESPONSE: &str = r#"{"1":100000,"2":0,"3":100000,"4":0,"5":0}"#;

struct Empty {
    router: Router,
    fast_path: bool,
}

impl Service for Empty {
    async fn respond<B: RequestBody>(&self, request: Request<B>, _: IpAddr) -> Response<Body> {
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

impl FastPath for Empty {
    type Accepted = ();

    fn accept(&self, _: &SimpleRequest<'_>, _: IpAddr) -> Option<()> {
        self.fast_path.then_some(())
    }

    async fn respond_fast(&self, (): ()) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(RESPONSE.as_bytes()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: empty_own ADDRESS:PORT [fast-path]")?;
    let fast_path = arguments.next().is_some_and(|argument| argument == "fast-path");
    let router: Router =
        Router::new().route("/api/submit", post(async || ([(CONTENT_TYPE, "application/json")], RESPONSE)));
    let count = std::thread::available_parallelism()?.get();
    let cores = (0..count).map(|_| Core {
        service: Empty { router: router.clone(), fast_path },
        background: Box::pin(std::future::ready(())),
        connections: ConnectionMetrics::default(),
        unsent_bytes: Gauge::default(),
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let address = address.parse()?;
    let listen = Listen {
        address,
        tls: None,
        is_proxy: Arc::new(|_| true),
        proxy_protocol: false,
        idle: IdleTimeouts::all(IdleTimeouts::default().clients),
    };
    Cores::start(&listen, cores.collect(), |_| Bytes::new(), &clock, Arc::new(Shutdown::default()))?.join();
    Ok(())
}
