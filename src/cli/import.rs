//! `drr import`: sends what another tool found to a running service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::{Failure, output};

/// The environment variable with the token: on the command line, every user of the machine sees it.
const TOKEN: &str = "DRR_TOKEN";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What `dbt source freshness` found; the token, a runtime-writer's, is in DRR_TOKEN.
    DbtSources(DbtSources),
}

#[derive(Debug, Args)]
struct DbtSources {
    /// dbt's sources.json.
    file: PathBuf,
    /// The address of the internal listener, as http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    server: Url,
    /// The namespace of the datasets.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let What::DbtSources(DbtSources { file, server, namespace }) = arguments.what;
    let token = std::env::var(TOKEN).map_err(|_| format!("a token is needed in {TOKEN}"))?;
    let token = SecretString::from(token);
    let body = tokio::fs::read(&file).await;
    let body = body.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let mut url = server.join("/api/v1/imports/dbt-sources")?;
    url.query_pairs_mut().append_pair("namespace", &namespace);
    let request = Client::new().post(url).bearer_auth(token.expose_secret());
    let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
    let response = request.send().await?;
    let (status, report) = (response.status(), response.text().await?);
    if status == StatusCode::OK {
        output::line(report);
        return Ok(());
    }
    Err(format!("the service answered {status}: {report}").into())
}
