//! `bulkhead completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::arguments::{Arguments, Completions};
use crate::output;

pub fn run(command: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        command.shell,
        &mut Arguments::command(),
        "bulkhead",
        &mut script,
    );
    output::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
