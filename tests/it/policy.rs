//! Who may do what, from outside: the expectation is `policy/matrix.txt`, written from the
//! requirement documents; the answers are those of the running service to really signed tokens.

mod entries;
mod fields;
mod matrix;
mod schema_entries;
mod schemas;
mod sweep;

use std::collections::BTreeSet;

use drr::auth::policy::{Operation, Role};
use futures::{StreamExt, stream};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use self::entries::ENTITIES;
pub use self::entries::{Entry, entries};
use self::{
    matrix::{KINDS, Matrix, SCOPES, Token, Verdict},
    schemas::Schemas,
};
use crate::{
    app::TestApp, cluster::run, sdl::INTROSPECTION, smoke::run_event, subscription::EVENTS,
};

const TENANT: &str = "acme";

/// What is there to be asked for.
pub struct World {
    pub app: TestApp,
    kept: String,
    retired: String,
    /// A breach of a third one.
    breach: String,
    /// An event of the audit trail, about a dataset.
    event: String,
    /// An hour ahead.
    soon: String,
    schemas: Schemas,
}

const RUN: &str = "0190a000-0000-7000-8000-00000000000a";

impl World {
    pub async fn start() -> Self {
        Self::of(TestApp::with(|assembly| assembly.graphiql = true).await).await
    }

    async fn of(app: TestApp) -> Self {
        let writer = app.token(TENANT, Role::RuntimeWriter);
        let mut ids = Vec::new();
        for name in ["kept", "retired", "late"] {
            let event = run_event("COMPLETE", "2026-11-01T00:00:00Z", RUN, name);
            let (status, report) = app.lineage(&writer, &event).await;
            assert_eq!(status, StatusCode::CREATED, "{report:#}");
            let query = "query($n: String!) { datasets(filter: { text: $n }) { nodes { id } } }";
            let reader = app.token(TENANT, Role::Reader);
            let data = app.data(&reader, query, json!({ "n": name })).await;
            ids.push(data["datasets"]["nodes"][0]["id"].as_str().unwrap().to_owned());
        }
        let late = "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 60 } }) { status } }";
        let admin = app.token(TENANT, Role::TenantAdmin);
        app.data(&admin, late, json!({ "id": ids[2] })).await;
        assert_eq!(app.sweep().await.opened, 1);
        let breaches = "{ breaches { nodes { id } } }";
        let mut data = app.data(&app.token(TENANT, Role::Reader), breaches, json!({})).await;
        let breach = data["breaches"]["nodes"][0]["id"].take().as_str().unwrap().to_owned();
        let events =
            "{ auditEvents(filter: { action: \"freshness_policy.set\" }) { nodes { id } } }";
        let mut data = app.data(&app.token(TENANT, Role::Auditor), events, json!({})).await;
        let event = data["auditEvents"]["nodes"][0]["id"].take().as_str().unwrap().to_owned();
        let mut admin = app.admin().await;
        crate::evidence::settle(app.sequencer(), &mut admin).await;
        let soon = (app.clock.now() + chrono::TimeDelta::hours(1)).to_rfc3339();
        let schemas = Box::pin(Schemas::of(&app, &ids[0])).await;
        Self { app, breach, event, soon, schemas, retired: ids.remove(1), kept: ids.remove(0) }
    }
}

const GRAPHQL: &str = "/graphql";
/// The routes that answer no request without an idempotency key.
const REQUIRES_KEY: [&str; 1] = ["/storage-internal/v1/datasets/{id}/refresh-state"];

/// Whether a route is one of REST that is read.
fn is_read(route: &str) -> bool {
    route.starts_with("/storage/v1/") || route.starts_with("/evidence/v1/")
}

/// Whether a route is one that clients of Confluent's registry know.
fn is_confluents(route: &str) -> bool {
    route.starts_with("/confluent")
}

impl Entry {
    /// A request of its own, under a key of its own where one is required.
    pub fn request(&self, world: &World, url: &str) -> RequestBuilder {
        let request = self.bare(world, url, self.document);
        if REQUIRES_KEY.contains(&self.reaches) {
            return request.header("idempotency-key", world.app.clock.new_id().to_string());
        }
        request
    }

