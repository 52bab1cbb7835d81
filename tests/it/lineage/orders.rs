//! What real clients sent, in every order: one state.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Dice, accepted, assert_same, board, dump, real_events, service};
use crate::{app::TestApp, cluster::run};
use drr::auth::policy::Role;

/// How events are sent.
enum Way {
    /// One request each.
    Singly,
    /// In batches of so many.
    InBatches(usize),
    /// Each half of them by a client of its own, both at once, one request each.
    InHalves,
}

async fn send(app: &TestApp, token: &str, events: &[Value], way: &Way) {
    match way {
        Way::Singly => {
            for event in events {
                accepted(app, token, event).await;
            }
        }
        Way::InBatches(size) => {
            for batch in events.chunks(*size) {
                accepted(app, token, &json!(batch)).await;
            }
        }
        Way::InHalves => {
            let half = |rest: usize| async move {
                for event in events.iter().skip(rest).step_by(2) {
                    accepted(app, token, event).await;
                }
            };
            join_all([half(0), half(1)]).await;
        }
    }
}

#[test]
fn the_order_of_real_events_does_not_matter() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        for (file, (name, events)) in real_events().into_iter().enumerate() {
            let mut dice = Dice::new(7);
            let reversed: Vec<_> = events.iter().rev().cloned().collect();
            let each_twice: Vec<_> =
                events.iter().flat_map(|event| [event, event]).cloned().collect();
            let all_twice = [events.clone(), reversed.clone()].concat();
            let ways = [
                ("forwards", events.clone(), Way::Singly),
                ("backwards", reversed.clone(), Way::Singly),
                ("shuffled", dice.shuffled(&events), Way::Singly),
                ("shuffled again", dice.shuffled(&events), Way::Singly),
                ("shuffled once more", dice.shuffled(&events), Way::InBatches(3)),
                ("each twice", each_twice.clone(), Way::Singly),
                ("all twice", all_twice.clone(), Way::Singly),
                ("twice in one batch", dice.shuffled(&all_twice), Way::InBatches(1_000)),
                ("one batch", events.clone(), Way::InBatches(1_000)),
                ("one batch backwards", reversed, Way::InBatches(1_000)),
                ("halves", events.clone(), Way::InHalves),
                ("halves of shuffled repetitions", dice.shuffled(&each_twice), Way::InHalves),
            ];
            let mut expected: Option<(String, Value)> = None;
            for (index, (how, sent, way)) in ways.iter().enumerate() {
                let tenant = format!("order-{file}-{index}");
                send(&app, &app.token(&tenant, Role::RuntimeWriter), sent, way).await;
                let state = (dump(&mut admin, &tenant).await, board(&app, &tenant).await);
                let expected = expected.get_or_insert_with(|| state.clone());
                assert_same(&expected.0, &state.0, &format!("{name}, {how}"));
                assert_eq!(expected.1, state.1, "{name}, {how}");
            }
            let (state, board) = expected.unwrap();
            assert!(state.contains(&format!("run_event: {}", events.len())), "{state}");
            assert!(!board["datasets"]["nodes"].as_array().unwrap().is_empty());
        }
        app.stop().await;
    });
}

// What the recorded dbt runs amount to, spelled out once: all else compares orders with each other.
#[test]
fn a_failing_mart_keeps_its_last_success() {
    run(async {
        let app = service().await;
        let (_, events) = real_events().remove(0);
        let writer = app.token("acme", Role::RuntimeWriter);
        accepted(&app, &writer, &json!(events)).await;
        let board = board(&app, "acme").await;
        let dataset = |name: &str| {
            let nodes = board["datasets"]["nodes"].as_array().unwrap();
            nodes.iter().find(|node| node["name"] == name).unwrap().clone()
        };
        let mart = dataset("shop.main.daily_revenue");
        assert_eq!(mart["refreshState"]["status"], "FAILED");
        assert_eq!(mart["refreshState"]["consecutiveFailures"], 1);
        assert_eq!(mart["description"], "Revenue of each day in US dollars, returns left out.");
        let success = mart["refreshState"]["lastSuccessRunId"].as_str().unwrap();
        assert_ne!(mart["refreshState"]["lastRunId"], success);
        assert_eq!(mart["runs"]["nodes"][0]["state"], "FAILED");
        assert_eq!(mart["runs"]["nodes"][1]["runId"], success);
        assert_eq!(dataset("shop.main.orders")["refreshState"]["status"], "READY");
        assert_eq!(dataset("shop.main.raw_orders")["refreshState"]["status"], "NEVER");
        app.stop().await;
    });
}
