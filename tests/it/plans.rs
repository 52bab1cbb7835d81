//! How the database reads what boards ask of the log: each dataset by a range of an index, under
//! row-level security, whether it plans for the values or for any; and only the months asked for.

use std::collections::BTreeSet;

use drr::{
    audit::{
        Class,
        model::Ended,
        reading::{BY_ID, EventPosition, Filter, page_statement},
        siem::cursor::AFTER,
    },
    clock::{Clock, SystemClock},
};
use sea_orm::Value;
use serde_json::Value as Json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    cluster::{Cluster, run},
    door::world::{ACME, SHARED_ID, populate, script, strings},
};

/// The plan of a statement with these types and values.
async fn plan(raw: &mut PgConnection, mode: &str, sql: &str, values: &[(&str, String)]) -> Json {
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

async fn last_json(raw: &mut PgConnection, sql: &str) -> Json {
    use sqlx::{AssertSqlSafe, Executor, Row};
    let rows = raw.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.last().unwrap().try_get(0).unwrap()
}

fn nodes(plan: &Json) -> Vec<&Json> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// The tables that a plan opens; each must be read by an index that is asked for `column`.
fn tables(plan: &Json, column: &str, what: &str) -> BTreeSet<String> {
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

#[test]
fn what_uses_a_schema_is_read_by_indexes_of_what_is_bound_and_what_refers() {
    use drr::schema::usage::{REFERRING, in_use};
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        let plain = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET ROLE drr_writer";
        script(&mut admin, format!("ANALYZE; {plain}")).await;
        let id = ("uuid", format!("'{SHARED_ID}'"));
        let name = |name: &str| ("text", format!("'{name}'"));
        let of_version =
            [name("tenant.a.b.C"), name("tenant.a.b.C@1"), id.clone(), ("int", "1".into())];
        for mode in ["custom", "generic"] {
            let plan_of = plan(&mut admin, mode, &in_use(), &of_version).await;
            let bound: Vec<_> = nodes(&plan_of)
                .into_iter()
                .filter(|node| node["Relation Name"] == "dataset_registry")
                .map(|node| node["Index Cond"].as_str().unwrap().contains("schema_fqid = "))
                .collect();
            assert_eq!(bound, [true, true], "{mode}: {plan_of:#}");
            assert!(by_what_refers(&plan_of), "{mode}: {plan_of:#}");
            let plan_of = plan(&mut admin, mode, REFERRING, std::slice::from_ref(&id)).await;
            assert!(by_what_refers(&plan_of), "{mode}: {plan_of:#}");
        }
    });
}

fn by_what_refers(plan: &Json) -> bool {
    nodes(plan).iter().any(|node| node["Index Name"] == "schema_version_referring")
}

/// The statement of a page of the trail, and its values as SQL.
fn page_of_trail(filter: &Filter) -> (String, Vec<(&'static str, String)>) {
    let event_id = Uuid::parse_str(SHARED_ID).unwrap();
    let after = EventPosition { occurred_at: SystemClock.now(), event_id };
    let (sql, values) = page_statement(filter, Some(after), 10);
    let typed = values.iter().map(|value| {
        let kind = match value {
            Value::BigInt(_) => "bigint",
            Value::String(_) => "text",
            Value::Uuid(_) => "uuid",
            Value::ChronoDateTimeUtc(_) => "timestamptz",
            other => panic!("{other:?}"),
        };
        (kind, value.to_string())
    });
    (sql, typed.collect())
}

#[test]
fn auditors_read_the_trail_by_an_index_in_its_order() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        script(
            &mut admin,
            format!(
                "SELECT set_config('app.tenant_id', '{ACME}', false);
                 INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result,
                                          correlation_id, dataset_id)
                 SELECT '{ACME}', now() - n * interval '1 second', gen_random_uuid(), 'actor ' || n % 50,
                        'dataset.read', CASE WHEN n % 100 = 0 THEN 'DENIED' ELSE 'SUCCESS' END,
                        'call ' || n, CASE WHEN n % 10 = 0 THEN '{SHARED_ID}'::uuid END
                   FROM generate_series(1, 20000) AS n;
                 ANALYZE"
            ),
        )
        .await;
        // A month without events is read and sorted as well as by an index, and so is one event; where
        // there are many it is not, and then there must be one.
        script(
            &mut admin,
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;
             SET ROLE drr_auditor",
        )
        .await;
        let none = Filter::default();
        let text = |text: &str| Some(text.to_owned());
        let denied = Some(Ended::Denied);
        let dataset_id = Some(Uuid::parse_str(SHARED_ID).unwrap());
        for (filter, column) in [
            (none.clone(), "occurred_at"),
            (Filter { actor_id: text("actor 7"), ..none.clone() }, "actor_id"),
            (Filter { correlation_id: text("call 7"), ..none.clone() }, "correlation_id"),
            (Filter { dataset_id, ..none.clone() }, "dataset_id"),
            (Filter { result: denied, ..none.clone() }, "result"),
            (Filter { action: text("dataset.read"), ..none.clone() }, "occurred_at"),
            (Filter { class: Some(Class::Api), ..none.clone() }, "occurred_at"),
        ] {
            let (sql, values) = page_of_trail(&filter);
            let plan = plan(&mut admin, "custom", &sql, &values).await;
            let what = format!("{filter:?}");
            assert!(!tables(&plan, column, &what).is_empty(), "{what}");
            let sorts = nodes(&plan).iter().any(|node| node["Node Type"] == "Sort");
            assert!(!sorts, "{what}: {plan:#}");
        }
        let instant = |at: &str| ("timestamptz", at.to_owned());
        let id = [
            ("uuid", format!("'{SHARED_ID}'")),
            instant("now() - interval '1 ms'"),
            instant("now()"),
        ];
        for mode in ["custom", "generic"] {
            let plan = plan(&mut admin, mode, BY_ID, &id).await;
            assert!(!tables(&plan, "occurred_at", mode).is_empty(), "{mode}");
        }
        let place =
            [("text", "'0'".to_owned()), ("bigint", "0".to_owned()), ("bigint", "9".to_owned())];
        for mode in ["custom", "generic"] {
            let plan = plan(&mut admin, mode, AFTER, &place).await;
            assert!(!tables(&plan, "transaction_id", mode).is_empty(), "{mode}");
        }
    });
}
