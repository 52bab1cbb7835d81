//! Whoever tells is killed at any moment.

use std::{collections::HashSet, sync::Arc};

use drr::{clock::SystemClock, db::Db, schema::delivery::SchemaSink, streaming::Streamer};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::{
    receiver::{Receiver, webhook},
    told::in_file,
};
use crate::{
    cluster::{Cluster, run},
    door::{
        pool::cut,
        world::{db_settings, script, strings},
    },
    graph::string,
};

/// The ids without those that came before.
fn once(events: &[Value]) -> Vec<String> {
    let mut seen = HashSet::new();
    let ids = events.iter().map(|event| string(&event["id"]).to_owned());
    ids.filter(|id| seen.insert(id.clone())).collect()
}

// S7
#[test]
fn whoever_is_killed_at_any_moment_leaves_no_event_out_and_none_out_of_order() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let receiver = Arc::new(Receiver::default());
        let (address, _serving) = receiver.listen("127.0.0.1:0").await;
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let mut random = StdRng::seed_from_u64(11);
        let mut cuts = 0;
        let streamer = || {
            let db = Db::new(db_settings(database.application(), 4));
            let sinks =
                vec![SchemaSink::File(file.clone()), SchemaSink::Webhook(webhook(&address))];
            (db.clone(), Streamer::new(db, Arc::new(SystemClock), sinks))
        };
        for round in 0..40 {
            script(
                &mut admin,
                format!(
                    "INSERT INTO tenant_directory VALUES ('acme') ON CONFLICT DO NOTHING;
                     INSERT INTO schema_event (tenant_id, sequence, event_id, event_type, actor_id,
                                               correlation_id, occurred_at, data)
                     SELECT 'acme', 3 * {round} + n, gen_random_uuid(), 'schema.checked', 'somebody',
                            'round {round}', now(), '{{}}' FROM generate_series(1, 3) n"
                ),
            )
            .await;
            // Another one each time, as after a start: nothing is remembered but the cursors.
            let (db, streamer) = streamer();
            match cut(streamer.pass(), random.random_range(1..60)).await {
                Some(done) => assert_eq!(done.unwrap().failed, 0),
                None => cuts += 1,
            }
            // Whoever was killed writes no more to the file.
            db.close().await;
        }
        assert!(cuts > 5, "{cuts}");
        let (_, streamer) = streamer();
        while streamer.pass().await.unwrap().delivered > 0 {}
        let all = "SELECT event_id::text FROM schema_event ORDER BY sequence";
        let all = strings(&mut admin, all).await;
        assert_eq!(all.len(), 120);
        assert_eq!(once(&in_file(&file)), all);
        assert_eq!(once(&receiver.got()), all);
    });
}
