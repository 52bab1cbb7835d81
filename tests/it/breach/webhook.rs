//! Deliveries, to a receiver that keeps what it gets and answers what it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::TimeDelta;
use drr::{
    clock::ManualClock,
    webhook::{SigningSecret, Webhook},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, sync::Notify};

use super::{TICK, number, rfc};
use crate::{
    app::TestApp,
    cluster::{Cluster, run},
    door::pool::cut,
    graph::{Graph, string},
};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// A message as it came.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    timestamp: String,
    signature: String,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `type name`.
    fn what(&self) -> String {
        let body = self.json();
        format!("{} {}", string(&body["type"]), string(&body["data"]["name"]))
    }
}

#[derive(Default)]
struct Receiver {
    got: Mutex<Vec<Got>>,
    /// What to answer, one after the other; 204 when there is nothing left.
    answers: Mutex<VecDeque<u16>>,
    arrived: Notify,
}

async fn receive(
    State(state): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp, signature) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    state.got.lock().unwrap().push(Got { id, timestamp, signature, body });
    state.arrived.notify_one();
    let answer = state.answers.lock().unwrap().pop_front().unwrap_or(204);
    StatusCode::from_u16(answer).unwrap()
}

/// A service that tells a receiver.
struct Told {
    graph: Graph,
    receiver: Arc<Receiver>,
}

impl Told {
    async fn start() -> Self {
        let receiver = Arc::new(Receiver::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let routes = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let secret = format!("whsec_{}", STANDARD.encode(SECRET));
        let webhook = Webhook::new(&url, SigningSecret::parse(&secret).unwrap()).unwrap();
        let clock = Arc::new(ManualClock::default());
        let database = Cluster::shared().await.database().await;
        let app = TestApp::launch(database, clock.clone(), |assembly| {
            assembly.breaches.webhook = Some(webhook);
        });
        Self { graph: Graph { app: app.await.unwrap(), clock }, receiver }
    }

    fn answer(&self, with: &[u16]) {
        self.receiver.answers.lock().unwrap().extend(with);
    }

    fn got(&self) -> Vec<Got> {
        self.receiver.got.lock().unwrap().clone()
    }

    fn what(&self) -> Vec<String> {
        self.got().iter().map(Got::what).collect()
    }

    async fn pass(&self) -> (u64, u64, u64) {
        let done = self.graph.app.deliver().await;
        (done.delivered, done.failed, done.dead)
    }

    async fn mute(&self, id: &str, seconds: i64) {
        let until = rfc(self.graph.now() + TimeDelta::seconds(seconds));
        let input = json!({ "datasetId": id, "until": until, "reason": "r" });
        self.graph.done("muteFreshness", "status", input).await;
    }

    async fn wait(&self, seconds: i64) {
        self.graph.clock.advance(TimeDelta::seconds(seconds));
        self.graph.app.sweep().await;
    }
}

/// HMAC-SHA256 as RFC 2104 writes it, with nothing of the program's in it.
pub fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

#[test]
fn what_happens_arrives_in_order_and_signed() {
    run(async {
        let told = Told::start().await;
        let graph = &told.graph;
        let id =
            graph.watched("d", json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 })).await;
        told.wait(101).await;
        told.wait(100).await;
        let breach = graph.breach().await;
        graph
            .done("acknowledgeBreach", "status", json!({ "breachId": breach["id"], "note": "n" }))
            .await;
        let run_id = graph.succeed(&["d"], graph.now()).await;
        told.wait(1).await;
        assert_eq!(told.pass().await, (4, 0, 0));
        assert_eq!(told.pass().await, (0, 0, 0), "once");
        let expected =
            ["breach.opened d", "breach.escalated d", "breach.acknowledged d", "breach.resolved d"];
        assert_eq!(told.what(), expected);

        let events =
            graph.read("{ freshnessEvents { nodes { id sequence occurredAt } } }", json!({})).await;
        for (got, event) in
            told.got().iter().zip(events["freshnessEvents"]["nodes"].as_array().unwrap())
        {
            assert_eq!(got.id, string(&event["id"]));
            assert_eq!(got.timestamp, graph.now().timestamp().to_string());
            let signed = [format!("{}.{}.", got.id, got.timestamp).as_bytes(), &got.body].concat();
            assert_eq!(got.signature, format!("v1,{}", STANDARD.encode(hmac(SECRET, &signed))));
            let body = got.json();
            assert_eq!(body["data"]["sequence"].to_string(), string(&event["sequence"]));
            assert_eq!(
                (&body["data"]["tenant"], &body["data"]["datasetId"]),
                (&json!("acme"), &json!(id))
            );
            assert!(!got.body.windows(4).any(|part| part == b"note"), "what people wrote stays");
        }
        let last = told.got().pop().unwrap().json();
        let data = &last["data"]["breach"];
        assert_eq!((&data["id"], &data["level"]), (&breach["id"], &json!("FAIL")));
        assert_eq!(
            (&data["resolution"], &data["resolvedByRunId"]),
            (&json!("REFRESHED"), &json!(run_id))
        );
    });
}

