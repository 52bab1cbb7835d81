//! What the program refuses to start on. // D15, D20, D23, "owner and superuser refused"

use std::sync::Arc;

use drr::{
    app::{App, StartError},
    clock::SystemClock,
    db::{
        Db,
        embedded::{APPLICATION, OWNER},
        maintenance::{self, Direction},
        safety::UnsafeDatabase,
    },
    error::ErrorCode,
};
use sqlx::postgres::PgConnectOptions;

use super::{
    pool::{at_rest, see},
    world::{ACME, db_settings, populate, scoped, script, strings},
};
use crate::{
    app::assembly,
    cluster::{Cluster, Database, SCHEMA, run},
};

/// Why the service refuses this database; `login` says who logs in, and to which schema.
async fn refusal(database: &Database<'_>, login: PgConnectOptions, schema: &str) -> UnsafeDatabase {
    // On the heap: a plan is larger than what should lie on a test's stack.
    let started = Box::pin(async {
        let mut assembly = assembly(database, Arc::new(SystemClock));
        assembly.database.connect = login;
        schema.clone_into(&mut assembly.database.schema);
        App::start(assembly).await
    });
    match started.await {
        Err(StartError::Unsafe(refused)) => refused,
        Err(other) => panic!("another error: {other}"),
        Ok(app) => {
            app.stop().await;
            panic!("it has started");
        }
    }
}

async fn fresh() -> Database<'static> {
    Cluster::shared().await.database().await
}

#[test]
fn a_table_that_is_not_behind_the_door_is_refused() {
    let always = "USING (true) WITH CHECK (true)";
    let partition = "(SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'run_event'::regclass)";
    run(async {
        for (table, sabotage) in [
            ("run", "DROP POLICY tenant_isolation ON {}".to_owned()),
            ("run", format!("ALTER POLICY tenant_isolation ON {{}} {always}")),
            ("run", "ALTER POLICY tenant_isolation ON {} WITH CHECK (true)".to_owned()),
            ("run", "ALTER POLICY tenant_isolation ON {} TO drr_reader".to_owned()),
            ("run", "ALTER POLICY tenant_isolation ON {} USING (tenant_id = current_setting('app.tenant_id'))".to_owned()),
            ("run", format!("CREATE POLICY another ON {{}} {always}")),
            ("run", "ALTER TABLE {} DISABLE ROW LEVEL SECURITY".to_owned()),
            ("run", "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY".to_owned()),
            (partition, "DROP POLICY tenant_isolation ON {}".to_owned()),
            (partition, "ALTER TABLE {} DISABLE ROW LEVEL SECURITY".to_owned()),
            // What the directory of tenants may have, and nothing else may.
            (
                "tenant_directory",
                "ALTER POLICY directory_listing ON {} TO drr_operator".to_owned(),
            ),
            (
                "freshness_event",
                "CREATE POLICY directory_listing ON {} FOR SELECT TO CURRENT_USER USING (true)"
                    .to_owned(),
            ),
            ("newcomer", "CREATE TABLE {} (tenant_id text NOT NULL)".to_owned()),
            ("loophole", "CREATE VIEW {} AS SELECT * FROM run".to_owned()),
            ("copied", "CREATE MATERIALIZED VIEW {} AS SELECT * FROM run".to_owned()),
            // A function of the same name that says what its caller wants to hear.
            (
                "run",
                "CREATE SCHEMA other;
                 CREATE FUNCTION other.current_tenant() RETURNS text LANGUAGE sql STABLE AS 'SELECT NULL::text';
                 ALTER POLICY tenant_isolation ON {} USING (tenant_id = (SELECT other.current_tenant()))
                   WITH CHECK (tenant_id = (SELECT other.current_tenant()))".to_owned(),
            ),
        ] {
            let database = fresh().await;
            let mut admin = database.admin().await;
            let table = if table.starts_with('(') {
                strings(&mut admin, &format!("SELECT {table}")).await.remove(0)
            } else {
                table.to_owned()
            };
            let sabotage = sabotage.replace("{}", &table);
            script(&mut admin, sabotage.clone()).await;
            let refused = refusal(&database, database.application(), SCHEMA).await;
            assert!(matches!(&refused, UnsafeDatabase::Unguarded(named) if *named == table), "{sabotage}: {refused}");
        }
    });
}

#[test]
fn a_schema_that_is_missing_or_at_another_version_is_refused() {
    run(async {
        let database = fresh().await;
        let refused = refusal(&database, database.application(), "storage_drr_staging").await;
        assert!(matches!(refused, UnsafeDatabase::NoSchema(_)), "{refused}");

        let migrate = |direction| {
            let owner = database.owner();
            async move { maintenance::migrate(&owner, SCHEMA, APPLICATION, direction).await.unwrap() }
        };
        migrate(Direction::Down(1)).await;
        let refused = refusal(&database, database.application(), SCHEMA).await;
        let UnsafeDatabase::NotMigrated(why) = &refused else { panic!("{refused}") };
        let steps = maintenance::migration_status(&database.owner(), SCHEMA).await.unwrap();
        let last = &steps.last().unwrap().name;
        assert!(why.contains(&format!("{last} is not applied")), "{why}");
        migrate(Direction::Down(u32::MAX)).await;
        let refused = refusal(&database, database.application(), SCHEMA).await;
        assert!(matches!(refused, UnsafeDatabase::NotMigrated(_)), "{refused}");
        assert!(refused.to_string().contains("drr migrate up"), "{refused}");
        migrate(Direction::Up).await;
        script(
            &mut database.admin().await,
            "INSERT INTO seaql_migrations VALUES ('m9999_of_tomorrow', 0)",
        )
        .await;
        let refused = refusal(&database, database.application(), SCHEMA).await;
        let UnsafeDatabase::NotMigrated(why) = &refused else { panic!("{refused}") };
        assert!(why.contains("m9999_of_tomorrow is from a newer program"), "{why}");
    });
}

