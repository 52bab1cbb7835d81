//! Tokens for one use.

use std::sync::Arc;

use chrono::TimeDelta;
use drr::{
    auth::policy::Role,
    clock::{ManualClock, SharedClock},
};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use super::{TENANT, count};
use crate::{
    app::TestApp,
    cluster::{Cluster, run},
};

fn one_time(app: &TestApp) -> String {
    let mut request = TestApp::request(TENANT, Role::Reader);
    request.one_time = true;
    app.sign(&request)
}

async fn status(app: &TestApp, token: &str) -> StatusCode {
    app.send(token, "{ me { actorId } }", json!({})).await.status()
}

// D43
#[test]
fn a_token_for_one_use_is_accepted_once_by_all_instances_together() {
    run(async {
        let clock = Arc::new(ManualClock::default());
        let shared: SharedClock = clock.clone();
        let database = Cluster::shared().await.database().await;
        let name = database.name.clone();
        let cluster = database.cluster;
        let second = crate::cluster::Database { cluster, name };
        let app = TestApp::launch(database, shared.clone(), |_| ()).await.unwrap();
        // Another process has nothing in common with the first but the database.
        let other = TestApp::launch(second, shared, |_| ()).await.unwrap();

        for round in 0..10 {
            let token = one_time(&app);
            let at_once = (0..8).map(|number| status([&app, &other][number % 2], &token));
            let answers = join_all(at_once).await;
            let accepted = answers.iter().filter(|&&status| status == StatusCode::OK).count();
            let refused = answers.iter().filter(|&&status| status == StatusCode::UNAUTHORIZED);
            assert_eq!((accepted, refused.count()), (1, 7), "{round}");
            assert_eq!(status(&app, &token).await, StatusCode::UNAUTHORIZED);
        }
        let metrics = app.http.get(app.operations("/metrics")).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.contains(r#"drr_token_validation_failures_total{reason="reused"}"#));

        // Any other token costs nothing and may come as often as it likes.
        let usual = app.token(TENANT, Role::Reader);
        for _ in 0..2 {
            assert_eq!(status(&app, &usual).await, StatusCode::OK);
        }
        let nonces = "SELECT count(*) FROM token_nonce";
        assert_eq!(count(&app, nonces).await, 10);

        // They go, a few with each one that comes, but not before no clock takes their tokens.
        clock.advance(TimeDelta::seconds(959));
        assert_eq!(status(&app, &one_time(&app)).await, StatusCode::OK);
        assert_eq!(count(&app, nonces).await, 11);
        clock.advance(TimeDelta::seconds(1));
        for left in [8, 5, 4] {
            assert_eq!(status(&app, &one_time(&app)).await, StatusCode::OK);
            assert_eq!(count(&app, nonces).await, left);
        }
        app.stop().await;
        other.stop().await;
    });
}
