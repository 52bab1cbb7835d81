//! What is refused: a coded answer, an audit event, and otherwise no trace.

use std::time::Duration;

use chrono::TimeDelta;
use drr::auth::policy::Role;
use reqwest::header;
use serde_json::{Value, json};

use super::{
    accepted,
    answers::{RUN, gzip, trail},
    assert_same, dump, service,
};
use crate::{cluster::run, smoke::run_event};

/// A body, how it is sent, and the answer.
struct Case {
    name: &'static str,
    body: Vec<u8>,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
    code: &'static str,
    detail: &'static str,
    /// Whether it is about one run, whose id is in the trail.
    about: bool,
}

fn case(
    name: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
    detail: &'static str,
) -> Case {
    Case { name, body: body.into(), headers: &[], status, code, detail, about: false }
}

fn cases(good: &Value, future: &str) -> Vec<Case> {
    let bad = "BAD_USER_INPUT";
    let event = good.to_string();
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    };
    let without = |name: &str| {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(name);
        event.to_string()
    };
    let many: Vec<_> = (0..1_001).map(|_| json!({})).collect();
    let names: Vec<_> =
        (0..1_001).map(|n| json!({ "namespace": "n", "name": n.to_string() })).collect();
    let bomb = gzip(&vec![b' '; 40 << 20]);
    let encoded = |encoding: &'static [(&'static str, &'static str)], case: Case| Case {
        headers: encoding,
        ..case
    };
    const GZIP: &[(&str, &str)] = &[("content-encoding", "gzip")];
    let mut cases = vec![
        case("nothing", "", 400, bad, "body: is not JSON"),
        case("half an event", &event.as_bytes()[..event.len() / 2], 400, bad, "body: is not JSON"),
        case(
            "two events without an array",
            format!("{event}{event}"),
            400,
            bad,
            "body: is not JSON",
        ),
        case("no UTF-8", [b"{\"a\":\"\xff\"}".as_slice()].concat(), 400, bad, "body: is not JSON"),
        case("a number", "7", 400, bad, "body: must be an event or an array of events"),
        case("nested too deep", "[".repeat(100_000), 400, bad, "body: is not JSON"),
        case("an array of arrays", "[[]]", 400, bad, "events.0: must be an object"),
        case(
            "1,001 events",
            json!(many).to_string(),
            413,
            "LIMIT_EXCEEDED",
            "over the limit events of one request = 1000",
        ),
        case(
            "20 MB",
            vec![b' '; 20 << 20],
            413,
            "LIMIT_EXCEEDED",
            "over the limit limits.lineage_body_bytes = 10485760",
        ),
        encoded(
            GZIP,
            case(
                "a gzip bomb",
                bomb,
                413,
                "LIMIT_EXCEEDED",
                "over the limit limits.lineage_body_bytes",
            ),
        ),
        encoded(
            GZIP,
            case(
                "half a gzip",
                {
                    let whole = gzip(event.as_bytes());
                    whole[..whole.len() / 2].to_vec()
                },
                400,
                bad,
                "the gzip body is truncated",
            ),
        ),
        encoded(GZIP, case("no gzip", event.clone(), 400, bad, "the body is not valid gzip")),
        encoded(
            &[("content-encoding", "br")],
            case("Brotli", event.clone(), 415, bad, "Content-Encoding must be gzip or absent"),
        ),
        encoded(
            &[("content-type", "text/plain")],
            case("text", event.clone(), 415, bad, "the body must be application/json"),
        ),
        case("no time", without("eventTime"), 400, bad, "events.0.eventTime: is required"),
        case("no run", without("run"), 400, bad, "events.0.run: is required"),
        case("no job", without("job"), 400, bad, "events.0.job: is required"),
        case(
            "a time that is none",
            with("/eventTime", json!("yesterday")),
            400,
            bad,
            "events.0.eventTime: must be a time",
        ),
        case(
            "a time that is a number",
            with("/eventTime", json!(1)),
            400,
            bad,
            "events.0.eventTime: must be a string",
        ),
        case(
            "a time in the future",
            with("/eventTime", json!(future)),
            400,
            bad,
            "events.0.eventTime: is more than 300 seconds in the future",
        ),
        case(
            "a time before 1970",
            with("/eventTime", json!("1969-12-31T23:59:59Z")),
            400,
            bad,
            "events.0.eventTime: must not lie before 1970",
        ),
        case(
            "a run id that is none",
            with("/run/runId", json!("seven")),
            400,
            bad,
            "events.0.run.runId: must be a UUID",
        ),
        case(
            "outputs that are an object",
            with("/outputs", json!({})),
            400,
            bad,
            "events.0.outputs: must be an array",
        ),
        case(
            "a name that is a number",
            with("/outputs/0/name", json!(7)),
            400,
            bad,
            "events.0.outputs.0.name: must be a string",
        ),
        case(
            "an empty namespace",
            with("/job/namespace", json!("")),
            400,
            bad,
            "events.0.job.namespace:",
        ),
        case(
            "1,001 datasets",
            with("/outputs", json!(names)),
            400,
            bad,
            "events.0: names more than 1000 datasets",
        ),
        case(
            "an unknown type",
            with("/eventType", json!("FINISH")),
            400,
            bad,
            "events.0.eventType: must be one of",
        ),
        case(
            "a NUL in a name",
            with("/outputs/0/name", json!("a\0b")),
            400,
            bad,
            "events.0.outputs.0.name: contains U+0000",
        ),
        case(
            "a NUL in a facet",
            with("/run", json!({ "runId": RUN, "facets": { "x": { "y": "\0" } } })),
            400,
            bad,
            "events.0.run.facets.x.y: contains U+0000",
        ),
    ];
    let mut stolen = good.clone();
    stolen["job"]["name"] = json!("another job");
    stolen["outputs"][0]["name"] = json!("a new dataset");
    stolen["eventType"] = json!("FAIL");
    cases.push(Case {
        about: true,
        ..case(
            "a run id of another job",
            stolen.to_string(),
            409,
            "CONFLICT",
            "the run id is already that of a run of another job",
        )
    });
    cases
}

