//! How the database reads what boards ask of the log: each dataset by a range of an index, under
//! row-level security, whether it plans for the values or for any; and only the months asked for.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    cluster::{Cluster, run},
    door::world::{ACME, SHARED_ID, populate, script, strings},
};

/// The plan of a statement with these types and values.
async fn plan(raw: &mut PgConnection, mode: &str, sql: &str, values: &[(&str, String)]) -> Value {
    let types: Vec<_> = values.iter().map(|(kind, _)| *kind).collect();
    let values: Vec<_> = values.iter().map(|(_, value)| value.as_str()).collect();
    script(
        raw,
        format!(
            "DEALLOCATE ALL; SET plan_cache_mode = force_{mode}_plan;
             PREPARE asked ({}) AS {sql}",
            types.join(", ")
        ),
    )
    .await;
    let explain = format!(
        "SELECT set_config('app.tenant_id', '{ACME}', false);
         EXPLAIN (FORMAT JSON) EXECUTE asked ({})",
        values.join(", ")
    );
    let json = last_json(raw, &explain).await;
    json[0]["Plan"].clone()
}

async fn last_json(raw: &mut PgConnection, sql: &str) -> Value {
    use sqlx::{AssertSqlSafe, Executor, Row};
    let rows = raw.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.last().unwrap().try_get(0).unwrap()
}

fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// The tables that a plan opens; each must be read by an index that is asked for `column`.
fn tables(plan: &Value, column: &str, what: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for node in nodes(plan) {
        let kind = node["Node Type"].as_str().unwrap();
        assert_ne!(kind, "Seq Scan", "{what}: {plan:#}");
        if let Some(table) = node["Relation Name"].as_str() {
            let condition = node["Index Cond"].as_str().unwrap_or_default();
            assert!(
                condition.contains(column) && condition.contains("tenant_id"),
                "{what}: {table} by {kind} {condition:?}: {plan:#}"
            );
            found.insert(table.to_owned());
        }
    }
    found
}

#[test]
fn what_boards_ask_is_read_by_ranges_of_indexes_and_months_not_asked_for_stay_closed() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        script(&mut admin, "ANALYZE").await;
        let month = strings(&mut admin, "SELECT to_char(now(), 'YYYYMM')").await.remove(0);
        // On a table of a few rows reading it whole is as good; where it is not, no index serves.
        script(
            &mut admin,
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET ROLE drr_reader",
        )
        .await;
        let ids = ("uuid[]", format!("'{{{SHARED_ID}}}'"));
        let instant = |at: &str| ("timestamptz", at.to_owned());
        let count = || ("bigint", "10".to_owned());
        let span = || [instant("date_trunc('month', now())"), instant("now()")];
        let [from, to] = span();
        for (name, sql) in drr::history::repository::STATEMENTS
            .into_iter()
            .chain(drr::refresh::repository::STATEMENTS)
            .chain([("upstream", drr::lineage::repository::UP)])
            .chain([("downstream", drr::lineage::repository::DOWN)])
        {
            let (values, column) = match name {
                "between" | "successes" => {
                    (vec![ids.clone(), from.clone(), to.clone(), count()], "dataset_id")
                }
                "latest after" => {
                    let run = ("uuid", format!("'{SHARED_ID}'"));
                    (vec![ids.clone(), count(), to.clone(), run], "dataset_id")
                }
                "upstream" => (vec![ids.clone(), count(), count()], "downstream_id"),
                "downstream" => (vec![ids.clone(), count(), count()], "upstream_id"),
                _ => (vec![ids.clone(), count()], "dataset_id"),
            };
            for mode in ["custom", "generic"] {
                let plan = plan(&mut admin, mode, sql, &values).await;
                let what = format!("{name}, {mode}");
                let tables = tables(&plan, column, &what);
                assert!(!tables.is_empty(), "{what}: {plan:#}");
                if name == "between" {
                    let this = BTreeSet::from([format!("dataset_run_log_{month}")]);
                    let removed = nodes(&plan)
                        .iter()
                        .filter_map(|node| node["Subplans Removed"].as_i64())
                        .sum::<i64>();
                    assert!(
                        tables == this && (mode == "custom" || removed > 0),
                        "{what}: {plan:#}"
                    );
                }
            }
        }
    });
}
