//! What a program that has ended left behind, looked at without it.

use std::{path::Path, sync::Arc};

use drr::{
    app::Vault,
    audit::archive::Archivist,
    clock::SystemClock,
    db::{
        Db,
        embedded::{DATABASE, EmbeddedOptions, EmbeddedPostgres},
        operator,
    },
    evidence::{
        Signatory, SigningKey, publisher::published, sequencer::Sequencer, verify::Verifier,
    },
    objects::Objects,
};
use sqlx::PgConnection;

use super::connect;
use crate::{
    app::{settings, vault},
    breach::number,
    door::world::db_settings,
    evidence::settle,
};

/// The private database of a data folder, and the objects and keys beside it.
pub struct Behind {
    server: EmbeddedPostgres,
    db: Db,
    pub admin: PgConnection,
    signatory: Arc<Signatory>,
    objects: Objects,
    verifier: Verifier,
}

impl Behind {
    pub async fn open(data_dir: &Path) -> Self {
        let bin_dir = std::env::var_os("DRR_PG_BIN").map(Into::into);
        let options = EmbeddedOptions { data_dir: data_dir.to_owned(), bin_dir };
        let server = EmbeddedPostgres::start(options).await.unwrap();
        let connections = server.bootstrap().await.unwrap();
        let admin = connect(&server.superuser_options(DATABASE)).await;
        let key = std::fs::read_to_string(data_dir.join("credentials/evidence_key")).unwrap();
        let signatory = Signatory::new("drr", SigningKey::parse(&key).unwrap()).unwrap();
        let signatory = Arc::new(signatory);
        let db = Db::new(db_settings(connections.application, 4));
        let objects = reqwest::Url::from_file_path(data_dir.join("objects")).unwrap();
        // There are no archives yet, so that the keys to them are not asked for.
        let Vault { objects, keys, .. } = vault(objects.as_str());
        let archivist = Archivist::new(db.clone(), objects.clone(), keys, Arc::new(SystemClock));
        let retention = settings().retention;
        let verifier = Verifier::new(db.clone(), signatory.clone(), archivist, retention);
        Self { server, db, admin, signatory, objects, verifier }
    }

    /// Events that are in no log yet.
    pub async fn left(&mut self) -> i64 {
        let sql = "SELECT (SELECT count(*) FROM audit_event)
            - (SELECT coalesce(sum(size), 0)::bigint FROM evidence_head)";
        number(&mut self.admin, sql).await
    }

    /// Puts what is left into the logs, and checks that every event is a leaf of its tenant's log, once
    /// and in order. Answers how many there are.
    pub async fn assert_every_event_is_a_leaf(&mut self) -> u64 {
        let clock = Arc::new(SystemClock);
        let sequencer = Sequencer::new(self.db.clone(), clock, self.signatory.clone());
        settle(&sequencer, &mut self.admin).await;
        let mut leaves = 0;
        for due in operator::tenants(&self.db).await.unwrap() {
            let outside = published(&self.objects, due.tenant()).await.unwrap();
            let done = self.verifier.verify(&due, outside).await.unwrap();
            let (tenant, found) = (due.tenant(), done.leaves);
            let sql = format!("SELECT count(*) FROM audit_event WHERE tenant_id = '{tenant}'");
            let events = number(&mut self.admin, &sql).await;
            assert_eq!((found, done.gone), (u64::try_from(events).unwrap(), 0), "{tenant}");
            leaves += found;
        }
        leaves
    }

    pub async fn close(self) {
        self.db.close().await;
        drop(self.admin);
        self.server.stop().await.unwrap();
    }
}