    /// A request under a key, one that has its effect.
    pub fn keyed(&self, world: &World, url: &str, key: &str) -> RequestBuilder {
        let document = self.document.replace(", expectedVersion: -1", "");
        self.bare(world, url, &document).header("idempotency-key", key)
    }

    fn bare(&self, world: &World, url: &str, document: &str) -> RequestBuilder {
        let variables = (self.variables)(world);
        if is_read(self.reaches) {
            let trail = ["audit.read", "evidence.read"].contains(&self.operation);
            let id = if trail { &world.event } else { &world.kept };
            let url = url.replace("{tenant}", TENANT).replace("{*file}", "checkpoint");
            return world.app.http.get(url.replace("{id}", id) + self.query());
        }
        if is_confluents(self.reaches) {
            let url = url.replace("{subject}", "sales.Standing").replace("{version}", "1");
            let url = url.replace("{id}", &world.schemas.content_id.to_string());
            return match variables {
                Value::Null => world.app.http.get(url),
                body => world.app.http.post(url).json(&body),
            };
        }
        let url = url.replace("{id}", &world.kept) + self.query();
        let mut request = world.app.http.post(url);
        if self.reaches.starts_with("Subscription.") {
            request = request.header(header::ACCEPT, EVENTS);
        }
        if self.reaches.starts_with('/') {
            return request.json(&variables);
        }
        request.json(&json!({ "query": document, "variables": variables }))
    }

    /// Whether it is a way to change something.
    pub fn changes(&self) -> bool {
        let route =
            self.reaches.starts_with('/') && !is_read(self.reaches) && !is_confluents(self.reaches);
        route || self.reaches.starts_with("Mutation.")
    }

    /// What comes after the path: a route has that in place of a document.
    fn query(&self) -> &'static str {
        if self.reaches.starts_with('/') { self.document } else { "" }
    }

    /// The addresses that it is answered at.
    pub fn urls(&self, app: &TestApp) -> Vec<String> {
        if is_read(self.reaches) || is_confluents(self.reaches) {
            return vec![app.public(self.reaches), app.internal(self.reaches)];
        }
        if self.reaches.starts_with('/') {
            return vec![app.internal(self.reaches)];
        }
        vec![app.public(GRAPHQL), app.internal(GRAPHQL)]
    }

    async fn verdict(&self, response: Response) -> Verdict {
        let status = response.status();
        let opened =
            response.headers()[header::CONTENT_TYPE].as_bytes().starts_with(EVENTS.as_bytes());
        if opened {
            // It goes on; that it began is the answer.
            assert!(status == StatusCode::OK && self.reaches.starts_with("Subscription."));
            return Verdict::Allowed;
        }
        if status == StatusCode::OK && self.reaches.starts_with("/evidence/v1/") {
            return Verdict::Allowed;
        }
        let answer: Value = response.json().await.unwrap();
        if is_confluents(self.reaches) {
            return match (status, answer["error_code"].as_u64()) {
                (StatusCode::OK, None) => Verdict::Allowed,
                (StatusCode::FORBIDDEN, Some(403)) => Verdict::Forbidden,
                (StatusCode::UNAUTHORIZED, Some(401)) => Verdict::Unauthenticated,
                other => panic!("{} {}: {other:?} {answer:#}", self.reaches, self.operation),
            };
        }
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let codes: BTreeSet<_> =
            errors.iter().map(|error| error["extensions"]["code"].as_str()).collect();
        let only = |code: &str| codes == BTreeSet::from([Some(code)]) || answer["code"] == code;
        match status {
            StatusCode::CREATED if self.operation == "lineage" => Verdict::Allowed,
            StatusCode::OK if self.reaches.starts_with('/') => Verdict::Allowed,
            StatusCode::OK if errors.is_empty() => {
                let data = answer["data"].as_object().unwrap();
                let found = |value: &Value| !value.is_null() && *value != json!([null]);
                assert!(!data.is_empty() && data.values().all(found), "{}: {answer}", self.reaches);
                Verdict::Allowed
            }
            StatusCode::OK | StatusCode::FORBIDDEN if only("FORBIDDEN") => {
                let shown = answer["data"].as_object().into_iter().flat_map(|data| data.values());
                let nothing = |value: &Value| value.is_null() || *value == json!([null]);
                assert!(shown.clone().all(nothing), "{}: {answer}", self.reaches);
                Verdict::Forbidden
            }
            StatusCode::UNAUTHORIZED if only("UNAUTHENTICATED") => Verdict::Unauthenticated,
            other => panic!("{} {}: {other} {answer:#}", self.reaches, self.operation),
        }
    }
}

