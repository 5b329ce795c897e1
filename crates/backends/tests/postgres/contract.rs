//! What every store does.

use super::database::Database;

throng_domain::store_contract!(|_directory| Database::with_store());
