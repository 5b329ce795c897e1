//! What every store does.

use super::OwnDatabase;

throng_domain::store_contract!(|_directory| OwnDatabase::with_store());