// D5, D9, D12–D18, S3, S9
#[test]
fn no_wrong_allow_and_no_wrong_deny_over_http() {
    run(async {
        let matrix = Matrix::read();
        let roles: BTreeSet<_> = Role::ALL.iter().map(|role| role.as_str().to_owned()).collect();
        assert_eq!(
            matrix.cells.keys().cloned().collect::<BTreeSet<_>>(),
            roles,
            "a row for each role"
        );
        let columns: BTreeSet<_> = matrix.cells["reader"].keys().map(String::as_str).collect();
        assert_eq!(columns.len(), Operation::ALL.len(), "a column for each operation");
        assert_eq!(columns, entries().map(|entry| entry.operation).collect(), "a way in to each");

        let world = World::start().await;
        let mut tokens = Vec::new();
        for role in Role::ALL.map(Role::as_str) {
            for kind in KINDS {
                let single = SCOPES.iter().map(|(letter, _)| letter.to_string());
                let sets = single.chain([String::new(), matrix.useful(role, kind.0)]);
                tokens.extend(sets.map(|scopes| Token { role, kind, scopes }));
            }
        }
        let product = tokens.iter().flat_map(|token| entries().map(move |entry| (token, entry)));
        let (world, matrix) = (&world, &matrix);
        let answers = stream::iter(product).map(|(token, entry)| async move {
            let url = entry.urls(&world.app).remove(0);
            let request = entry.request(world, &url).bearer_auth(token.sign(&world.app));
            let is = entry.verdict(request.send().await.unwrap()).await;
            let should = matrix.expected(token, entry.operation);
            // What the SDL tells gateways is true of the answers.
            let stated = fields::stated(entry, token);
            assert!(
                is == Verdict::Unauthenticated
                    || stated.is_none_or(|stated| stated == (is == Verdict::Allowed)),
                "{token:?} {}: {is:?}, and the graph states {stated:?}",
                entry.reaches
            );
            let wrong = (is != should)
                .then(|| format!("{token:?} {}: {is:?}, not {should:?}", entry.reaches));
            (is, wrong)
        });
        let answers: Vec<_> = answers.buffer_unordered(8).collect().await;
        let wrong: Vec<_> = answers.iter().filter_map(|(_, wrong)| wrong.as_ref()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(answers.len(), 10 * 2 * 6 * entries().count());
        for verdict in [Verdict::Allowed, Verdict::Forbidden, Verdict::Unauthenticated] {
            assert!(answers.iter().any(|(is, _)| *is == verdict), "{verdict:?} never happened");
        }
    });
}

/// The paths given to axum, in the sources: a router does not tell its routes.
pub fn routes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, source) in crate::architecture::sources() {
        let code = source.split("#[cfg(test)]").next().unwrap();
        let lines: String =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for after in lines.split(".route(").skip(1) {
            let literal = after
                .trim_start()
                .strip_prefix('"')
                .unwrap_or_else(|| panic!("a route without a literal path: {after:.60}"));
            found.insert(literal.split('"').next().unwrap().to_owned());
        }
    }
    found
}

