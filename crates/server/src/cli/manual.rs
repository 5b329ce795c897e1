//! `throng completions` and `throng man`: shell completions and manual pages.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

/// Print shell completions
///
/// For bash, for example:
///   throng completions bash > ~/.local/share/bash-completion/completions/throng
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Completions {
    /// Shell to complete commands in
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut throng: Command, out: &mut dyn Write) -> anyhow::Result<()> {
        // The generator panics if a write fails, and a reader may close the pipe at any time.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut throng, "throng", &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// Print a manual page
///
/// To read one: throng man poll create | man -l -
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Command to describe, such as `poll create` [default: throng itself]
    command: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, mut throng: Command, out: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(directory) = &self.output {
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(throng.disable_help_subcommand(true), directory));
            return written.with_context(|| format!("can't write into {}", directory.display()));
        }
        throng.build();
        let mut command = &throng;
        for name in &self.command {
            command = command.find_subcommand(name).with_context(|| {
                format!("there is no command `throng {}`; `throng help` lists them", self.command.join(" "))
            })?;
        }
        let name = command.get_display_name().unwrap_or("throng").to_owned();
        // Rendered in memory first, so that a closed pipe is distinguished from a rendering error.
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
        Ok(out.write_all(&page)?)
    }
}