#[test]
fn a_receiver_that_fails_gets_the_same_message_again_and_nothing_overtakes_it() {
    run(async {
        let told = Told::start().await;
        let graph = &told.graph;
        graph.watched("d", json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 })).await;
        graph.watched("e", json!({ "warnAfterSeconds": 101 })).await;
        told.wait(101).await;
        told.answer(&[500]);
        assert_eq!(told.pass().await, (0, 1, 0));
        assert_eq!(told.pass().await, (0, 0, 0), "not at once");
        told.answer(&[302]);
        graph.clock.advance(TimeDelta::seconds(7));
        assert_eq!(told.pass().await, (0, 1, 0), "a redirect is not followed");
        // Behind it waits what came later of the same dataset; other datasets do not wait.
        graph.clock.advance(TimeDelta::seconds(1));
        graph.app.sweep().await;
        assert_eq!(told.pass().await, (1, 0, 0));
        assert_eq!(told.what(), ["breach.opened d", "breach.opened d", "breach.opened e"]);
        told.wait(92).await;
        assert_eq!(told.pass().await, (2, 0, 0));
        assert_eq!(told.what()[3..], ["breach.opened d", "breach.escalated d"]);
        let ids: std::collections::BTreeSet<_> = told
            .got()
            .into_iter()
            .filter(|got| got.what() == "breach.opened d")
            .map(|got| got.id)
            .collect();
        assert_eq!(ids.len(), 1);
    });
}

#[test]
fn after_a_day_in_vain_a_message_is_given_up_and_the_next_one_goes() {
    run(async {
        let told = Told::start().await;
        let graph = &told.graph;
        graph.watched("d", json!({ "warnAfterSeconds": 100 })).await;
        told.wait(101).await;
        told.answer(&[503; 100]);
        let (mut tries, end) = (0, graph.now() + TimeDelta::hours(24));
        while graph.now() < end {
            graph.clock.advance(TimeDelta::minutes(5));
            tries += told.pass().await.1;
        }
        assert!((25..100).contains(&tries), "{tries}");
        told.receiver.answers.lock().unwrap().clear();
        graph.clock.advance(TimeDelta::hours(2));
        assert_eq!(told.pass().await, (0, 0, 1));
        graph.succeed(&["d"], graph.now()).await;
        graph.app.sweep().await;
        assert_eq!(told.pass().await, (1, 0, 0));
        assert_eq!(told.what().pop().unwrap(), "breach.resolved d");
        let dead =
            "SELECT count(*) FROM freshness_event WHERE delivery = 'DEAD' AND delivered_at IS NULL";
        assert_eq!(number(&mut graph.app.admin().await, dead).await, 1);
    });
}