// D2
#[test]
fn every_way_in_is_in_the_list() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        let schema =
            app.data(&app.token(TENANT, Role::TenantAdmin), INTROSPECTION, json!({})).await;
        let schema = &schema["__schema"];
        let mut reachable: BTreeSet<String> =
            ["Query.__schema", "Query.__type"].map(str::to_owned).into();
        for kind in schema["types"].as_array().unwrap() {
            let name = kind["name"].as_str().unwrap();
            if name == "_Entity" {
                let types = kind["possibleTypes"].as_array().unwrap();
                reachable.extend(
                    types.iter().map(|of| format!("_Entity.{}", of["name"].as_str().unwrap())),
                );
            }
            if ["queryType", "mutationType", "subscriptionType"]
                .iter()
                .any(|root| schema[root]["name"] == kind["name"])
            {
                let fields = kind["fields"].as_array().unwrap().iter();
                let fields =
                    fields.map(|field| format!("{name}.{}", field["name"].as_str().unwrap()));
                // Each of its types is reached by itself.
                reachable.extend(fields.filter(|field| field != "Query._entities"));
            }
        }
        let Matrix { open, page, .. } = Matrix::read();
        let asks =
            |route: &String| route != GRAPHQL && !open.contains(route) && !page.contains(route);
        reachable.extend(routes().into_iter().filter(asks));
        let listed: BTreeSet<String> = entries().map(|entry| entry.reaches.to_owned()).collect();
        assert_eq!(reachable, listed, "what can be reached, and what is in the list");
        assert!(open.union(&page).all(|route| routes().contains(route)), "{open:?} {page:?}");
    });
}

// D2, D3, D17
#[test]
fn nothing_answers_without_a_token_and_each_route_at_its_own_door() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        for entry in entries() {
            // Valid, and without any right here.
            let stranger = match entry.operation {
                "schema.validate" => Role::SchemaReader,
                _ => Role::SchemaValidator,
            };
            let stranger = app.token(TENANT, stranger);
            for url in entry.urls(app) {
                let response = entry.request(&world, &url).send().await.unwrap();
                let challenge = response.headers()[header::WWW_AUTHENTICATE].clone();
                assert_eq!(challenge, "Bearer realm=\"drr\"", "{}", entry.reaches);
                assert_eq!(
                    entry.verdict(response).await,
                    Verdict::Unauthenticated,
                    "{}",
                    entry.reaches
                );

                let response =
                    entry.request(&world, &url).bearer_auth(&stranger).send().await.unwrap();
                // The SDL is for everybody at the door of the platform's own services.
                let inside = url == app.internal(GRAPHQL) && entry.operation == "service";
                let everyones = ["me", "schema"].contains(&entry.operation) || inside;
                let should = if everyones { Verdict::Allowed } else { Verdict::Forbidden };
                assert_eq!(entry.verdict(response).await, should, "{}", entry.reaches);
            }
        }

        let Matrix { open, page, .. } = Matrix::read();
        for route in routes() {
            let doors = [
                ("public", app.public(&route)),
                ("internal", app.internal(&route)),
                ("operations", app.operations(&route)),
            ];
            for (door, url) in doors {
                if page.contains(&route) {
                    // What is there depends on what was built; it is told to everybody or to nobody.
                    let response = app.http.get(url).send().await.unwrap();
                    let fenced = response.headers().contains_key(header::CONTENT_SECURITY_POLICY);
                    let should = door == "public" && route == "/graphiql";
                    assert_eq!(fenced, should, "{route} at {door}");
                    assert!([200, 404].contains(&response.status().as_u16()), "{route} at {door}");
                    continue;
                }
                let entry = entries().find(|entry| entry.reaches == route);
                let asked_by_get = entry.is_some_and(|entry| {
                    is_confluents(&route) && (entry.variables)(&world).is_null()
                });
                let reads = open.contains(&route) || is_read(&route) || asked_by_get;
                let method = if reads { Method::GET } else { Method::POST };
                let request =
                    app.http.request(method, url).json(&json!({ "query": "{ me { role } }" }));
                let should = match door {
                    "operations" => {
                        if open.contains(&route) {
                            200
                        } else {
                            404
                        }
                    }
                    _ if open.contains(&route) => 404,
                    "internal" => 401,
                    _ => {
                        if route == GRAPHQL || is_read(&route) || is_confluents(&route) {
                            401
                        } else {
                            404
                        }
                    }
                };
                assert_eq!(request.send().await.unwrap().status(), should, "{route} at {door}");
            }
        }
    });
}

