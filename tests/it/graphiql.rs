//! The page at `/graphiql`: what is sent of it, and (`web/test/`) what somebody sees of it in a real
//! browser. `DRR_TEST_CHROMIUM` and `DRR_TEST_WEB_NODE` name the browser and the Node that drives it
//! (`scripts/test` sets them).

use std::{collections::BTreeSet, process::Stdio};

use chrono::TimeDelta;
use drr::{auth::policy::Role, clock::ManualClock};
use reqwest::{Response, StatusCode, header};
use serde_json::json;
use tokio::process::Command;

use crate::{
    app::{KEY, TestApp},
    cluster::run,
    program::{Serving, serve},
    smoke::run_event,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
const RUN: &str = "0190a000-0000-7000-8000-0000000000e1";

async fn with_page() -> TestApp {
    TestApp::with(|assembly| assembly.graphiql = true).await
}

async fn get(app: &TestApp, path: &str) -> Response {
    app.http.get(app.public(path)).send().await.unwrap()
}

/// The files that the page and its files name, or nothing if this program was built without it.
async fn files(app: &TestApp) -> Option<BTreeSet<String>> {
    let response = get(app, "/graphiql").await;
    if response.status() == StatusCode::NOT_FOUND {
        assert!(std::env::var_os("DRR_TEST_CHROMIUM").is_none(), "the page was not built in");
        assert!(response.text().await.unwrap().contains("no GraphiQL in this build"));
        eprintln!("SKIPPED: the program was built without the page; scripts/test builds it");
        return None;
    }
    let page = response.text().await.unwrap();
    let named = page.split("\"/graphiql/").skip(1);
    let named = named.map(|rest| format!("/graphiql/{}", rest.split('"').next().unwrap()));
    let files: BTreeSet<_> = named.collect();
    assert!(files.len() >= 3, "a script, a style sheet, a picture: {page}");
    Some(files)
}

fn said(response: &Response, name: header::HeaderName) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

/// What holds the page in, whatever is answered below its address.
fn assert_fenced(response: &Response) {
    let policy = said(response, header::CONTENT_SECURITY_POLICY);
    let directives: Vec<_> = policy.split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(directives.contains(&directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http") && !policy.contains('*'));
    assert_eq!(policy.matches("unsafe").count(), 1, "for styles alone: {policy}");
    assert_eq!(said(response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(said(response, header::REFERRER_POLICY), "no-referrer");
    assert_eq!(said(response, header::X_FRAME_OPTIONS), "DENY");
}

#[test]
fn the_page_and_its_files_are_fenced_kept_and_packed() {
    run(async {
        let app = with_page().await;
        let Some(files) = files(&app).await else { return };
        let page = get(&app, "/graphiql").await;
        assert_fenced(&page);
        assert_eq!(said(&page, header::CACHE_CONTROL), "no-cache");
        assert_eq!(said(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
        let page = page.text().await.unwrap();
        assert!(!page.contains("http") && !page.contains("<style"), "{page}");
        assert!(page.split("<script").skip(1).all(|script| script.contains(" src=\"/graphiql/")));
        for path in files {
            let plain = get(&app, &path).await;
            assert_eq!(plain.status(), StatusCode::OK, "{path}");
            assert_fenced(&plain);
            assert_eq!(said(&plain, header::VARY), "accept-encoding");
            let kept = said(&plain, header::CACHE_CONTROL);
            assert!(kept.contains("immutable"), "{path}: {kept}");
            assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
            let request = app.http.get(app.public(&path)).header(header::ACCEPT_ENCODING, "gzip");
            let packed = request.send().await.unwrap();
            assert_eq!(said(&packed, header::CONTENT_ENCODING), "gzip");
            let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
            let mut unpacked = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(packed.as_ref());
            std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
            assert!(unpacked == plain, "{path} is another file when it is packed");
        }
    });
}

#[test]
fn nothing_but_the_pages_own_files_is_to_be_had_there() {
    run(async {
        let app = with_page().await;
        for path in [
            "/graphiql/",
            "/graphiql/none.js",
            "/graphiql/index.html.gz",
            "/graphiql/..%2f.gitignore",
            "/graphiql/%2e%2e%2fbuilt-from",
            "/graphiql/%ff",
            "/graphiql/a/b",
        ] {
            let status = get(&app, path).await.status();
            assert!([400, 404].contains(&status.as_u16()), "{path}: {status}");
        }
        let posted = app.http.post(app.public("/graphiql")).send().await.unwrap();
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
        for url in [app.internal("/graphiql"), app.operations("/graphiql")] {
            assert_eq!(app.http.get(&url).send().await.unwrap().status(), 404, "{url}");
        }
    });
}

#[test]
fn serve_has_the_page_when_it_is_told_to_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(serve(folder.path()));
    let ask = |serving: &Serving| {
        let url = format!("http://{}/graphiql", serving.public);
        run(async {
            reqwest::get(url).await.unwrap().headers().get("content-security-policy").cloned()
        })
    };
    assert_eq!(ask(&serving), None);
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.ended().0, Some(0));
    let mut command = serve(folder.path());
    command.env("DRR_GRAPHIQL__ENABLED", "true");
    let serving = Serving::start(command);
    assert!(ask(&serving).is_some());
}

/// One dataset that is late, made of another one.
async fn late(app: &TestApp) {
    let ended = (app.clock.now() - TimeDelta::hours(2)).to_rfc3339();
    let mut event = run_event("COMPLETE", &ended, RUN, "daily_revenue");
    event["inputs"] = json!([{ "namespace": "warehouse", "name": "orders" }]);
    let (status, report) = app.lineage(&app.token("acme", Role::RuntimeWriter), &event).await;
    assert_eq!(status, StatusCode::CREATED, "{report:#}");
    let admin = app.token("acme", Role::TenantAdmin);
    let find = "{ datasets(filter: { text: \"daily_revenue\" }) { nodes { id } } }";
    let found = app.data(&admin, find, json!({})).await;
    let set = "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 3600 } }) { status } }";
    app.data(&admin, set, json!({ "id": found["datasets"]["nodes"][0]["id"] })).await;
    assert_eq!(app.sweep().await.opened, 1);
}

#[test]
fn a_browser_shows_the_page_and_runs_what_is_typed() {
    let named = ["DRR_TEST_WEB_NODE", "DRR_TEST_CHROMIUM"].map(std::env::var_os);
    let [Some(node), Some(chromium)] = named else {
        eprintln!("SKIPPED: DRR_TEST_CHROMIUM names no browser; scripts/test looks for one");
        return;
    };
    run(async {
        let app = with_page().await;
        assert!(files(&app).await.is_some());
        late(&app).await;
        let long_ago = ManualClock::new(app.clock.now() - TimeDelta::hours(1));
        let expired = KEY.sign(&TestApp::request("acme", Role::Reader), &long_ago).unwrap();
        let mut command = Command::new(node);
        command
            .args(["--test", "--test-timeout=300000", "--test-reporter=spec", "test/page.test.mjs"])
            .current_dir(FOLDER)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", std::env::temp_dir())
            .env("DRR_CHROMIUM", chromium)
            .env("DRR_URL", app.public(""))
            .env("DRR_ADMIN", app.token("acme", Role::TenantAdmin))
            .env("DRR_EXPIRED", expired)
            .env("DRR_STRANGER", app.token("globex", Role::Reader))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.envs(std::env::var_os("DRR_SHOTS").map(|folder| ("DRR_SHOTS", folder)));
        let output = command.output().await.unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        let trouble = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{report}\n{trouble}");
        let passed = report.lines().find_map(|line| line.trim().strip_prefix("ℹ pass "));
        assert!(passed.is_some_and(|count| count.parse::<u32>().unwrap() > 10), "{report}");
    });
}
