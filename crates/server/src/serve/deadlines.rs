//! How long a client may take.

use std::time::Duration;

/// From accepting a connection to its first byte; with TLS the handshake is part of it, with HTTP/2 all of the first
/// request's head.
pub(super) const FIRST_BYTE_MAX: Duration = Duration::from_secs(8);

/// From a request's first byte to its last.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(8);

/// From an answer to the next request's first byte.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(15);

/// Without a byte of an answer being taken.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(8);

/// From our end of the connection being closed to the client closing its own.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(2);
