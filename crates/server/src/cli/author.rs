//! Who changes something on the command line.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use throng_domain::audit::Author;

/// Who makes a change, and why, for the audit log.
#[derive(Debug, Args)]
#[command(next_help_heading = "Audit log")]
pub(super) struct AuthorFlags {
    /// Who makes the change [default: the user of this machine]
    #[arg(long, global = true, value_name = "NAME")]
    by: Option<String>,
    /// Why, for those who read `throng poll log` later
    #[arg(long, global = true, value_name = "TEXT", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

impl AuthorFlags {
    pub(super) fn author(&self) -> Author {
        let by = self.by.clone().unwrap_or_else(|| format!("{}@cli", user_name()));
        Author::new(&by, self.reason.as_deref().unwrap_or_default())
    }
}

/// The user who runs this command; behind `sudo`, the one who ran that.
fn user_name() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}
