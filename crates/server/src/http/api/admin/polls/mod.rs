//! Polls: listed, shown, created, edited and deleted.

mod apply;
mod create;
mod delete;
mod edit;
mod list;
mod show;

pub use self::apply::{apply, describe as describe_apply};
pub use self::create::{create, describe as describe_create};
pub use self::delete::{delete, describe as describe_delete};
pub use self::edit::{describe as describe_edit, edit};
pub use self::list::{describe as describe_list, list};
pub use self::show::{describe as describe_show, show};
