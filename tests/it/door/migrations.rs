//! The schema up, down and up again: as its owner, who is no superuser, and by the command line.

use std::{path::Path, process::Stdio};

use drr::db::{
    embedded::APPLICATION,
    maintenance::{self, Direction},
};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::world::strings;
use crate::cluster::{Cluster, SCHEMA, run};

const DEV: &str = "storage_drr_dev";

/// Everything that a schema is, as text, with the environment taken out of its names.
async fn fingerprint(connection: &mut PgConnection, schema: &str) -> Vec<String> {
    let sql = format!(
        "SET search_path = pg_catalog;
         SELECT line FROM (
           SELECT format('column %s.%s %s %s %s', attrelid::regclass, attname, atttypid::regtype,
                         attnotnull, pg_get_expr(adbin, adrelid)) AS line
             FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
             LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE relnamespace = '{schema}'::regnamespace AND attnum > 0
           UNION ALL
           SELECT format('relation %s %s %s %s %s', c.oid::regclass, relkind, relrowsecurity,
                         relforcerowsecurity, relacl) FROM pg_class c
            WHERE relnamespace = '{schema}'::regnamespace
           UNION ALL
           SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace
           UNION ALL
           SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
            WHERE relnamespace = '{schema}'::regnamespace
           UNION ALL
           SELECT format('policy %s %s %s %s', polrelid::regclass, polname,
                         pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
             FROM pg_policy JOIN pg_class c ON c.oid = polrelid
            WHERE relnamespace = '{schema}'::regnamespace
           UNION ALL
           SELECT pg_get_functiondef(oid) || proacl::text FROM pg_proc
            WHERE pronamespace = '{schema}'::regnamespace
         ) AS everything WHERE line NOT LIKE '%seaql_migrations%' ORDER BY line COLLATE \"C\""
    );
    let environment = schema.trim_start_matches("storage_drr");
    strings(connection, &sql)
        .await
        .into_iter()
        .map(|line| match environment {
            "" => line,
            suffix => line.replace(suffix, ""),
        })
        .collect()
}

// D23–25
#[test]
fn the_schema_goes_up_down_and_up_again_in_each_environment() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut owner = PgConnection::connect_with(&database.owner()).await.unwrap();
        let superuser = "SELECT rolsuper::text FROM pg_roles WHERE rolname = session_user";
        assert_eq!(strings(&mut owner, superuser).await, ["false"]);
        owner.close().await.unwrap();
        let owner = database.owner();
        let migrate =
            |schema, direction| maintenance::migrate(&owner, schema, APPLICATION, direction);
        let mut admin = database.admin().await;
        let prod = fingerprint(&mut admin, SCHEMA).await;
        assert!(prod.len() > 300, "{}", prod.len());

        migrate(DEV, Direction::Up).await.unwrap();
        assert_eq!(fingerprint(&mut admin, DEV).await, prod);
        for schema in [SCHEMA, DEV] {
            migrate(schema, Direction::Up).await.unwrap();
            migrate(schema, Direction::Down(u32::MAX)).await.unwrap();
            assert_eq!(fingerprint(&mut admin, schema).await, Vec::<String>::new());
            let status = maintenance::migration_status(&owner, schema).await.unwrap();
            assert!(status.len() >= 6 && status.iter().all(|step| !step.applied), "{status:?}");
            migrate(schema, Direction::Up).await.unwrap();
            assert_eq!(fingerprint(&mut admin, schema).await, prod, "{schema}");
            assert_eq!(fingerprint(&mut admin, SCHEMA).await, prod);
            let status = maintenance::migration_status(&owner, schema).await.unwrap();
            assert!(status.iter().all(|step| step.applied), "{status:?}");
        }
        // One step at a time, each of which can be taken again.
        for _ in maintenance::migration_status(&owner, DEV).await.unwrap() {
            migrate(DEV, Direction::Down(1)).await.unwrap();
        }
        assert_eq!(fingerprint(&mut admin, DEV).await, Vec::<String>::new());
    });
}

// D24: each environment's roles reach that environment.
#[test]
fn the_roles_of_one_environment_do_not_reach_another() {
    run(async {
        let database = Cluster::shared().await.database().await;
        maintenance::migrate(&database.owner(), DEV, APPLICATION, Direction::Up).await.unwrap();
        let reach = "SELECT rolname || ' ' || nspname FROM pg_roles, pg_namespace
          WHERE rolname ~ '^drr_(reader|writer|auditor|operator|ledger)(_dev)?$'
            AND nspname LIKE 'storage\\_drr%' AND has_schema_privilege(rolname, nspname, 'USAGE')
            AND (rolname ~ '_dev$') <> (nspname ~ '_dev$')";
        assert_eq!(strings(&mut database.admin().await, reach).await, Vec::<String>::new());
    });
}

/// `drr migrate …` on a private database in `folder`: what it printed.
async fn drr(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drr"));
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PATH", "DRR_PG_BIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.arg("--set").arg(format!("data_dir={}", folder.join("data").display()));
    let output = command.arg("migrate").args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_command_line_migrates_a_private_database_from_nothing() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (mut steps, mut states) = (Vec::new(), Vec::new());
        let all = ["status"];
        for arguments in [
            &["up"][..],
            &["down", "--steps", "2"],
            &["up"],
            &["--set", "environment=dev", "status"],
        ] {
            drr(folder.path(), arguments).await;
            let lines = drr(folder.path(), &all).await;
            let words = lines.iter().map(|line| line.split_once(' ').unwrap());
            let (state, names): (Vec<_>, Vec<_>) =
                words.map(|(a, b)| (a.to_owned(), b.to_owned())).unzip();
            states.push(state.iter().filter(|&state| state == "applied").count());
            steps = names;
        }
        assert_eq!(steps[0], "m0001_roles_and_context");
        assert_eq!(states, [steps.len(), steps.len() - 2, steps.len(), steps.len()]);
        let dev = drr(folder.path(), &["--set", "environment=dev", "status"]).await;
        assert!(
            dev.len() == steps.len() && dev.iter().all(|line| line.starts_with("pending ")),
            "{dev:?}"
        );
    });
}
