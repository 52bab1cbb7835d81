//! `drr cache`: what is kept, and its end.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::{Client, Url};
use serde::Serialize;

use super::{Common, Failure, database::Database, explained, output, retain};
use crate::{
    auth::TenantId,
    cache::operator::{Held, Shared, tell_to_forget},
    clock::{Clock, SystemClock},
    config::Settings,
};

/// What the metrics of the first tier, and those of what Redis was asked, begin with.
const PREFIX: &str = "drr_cache_";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what instances and Redis hold, and how they do.
    Stats(Stats),
    /// Have every instance and Redis forget what they hold; nothing is lost but time.
    Purge(Whose),
}

#[derive(Debug, Args)]
struct Stats {
    /// The address of an instance's operations listener, for each one; that of the settings unless it is
    /// said.
    #[arg(long = "instance", value_name = "URL")]
    instances: Vec<Url>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// What is kept of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// All that is kept.
    #[arg(long)]
    all: bool,
}

/// What is known of both tiers.
#[derive(Debug, Serialize)]
struct Known {
    instances: Vec<Instance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Held>,
}

#[derive(Debug, Serialize)]
struct Instance {
    address: String,
    /// By the names of the metrics, without what all begin with.
    counts: BTreeMap<String, f64>,
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    match arguments.action {
        Action::Stats(stats) => show(&settings, stats).await,
        Action::Purge(whose) => purge(&settings, &whose).await,
    }
}

async fn shared(settings: &Settings) -> Result<Option<Shared>, Failure> {
    match &settings.cache.redis_url {
        Some(url) => Ok(Some(Shared::connect(url.expose()).await?)),
        None => Ok(None),
    }
}

async fn purge(settings: &Settings, whose: &Whose) -> Result<(), Failure> {
    let tenant = match &whose.tenant {
        Some(code) => {
            Some(TenantId::parse(code).map_err(|_| format!("{code} is no code of a tenant"))?)
        }
        None => None,
    };
    // First: whoever forgets its own could have it again from there.
    if let Some(mut shared) = shared(settings).await? {
        let keys = shared.purge(tenant.as_ref()).await?;
        output::line(format_args!("Redis has forgotten {keys} keys"));
    }
    let database = Database::open(settings).await?;
    let told = async {
        let db = retain::opened(settings, &database).await?;
        let told = tell_to_forget(&db, SystemClock.new_id(), tenant.as_ref()).await;
        db.close().await;
        told.map_err(explained)
    };
    let told = told.await;
    database.close().await?;
    told?;
    output::line("every instance that serves was told to forget what it keeps");
    Ok(())
}

async fn show(settings: &Settings, stats: Stats) -> Result<(), Failure> {
    let mut addresses = stats.instances;
    if addresses.is_empty() {
        addresses.push(Url::parse(&format!("http://{}", settings.listen.operations))?);
    }
    let mut instances = Vec::new();
    for address in addresses {
        let text = metrics(&address).await;
        let text =
            text.map_err(|error| format!("{address} does not say what it counts: {error}"))?;
        instances.push(Instance { address: address.to_string(), counts: counts(&text) });
    }
    let redis = match shared(settings).await? {
        Some(mut shared) => Some(shared.held(None).await?),
        None => None,
    };
    let known = Known { instances, redis };
    match stats.format {
        Format::Json => output::line(serde_json::to_string_pretty(&known)?),
        Format::Table => table(&known).into_iter().for_each(output::line),
    }
    Ok(())
}

async fn metrics(address: &Url) -> Result<String, Failure> {
    let answer = Client::new().get(address.join("/metrics")?).send().await?;
    Ok(answer.error_for_status()?.text().await?)
}

/// The samples of Prometheus' text form that tell of what is kept.
fn counts(text: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.strip_prefix(PREFIX)?.rsplit_once(' ')?;
        Some((name.replace('"', ""), value.parse().ok()?))
    };
    text.lines().filter_map(sample).collect()
}

/// Lines of a tier, a name and a value.
fn table(known: &Known) -> Vec<String> {
    let mut lines = Vec::new();
    for Instance { address, counts } in &known.instances {
        lines.push(format!("instance {address}"));
        lines.extend(counts.iter().map(|(name, value)| format!("  {name:<55} {value:>12}")));
        if let Some(share) = kept_share(counts) {
            lines.push(format!("  {:<55} {share:>11.1}%", "of all that can be kept, kept"));
        }
    }
    if let Some(Held { answers, tenants, memory_bytes, evicted }) = known.redis {
        lines.push("redis".to_owned());
        for (name, value) in [
            ("answers", answers),
            ("tenants", tenants),
            ("memory_bytes", memory_bytes),
            ("evicted", evicted),
        ] {
            lines.push(format!("  {name:<55} {value:>12}"));
        }
    }
    lines
}

/// How many of a hundred queries whose answers can be kept were answered without asking the database.
fn kept_share(counts: &BTreeMap<String, f64>) -> Option<f64> {
    let of = |outcome: &str| {
        counts.get(&format!("requests_total{{outcome={outcome}}}")).copied().unwrap_or_default()
    };
    let kept = of("kept") + of("waited") + of("shared");
    let all = kept + of("made");
    (all > 0.0).then(|| 100.0 * kept / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP drr_cache_bytes What kept answers take.\n# TYPE drr_cache_bytes gauge\n\
        drr_cache_bytes{of=\"answers\"} 1234\ndrr_cache_requests_total{outcome=\"kept\"} 3\n\
        drr_cache_requests_total{outcome=\"made\"} 1\ndrr_http_connections{listener=\"public\"} 5\n";

    #[test]
    fn what_tells_of_what_is_kept_is_read_of_the_metrics() {
        let counts = counts(TEXT);
        let names: Vec<_> = counts.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["bytes{of=answers}", "requests_total{outcome=kept}", "requests_total{outcome=made}"]
        );
        assert_eq!(counts["bytes{of=answers}"], 1_234.0);
        assert_eq!(kept_share(&counts), Some(75.0));
        assert_eq!(kept_share(&BTreeMap::new()), None);
    }
}
