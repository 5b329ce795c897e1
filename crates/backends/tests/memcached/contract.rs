//! The contract of every cache.

use super::{host, namespace, patient_node};

throng_domain::cache_contract!(|test| async move { patient_node(&host(), &namespace(test)) });
