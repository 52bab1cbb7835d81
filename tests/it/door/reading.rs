//! One transaction for all that an answer is read in: one after the other, and never a broken one.

use drr::db::{Db, Reading};

use super::{
    pool::{at_rest, cut, populated},
    world::{ACME, GLOBEX, db_settings, scoped},
};
use crate::cluster::run;

async fn datasets(tx: &drr::db::TenantTx) -> u64 {
    tx.execute_sql("SELECT * FROM dataset_registry", []).await.unwrap()
}

/// The transaction that it is: the instant at which it began.
async fn began(tx: &drr::db::TenantTx) -> String {
    #[derive(sqlx::FromRow)]
    struct Began {
        at: String,
    }
    let rows: Vec<Began> = tx.query_sql("SELECT now()::text AS at", []).await.unwrap();
    rows.into_iter().next().unwrap().at
}

#[test]
fn whoever_reads_for_an_answer_reads_in_one_transaction() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 2));
        let reading = Reading::of(scoped(&db, ACME).await);
        let first = began(&reading.tx().await.unwrap()).await;
        let held = reading.tx().await.unwrap();
        // It is asked for while it is held, and had once it is given back.
        let other = reading.clone();
        let waiting = tokio::spawn(async move { began(&other.tx().await.unwrap()).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(datasets(&held).await > 0);
        drop(held);
        assert_eq!(waiting.await.unwrap(), first);
        // Another tenant's is another one.
        let globex = Reading::of(scoped(&db, GLOBEX).await);
        assert_ne!(began(&globex.tx().await.unwrap()).await, first);
        drop((reading, globex));
        at_rest(&database).await;
        db.close().await;
    });
}

#[test]
fn one_that_failed_or_was_cut_off_is_lent_to_nobody() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 2));
        let reading = Reading::of(scoped(&db, ACME).await);
        let first = began(&reading.tx().await.unwrap()).await;
        let lent = reading.tx().await.unwrap();
        lent.execute_sql("SELECT 1 / 0", []).await.unwrap_err();
        drop(lent);
        let second = began(&reading.tx().await.unwrap()).await;
        assert_ne!(second, first);
        let mut cut_off = 0;
        for polls in 1..8 {
            let before = began(&reading.tx().await.unwrap()).await;
            let lent = reading.tx().await.unwrap();
            let done = cut(lent.execute_sql("SELECT pg_sleep(0.05)", []), polls).await;
            drop(lent);
            cut_off += usize::from(done.is_none());
            let after = began(&reading.tx().await.unwrap()).await;
            assert_eq!(after == before, done.is_some(), "after {polls} polls");
        }
        assert!(cut_off > 0);
        drop(reading);
        at_rest(&database).await;
        db.close().await;
    });
}
