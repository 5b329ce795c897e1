//! The contract of every store.

use super::OwnDatabase;

throng_domain::store_contract!(|_directory| OwnDatabase::with_store());
