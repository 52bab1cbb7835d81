//! `drr schema print`: the federation SDL, as `_service` answers it and `schema.graphql` has it.
//! `drr schema check` and `drr schema compare`: what can be said of schemas without a registry, for whoever
//! changes one and wants to know before anybody else does.

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::{
    graphql::{self, sdl},
    schema::model::{
        format::{Format, Schema},
        verdict::Verdict,
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the SDL of the subgraph.
    Print,
    /// Say what is wrong with a schema, or with payloads of it.
    Check(Check),
    /// Say whether one schema reads what was written with another, and what differs.
    Compare(Compare),
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    of: Of,
    /// The schema.
    schema: PathBuf,
    /// Payloads as JSON, one in each file.
    payloads: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Compare {
    #[command(flatten)]
    of: Of,
    /// The schema that reads.
    reader: PathBuf,
    /// The schema that wrote.
    writer: PathBuf,
}

#[derive(Debug, Args)]
struct Of {
    /// AVRO, JSON or PROTOBUF.
    #[arg(long, value_parser = format)]
    format: Format,
    /// A schema that is referred to, by the name that it is referred to by: NAME=FILE.
    #[arg(long = "reference", value_parser = reference)]
    references: Vec<(String, PathBuf)>,
}

fn format(text: &str) -> Result<Format, String> {
    text.to_ascii_uppercase().parse().map_err(|_| "it is AVRO, JSON or PROTOBUF".to_owned())
}

fn reference(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("it is NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

impl Of {
    fn references(&self) -> Result<Vec<(String, String)>, Failure> {
        self.references.iter().map(|(name, file)| Ok((name.clone(), read(file)?))).collect()
    }

    fn schema(&self, file: &PathBuf) -> Result<Schema, Failure> {
        Schema::parse(self.format, &read(file)?, &self.references()?).map_err(|violations| {
            for violation in violations {
                output::line(format_args!("{}: {violation}", file.display()));
            }
            format!("{} is no schema of {}", file.display(), self.format).into()
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Print => {
            output::line(sdl::sdl(&graphql::subgraph()).trim_end());
            Ok(())
        }
        Action::Check(arguments) => check(arguments),
        Action::Compare(arguments) => compare(arguments),
    }
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let schema = arguments.of.schema(&arguments.schema)?;
    let mut wrong = 0;
    for file in &arguments.payloads {
        let payload = serde_json::from_str(&read(file)?);
        let payload = payload.map_err(|error| format!("{}: {error}", file.display()))?;
        let violations = schema.violations(&payload);
        wrong += usize::from(!violations.is_empty());
        for violation in violations {
            output::line(format_args!("{}: {violation}", file.display()));
        }
    }
    match wrong {
        0 => Ok(()),
        wrong => Err(format!("{wrong} of {} payloads violate it", arguments.payloads.len()).into()),
    }
}

fn compare(arguments: &Compare) -> Result<(), Failure> {
    let (reader, writer) =
        (arguments.of.schema(&arguments.reader)?, arguments.of.schema(&arguments.writer)?);
    let comparison = reader.reads(&writer)?;
    for difference in &comparison.differences {
        output::line(format_args!(
            "{:<12} {} {}: {}",
            difference.verdict.as_str(),
            difference.rule,
            difference.path,
            difference.message,
        ));
    }
    let verdict = comparison.verdict();
    output::line(verdict.as_str());
    match verdict {
        Verdict::Compatible => Ok(()),
        Verdict::Unknown => Err("whether it can be read is not known".into()),
        Verdict::Incompatible => Err("not everything that is written can be read".into()),
    }
}
