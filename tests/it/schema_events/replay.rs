//! `drr schema replay`: events are delivered again.

use std::{process::Output, sync::Arc};

use drr::schema::delivery::SchemaSink;
use sqlx::ConnectOptions;
use tokio::task::spawn_blocking;

use super::{
    Registry,
    receiver::{Receiver, webhook},
    start,
};
use crate::{app::TestApp, cluster::run, door::world::strings, program};

async fn drr(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = program::drr(&[&["schema", "replay"], arguments].concat());
    command.env("DRR_DATABASE_URL", app.database.application().to_url_lossy().as_str());
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

// S7
#[test]
fn an_operator_has_events_delivered_again_from_a_number_on() {
    run(async {
        let receiver = Arc::new(Receiver::default());
        let (address, _serving) = receiver.listen("127.0.0.1:0").await;
        let sinks = vec![SchemaSink::Webhook(webhook(&address))];
        let graph = start(|assembly| assembly.schemas.sinks = sinks).await;
        Registry::new(&graph).active("Order").await;
        let pass = async || graph.app.schemas().events.pass().await.unwrap();
        assert_eq!(pass().await.delivered, 4);

        let done = drr(&graph.app, &["webhook", "--tenant", "acme", "--after", "2"]).await;
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{complaint}");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(said.trim(), "webhook is sent events 3 to 4 again");
        assert_eq!(pass().await.delivered, 2);
        assert_eq!(pass().await.delivered, 0);
        let got = receiver.got();
        assert_eq!(got[4..], got[2..4], "the same, under the same ids");

        let mut admin = graph.app.admin().await;
        let deeds = "SELECT action || ' ' || actor_id || ' ' || class || ' ' || resource FROM audit_event WHERE actor_id LIKE 'drr:%'";
        let expected = "schema_event.replay drr:replayer SCHEMA sink:webhook after:2 reached:4";
        assert_eq!(strings(&mut admin, deeds).await, [expected]);
        // Nothing is left out by going on beyond what was told, and nobody is told of nobody.
        for (arguments, wrong) in [
            (["webhook", "--tenant", "acme", "--after", "5"], "is not between 0 and 4"),
            (["redis", "--tenant", "acme", "--after", "1"], "is not between 0 and 0"),
            (["webhook", "--tenant", "nobody", "--after", "0"], "there is no tenant nobody"),
            (["pigeon", "--tenant", "acme", "--after", "0"], "webhook"),
        ] {
            let done = drr(&graph.app, &arguments).await;
            let complaint = String::from_utf8_lossy(&done.stderr);
            assert!(!done.status.success() && complaint.contains(wrong), "{complaint}");
        }
        assert_eq!(strings(&mut admin, deeds).await.len(), 1);
    });
}
