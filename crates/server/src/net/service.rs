//! The interface of the service that responds to requests.

use std::net::IpAddr;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::{Request, Response, StatusCode};

use super::http1::simple_request::SimpleRequest;

/// Responds to requests on one core.
pub trait Service: Send + Sync + 'static {
    /// The response to any request; `peer` is the address it was received from.
    fn respond<B: RequestBody>(&self, request: Request<B>, peer: IpAddr)
    -> impl Future<Output = Response<Body>> + Send;
}

/// A service that responds to some [`SimpleRequest`]s without the HTTP library.
pub trait FastPath: Service {
    /// An accepted request, until there is a response.
    type Accepted: Send;

    /// Accepts a request that `peer` has sent; `None` leaves it to [`Service::respond`].
    fn accept(&self, request: &SimpleRequest<'_>, peer: IpAddr) -> Option<Self::Accepted>;

    /// The response to an accepted request.
    fn respond_fast(&self, accepted: Self::Accepted) -> impl Future<Output = Response<Bytes>> + Send;
}

/// The body of a request, of any HTTP version.
pub trait RequestBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> RequestBody for B {}

/// Makes the body of an error response to a request that isn't valid HTTP.
pub type ErrorBody = fn(StatusCode) -> Bytes;
