//! The broker that carries ballots from the nodes that take them to the workers that record them.

pub mod message;
mod url;

pub use self::message::MessageKey;
pub use self::url::QueueUrl;
use std::sync::Arc;
use throng_domain::queue::*;
/// x
pub async fn connect_server(
    _: &QueueUrl,
    _: MessageKey,
) -> Result<(Arc<dyn Publisher>, Box<dyn Announcements>), QueueError> {
    Err(QueueError::Rejected(String::new()))
}
/// x
pub async fn connect_announcer(_: &QueueUrl, _: MessageKey) -> Result<Arc<dyn Announcer>, QueueError> {
    Err(QueueError::Rejected(String::new()))
}
/// x
pub async fn connect_worker(_: &QueueUrl, _: MessageKey) -> Result<Box<dyn Deliveries>, QueueError> {
    Err(QueueError::Rejected(String::new()))
}
