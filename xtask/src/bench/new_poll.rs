//! A poll that isn't the demo poll, on a new file.

use std::path::Path;

use crate::command;

/// Creates Throng's tables in a new file in `directory`, and an open poll there, which takes the votes of
/// [`Request`](super::request::Request), with further arguments of `throng poll create`. Returns the database's URL.
///
/// # Errors
/// If Throng fails.
pub fn create(throng: &Path, directory: &Path, slug: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let database = format!("sqlite://{}", directory.join("throng.db").display());
    let run = |arguments: &[&str]| {
        let mut command = command::program(throng);
        command.args(arguments).env("DATABASE_URL", &database).env("APP_ENV", "prod").current_dir(directory);
        command::output(&mut command).map(drop)
    };
    run(&["schema", "create"])?;
    let create = ["poll", "create", slug, "--title", "Best?", "--option", "A", "--option", "B", "--option", "C"];
    run(&[&create[..], &["--kind", "multiple", "--opens-at", "now"], arguments].concat())?;
    Ok(database)
}