/// An answer to the last byte, under a correlation id that is always the same.
async fn bytes(request: RequestBuilder) -> (StatusCode, Vec<(String, String)>, String) {
    let response = request.header("x-correlation-id", "c").send().await.unwrap();
    let headers = response.headers().iter().filter(|(name, _)| *name != header::DATE);
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (response.status(), headers.collect(), response.text().await.unwrap())
}

// S10, D41
#[test]
fn foreign_and_missing_look_the_same_to_the_last_byte() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        let missing = "0190a000-0000-7000-8000-0000000000ff";
        let graphql = |role: Role, document: &str, variables: Value| {
            let request = app.http.post(app.public(GRAPHQL)).bearer_auth(app.token("globex", role));
            bytes(request.json(&json!({ "query": document, "variables": variables })))
        };
        let by_id = [
            (Role::Reader, "query($id: ID!) { dataset(id: $id) { name } }"),
            (Role::Reader, "query($id: ID!) { run(id: $id) { state } }"),
            (
                Role::TenantAdmin,
                "mutation($id: ID!) { updateDataset(input: { id: $id, tags: [] }) { status } }",
            ),
            (
                Role::TenantAdmin,
                "mutation($id: ID!) { retireDataset(input: { id: $id }) { status } }",
            ),
            (
                Role::TenantAdmin,
                "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 60 } }) { status } }",
            ),
            (
                Role::RuntimeWriter,
                "mutation($id: ID!) { recordRunEvents(input: { events: [{ runId: \"0190a000-0000-7000-8000-00000000000b\", job: { namespace: \"n\", name: \"j\" }, eventType: START, eventTime: \"2026-11-01T00:00:00Z\", outputs: [{ datasetId: $id }] }] }) { results { status problem { code message } } } }",
            ),
            (Role::Reader, "query($id: ID!) { breach(id: $id) { state } }"),
            (
                Role::TenantAdmin,
                "mutation($id: ID!) { acknowledgeBreach(input: { breachId: $id }) { status } }",
            ),
            (
                Role::TenantAdmin,
                "mutation($id: ID!) { unmuteFreshness(input: { datasetId: $id }) { status } }",
            ),
            // A role without any right learns nothing either.
            (Role::SchemaReader, "query($id: ID!) { dataset(id: $id) { name } }"),
            (Role::Reader, "mutation($id: ID!) { retireDataset(input: { id: $id }) { status } }"),
        ];
        for (role, document) in by_id {
            let foreign = match document {
                text if text.contains("run(id") => RUN,
                text if text.contains("reach(") => world.breach.as_str(),
                _ => world.kept.as_str(),
            };
            let foreign = graphql(role, document, json!({ "id": foreign })).await;
            assert_eq!(
                foreign,
                graphql(role, document, json!({ "id": missing })).await,
                "{document}"
            );
            assert!(!foreign.2.contains("kept"), "{foreign:?}");
        }
        for reaches in ["", "/freshness", "/runs"] {
            let rest = |id: &str| {
                let url = app.public(&format!("/storage/v1/datasets/{id}{reaches}"));
                bytes(app.http.get(url).bearer_auth(app.token("globex", Role::Reader)))
            };
            let foreign = rest(&world.kept).await;
            assert_eq!(foreign.0, StatusCode::NOT_FOUND);
            assert_eq!(foreign, rest(missing).await, "{reaches}");
            for urn in ["acme:warehouse:kept", "globex:warehouse:none", "nobody:a:b"] {
                assert_eq!(foreign, rest(&format!("urn:drr:dataset:{urn}")).await, "{urn}");
            }
        }
        let report = |id: &str| {
            let url = format!("/storage-internal/v1/datasets/{id}/refresh-state");
            let writer = app.token("globex", Role::RuntimeWriter);
            let request = app.http.post(app.internal(&url)).bearer_auth(writer);
            let report = json!({ "state": "START", "eventTime": "2026-11-01T00:00:00Z" });
            let key = app.clock.new_id().to_string();
            bytes(request.header("idempotency-key", key).json(&report))
        };
        let foreign = report(&world.kept).await;
        assert_eq!(foreign.0, StatusCode::NOT_FOUND, "{foreign:?}");
        assert_eq!(foreign, report(missing).await);
        let urn = "query($u: String!) { datasetByUrn(urn: $u) { name } }";
        let urns =
            ["acme:warehouse:kept", "acme:warehouse:none", "globex:warehouse:none", "nobody:a:b"];
        let mut answers = BTreeSet::new();
        for urn_of in urns {
            answers.insert(
                graphql(Role::Reader, urn, json!({ "u": format!("urn:drr:dataset:{urn_of}") }))
                    .await,
            );
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
        for representation in
            [json!({ "id": world.kept }), json!({ "namespace": "warehouse", "name": "kept" })]
        {
            let mut foreign = representation;
            foreign["__typename"] = "Dataset".into();
            let foreign = graphql(Role::Reader, ENTITIES, json!({ "r": [foreign] })).await;
            let absent = json!({ "r": [{ "__typename": "Dataset", "id": missing }] });
            assert_eq!(foreign, graphql(Role::Reader, ENTITIES, absent).await);
        }
    });
}

