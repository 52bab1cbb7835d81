//! One key, two requests, one instant.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Answered, admin, count, graphql};
use crate::{app::TestApp, cluster::run};

const UPDATE: &str = "mutation($id: ID!, $text: String!) {
  updateDataset(input: { id: $id, description: $text }) { status dataset { version } } }";

/// How often; each round is another key.
const ROUNDS: usize = 100;

// D43
#[test]
fn two_requests_with_one_key_at_the_same_instant_have_one_effect() {
    run(async {
        let app = TestApp::start().await;
        let admin = admin(&app);
        let register = "mutation { registerDataset(input: { namespace: \"ns\", name: \"a\" })
          { dataset { id } } }";
        let made = app.data(&admin, register, json!({})).await;
        let id = &made["registerDataset"]["dataset"]["id"];
        let (mut in_flight, mut told_again) = (0, 0);
        for round in 0..ROUNDS {
            let (app, admin, key) = (&app, &admin, format!("key-{round}"));
            let variables = json!({ "id": id, "text": key });
            let send = async |_: usize| graphql(app, admin, &key, UPDATE, variables.clone()).await;
            let answers: Vec<Answered> = join_all((0..3).map(send)).await;
            let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert!(!done.is_empty(), "{round}: nobody did it");
            for answer in &answers {
                match answer.status.as_u16() {
                    200 => {
                        let payload: Value = answer.json()["data"]["updateDataset"].clone();
                        assert_eq!(payload["status"], "UPDATED");
                        assert_eq!(payload["dataset"]["version"], (round + 2).to_string());
                    }
                    409 => {
                        assert_eq!(answer.code(), "CONFLICT");
                        in_flight += 1;
                    }
                    other => panic!("{round}: {other} {:#}", answer.json()),
                }
            }
            told_again += done.len() - 1;
            let later = graphql(app, admin, &key, UPDATE, variables.clone()).await;
            assert!(later.replayed() && done.iter().any(|done| done.bytes == later.bytes));
        }
        assert_eq!(in_flight + told_again, 2 * ROUNDS);
        assert!(in_flight > 0, "never at the same instant");
        let version = count(&app, "SELECT row_version FROM dataset_registry").await;
        assert_eq!(version, 1 + i64::try_from(ROUNDS).unwrap());
        app.stop().await;
    });
}
