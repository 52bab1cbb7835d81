//! Every route, asked by everybody: without a token, and in each role.

use std::collections::BTreeSet;

use drr::auth::policy::Role;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::{MEDIA, Registry};
use crate::cluster::run;

const READERS: &[Role] = &[
    Role::SchemaAdmin,
    Role::SchemaReader,
    Role::PipelineRunner,
    Role::GovernanceApprover,
    Role::TenantAdmin,
    Role::Auditor,
];
const AUTHORS: &[Role] = &[Role::SchemaAdmin, Role::TenantAdmin];

const ROUTES: &[(Method, &str, &[Role])] = &[
    (Method::GET, "/confluent", READERS),
    (Method::GET, "/confluent/", READERS),
    (Method::GET, "/confluent/contexts", READERS),
    (Method::GET, "/confluent/schemas", READERS),
    (Method::GET, "/confluent/schemas/types", READERS),
    (Method::GET, "/confluent/schemas/ids/{id}", READERS),
    (Method::GET, "/confluent/schemas/ids/{id}/schema", READERS),
    (Method::GET, "/confluent/schemas/ids/{id}/subjects", READERS),
    (Method::GET, "/confluent/schemas/ids/{id}/versions", READERS),
    (Method::GET, "/confluent/subjects", READERS),
    (Method::POST, "/confluent/subjects/{subject}", READERS),
    (Method::DELETE, "/confluent/subjects/{subject}", AUTHORS),
    (Method::GET, "/confluent/subjects/{subject}/versions", READERS),
    (Method::POST, "/confluent/subjects/{subject}/versions", AUTHORS),
    (Method::GET, "/confluent/subjects/{subject}/versions/{version}", READERS),
    (Method::DELETE, "/confluent/subjects/{subject}/versions/{version}", AUTHORS),
    (Method::GET, "/confluent/subjects/{subject}/versions/{version}/schema", READERS),
    (Method::GET, "/confluent/subjects/{subject}/versions/{version}/referencedby", READERS),
    (Method::POST, "/confluent/compatibility/subjects/{subject}/versions", READERS),
    (Method::POST, "/confluent/compatibility/subjects/{subject}/versions/{version}", READERS),
    (Method::GET, "/confluent/config", READERS),
    (Method::PUT, "/confluent/config", AUTHORS),
    (Method::DELETE, "/confluent/config", AUTHORS),
    (Method::GET, "/confluent/config/{subject}", READERS),
    (Method::PUT, "/confluent/config/{subject}", AUTHORS),
    (Method::DELETE, "/confluent/config/{subject}", AUTHORS),
    (Method::GET, "/confluent/mode", READERS),
    (Method::PUT, "/confluent/mode", AUTHORS),
    (Method::DELETE, "/confluent/mode", AUTHORS),
    (Method::GET, "/confluent/mode/{subject}", READERS),
    (Method::PUT, "/confluent/mode/{subject}", AUTHORS),
    (Method::DELETE, "/confluent/mode/{subject}", AUTHORS),
];

// D2, S3
#[test]
fn every_route_is_for_its_roles_and_no_others() {
    let listed: BTreeSet<String> = ROUTES.iter().map(|(_, path, _)| (*path).to_owned()).collect();
    let mut routes = crate::policy::routes();
    routes.retain(|route| route.starts_with("/confluent"));
    assert_eq!(routes, listed, "the routes that there are, and those of the table");
    run(async {
        let registry = Registry::start().await;
        let mut asked = Vec::new();
        for (method, path, allowed) in ROUTES {
            let path = path.replace("{subject}", "nothing").replace("{version}", "1");
            let path = path.replace("{id}", "1");
            let expected = |role: Option<Role>| match role {
                None => Some(401),
                Some(role) if allowed.contains(&role) => None,
                Some(_) => Some(403),
            };
            for role in Role::ALL.into_iter().map(Some).chain([None]) {
                for url in [registry.app.public(&path), registry.app.internal(&path)] {
                    asked.push((method.clone(), url, role, expected(role)));
                }
            }
        }
        let ask = |(method, url, role, expected): (Method, String, Option<Role>, Option<u16>)| {
            let registry = &registry;
            async move {
                let request = registry.app.http.request(method.clone(), &url);
                let request = match role {
                    Some(role) => request.bearer_auth(registry.app.token("acme", role)),
                    None => request,
                };
                // No schema: that is found after who asks.
                let request = request.header("content-type", MEDIA);
                let response = request.body(json!({ "schema": "{" }).to_string()).send().await;
                let response = response.unwrap();
                let status = response.status().as_u16();
                match expected {
                    None => assert!(![401, 403].contains(&status), "{method} {url} {role:?}"),
                    Some(code) => {
                        assert_eq!(status, code, "{method} {url} {role:?}");
                        let body: Value = response.json().await.unwrap();
                        assert_eq!(body["error_code"], code, "{method} {url} {role:?}");
                    }
                }
            }
        };
        stream::iter(asked).map(ask).buffer_unordered(8).collect::<Vec<()>>().await;
        registry.app.stop().await;
    });
}
