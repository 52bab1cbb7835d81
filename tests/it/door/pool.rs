//! The pool between tenants: cut off begins, one connection for two, what comes back unclean.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use drr::{
    auth::policy::Role,
    db::{Db, TenantTx, embedded::DATABASE},
    error::ErrorCode,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::FromRow;
use tokio::sync::Mutex;

use super::{
    proxy::Proxy,
    world::{ACME, GLOBEX, db_settings, populate, principal, scoped, strings},
};
use crate::cluster::{Cluster, Database, run};

pub const UNCLEAN: &str = "drr_db_unclean_connections_total";
/// Metrics belong to the whole process: held by whoever counts unclean connections.
pub static COUNTING: Mutex<()> = Mutex::const_new(());

/// A counter of this process.
pub fn metric(name: &str) -> u64 {
    let text = drr::telemetry::metrics().unwrap().render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Polls a future so many times, then drops it.
pub async fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[derive(Debug, FromRow)]
pub struct Seen {
    pub tenant: String,
    pub role: String,
    pub backend: i32,
    pub rows: String,
    /// Whether this is the transaction's first statement after its BEGIN.
    pub fresh: bool,
}

/// What a transaction sees, unfiltered.
pub async fn see(tx: &TenantTx) -> Seen {
    let sql = "SELECT current_setting('app.tenant_id') AS tenant, current_user::text AS role,
                      pg_backend_pid() AS backend,
                      (SELECT string_agg(DISTINCT tenant_id, ',') FROM dataset_registry) AS rows,
                      pg_current_xact_id_if_assigned() IS NULL AS fresh";
    tx.query_sql(sql, []).await.unwrap().remove(0)
}

/// Asserts that `tenant` gets its own rows and a transaction of its own, and that what it writes
/// lasts. Answers the backend.
pub async fn serves(db: &Db, tenant: &str, admin: &Database<'_>, mark: &str) -> i32 {
    let scoped = scoped(db, tenant).await;
    let seen = see(&scoped.read().await.unwrap()).await;
    assert_eq!((seen.tenant.as_str(), seen.role.as_str()), (tenant, "drr_reader"), "{mark}");
    assert_eq!((seen.rows.as_str(), seen.fresh), (tenant, true), "{mark}");
    let tx = scoped.write().await.unwrap();
    let seen = see(&tx).await;
    assert_eq!((seen.tenant.as_str(), seen.role.as_str()), (tenant, "drr_writer"), "{mark}");
    assert_eq!((seen.rows.as_str(), seen.fresh), (tenant, true), "{mark}");
    describe(&tx, mark).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(descriptions(admin, tenant).await, [mark], "what was written is gone");
    seen.backend
}

/// Writes `mark` on every dataset there is to be seen, and the audit event without which no write
/// commits, in one statement.
pub async fn describe(tx: &TenantTx, mark: &str) -> Result<u64, sea_orm::DbErr> {
    let sql = "WITH told AS (
        INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
        VALUES (current_tenant(), now(), gen_random_uuid(), 'somebody', 'dataset.update', 'SUCCESS', 'c'))
      UPDATE dataset_registry SET description = $1";
    tx.execute_sql(sql, [mark.into()]).await
}

pub async fn descriptions(database: &Database<'_>, tenant: &str) -> Vec<String> {
    let sql = format!(
        "SELECT DISTINCT coalesce(description, '') FROM dataset_registry WHERE tenant_id = '{tenant}'"
    );
    strings(&mut database.admin().await, &sql).await
}

/// Waits until no session of the service on this database is in a transaction or at work.
pub async fn at_rest(database: &Database<'_>) {
    let mut admin = database.cluster.admin("postgres").await;
    let sql = format!(
        "SELECT state || ': ' || query FROM pg_stat_activity
          WHERE datname = '{}' AND application_name ~ '^drr( |$)' AND usename = 'drr_app' AND state <> 'idle'",
        database.name
    );
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let busy = strings(&mut admin, &sql).await;
        if busy.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{busy:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn populated() -> Database<'static> {
    let database = Cluster::shared().await.database().await;
    populate(&mut database.admin().await).await;
    assert_ne!(database.name, DATABASE);
    database
}

// D21–22: one connection for two tenants, and each sees its own.
#[test]
fn one_connection_serves_two_tenants_in_turn() {
    run(async {
        let _counting = COUNTING.lock().await;
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        let before = metric(UNCLEAN);
        let mut backends = Vec::new();
        for turn in 0..20 {
            for tenant in [ACME, GLOBEX] {
                backends.push(serves(&db, tenant, &database, &format!("{tenant} {turn}")).await);
            }
        }
        backends.dedup();
        assert_eq!(backends.len(), 1, "it was not one connection");
        assert_eq!(metric(UNCLEAN), before);
        db.close().await;
    });
}

// D18: the auditor's reads are the auditor's role's.
#[test]
fn an_auditor_reads_through_a_role_of_its_own() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        let auditor = db.scoped_to(&principal(ACME, Role::Auditor).await);
        assert_eq!(see(&auditor.read().await.unwrap()).await.role, "drr_auditor");
        db.close().await;
    });
}

