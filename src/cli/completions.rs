//! `aftercall completions`: a script that lets a shell complete our arguments.

use clap::Args;
use clap_complete::{Shell, generate};

use super::{Failure, terminal::Out};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall completions bash > ~/.local/share/bash-completion/completions/aftercall")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, cli: &mut clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, cli, "aftercall", &mut script);
        let mut out = Out::new();
        out.bytes(&script)?;
        Ok(out.flush()?)
    }
}
