//! A transaction of which a statement failed or was cut off cannot be committed: PostgreSQL would
//! answer such a COMMIT with a silent ROLLBACK, and the caller would believe that it was written.

use drr::{db::Db, error::ErrorCode};

use super::{
    pool::{cut, describe, descriptions, populated, serves},
    world::{ACME, GLOBEX, db_settings, scoped},
};
use crate::cluster::run;

#[test]
fn a_transaction_with_a_failed_statement_says_that_it_was_not_written() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        serves(&db, ACME, &database, "before").await;
        let tx = scoped(&db, ACME).await.write().await.unwrap();
        describe(&tx, "lost").await.unwrap();
        tx.execute_sql("SELECT 1 / 0", []).await.unwrap_err();
        assert_eq!(tx.commit().await.unwrap_err().code(), ErrorCode::Internal);
        assert_eq!(descriptions(&database, ACME).await, ["before"]);
        serves(&db, GLOBEX, &database, "after").await;
        db.close().await;
    });
}

#[test]
fn a_transaction_with_a_cut_off_statement_is_not_committed() {
    run(async {
        let database = populated().await;
        let db = Db::new(db_settings(database.application(), 1));
        serves(&db, ACME, &database, "before").await;
        let tx = scoped(&db, ACME).await.write().await.unwrap();
        describe(&tx, "half").await.unwrap();
        let end = cut(tx.execute_sql("SELECT pg_sleep(3)", []), 1).await;
        assert!(end.is_none(), "{end:?}");
        assert_eq!(tx.commit().await.unwrap_err().code(), ErrorCode::Internal);
        assert_eq!(descriptions(&database, ACME).await, ["before"]);
        serves(&db, GLOBEX, &database, "after").await;
        db.close().await;
    });
}
