//! The contract of every cache.

use super::{host, namespace, node};

throng_domain::cache_contract!(|test| async move { node(&host(), &namespace(test)) });