// D12, D13
#[test]
fn who_may_write_and_not_read_is_shown_nothing_and_the_change_stands() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        let token =
            |role, kind, scopes: &str| Token { role, kind, scopes: scopes.to_owned() }.sign(app);
        let (writer, manager) =
            (token("runtime-writer", KINDS[1], "W"), token("tenant-admin", KINDS[0], "M"));
        let shown = "{ status dataset { name freshness { status } refreshState { status } runs { nodes { runId } } } }";
        let changes = [
            (&writer, "registerDataset", "namespace: \"n\", name: \"a\"".to_owned(), "REGISTERED"),
            (
                &writer,
                "registerDataset",
                "namespace: \"warehouse\", name: \"kept\"".to_owned(),
                "NAME_TAKEN",
            ),
            (
                &manager,
                "updateDataset",
                format!("id: \"{}\", tags: [\"x\"]", world.kept),
                "UPDATED",
            ),
            (
                &manager,
                "setFreshnessPolicy",
                format!("datasetId: \"{}\", maxAge: {{ failAfterSeconds: 60 }}", world.kept),
                "SET",
            ),
            (&manager, "retireDataset", format!("id: \"{}\"", world.retired), "RETIRED"),
        ];
        for (token, field, input, status) in changes {
            let mutation = format!("mutation {{ {field}(input: {{ {input} }}) {shown} }}");
            let data = app.data(token, &mutation, json!({})).await;
            assert_eq!(data[field], json!({ "status": status, "dataset": null }), "{field}");
        }
        let read = "query($id: ID!) { dataset(id: $id) { tags freshnessPolicy { version } } }";
        let reader = app.token(TENANT, Role::Reader);
        let data = app.data(&reader, read, json!({ "id": world.kept })).await;
        assert_eq!(data["dataset"], json!({ "tags": ["x"], "freshnessPolicy": { "version": 1 } }));
        let audited: Vec<(String, String)> = sqlx::query_as(
            "SELECT DISTINCT action, result FROM audit_event WHERE action <> 'lineage.ingest' AND action NOT LIKE '%.read'
                AND class = 'API' ORDER BY 1, 2",
        )
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap();
        let expected = [
            ("breach.open", "SUCCESS"),
            ("dataset.register", "REJECTED"),
            ("dataset.register", "SUCCESS"),
            ("dataset.retire", "SUCCESS"),
            ("dataset.update", "SUCCESS"),
            ("freshness_policy.set", "SUCCESS"),
        ];
        assert_eq!(
            audited,
            expected.map(|(action, result)| (action.to_owned(), result.to_owned()))
        );
    });
}