// Roles belong to a whole cluster: this one is the test's own.
#[test]
fn a_login_that_could_go_around_the_door_is_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(folder.path().join("data")).await;
        let database = cluster.database().await;
        let mut admin = database.admin().await;

        let refused = refusal(&database, database.owner(), SCHEMA).await;
        // The owner makes roles, which is said first; without that, it owns.
        assert!(matches!(&refused, UnsafeDatabase::Bypass(role) if role == OWNER), "{refused}");
        script(&mut admin, "ALTER ROLE drr_owner NOCREATEROLE").await;
        let refused = refusal(&database, database.owner(), SCHEMA).await;
        assert!(matches!(&refused, UnsafeDatabase::Owner(role, _) if role == OWNER), "{refused}");
        let refused = refusal(&database, database.superuser(), SCHEMA).await;
        assert!(
            matches!(&refused, UnsafeDatabase::Bypass(role) if role == "drr_admin"),
            "{refused}"
        );

        for (role, grant, revoke) in [
            ("drr_app", "ALTER ROLE drr_app BYPASSRLS", "ALTER ROLE drr_app NOBYPASSRLS"),
            ("drr_app", "ALTER ROLE drr_app SUPERUSER", "ALTER ROLE drr_app NOSUPERUSER"),
            ("drr_app", "ALTER ROLE drr_app CREATEROLE", "ALTER ROLE drr_app NOCREATEROLE"),
            ("drr_app", "ALTER ROLE drr_app REPLICATION", "ALTER ROLE drr_app NOREPLICATION"),
            ("drr_reader", "ALTER ROLE drr_reader BYPASSRLS", "ALTER ROLE drr_reader NOBYPASSRLS"),
            ("drr_admin", "GRANT drr_admin TO drr_writer", "REVOKE drr_admin FROM drr_writer"),
        ] {
            script(&mut admin, grant).await;
            let refused = refusal(&database, database.application(), SCHEMA).await;
            assert!(
                matches!(&refused, UnsafeDatabase::Bypass(named) if named == role),
                "{grant}: {refused}"
            );
            script(&mut admin, revoke).await;
        }
        script(&mut admin, "GRANT drr_owner TO drr_app").await;
        let refused = refusal(&database, database.application(), SCHEMA).await;
        assert!(matches!(&refused, UnsafeDatabase::Owner(role, _) if role == OWNER), "{refused}");
        script(&mut admin, "REVOKE drr_owner FROM drr_app; ALTER ROLE drr_owner CREATEROLE").await;

        another_environment(&database).await;
        begin_that_fails(&database).await;
        drop(database);
        cluster.stop().await;
    });
}

// D23–D25: one login may not serve two environments in one database.
async fn another_environment(database: &Database<'_>) {
    let dev = "storage_drr_dev";
    maintenance::migrate(&database.owner(), dev, APPLICATION, Direction::Up).await.unwrap();
    for (mine, other) in [(SCHEMA, dev), (dev, SCHEMA)] {
        let refused = refusal(database, database.application(), mine).await;
        assert!(
            matches!(&refused, UnsafeDatabase::OtherEnvironment(named) if named == other),
            "{refused}"
        );
    }
    let roles = "drr_reader_dev, drr_writer_dev, drr_auditor_dev, drr_operator_dev, drr_ledger_dev, drr_approver_dev";
    script(&mut database.admin().await, format!("REVOKE {roles} FROM drr_app")).await;
    let app = App::start(assembly(database, Arc::new(SystemClock))).await.unwrap();
    app.stop().await;
}

// Design §4: a BEGIN whose second half fails has opened a transaction all the same.
async fn begin_that_fails(database: &Database<'_>) {
    let mut admin = database.admin().await;
    populate(&mut admin).await;
    let db = Db::new(db_settings(database.application(), 1));
    let acme = scoped(&db, ACME).await;
    let before = see(&acme.read().await.unwrap()).await.backend;
    for _ in 0..3 {
        script(&mut admin, "REVOKE drr_writer FROM drr_app").await;
        let failed = acme.write().await.unwrap_err();
        assert_eq!(failed.code(), ErrorCode::Internal);
        assert_eq!(failed.to_string(), "an internal error occurred");
        let seen = see(&acme.read().await.unwrap()).await;
        assert_eq!(
            (seen.tenant.as_str(), seen.role.as_str(), seen.fresh),
            (ACME, "drr_reader", true)
        );
        assert_ne!(seen.backend, before, "a connection with a failed BEGIN was lent again");
        script(&mut admin, "GRANT drr_writer TO drr_app").await;
        assert_eq!(see(&acme.write().await.unwrap()).await.role, "drr_writer");
    }
    at_rest(database).await;
    db.close().await;
}