// D34, D35: denied and malformed calls too.
#[test]
fn what_is_refused_is_answered_audited_and_leaves_nothing() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let good = run_event(
            "COMPLETE",
            &(app.clock.now() - TimeDelta::hours(1)).to_rfc3339(),
            RUN,
            "orders",
        );
        accepted(&app, &writer, &good).await;
        let future = (app.clock.now() + TimeDelta::seconds(301)).to_rfc3339();
        let before = dump(&mut admin, "acme").await;
        let mut audited = trail(&mut admin, "acme").await.len();
        for case in cases(&good, &future) {
            let name = case.name;
            let mut request = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(&writer);
            if !case.headers.iter().any(|(name, _)| *name == "content-type") {
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            for (header, value) in case.headers {
                request = request.header(*header, *value);
            }
            let response = request.body(case.body).send().await.unwrap();
            assert_eq!(response.status(), case.status, "{name}");
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                "application/problem+json",
                "{name}"
            );
            let correlation_id =
                response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["status"], case.status, "{name}: {problem}");
            assert_eq!(problem["code"], case.code, "{name}: {problem}");
            assert_eq!(problem["correlation_id"], correlation_id, "{name}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with(case.detail), "{name}: {detail}");
            assert_same(&before, &dump(&mut admin, "acme").await, name);

            let trail = trail(&mut admin, "acme").await;
            assert_eq!(trail.len(), audited + 1, "{name}");
            audited += 1;
            let about = case.about.then(|| format!("run:{RUN}"));
            let expected = ["lineage.ingest".into(), "REJECTED".into(), case.code.into()].map(Some);
            assert_eq!(trail.last().unwrap()[..3], expected, "{name}");
            assert_eq!(trail.last().unwrap()[3..], [about, None], "{name}");
            let sql = "SELECT count(*) FROM audit_event WHERE correlation_id = $1 AND actor_id = 'development-runtime-writer'";
            let ours: i64 =
                sqlx::query_scalar(sql).bind(correlation_id).fetch_one(&mut admin).await.unwrap();
            assert_eq!(ours, 1, "{name}");
        }
        app.stop().await;
    });
}

#[test]
fn a_batch_of_which_nothing_stands_has_the_status_of_its_first_error() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let good = run_event("COMPLETE", &app.clock.now().to_rfc3339(), RUN, "orders");
        accepted(&app, &writer, &good).await;
        let mut stolen = good.clone();
        stolen["job"]["name"] = json!("another job");
        let batch = json!([stolen, {}, stolen]).to_string();
        let response = app.lineage_bytes(&writer, batch.into_bytes()).await;
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            (&problem["code"], &problem["summary"]["failed"]),
            (&json!("CONFLICT"), &json!(3))
        );
        assert_eq!(problem["failed_events"][1]["field"], "events.1.eventTime");
        assert!(problem["correlation_id"].is_string());
        assert_eq!(trail(&mut admin, "acme").await.len(), 4);
        app.stop().await;
    });
}

// D3, D12, D17
#[test]
fn who_may_not_report_learns_and_changes_nothing() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let event = run_event("COMPLETE", &app.clock.now().to_rfc3339(), RUN, "orders");
        let before = dump(&mut admin, "acme").await;
        for role in [Role::Reader, Role::Auditor, Role::TenantAdmin, Role::Operator] {
            let (status, problem) = app.lineage(&app.token("acme", role), &event).await;
            assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("FORBIDDEN")), "{role}");
        }
        let trail = trail(&mut admin, "acme").await;
        assert_eq!(trail.len(), 4);
        for entry in trail {
            let expected = ["lineage.ingest".into(), "DENIED".into(), "FORBIDDEN".into()].map(Some);
            assert_eq!((&entry[..3], &entry[3..]), (&expected[..], &[None, None][..]));
        }
        let (status, problem) = app.lineage("no token", &event).await;
        assert_eq!((status.as_u16(), &problem["code"]), (401, &json!("UNAUTHENTICATED")));

        let writer = app.token("acme", Role::RuntimeWriter);
        for url in [app.public("/api/v1/lineage"), app.operations("/api/v1/lineage")] {
            let response =
                app.http.post(&url).bearer_auth(&writer).json(&event).send().await.unwrap();
            assert_eq!(response.status(), 404, "{url}");
        }
        let get = app.http.get(app.internal("/api/v1/lineage")).bearer_auth(&writer);
        assert_eq!(get.send().await.unwrap().status(), 405);
        assert_same(&before, &dump(&mut admin, "acme").await, "denied");
        app.stop().await;
    });
}

// A sender whose large body is refused still reads why.
#[test]
fn a_large_body_of_someone_who_may_not_send_it_is_answered() {
    run(async {
        let app = service().await;
        let reader = app.token("acme", Role::Reader);
        let answer = tokio::time::timeout(Duration::from_secs(20), async {
            app.lineage_bytes(&reader, vec![b' '; 9 << 20]).await.status()
        });
        assert_eq!(answer.await.unwrap(), 403);
        app.stop().await;
    });
}
