//! The command line: one file per command, each from settings to an exit code.

mod audit;
mod cache;
mod config;
mod database;
mod demo;
mod development;
mod export;
mod import;
mod keys;
mod migrate;
mod output;
mod report;
mod retain;
mod schema;
mod seed;
mod serve;
mod tail;
mod token;
mod vault;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Settings, Sources};

/// Dataset Refresh Registry and Schema Registry behind one federated GraphQL subgraph.
#[derive(Debug, Parser)]
#[command(name = "drr", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// A TOML file with settings (also DRR_CONFIG).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, as `log.format=text`; wins over the environment and the file.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Common {
    fn sources(&self, more: impl IntoIterator<Item = (&'static str, String)>) -> Sources {
        let more = more.into_iter().map(|(name, value)| (name.to_owned(), value));
        let flags = more.chain(self.settings.iter().cloned()).collect();
        Sources::from_process(self.config.clone(), flags)
    }

    fn settings(&self) -> Result<Settings, ConfigError> {
        Settings::load(&self.sources([]))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the public, internal and operations listeners.
    Serve,
    /// Serve realistic data on a private database, with a development key and ready-made tokens.
    Demo(demo::Arguments),
    /// Bring the database's schema up, take steps back, or say where it stands.
    Migrate(migrate::Arguments),
    /// Sign a token with a development key.
    Token(token::Arguments),
    /// Look at the settings.
    Config(config::Arguments),
    /// Print the schema of the GraphQL API, or check and compare schemas of data.
    Schema(schema::Arguments),
    /// Send what another tool found to a running service.
    Import(import::Arguments),
    /// Drop what is kept no longer, as the server does once a day: months of runs and events, and after
    /// they were archived those of the audit trail.
    Retain(retain::Arguments),
    /// Look at the answers that are kept, or have them forgotten.
    Cache(cache::Arguments),
    /// Look after the keys that objects are encrypted with.
    Keys(keys::Arguments),
    /// Look at the audit trail and after it: what comes, its evidence, its end, its archives, and what
    /// holds them.
    Audit(audit::Arguments),
    /// Tell what happened.
    Report(report::Arguments),
    /// Fill the database with deterministic synthetic data.
    Seed(seed::Arguments),
}

/// Why a command failed, in a sentence for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is behind an error, which a caller would not be told.
fn explained(error: crate::error::Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(source) => source.to_string().into(),
        None => error.into(),
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&error),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failed(error.as_ref()),
    }
}

async fn run(Cli { common, command }: Cli) -> Result<(), Failure> {
    match command {
        Command::Serve => serve::run(&common).await,
        Command::Demo(arguments) => Box::pin(demo::run(&common, arguments)).await,
        Command::Migrate(arguments) => migrate::run(&common, arguments).await,
        Command::Token(arguments) => token::run(&common, &arguments),
        Command::Config(arguments) => config::run(&common, &arguments),
        Command::Schema(arguments) => Box::pin(schema::run(&common, &arguments)).await,
        Command::Import(arguments) => import::run(arguments).await,
        Command::Retain(arguments) => {
            retain::run(&common, &arguments, retain::What::Everything).await
        }
        Command::Cache(arguments) => Box::pin(cache::run(&common, arguments)).await,
        Command::Keys(arguments) => keys::run(&common, &arguments).await,
        Command::Audit(arguments) => Box::pin(audit::run(&common, arguments)).await,
        Command::Report(arguments) => report::run(&common, arguments).await,
        Command::Seed(arguments) => Box::pin(seed::run(&common, arguments)).await,
    }
}
