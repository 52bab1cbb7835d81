//! The report of a day, and the tail of a trail.

use drr::{auth::policy::Role, db::Db};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    cluster::run,
    door::world::{db_settings, script},
    graph::TENANT,
};

/// The report of a tenant's day, as JSON.
async fn day(app: &TestApp, tenant: &str, date: &str) -> Value {
    let db = Db::new(db_settings(app.database.application(), 2));
    let tenants = drr::db::operator::tenants(&db).await.unwrap();
    let found = tenants.iter().find(|found| found.tenant().as_str() == tenant).unwrap();
    let tx = db.of_due(found).read_trail().await.unwrap();
    let daily = drr::audit::report::daily(&tx, found.tenant(), date.parse().unwrap()).await;
    serde_json::to_value(daily.unwrap()).unwrap()
}

// D46
#[test]
fn a_day_is_told_in_numbers_that_the_trail_has() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let reader = app.token(TENANT, Role::Reader);
        app.data(&reader, "{ me { role } }", json!({})).await;
        // A day of its own, and the seven before it.
        script(
            &mut admin,
            "CREATE FUNCTION pg_temp.call(tenant text, at text, what text, how text, why text,
                                          whose text, correlation text, dataset uuid)
             RETURNS void LANGUAGE sql AS $$
               INSERT INTO audit_event (tenant_id, occurred_at, event_id, call_id, actor_id, action,
                                        result, error_code, correlation_id, dataset_id)
               SELECT tenant, at::timestamptz, id, id, whose, what, how, why, correlation, dataset
                 FROM (SELECT gen_random_uuid() AS id) AS made $$;
             INSERT INTO tenant_directory VALUES ('acme'), ('-') ON CONFLICT DO NOTHING;
             SELECT pg_temp.call('acme', '2026-11-10T0' || n % 10 || ':00:00Z', 'dataset.read', 'SUCCESS',
                                 NULL, 'one', 'c' || n, NULL) FROM generate_series(1, 90) AS n;
             SELECT pg_temp.call('acme', '2026-11-0' || n || 'T12:00:00Z', 'dataset.read', 'SUCCESS',
                                 NULL, 'one', 'd' || n, NULL) FROM generate_series(3, 9) AS n;
             SELECT pg_temp.call('acme', '2026-11-10T12:00:00Z', 'dataset.retire', 'DENIED', 'FORBIDDEN',
                                 'two', 'try', NULL);
             SELECT pg_temp.call('acme', '2026-11-10T12:05:00Z', 'dataset.retire', 'SUCCESS', NULL,
                                 'three', 'try', NULL);
             SELECT pg_temp.call('acme', '2026-11-10T13:00:00Z', 'run.read', 'SUCCESS', NULL, 'one', 'x',
                                 gen_random_uuid());
             SELECT pg_temp.call('acme', '2026-11-11T00:00:00Z', 'run.read', 'DENIED', 'FORBIDDEN', 'one',
                                 'next day', NULL);
             SELECT pg_temp.call('-', '2026-11-10T23:59:59Z', 'request', 'DENIED', 'UNAUTHENTICATED',
                                 'drr:anonymous', 'y', NULL) FROM generate_series(1, 4)",
        )
        .await;
        let told = day(&app, TENANT, "2026-11-10").await;
        assert_eq!(
            told,
            json!({
                "tenant": "acme",
                "date": "2026-11-10",
                "calls": [
                    { "action": "dataset.read", "result": "SUCCESS", "calls": 90 },
                    { "action": "dataset.retire", "result": "DENIED", "calls": 1 },
                    { "action": "dataset.retire", "result": "SUCCESS", "calls": 1 },
                    { "action": "run.read", "result": "SUCCESS", "calls": 1 },
                ],
                "refusals": [{ "error_code": "FORBIDDEN", "actor_id": "two", "calls": 1 }],
                "tokens_refused": 0,
                "unusual": [{ "action": "dataset.read", "calls": 90, "usual": 1.0 }],
                "denied_then_allowed": [{
                    "correlation_id": "try", "action": "dataset.retire", "denied_actor": "two",
                    "allowed_actor": "three", "denied_at": "2026-11-10T12:00:00Z",
                    "allowed_at": "2026-11-10T12:05:00Z",
                }],
                // A success about a dataset that the tenant does not have.
                "isolation_breaches": 1,
            })
        );
        let strangers = day(&app, "-", "2026-11-10").await;
        assert_eq!(strangers["tokens_refused"], 4);
        assert_eq!(day(&app, TENANT, "2026-11-01").await["calls"], json!([]));
    });
}