// Design §4: the first trap.
#[test]
fn a_begin_dropped_after_any_number_of_polls_leaves_nothing_to_the_next() {
    run(async {
        let _counting = COUNTING.lock().await;
        let before = metric(UNCLEAN);
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        let acme = scoped(&db, ACME).await;
        // On a busy machine the answer may be there before anybody looks: then once more.
        let (mut dropped, mut done) = (0, 0);
        for round in 0.. {
            for polls in 0..24 {
                let mark = format!("{round}: after {polls} polls");
                for write in [false, true] {
                    let tx = if write {
                        cut(acme.write(), polls).await
                    } else {
                        cut(acme.read(), polls).await
                    };
                    match tx {
                        None => dropped += usize::from(polls > 0),
                        Some(tx) => {
                            done += 1;
                            drop(tx.unwrap());
                        }
                    }
                    serves(&db, GLOBEX, &database, &mark).await;
                }
            }
            if dropped > 2 && done > 2 {
                break;
            }
            assert!(round < 20, "{dropped} dropped, {done} done");
        }
        at_rest(&database).await;
        // Not the net under it, but the begin itself has closed them.
        assert_eq!(metric(UNCLEAN), before);
        db.close().await;
    });
}

#[test]
fn a_begin_dropped_while_its_answer_is_on_the_way_closes_the_connection() {
    run(async {
        let _counting = COUNTING.lock().await;
        let before = metric(UNCLEAN);
        let database = populated().await;
        let (proxy, connect) = Proxy::before(&database.application());
        let db = Db::new(db_settings(connect, 1));
        let acme = scoped(&db, ACME).await;
        for turn in 0..5 {
            let backend = serves(&db, GLOBEX, &database, &format!("before {turn}")).await;
            proxy.hold_answers_from("BEGIN").await;
            tokio::select! {
                _ = acme.write() => panic!("the answer was held back"),
                () = proxy.caught() => {}
            }
            proxy.let_through();
            let next = serves(&db, GLOBEX, &database, &format!("after {turn}")).await;
            assert_ne!(next, backend, "the connection was lent again");
        }
        at_rest(&database).await;
        // Not the net under it, but the begin itself has closed them.
        assert_eq!(metric(UNCLEAN), before);
        db.close().await;
    });
}

// A dropped change is no change, wherever it is dropped; a dropped commit is one or none.
#[test]
fn a_dropped_write_writes_nothing_and_a_dropped_commit_all_or_nothing() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        let globex = scoped(&db, GLOBEX).await;
        serves(&db, GLOBEX, &database, "before").await;
        for polls in 0..12 {
            let tx = globex.write().await.unwrap();
            cut(describe(&tx, "dropped"), polls).await;
            drop(tx);
            serves(&db, ACME, &database, "another").await;
            assert_eq!(descriptions(&database, GLOBEX).await, ["before"]);
        }
        let mut committed = 0;
        for polls in 0..12 {
            let mark = format!("commit after {polls} polls");
            let old = descriptions(&database, GLOBEX).await;
            let tx = globex.write().await.unwrap();
            describe(&tx, &mark).await.unwrap();
            cut(tx.commit(), polls).await.transpose().unwrap();
            serves(&db, ACME, &database, &mark).await;
            let new = descriptions(&database, GLOBEX).await;
            committed += usize::from(new == [mark.as_str()]);
            assert!(new == old || new == [mark.as_str()], "{new:?}");
        }
        assert!((1..12).contains(&committed), "{committed}");
        db.close().await;
    });
}

