//! The isolation assertion, as a function: that it holds, and that it tells when it does not.
//!
//! It runs with every privilege on every table granted to one role, so that row-level security
//! alone stands between the tenants. // D15, D19, D20, D22, D41

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::world::{
    ACME, GLOBEX, REFUSED, populate, refusal, script, state, strings, tenant_tables,
};
use crate::{
    app::TestApp,
    cluster::{Cluster, Database, run},
};

/// What leaks, if anything does. Every check is undone.
async fn leaks(database: &Database<'_>) -> Result<(), Vec<String>> {
    let mut admin = database.admin().await;
    let tables = tenant_tables(&mut admin).await;
    script(&mut admin, "GRANT ALL ON ALL TABLES IN SCHEMA storage_drr TO drr_writer").await;
    let mut found = Vec::new();
    for (context, sql) in [("unset", ""), ("empty", "SET app.tenant_id = ''")] {
        // On a connection of its own: only a new one has never had the setting.
        let mut fresh = database.admin().await;
        script(&mut fresh, format!("SET ROLE drr_writer; {sql}")).await;
        for table in &tables {
            for statement in [
                format!("SELECT * FROM {table}"),
                format!("UPDATE {table} SET tenant_id = tenant_id"),
                format!("DELETE FROM {table}"),
            ] {
                let state = state(&mut fresh, &format!("BEGIN; {statement}")).await;
                if state.as_deref() != Some(REFUSED) {
                    found.push(format!("{context} context: {statement}: {state:?}"));
                }
                script(&mut fresh, "ROLLBACK").await;
            }
        }
        fresh.close().await.unwrap();
    }
    for table in &tables {
        tenant_leaks(&mut admin, table, &mut found).await;
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// What a tenant gets of `table` that is not its own, or does to it.
async fn tenant_leaks(admin: &mut PgConnection, table: &str, found: &mut Vec<String>) {
    let mut tx = Undone::begin(admin).await;
    let seen = strings(tx.0, &format!("SELECT DISTINCT tenant_id FROM {table}")).await;
    if seen != [ACME] {
        found.push(format!("{table}: an unfiltered SELECT shows {seen:?}"));
    }
    for statement in [
        format!("UPDATE {table} SET tenant_id = '{GLOBEX}'"),
        format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(own, '{{\"tenant_id\": \"{GLOBEX}\"}}')).*
               FROM {table} AS own"
        ),
    ] {
        tx.savepoint().await;
        let refused = refusal(tx.0, &statement).await;
        // The policy's own words: a missing privilege or a foreign key would hide that it is off.
        if !refused.as_ref().is_some_and(|(_, message)| message.contains("row-level security")) {
            found.push(format!("{statement}: {refused:?}"));
        }
    }
    for statement in [
        format!("UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{GLOBEX}'"),
        format!("DELETE FROM {table} WHERE tenant_id = '{GLOBEX}'"),
    ] {
        tx.savepoint().await;
        let done = tx.0.execute(AssertSqlSafe(statement.clone())).await;
        if !done.as_ref().is_ok_and(|done| done.rows_affected() == 0) {
            found.push(format!("{statement}: {done:?}"));
        }
    }
    tx.end().await;
}

/// A transaction as `drr_writer` of [`ACME`] that leaves nothing behind.
struct Undone<'c>(&'c mut PgConnection);

impl<'c> Undone<'c> {
    async fn begin(connection: &'c mut PgConnection) -> Self {
        script(
            connection,
            format!(
                "BEGIN; SET LOCAL ROLE drr_writer; SET LOCAL app.tenant_id = '{ACME}'; SAVEPOINT s"
            ),
        )
        .await;
        Self(connection)
    }

    async fn savepoint(&mut self) {
        script(self.0, "ROLLBACK TO SAVEPOINT s").await;
    }

    async fn end(self) {
        script(self.0, "ROLLBACK").await;
    }
}

async fn populated() -> Database<'static> {
    let database = Cluster::shared().await.database().await;
    populate(&mut database.admin().await).await;
    database
}

