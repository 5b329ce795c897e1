//! The description of the API in OpenAPI 3.1, made from the code: each handler has its [`Operation`] beside it, [`DescribedRoutes`]
//! takes both at once, and the schemas are those of the types that are read and written.

mod document;
pub mod examples;
mod operation;
mod problems;
mod routes;
mod schemas;

pub use self::document::document;
pub use self::operation::{Operation, Tag};
pub use self::problems::{body_problems, change_problems, song, voter_problems};
pub use self::routes::{DescribedRoutes, Route};