#[test]
fn a_statement_is_cut_off_by_its_deadline_and_the_connection_serves_on() {
    run(async {
        let database = populated().await;
        let settings = drr::db::DbSettings {
            statement_timeout: Duration::from_millis(100),
            ..db_settings(database.application(), 1)
        };
        let db = Db::new(settings);
        let backend = serves(&db, GLOBEX, &database, "before").await;
        let tx = scoped(&db, ACME).await.read().await.unwrap();
        let late = tx.execute_sql("SELECT pg_sleep(600)", []).await.unwrap_err();
        assert_eq!(drr::error::Error::from(late).code(), ErrorCode::Unavailable);
        drop(tx);
        // One that nobody waits for holds its connection until the deadline, and no longer.
        let tx = scoped(&db, ACME).await.read().await.unwrap();
        cut(tx.execute_sql("SELECT pg_sleep(600)", []), 3).await;
        drop(tx);
        serves(&db, GLOBEX, &database, "after").await;
        let tx = scoped(&db, ACME).await.read().await.unwrap();
        assert!(tx.execute_sql("UPDATE dataset_registry SET tags = '{}'", []).await.is_err());
        drop(tx);
        assert_ne!(backend, 0);
        at_rest(&database).await;
        db.close().await;
    });
}

// The check before a connection is lent: made unclean on purpose in each way, it is closed and counted.
#[test]
fn an_unclean_connection_is_closed_and_counted() {
    run(async {
        let _counting = COUNTING.lock().await;
        let database = populated().await;
        let (proxy, connect) = Proxy::before(&database.application());
        let db = Db::new(db_settings(connect, 1));
        let mut backend = serves(&db, GLOBEX, &database, "before").await;
        for statement in [
            "SELECT set_config('app.tenant_id', 'acme', false)",
            "SELECT set_config('role', 'drr_reader', false)",
        ] {
            let before = metric(UNCLEAN);
            let tx = scoped(&db, ACME).await.write().await.unwrap();
            tx.execute_sql(statement, []).await.unwrap();
            tx.commit().await.unwrap();
            let next = serves(&db, GLOBEX, &database, statement).await;
            assert_eq!(metric(UNCLEAN), before + 1, "{statement}");
            assert_ne!(std::mem::replace(&mut backend, next), next, "{statement}");
        }
        for statement in [
            "BEGIN; SET LOCAL ROLE drr_writer; SET LOCAL app.tenant_id = 'acme'",
            "BEGIN",
            "BEGIN; SELECT 1 / 0",
        ] {
            let before = metric(UNCLEAN);
            proxy.slip_in(statement).await;
            let next = serves(&db, GLOBEX, &database, statement).await;
            assert_eq!(metric(UNCLEAN), before + 1, "{statement}");
            assert_ne!(std::mem::replace(&mut backend, next), next, "{statement}");
        }
        at_rest(&database).await;
        db.close().await;
    });
}

// In ordinary use, with failures and cut off calls, no connection comes back unclean.
#[test]
fn ordinary_use_leaves_no_connection_unclean() {
    run(async {
        let _counting = COUNTING.lock().await;
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 4));
        let before = metric(UNCLEAN);
        let workers = (0..8).map(|worker| tokio::spawn(busy(db.clone(), worker)));
        for worker in futures::future::join_all(workers).await {
            worker.unwrap();
        }
        assert_eq!(metric(UNCLEAN), before, "a clean connection was taken for an unclean one");
        at_rest(&database).await;
        serves(&db, ACME, &database, "after").await;
        db.close().await;
    });
}

async fn busy(db: Db, worker: u64) {
    let mut random = StdRng::seed_from_u64(worker);
    for _ in 0..150 {
        let tenant = if random.random() { ACME } else { GLOBEX };
        let tenant_db = db.scoped_to(&principal(tenant, Role::TenantAdmin).await);
        let (kind, polls) = (random.random_range(0..4), random.random_range(0..40));
        let work = async {
            if kind == 0 {
                let seen = see(&tenant_db.read().await.unwrap()).await;
                assert_eq!((seen.tenant.as_str(), seen.rows.as_str()), (tenant, tenant));
                return;
            }
            let tx = tenant_db.write().await.unwrap();
            describe(&tx, tenant).await.unwrap();
            match kind {
                1 => tx.commit().await.unwrap(),
                2 => assert!(tx.execute_sql("SELECT 1 / 0", []).await.is_err()),
                _ => {}
            }
        };
        cut(work, polls).await;
    }
}
