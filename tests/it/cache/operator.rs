//! `drr cache`: what operators see of what is kept, and how they have it forgotten.

use std::{process::Output, time::Instant};

use drr::{app::App, auth::policy::Role, config::Secret};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use tokio::task::spawn_blocking;

use super::{ask, redis::Redis, rows};
use crate::{
    app::{TestApp, assembly},
    cluster::run,
    program,
};

const QUERY: &str = "{ datasets { nodes { name } } }";
/// In such a time every instance has heard what it is told.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// The program, on the service's database, and on its Redis if it has one.
async fn drr(app: &TestApp, redis: Option<&Redis>, arguments: &[&str]) -> Output {
    let mut command = program::drr(&[&["cache"], arguments].concat());
    command.env("DRR_DATABASE_URL", app.database.application().to_url_lossy().as_str());
    command.env("DRR_LISTEN__OPERATIONS", app.operations("").trim_start_matches("http://"));
    if let Some(redis) = redis {
        command.env("DRR_REDIS_URL", &redis.url);
    }
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn answer(app: &TestApp, redis: Option<&Redis>, arguments: &[&str]) -> String {
    let output = drr(app, redis, arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asks until the database is asked.
async fn until_forgotten(app: &TestApp, token: &str, name: &str) {
    let begun = Instant::now();
    for number in 0.. {
        let name = format!("{name}-{number}");
        ask(app, token, QUERY, &name).await;
        if rows(app, &name).await != [0] {
            return;
        }
        assert!(begun.elapsed() < SOON, "{name}: it is never forgotten");
    }
}

/// A row for each tenant, so that an answer that was made is one for which rows were read; and one that is
/// kept, whose time does not end before that of the test.
async fn kept(app: &TestApp, tenants: &[&str]) {
    for tenant in tenants {
        let registers =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"x\" }) { status } }";
        app.data(&app.token(tenant, Role::TenantAdmin), registers, json!({})).await;
        let token = app.token(tenant, Role::Reader);
        ask(app, &token, QUERY, "made").await;
        ask(app, &token, QUERY, &format!("kept-{tenant}")).await;
        assert_eq!(rows(app, &format!("kept-{tenant}")).await, [0], "it is kept");
    }
}

#[test]
fn what_an_operator_says_is_forgotten_by_every_instance_and_nothing_else_is() {
    run(async {
        let app = TestApp::with(|plan| plan.cache.longest = 100 * SOON).await;
        let mut plan = assembly(&app.database, app.clock.clone());
        plan.cache.longest = 100 * SOON;
        let other = Box::pin(App::start(plan)).await.unwrap();
        kept(&app, &["acme", "globex"]).await;
        let [acme, globex] = ["acme", "globex"].map(|tenant| app.token(tenant, Role::Reader));
        let there = async |name: &str| {
            let request = app.http.post(format!("http://{}/graphql", other.public));
            let request = request.bearer_auth(&acme).header("x-correlation-id", name);
            let answer = request.json(&json!({ "query": QUERY })).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            rows(&app, name).await
        };
        assert!(there("there-made").await[0] > 0);
        assert_eq!(there("there-kept").await, [0]);

        let said = answer(&app, None, &["purge", "--tenant", "acme"]).await;
        assert_eq!(said, "every instance that serves was told to forget what it keeps\n");
        until_forgotten(&app, &acme, "acme").await;
        let begun = Instant::now();
        let mut round = 0;
        while there(&format!("there-{round}")).await == [0] {
            assert!(begun.elapsed() < SOON, "the other one never forgets");
            round += 1;
        }
        ask(&app, &globex, QUERY, "globex").await;
        assert_eq!(rows(&app, "globex").await, [0], "nobody said anything of it");
        answer(&app, None, &["purge", "--all"]).await;
        until_forgotten(&app, &globex, "globex-again").await;

        for (arguments, wrong) in [
            (&["purge", "--tenant", "ACME"][..], "ACME is no code of a tenant"),
            (&["purge"][..], "--tenant <TENANT>|--all"),
            (
                &["stats", "--instance", "http://127.0.0.1:1/"][..],
                "http://127.0.0.1:1/ does not say",
            ),
        ] {
            let output = drr(&app, None, arguments).await;
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && complaint.contains(wrong), "{complaint}");
        }
        Box::pin(other.stop()).await;
        app.stop().await;
    });
}

#[test]
fn what_redis_holds_is_shown_and_forgotten() {
    run(async {
        let Some(redis) = Redis::start().await else { return };
        let url = redis.url.clone();
        let app = TestApp::with(|plan| {
            plan.cache.redis_url = Some(Secret::new(url));
            plan.cache.longest = 100 * SOON;
        })
        .await;
        redis.tell(&["SET", "other:{acme}:x", "not ours"]).await;
        kept(&app, &["acme", "globex"]).await;
        let stats = async || -> Value {
            let said = answer(&app, Some(&redis), &["stats", "--format", "json"]).await;
            serde_json::from_str(&said).unwrap()
        };
        // Put there behind the answer.
        let begun = Instant::now();
        let mut known = stats().await;
        while known["redis"]["answers"] != 2 {
            assert!(begun.elapsed() < SOON, "{known:#}");
            known = stats().await;
        }
        assert_eq!(known["redis"]["tenants"], 2, "{known:#}");
        assert!(known["redis"]["memory_bytes"].as_u64().unwrap() > 100_000, "{known:#}");
        let counts = &known["instances"][0]["counts"];
        assert!(counts["requests_total{outcome=kept}"].as_f64().unwrap() >= 2.0, "{known:#}");
        assert!(counts["bytes{of=answers}"].as_f64().unwrap() > 0.0, "{known:#}");
        let table = answer(&app, Some(&redis), &["stats"]).await;
        for line in ["instance http://", "redis\n", "  answers ", "  requests_total{outcome=kept}"]
        {
            assert!(table.contains(line), "{table}");
        }

        let said = answer(&app, Some(&redis), &["purge", "--tenant", "acme"]).await;
        assert!(said.starts_with("Redis has forgotten 2 keys\n"), "{said}");
        let known = stats().await;
        assert_eq!(
            (&known["redis"]["answers"], &known["redis"]["tenants"]),
            (&json!(1), &json!(1))
        );
        until_forgotten(&app, &app.token("acme", Role::Reader), "acme").await;
        answer(&app, Some(&redis), &["purge", "--all"]).await;
        let left: Vec<String> = redis::cmd("KEYS")
            .arg("other:*")
            .query_async(&mut redis.connection().await)
            .await
            .unwrap();
        assert_eq!(left, ["other:{acme}:x"], "what is not ours stays");
        until_forgotten(&app, &app.token("globex", Role::Reader), "globex").await;
        app.stop().await;
    });
}