#[test]
fn who_dies_between_sending_and_marking_sends_again_under_the_same_id() {
    run(async {
        let told = Told::start().await;
        let graph = &told.graph;
        graph.watched("d", json!({ "warnAfterSeconds": 100 })).await;
        told.wait(101).await;
        // Cut off as soon as the message has arrived, before its answer is read.
        tokio::select! {
            biased;
            () = told.receiver.arrived.notified() => {}
            _ = graph.app.deliver() => panic!("the delivery ended before it was cut off"),
        }
        assert_eq!(told.got().len(), 1);
        assert_eq!(told.pass().await, (0, 0, 0), "whoever sent it may still be at it");
        graph.clock.advance(TimeDelta::seconds(60) + TICK);
        assert_eq!(told.pass().await, (1, 0, 0));
        let got = told.got();
        assert_eq!((got.len(), &got[0].id), (2, &got[1].id));
        assert_eq!(got[0].body, got[1].body);

        // Wherever it is cut off, everything arrives.
        for n in 0..30 {
            graph.watched(&format!("x{n}"), json!({ "warnAfterSeconds": 1 })).await;
        }
        told.wait(2).await;
        for polls in 0..60 {
            cut(graph.app.deliver(), polls).await;
            graph.clock.advance(TimeDelta::seconds(61));
        }
        told.pass().await;
        let names: std::collections::BTreeSet<_> = told.what().into_iter().collect();
        assert_eq!(names.len(), 31, "{names:?}");
    });
}

#[test]
fn a_mute_holds_back_and_what_is_over_by_its_end_is_never_told() {
    run(async {
        let told = Told::start().await;
        let graph = &told.graph;
        let mut ids = Vec::new();
        for name in ["stays", "passes", "known", "unmuted"] {
            ids.push(graph.watched(name, json!({ "warnAfterSeconds": 100 })).await);
        }
        // Known to the receiver before the mute; the others begin under it.
        for id in [&ids[0], &ids[1], &ids[3]] {
            told.mute(id, 1_000).await;
        }
        told.wait(101).await;
        assert_eq!(told.pass().await, (1, 0, 0));
        assert_eq!(told.what(), ["breach.opened known"]);
        told.mute(&ids[2], 1_000).await;
        told.wait(10).await;
        graph.succeed(&["passes", "known"], graph.now()).await;
        told.wait(10).await;
        assert_eq!(told.pass().await, (0, 0, 0));
        graph.done("unmuteFreshness", "status", json!({ "datasetId": ids[3] })).await;
        assert_eq!(told.pass().await, (1, 0, 0));
        assert_eq!(told.what()[1..], ["breach.opened unmuted"]);
        told.wait(879 - 1).await;
        assert_eq!(told.pass().await, (0, 0, 0), "the mute holds until its end");
        told.wait(1).await;
        told.pass().await;
        let of = |name: &str| -> Vec<String> {
            told.what().into_iter().filter(|what| what.ends_with(name)).collect()
        };
        assert_eq!(of("stays"), ["breach.opened stays"]);
        // Its first breach, which was over by then, was never told; the second one is open.
        assert_eq!(of("passes"), ["breach.opened passes"]);
        assert_eq!(of("known"), ["breach.opened known"], "muted for longer");
        told.wait(101).await;
        told.pass().await;
        let expected = ["opened", "resolved", "opened"].map(|kind| format!("breach.{kind} known"));
        assert_eq!(of("known"), expected, "what the receiver knows of, it is told the end of");
        // Whoever follows by cursor has seen it all, and that it was muted.
        let query = "{ freshnessEvents(first: 200) { nodes { type muted dataset { name } } } }";
        let data = graph.read(query, json!({})).await;
        let of = |name: &str| -> Vec<(String, bool)> {
            let nodes = data["freshnessEvents"]["nodes"].as_array().unwrap().iter();
            let nodes = nodes.filter(|node| node["dataset"]["name"] == name);
            nodes.map(|node| (string(&node["type"]).to_owned(), node["muted"] == true)).collect()
        };
        let seen = of("passes");
        let expected = [("MUTED", true), ("OPENED", true), ("RESOLVED", true)];
        assert_eq!(seen[..3], expected.map(|(kind, muted)| (kind.to_owned(), muted)));
        assert_eq!(of("known")[0], ("OPENED".to_owned(), false));
        let deliveries = "SELECT count(*) FROM freshness_event e JOIN dataset_registry USING (tenant_id, dataset_id)
             WHERE name = 'passes' AND delivery = 'WITHHELD'";
        assert_eq!(number(&mut graph.app.admin().await, deliveries).await, 3);
    });
}
