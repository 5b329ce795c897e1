//! Whole connections, in memory and with simulated time.

use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{Builder, SendRequest};
use prometheus_client::metrics::gauge::Gauge;
use throng_domain::clock::{ManualClock, Timestamp};
use tokio::time::{Instant, sleep};

use super::super::addresses::Addresses;
use super::super::date::Date;
use super::super::deadlines::{IDLE_MAX, IdleTimeouts, REQUEST_MAX, UNREAD_MAX};
use super::super::http1::simple_request::SimpleRequest;
use super::super::service::{RequestBody, Service};
use super::*;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// The time between two events: longer than any time that a client may take.
const PAUSE: Duration = Duration::from_secs(300);
const EVENTS: usize = 3;

/// Responds to `GET /events` with an event stream, to `GET /large` with more than fits into a window, and to other requests
/// once it has their body.
struct Events;

impl Service for Events {
    async fn respond<B: RequestBody>(&self, request: Request<B>, _: IpAddr) -> Response<Body> {
        match request.uri().path() {
            "/events" => Response::new(Body::from_stream(futures_util::stream::unfold(0, |number| async move {
                if number == EVENTS {
                    return None;
                }
                sleep(PAUSE).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"event")), number + 1))
            }))),
            "/large" => Response::new(Body::from(vec![b'x'; 1 << 20])),
            _ => {
                let is_complete = request.into_body().collect().await.is_ok();
                let status = if is_complete { StatusCode::OK } else { StatusCode::REQUEST_TIMEOUT };
                Response::builder().status(status).body(Body::empty()).unwrap()
            }
        }
    }
}

impl FastPath for Events {
    type Accepted = Infallible;

    fn accept(&self, _: &SimpleRequest<'_>, _: IpAddr) -> Option<Infallible> {
        None
    }

    async fn respond_fast(&self, accepted: Infallible) -> Response<Bytes> {
        match accepted {}
    }
}

type RequestStream = http_body_util::combinators::BoxBody<Bytes, BoxError>;

/// An open connection.
async fn connect() -> SendRequest<RequestStream> {
    let clock: Arc<dyn throng_domain::clock::Clock> = Arc::new(ManualClock::new(Timestamp(0)));
    let is_proxy: super::super::addresses::IsProxy = Arc::new(|_| false);
    let core = Arc::new(CoreContext {
        service: Events,
        error_body: |_| Bytes::new(),
        shutdown: Arc::default(),
        date: Date::new(Arc::clone(&clock)),
        tls: None,
        unsent: UnsentBytes::new(Gauge::default(), 1),
        is_proxy: Arc::clone(&is_proxy),
        proxy_protocol: false,
        idle: IdleTimeouts::default(),
        addresses: Arc::new(Addresses::new(1, is_proxy)),
        clock,
        unexpected: LogRateLimiter::new(1),
    });
    let (client, server) = tokio::io::duplex(64 * 1024);
    let waits = Waits { first_byte_by: Instant::now() + REQUEST_MAX, idle_max: IDLE_MAX };
    tokio::spawn(async move { serve(server, IpAddr::from([192, 0, 2, 1]), &core, waits).await });
    let mut builder = Builder::new(TokioExecutor::new());
    let (requests, connection) =
        builder.initial_stream_window_size(STREAM_WINDOW).handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    requests
}

fn get(path: &str) -> Request<RequestStream> {
    let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed();
    Request::get(format!("http://throng.test{path}")).body(body).unwrap()
}

/// A request whose body never ends.
fn slow() -> Request<RequestStream> {
    let body = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
    Request::post("http://throng.test/").body(body.boxed()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn event_stream_outlives_every_deadline() {
    let mut requests = connect().await;
    let began = Instant::now();
    let events = requests.send_request(get("/events")).await.unwrap();
    assert_eq!(events.into_body().collect().await.unwrap().to_bytes().len(), EVENTS * "event".len());
    assert!(began.elapsed() >= PAUSE * 3);
}

#[tokio::test(start_paused = true)]
async fn slow_request_beside_an_event_stream_has_its_own_deadline() {
    let mut requests = connect().await;
    let events = requests.send_request(get("/events")).await.unwrap();
    let began = Instant::now();
    let late = requests.send_request(slow()).await.unwrap();
    assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
    assert!((REQUEST_MAX..REQUEST_MAX * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(events.into_body().collect().await.unwrap().to_bytes().len(), EVENTS * "event".len());
}

#[tokio::test(start_paused = true)]
async fn unread_response_beside_an_event_stream_ends_the_connection() {
    let mut requests = connect().await;
    let events = requests.send_request(get("/events")).await.unwrap();
    let began = Instant::now();
    // Never read.
    let _large = requests.send_request(get("/large")).await.unwrap();
    assert!(events.into_body().collect().await.is_err());
    assert!((UNREAD_MAX..UNREAD_MAX * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}
