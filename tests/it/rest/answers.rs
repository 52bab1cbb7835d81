//! Tags, conditions, refusals.

use chrono::TimeDelta;
use drr::auth::policy::Role;
use reqwest::{Method, StatusCode, header};
use serde_json::json;

use super::{DATASETS, get, get_if_not, refusal, world};
use crate::{cluster::run, graph::Graph};

// D16
#[test]
fn who_polls_is_told_only_of_changes() {
    run(async {
        let graph = Graph::start().await;
        let id = world(&graph).await;
        let token = graph.token(Role::Reader);
        let list = format!("{DATASETS}?order=WORST_FIRST&first=3");
        for path in [list, format!("{DATASETS}/{id}"), format!("{DATASETS}/{id}/freshness")] {
            let first = get(&graph, &token, &path).await;
            let tag = first.tag.unwrap();
            assert!(tag.starts_with("W/\""), "{tag}");
            // Time passes, and nothing changes.
            graph.clock.advance(TimeDelta::seconds(2));
            let known = get_if_not(&graph, &token, &path, &tag).await;
            assert_eq!((known.status, known.tag.as_ref()), (StatusCode::NOT_MODIFIED, Some(&tag)));
            let again = get(&graph, &token, &path).await;
            assert_ne!(again.body, first.body, "{path}");
            graph.clock.advance(TimeDelta::seconds(-2));
        }
        // WARN becomes STALE by the passing of time.
        let path = format!("{DATASETS}/{id}/freshness");
        let tag = get(&graph, &token, &path).await.tag.unwrap();
        graph.clock.advance(TimeDelta::seconds(60));
        let changed = get_if_not(&graph, &token, &path, &tag).await;
        assert_eq!(changed.body["freshness"]["status"], "STALE", "{changed:#?}");
        assert_eq!(changed.status, StatusCode::OK);

        // What does not change with time has a strong tag.
        let path = format!("{DATASETS}/{id}/runs");
        let first = get(&graph, &token, &path).await;
        let tag = first.tag.clone().unwrap();
        assert!(tag.starts_with('"'), "{tag}");
        graph.clock.advance(TimeDelta::seconds(100));
        assert_eq!(get(&graph, &token, &path).await, first);
        let known = get_if_not(&graph, &token, &path, &format!("\"other\", {tag}")).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    });
}

// D16
#[test]
fn what_is_wrong_with_a_request_is_named() {
    run(async {
        let graph = Graph::start().await;
        let id = world(&graph).await;
        let token = graph.token(Role::Reader);
        let worst = get(&graph, &token, &format!("{DATASETS}?order=WORST_FIRST&first=1")).await;
        let cursor = worst.body["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
        let runs = format!("/{id}/runs");
        let long = "x".repeat(257);
        for (path, field) in [
            ("?first=-1".to_owned(), "first"),
            ("?first=x".to_owned(), "first"),
            ("?first=".to_owned(), "first"),
            ("?first=99999999999".to_owned(), "first"),
            ("?first=1&first=1".to_owned(), "first"),
            ("?order=WORST".to_owned(), "order"),
            ("?status=FRESH&status=fresh".to_owned(), "status"),
            ("?lifecycle=ACTIVE&lifecycle=RETIRED".to_owned(), "lifecycle"),
            ("?after=zzz".to_owned(), "after"),
            (format!("?after={cursor}"), "after"),
            ("?text=a%00b".to_owned(), "text"),
            (format!("?domain={long}"), "domain"),
            ("?text=%FF".to_owned(), "query"),
            ("?frist=1".to_owned(), "frist"),
            ("/none".to_owned(), "id"),
            ("/urn:drr:dataset:acme".to_owned(), "id"),
            ("/urn:drr:dataset:acme:ns:a%252fb".to_owned(), "id"),
            ("/%FF".to_owned(), "id"),
            (format!("/{}", "a".repeat(8_193)), "id"),
            (format!("/{id}?first=1"), "first"),
            (format!("{runs}?first=-1"), "first"),
            (format!("{runs}?after={cursor}"), "after"),
            (format!("{runs}?order=NAME"), "order"),
        ] {
            let answer = get(&graph, &token, &format!("{DATASETS}{path}")).await;
            assert_eq!(refusal(&answer), (400, "BAD_USER_INPUT", Some(field)), "{path}");
            assert!(answer.body["correlation_id"].is_string(), "{answer:#?}");
        }
        for path in ["?first=201", &format!("{runs}?first=201")] {
            let answer = get(&graph, &token, &format!("{DATASETS}{path}")).await;
            assert_eq!(refusal(&answer), (400, "LIMIT_EXCEEDED", Some("first")), "{path}");
        }
        for path in ["?first=0", "?first=200", "?text="] {
            let answer = get(&graph, &token, &format!("{DATASETS}{path}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:#?}");
        }
    });
}

// D17
#[test]
fn methods_are_those_that_there_are() {
    run(async {
        let graph = Graph::start().await;
        let id = world(&graph).await;
        let (app, token) = (&graph.app, graph.token(Role::TenantAdmin));
        for path in ["", &format!("/{id}"), &format!("/{id}/freshness"), &format!("/{id}/runs")] {
            let url = app.public(&format!("{DATASETS}{path}"));
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let request = app.http.request(method, &url).bearer_auth(&token);
                let response = request.json(&json!({})).send().await.unwrap();
                assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
                assert_eq!(response.headers()[header::ALLOW], "GET,HEAD", "{path}");
            }
            let head = app.http.head(&url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(head.status(), StatusCode::OK);
            assert!(head.headers().contains_key(header::ETAG));
        }
    });
}
