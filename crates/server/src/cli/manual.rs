//! `throng completions` and `throng man`: what a shell and a manual know about the commands.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use super::command_line;

/// Print a shell's completions
///
/// For bash, for example:
///   throng completions bash > ~/.local/share/bash-completion/completions/throng
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        // The generator panics where it can't write, and a reader may be gone at any time.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command_line(), "throng", &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// Print a manual page
///
/// To read one: throng man poll create | man -l -
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The command it is about, such as `poll create`; throng itself if none is given
    command: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut throng = command_line();
        if let Some(directory) = &self.output {
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(throng.disable_help_subcommand(true), directory));
            return written.with_context(|| format!("can't write into {}", directory.display()));
        }
        throng.build();
        let mut about = &throng;
        for name in &self.command {
            about = about.find_subcommand(name).with_context(|| {
                format!("there is no command `throng {}`; `throng help` lists them", self.command.join(" "))
            })?;
        }
        let name = about.get_display_name().unwrap_or("throng").to_owned();
        // The page goes through memory so that a gone reader is told apart from a fault.
        let mut page = Vec::new();
        clap_mangen::Man::new(about.clone()).title(name).render(&mut page)?;
        Ok(out.write_all(&page)?)
    }
}
