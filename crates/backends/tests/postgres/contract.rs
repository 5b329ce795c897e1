//! The contract of every store.

use super::database::Database;

throng_domain::store_contract!(|_directory| Database::with_store());
