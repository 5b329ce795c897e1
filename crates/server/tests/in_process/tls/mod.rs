//! TLS without a proxy, over real connections to a whole server.

mod certificate;
mod client;
mod floods;
mod frames;
mod handshakes;
mod http2;
mod limits;
mod openings;
mod reload;
mod settings;
mod shutdown;
mod slow;
mod unread;
mod votes;