// D15, D20, D22: with every database privilege there is, row-level security alone keeps the tenants apart.
#[test]
fn row_level_security_alone_keeps_tenants_apart_in_every_table() {
    run(async {
        let database = populated().await;
        leaks(&database).await.unwrap();
    });
}

// The mirror: each way to break the policy of one table or one partition is told.
#[test]
fn the_isolation_assertion_tells_each_way_in_which_a_policy_is_broken() {
    let always = "USING (true) WITH CHECK (true)";
    run(async {
        let mut partition = String::new();
        for sabotage in [
            "DROP POLICY tenant_isolation ON {}".to_owned(),
            "ALTER TABLE {} DISABLE ROW LEVEL SECURITY".to_owned(),
            format!("ALTER POLICY tenant_isolation ON {{}} {always}"),
            "ALTER POLICY tenant_isolation ON {} WITH CHECK (true)".to_owned(),
            format!("CREATE POLICY another ON {{}} {always}"),
            "ALTER POLICY tenant_isolation ON {} USING (tenant_id = current_setting('app.tenant_id', true))".to_owned(),
        ] {
            let database = populated().await;
            let mut admin = database.admin().await;
            if partition.is_empty() {
                let partitions = "SELECT max(inhrelid::regclass::text) FROM pg_inherits
                                   WHERE inhparent = 'run_event'::regclass";
                partition = strings(&mut admin, partitions).await.remove(0);
            }
            let target = if sabotage.starts_with("DROP") { partition.as_str() } else { "run" };
            script(&mut admin, sabotage.replace("{}", target)).await;
            let told = leaks(&database).await.expect_err(&sabotage);
            let (of_target, others): (Vec<_>, Vec<_>) =
                told.iter().partition(|leak| leak.contains(target));
            assert!(!of_target.is_empty(), "{sabotage}: {told:#?}");
            assert!(others.is_empty(), "{sabotage}: {others:#?}");
        }
    });
}

// D15: with row-level security off, the table of rights and the database's grants still stand.
#[test]
fn without_row_level_security_the_rights_still_hold() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        populate(&mut admin).await;
        for table in tenant_tables(&mut admin).await {
            script(&mut admin, format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await;
        }
        let query = "mutation($id: ID!) { retireDataset(input: {id: $id}) { __typename } }";
        let reader = app.token(ACME, drr::auth::policy::Role::Reader);
        let variables = serde_json::json!({ "id": "anything" });
        assert_eq!(app.code(&reader, query, variables).await, "FORBIDDEN");
        let mut raw = app.admin().await;
        script(&mut raw, format!("SET ROLE drr_auditor; SET app.tenant_id = '{ACME}'")).await;
        for statement in [
            "INSERT INTO dataset_name VALUES ('acme', 'n', 'n', gen_random_uuid(), true)",
            "UPDATE audit_event SET actor_id = 'nobody'",
            "DELETE FROM audit_event",
            "SELECT * FROM run_event",
        ] {
            assert_eq!(state(&mut raw, statement).await.as_deref(), Some(REFUSED), "{statement}");
        }
        app.stop().await;
    });
}

// D41: a running service whose policy is broken under it serves no foreign row, counts it and says so.
#[test]
fn a_foreign_row_that_a_broken_policy_lets_through_is_withheld_and_counted() {
    run(async {
        // What is kept was read behind the policies.
        let app = TestApp::with(|plan| plan.cache.bytes = 0).await;
        let mut admin = app.admin().await;
        populate(&mut admin).await;
        let query = "{ datasets { nodes { name } } }";
        let reader = app.token(ACME, drr::auth::policy::Role::Reader);
        let own = app.data(&reader, query, serde_json::json!({})).await;
        assert_eq!(own["datasets"]["nodes"].as_array().unwrap().len(), 1);
        let before = super::pool::metric("drr_tenant_isolation_violations_total");
        for table in ["dataset_registry", "dataset_refresh_state"] {
            script(&mut admin, format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await;
        }
        let answer = app.answer(&reader, query, serde_json::json!({})).await;
        assert!(!answer.to_string().contains("orders"), "{answer:#}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL", "{answer:#}");
        assert!(super::pool::metric("drr_tenant_isolation_violations_total") > before);
        app.stop().await;
    });
}
