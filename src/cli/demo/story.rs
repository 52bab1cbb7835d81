//! What happened at the two tenants of the demonstration, told over HTTP.
//!
//! | tenant | | so that |
//! |---|---|---|
//! | `acme` | built well on each of the three days before the first start; at every start, five minutes ago, `daily_revenue` fails and `customers` is not built at all | staging and `orders` are FRESH, `customers` is WARN, `daily_revenue` is STALE and its last run FAILED, `raw_exchange_rates` is UNKNOWN since nobody reports loading it, the other raw tables are NOT_APPLICABLE |
//! | `globex` | another project; built well five minutes ago as well | all is FRESH that has a policy |
//!
//! Each start sends the history again, which adds nothing, and one more build of today, whose run
//! ids follow from the instant of that start: the board is a live one on every start, and the
//! history of earlier starts stays. The instant of the first start is kept in the data folder.

use std::{fs, io, io::Write, path::Path};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::recording::{Recording, replay};
use crate::{
    app::App,
    auth::{TenantId, policy::Role},
    cli::{Failure, development::Development},
};

const HOUR: u32 = 3_600;
/// How long ago the last thing happened.
const JUST_NOW: TimeDelta = TimeDelta::minutes(5);
const DAYS_OF_HISTORY: i32 = 3;

/// One tenant's data.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) tenant: &'static str,
    pub(super) project: &'static str,
    today: Today,
    /// Table, hours to warn after, hours to fail after.
    policies: &'static [(&'static str, Option<u32>, Option<u32>)],
}

#[derive(Debug)]
enum Today {
    /// Everything was built.
    Good,
    /// The last model failed, and this one was left out.
    Failing { without: &'static str },
}

/// Both tenants.
pub(super) const STORIES: &[Story] = &[
    Story {
        tenant: "acme",
        project: "shop",
        today: Today::Failing { without: "customers" },
        policies: &[
            ("stg_customers", Some(20), Some(26)),
            ("stg_orders", Some(20), Some(26)),
            ("stg_payments", Some(20), Some(26)),
            ("orders", Some(20), Some(26)),
            // No limit to fail at: a demonstration that was off for weeks shows WARN all the same.
            ("customers", Some(12), None),
            ("daily_revenue", Some(6), Some(12)),
            ("raw_exchange_rates", None, Some(24)),
        ],
    },
    Story {
        tenant: "globex",
        project: "outlet",
        today: Today::Good,
        policies: &[
            ("stg_orders", Some(1), Some(2)),
            ("orders", Some(1), Some(2)),
            ("customers", Some(20), Some(26)),
            ("daily_revenue", Some(20), Some(26)),
        ],
    },
];

/// When it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) first_start: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

/// The instant of the first start on this data folder: `now`, if this is it.
pub(super) fn first_start(data_dir: &Path, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let path = data_dir.join("first-start");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            format!("{} holds no instant; remove it, or the whole folder", path.display()).into()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut draft = tempfile::NamedTempFile::new_in(data_dir)?;
            write!(draft, "{}", now.to_rfc3339_opts(SecondsFormat::Micros, true))?;
            draft.persist(&path)?;
            Ok(now)
        }
        Err(error) => Err(error.into()),
    }
}

/// Speaks to the service as its users do.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    graphql: String,
    lineage: String,
}

impl Client {
    pub(super) fn of(app: &App) -> Result<Self, Failure> {
        Ok(Self {
            // The listeners are this process's own.
            http: reqwest::Client::builder().no_proxy().build()?,
            graphql: format!("http://{}/graphql", app.public),
            lineage: format!("http://{}/api/v1/lineage", app.internal),
        })
    }

    /// Sends what happened at one tenant, and sets what its people ask for.
    pub(super) async fn tell(
        &self,
        story: &Story,
        development: &Development,
        times: Times,
    ) -> Result<(), Failure> {
        let tenant = TenantId::parse(story.tenant)?;
        let reporter = development.token(&tenant, Role::RuntimeWriter)?;
        for batch in story.events(times)? {
            self.post(&self.lineage, &reporter, &batch.into()).await?;
        }
        let administrator = development.token(&tenant, Role::TenantAdmin)?;
        let ids = self.datasets(&administrator).await?;
        for (table, warn, fail) in story.policies {
            let name = format!("{}.main.{table}", story.project);
            let id = ids.iter().find(|(known, _)| *known == name).map(|(_, id)| id.as_str());
            let id = id.ok_or_else(|| format!("the recording has no table {name}"))?;
            let seconds = |hours: &Option<u32>| hours.map(|hours| hours * HOUR);
            let input = json!({
                "datasetId": id, "expectedVersion": 0,
                "maxAge": { "warnAfterSeconds": seconds(warn), "failAfterSeconds": seconds(fail) },
            });
            // One that is set already, perhaps to something else by now, stays.
            self.graphql(&administrator, SET_POLICY, json!({ "input": input })).await?;
            let input = json!({
                "id": id, "expectedVersion": "1", "domain": story.project,
                "owners": [format!("team-{}", story.project)],
            });
            self.graphql(&administrator, UPDATE, json!({ "input": input })).await?;
        }
        tracing::info!(%tenant, datasets = ids.len(), "the story is told");
        Ok(())
    }

    /// Names and ids.
    async fn datasets(&self, token: &str) -> Result<Vec<(String, String)>, Failure> {
        let data = self.graphql(token, DATASETS, json!({})).await?;
        let nodes = data.pointer("/datasets/nodes").and_then(Value::as_array);
        let text = |node: &Value, name| node.get(name)?.as_str().map(str::to_owned);
        let pair = |node| Some((text(node, "name")?, text(node, "id")?));
        Ok(nodes.into_iter().flatten().filter_map(pair).collect())
    }

    pub(super) async fn graphql(
        &self,
        token: &str,
        query: &str,
        variables: Value,
    ) -> Result<Value, Failure> {
        let request = json!({ "query": query, "variables": variables });
        let mut answer = self.post(&self.graphql, token, &request).await?;
        if let Some(errors) = answer.get("errors") {
            return Err(format!("the service answered with errors: {errors}").into());
        }
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }

    async fn post(&self, url: &str, token: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.http.post(url).bearer_auth(token).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() || status == reqwest::StatusCode::MULTI_STATUS {
            return Err(format!("{url} answered {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }
}

const DATASETS: &str = "{ datasets(first: 200) { nodes { id name } } }";
const SET_POLICY: &str = "
mutation ($input: SetFreshnessPolicyInput!) { setFreshnessPolicy(input: $input) { status } }";
const UPDATE: &str = "
mutation ($input: UpdateDatasetInput!) { updateDataset(input: $input) { status } }";

impl Story {
    /// One batch of events per build.
    fn events(&self, times: Times) -> Result<Vec<Vec<Value>>, Failure> {
        let recording = Recording::of(self.project)?;
        let mut batches = Vec::new();
        for day in (1..=DAYS_OF_HISTORY).rev() {
            let end = times.first_start - TimeDelta::days(day.into()) - JUST_NOW;
            batches.push(replay(&recording.good, end, None)?);
        }
        let end = times.now - JUST_NOW;
        batches.push(match self.today {
            Today::Good => replay(&recording.good, end, None)?,
            Today::Failing { without } => {
                let job = format!("{0}.main.{0}.{without}", self.project);
                replay(&recording.failing, end, Some(&job))?
            }
        });
        Ok(batches)
    }
}
