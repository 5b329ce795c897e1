//! An empty handler on Throng's serving layout, deadlines and all: what is left is the cost of the vote.
//!
//! `empty_own ADDRESS:PORT` answers as the framework does, by a router on HTTP's library. `empty_own ADDRESS:PORT lane`
//! answers on the lane for plain requests, as a vote is answered.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use prometheus_client::metrics::gauge::Gauge;
use throng::serve::{
    Answer, ConnectionMetrics, Core, Cores, IdleTimeouts, Listen, PlainRequest, RequestBody, Shutdown,
};
use throng_domain::clock::{Clock, SystemClock};
use tower::ServiceExt as _;

const ANSWER: &str = r#"{"1":100000,"2":0,"3":100000,"4":0,"5":0}"#;

struct Empty {
    router: Router,
    lane: bool,
}

impl Answer for Empty {
    type Begun = ();

    fn begin(&self, _: &PlainRequest<'_>, _: IpAddr) -> Option<()> {
        self.lane.then_some(())
    }

    async fn finish(&self, (): ()) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(ANSWER.as_bytes()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn answer<B: RequestBody>(&self, request: Request<B>, _: IpAddr) -> Response<Body> {
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: empty_own ADDRESS:PORT [lane]")?;
    let lane = arguments.next().is_some_and(|word| word == "lane");
    let router: Router =
        Router::new().route("/api/submit", post(async || ([(CONTENT_TYPE, "application/json")], ANSWER)));
    let count = std::thread::available_parallelism()?.get();
    let cores = (0..count).map(|_| Core {
        service: Empty { router: router.clone(), lane },
        beside: Box::pin(std::future::ready(())),
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
