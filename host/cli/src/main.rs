//! The `bulkhead` command.
//!
//! stdout is data, stderr is talk. Exit status: 0 done, 1 refused or failed, 2 wrong usage.

mod arguments;
mod commands;
mod deployment;
mod journal;
mod output;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command};
use crate::output::WrongUsage;

/// How long what was left behind may take to end, such as the resolution of a name that nobody waits for any more.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// The variable with the log's filter.
const LOG_VARIABLE: &str = "BULKHEAD_LOG";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start_logging(arguments.global.verbose).and_then(|()| run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            if error.is::<WrongUsage>() {
                ExitCode::from(WrongUsage::EXIT_STATUS)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let global = &arguments.global;
    match arguments.command {
        Command::Check(command) => return commands::check::run(global, &command),
        Command::Completions(command) => return commands::completions::run(&command),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        match arguments.command {
            Command::Up(command) => commands::up::run(global, command).await,
            Command::Canary(command) => commands::canary::run(global, command).await,
            Command::Invoke(command) => commands::invoke::run(global, command).await,
            Command::Status(command) => commands::status::run(global, &command).await,
            Command::Runs(command) => commands::runs::run(global, command).await,
            Command::Bars(command) => commands::bars::run(global, command).await,
            Command::Drill(command) => commands::drill::run(global, command).await,
            Command::Events(command) => commands::events::run(global, command).await,
            Command::Kill(command) => commands::kill::run(global, command).await,
            Command::Doctor(command) => commands::doctor::run(global, &command).await,
            Command::Check(command) => commands::check::run(global, &command),
            Command::Completions(command) => commands::completions::run(&command),
        }
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    ended
}

/// Talk goes to stderr. `BULKHEAD_LOG` takes `tracing`'s filter syntax and wins over `-v`.
fn start_logging(verbose: u8) -> anyhow::Result<()> {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = match std::env::var_os(LOG_VARIABLE) {
        Some(text) if !text.is_empty() => filter(&text.to_string_lossy())?,
        _ => EnvFilter::new(level),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::wants_colour(&std::io::stderr()))
        .init();
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, WrongUsage> {
    EnvFilter::try_new(text).map_err(|error| {
        WrongUsage(format!(
            "{LOG_VARIABLE} is no filter: `{text}`: {error}\n\nhint: a filter is such as `info` or `warn,bulkhead_triggers=debug`"
        ))
    })
}
