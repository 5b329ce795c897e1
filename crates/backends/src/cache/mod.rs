//! The caches that hold each poll's last result.

pub mod memcached;
mod memory;
mod url;

use std::sync::Arc;

use throng_domain::cache::ResultCache;

pub use self::memcached::Namespace;
pub use self::memory::MemoryCache;
pub use self::url::CacheUrl;

/// What is wrong with the cache at `url`, and what to do about it; `None` if it is usable.
pub async fn fault(url: &CacheUrl) -> Option<String> {
    match url {
        CacheUrl::Memcached(hosts) => memcached::fault(hosts).await,
    }
}

/// The cache at `url`. Nothing is sent to it yet: a cache that is unavailable when a node starts is used once it is available.
///
/// Must be called within a tokio runtime. Nodes share results and leases if they specify the same URL and namespace.
pub fn open(url: &CacheUrl, namespace: Namespace) -> Arc<dyn ResultCache> {
    match url {
        CacheUrl::Memcached(hosts) => Arc::new(memcached::Memcached::new(hosts, namespace)),
    }
}
