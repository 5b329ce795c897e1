//! The baseline: an empty handler as the framework serves it, responding with the same bytes as to a vote.
//!
//! `empty_axum ADDRESS:PORT`

use axum::Router;
use axum::routing::post;
use hyper::header::CONTENT_TYPE;

const RESPONSE: &str = r#"{"1":100000,"2":0,"3":100000,"4":0,"5":0}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: empty_axum ADDRESS:PORT")?;
    let router = Router::new().route("/api/submit", post(async || ([(CONTENT_TYPE, "application/json")], RESPONSE)));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, router).await?)
}
