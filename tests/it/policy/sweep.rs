//! Every root field, every field of every type and every entity, asked for by everybody: without a
//! token, with one that has expired, in each role with all that it may carry, and from another tenant.
//! `sweep.txt` says who may. What there is to ask for comes from the schema, so that a new field is
//! refused here until it stands in the file.
//!
//! A field is asked for alone, on a way on which every object is there: what is not there has no field
//! that could be refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use drr::{
    auth::policy::Role,
    clock::{Clock, ManualClock, SystemClock},
};
use futures::{StreamExt, stream};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use super::{Entry, GRAPHQL, KINDS, Matrix, RUN, TENANT, Token, Verdict, World, bytes, entries};
use crate::{
    app::{KEY, TestApp},
    cluster::run,
    smoke::run_event,
    subscription::{Body, EVENTS},
};

const EXPECTED: &str = include_str!("sweep.txt");
const MISSING: &str = "0190a000-0000-7000-8000-0000000000ff";
const SCHEMA: &str = "{ __schema { types { kind name fields { name type { ...t }
    args { name defaultValue type { kind } } } } } }
  fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The roles that may have a thing, by its name.
type Allowed = BTreeMap<String, BTreeSet<String>>;

/// The file, read.
fn expected() -> Allowed {
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut allowed = Allowed::new();
    let mut within = "";
    for line in EXPECTED.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('[') {
            within = line;
            continue;
        }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let known = match within {
            "[groups]" => groups.insert(name, words.map(str::to_owned).collect()).is_some(),
            _ => {
                let group = words.next().unwrap_or_else(|| panic!("{line}: for whom?"));
                assert_eq!(words.next(), None, "{line}");
                allowed.insert(name.to_owned(), groups[group].clone()).is_some()
            }
        };
        assert!(!known, "{name} is there twice");
    }
    allowed
}

/// A document but for one selection, and who finds what it leads to.
#[derive(Clone)]
struct Way {
    head: String,
    tail: String,
    variables: Value,
    entry: &'static Entry,
}

impl Way {
    /// On to the objects of a field.
    fn through(&self, selection: &str) -> Self {
        let mut further = self.clone();
        further.head = format!("{}{selection} {{ ", self.head);
        further.tail = format!(" }}{}", self.tail);
        further
    }

    fn document(&self, selection: &str) -> String {
        format!("{}{selection}{}", self.head, self.tail)
    }

    /// From an entry to the selection on what it reaches: of a document with several root fields, the
    /// last one.
    fn to(entry: &'static Entry, world: &World) -> Self {
        let (place, field) = entry.reaches.split_once('.').unwrap();
        let mut variables = (entry.variables)(world);
        if entry.operation == "events.record" {
            // One that is left out, and said why.
            let mut late = variables["e"][0].clone();
            late["eventTime"] = "2126-11-01T00:00:00Z".into();
            variables["e"].as_array_mut().unwrap().push(late);
        }
        let from_the_beginning = from_the_beginning(field);
        let document = match place {
            "Subscription" => entry.document.replace(field, &from_the_beginning),
            _ => entry.document.to_owned(),
        };
        let (head, tail) = if place == "_Entity" {
            let (head, tail) = document.split_once("__typename").unwrap();
            (format!("{head}... on {field} {{ "), format!(" }}{tail}"))
        } else {
            let found = document.rfind(&format!(" {field}")).unwrap() + 1 + field.len();
            let open = found + arguments(&document[found..]);
            let open = open + document[open..].find('{').unwrap();
            let close = open + balanced(&document[open..]);
            (document[..=open].to_owned() + " ", " ".to_owned() + &document[close - 1..])
        };
        Self { head, tail, variables, entry }
    }

    /// The same for something that nobody has.
    fn to_nothing(&self, world: &World) -> Self {
        let mut nothing = self.clone();
        let mut variables = self.variables.to_string();
        let ids = [world.kept.as_str(), &world.retired, &world.breach, &world.event, RUN];
        for id in ids.into_iter().chain(world.schemas.ids()) {
            variables = variables.replace(id, MISSING);
        }
        nothing.variables = serde_json::from_str(
            &variables.replace("\"kept\"", "\"none\"").replace(".sales.", ".none."),
        )
        .unwrap();
        nothing.head = self.head.replace(":kept\"", ":none\"");
        nothing
    }
}

/// A root field of a subscription that tells of what happened already.
fn from_the_beginning(field: &str) -> String {
    let log = match field {
        "freshnessChanged" => "freshness",
        "runEvents" => "runs",
        _ => "sequence",
    };
    let cursor = URL_SAFE_NO_PAD.encode(json!({ log: 0 }).to_string());
    format!("{field}(after: \"{cursor}\")")
}

/// How long the arguments are that a text begins with.
fn arguments(text: &str) -> usize {
    if text.starts_with('(') { balanced(text) } else { 0 }
}

/// Where the bracket closes that a text begins with.
fn balanced(text: &str) -> usize {
    let mut depth = 0;
    for (at, char) in text.char_indices() {
        match char {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("{text}")
}

/// The types with fields, by name.
struct Types(BTreeMap<String, Vec<Value>>);

impl Types {
    async fn read(app: &TestApp) -> Self {
        let token = app.token(TENANT, Role::TenantAdmin);
        let schema = app.data(&token, SCHEMA, json!({})).await;
        let types = schema["__schema"]["types"].as_array().unwrap().iter();
        let objects = types.filter(|of| of["kind"] == "OBJECT").map(|of| {
            let fields = of["fields"].as_array().unwrap().clone();
            (of["name"].as_str().unwrap().to_owned(), fields)
        });
        let ours = objects.filter(|(name, _)| !name.starts_with('_'));
        Self(ours.collect())
    }

    /// The object that a field leads to, if it leads to one.
    fn behind<'a>(&self, field: &'a Value) -> Option<&'a str> {
        let mut of = &field["type"];
        while !of["ofType"].is_null() {
            of = &of["ofType"];
        }
        of["name"].as_str().filter(|name| self.0.contains_key(*name))
    }

    /// A field with the arguments that it cannot do without.
    fn selection(&self, place: &str, field: &Value, world: &World) -> String {
        let needed = |argument: &&Value| {
            argument["type"]["kind"] == "NON_NULL" && argument["defaultValue"].is_null()
        };
        let given = |argument: &Value| {
            let value = match argument["name"].as_str().unwrap() {
                "from" if place == "EvidenceLog" => "1",
                "leafIndex" => "0",
                "from" => "2026-10-20T00:00:00Z",
                "to" => &world.soon,
                other => panic!("{place}: what is asked for as {other}?"),
            };
            format!("{}: \"{value}\"", argument["name"].as_str().unwrap())
        };
        let arguments = field["args"].as_array().unwrap().iter().filter(needed).map(given);
        let arguments = arguments.collect::<Vec<_>>().join(", ");
        let name = field["name"].as_str().unwrap();
        if arguments.is_empty() { name.to_owned() } else { format!("{name}({arguments})") }
    }
}

/// One thing to be asked for.
struct Case {
    name: String,
    field: String,
    document: String,
    way: Way,
}

/// The token of a role with all that it may carry.
fn whole(matrix: &Matrix, role: &'static str) -> Token {
    let kind = KINDS[usize::from(role == "runtime-writer")];
    Token { role, kind, scopes: matrix.useful(role, kind.0) }
}

/// Somebody who may have what an entry reaches.
fn permitted(matrix: &Matrix, entry: &Entry) -> Token {
    let roles = ["tenant-admin", "runtime-writer", "governance-approver", "operator"];
    let tokens = roles.map(|role| whole(matrix, role));
    let may = |token: &Token| matrix.expected(token, entry.operation) == Verdict::Allowed;
    tokens.into_iter().find(may).unwrap_or_else(|| panic!("{}: nobody?", entry.reaches))
}

fn graph_entries() -> impl Iterator<Item = &'static Entry> {
    let own = |entry: &&Entry| {
        !entry.reaches.starts_with('/') && !["schema", "service"].contains(&entry.operation)
    };
    entries().filter(own)
}

/// Asks; the answer, or the first one of a subscription.
async fn ask(
    world: &World,
    token: Option<&str>,
    document: &str,
    variables: &Value,
) -> (StatusCode, Value) {
    let mut request = world.app.http.post(world.app.public(GRAPHQL));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let subscribes = document.starts_with("subscription");
    if subscribes {
        request = request.header(header::ACCEPT, EVENTS);
    }
    let body = json!({ "query": document, "variables": variables });
    let response = request.json(&body).send().await.unwrap();
    let status = response.status();
    let form = response.headers()[header::CONTENT_TYPE].as_bytes();
    if subscribes && form.starts_with(EVENTS.as_bytes()) {
        return (status, Body::of(response).event().await.unwrap().1);
    }
    (status, response.json().await.unwrap())
}

/// Follows the graph from its roots, those that are read first, until every type was met; answers what
/// there is to be asked for.
async fn explore(world: &World, types: &Types, matrix: &Matrix) -> Vec<Case> {
    let mut roots: Vec<_> = graph_entries().collect();
    roots.sort_by_key(|entry| (entry.changes(), entry.reaches.starts_with("Subscription.")));
    let mut found: BTreeMap<String, Way> = BTreeMap::new();
    let mut cases = Vec::new();
    for entry in roots {
        let (place, field) = entry.reaches.split_once('.').unwrap();
        let way = Way::to(entry, world);
        let object = if place == "_Entity" {
            field
        } else {
            let field = types.0[place].iter().find(|of| of["name"] == field).unwrap();
            types.behind(field).unwrap()
        };
        let root = if place == "_Entity" { "__typename" } else { field };
        cases.push(Case {
            name: entry.reaches.to_owned(),
            field: root.to_owned(),
            document: way.document("__typename"),
            way: way.clone(),
        });
        if types.0.keys().all(|name| found.contains_key(name)) {
            continue;
        }
        let token = permitted(matrix, entry).sign(&world.app);
        let mut met = BTreeSet::from([object.to_owned()]);
        let mut ahead = vec![(object.to_owned(), way)];
        while let Some((object, way)) = ahead.pop() {
            for field in &types.0[&object] {
                let Some(behind) = types.behind(field) else { continue };
                if met.contains(behind) {
                    continue;
                }
                let further = way.through(&types.selection(&object, field, world));
                let document = further.document("__typename");
                let (_, answer) = ask(world, Some(&token), &document, &further.variables).await;
                // By this way it may be too dear, or not for whoever goes it; by another one it is not.
                let code = answer["errors"][0]["extensions"]["code"].as_str();
                if matches!(code, Some("LIMIT_EXCEEDED" | "FORBIDDEN")) {
                    continue;
                }
                assert!(answer["errors"].is_null(), "{object}: {answer:#}");
                if answer.to_string().contains(&format!("\"__typename\":\"{behind}\"")) {
                    met.insert(behind.to_owned());
                    ahead.push((behind.to_owned(), further));
                }
            }
            // What is of schemas is gone to by their own entries: there is who may read them and no dataset.
            let of_schemas = |entry: &Entry| entry.operation.starts_with("schema.");
            let nearer = object.starts_with("Schema") && of_schemas(entry) && !entry.changes();
            match found.get(&object) {
                Some(known) if !nearer || of_schemas(known.entry) => {}
                _ => {
                    found.insert(object, way);
                }
            }
        }
    }
    for (object, fields) in types.0.iter().filter(|(name, _)| !is_root(name)) {
        let way = found.get(object).unwrap_or_else(|| panic!("nothing leads to {object} here"));
        cases.extend(fields.iter().map(|field| {
            let mut selection = types.selection(object, field, world);
            if types.behind(field).is_some() {
                selection.push_str(" { __typename }");
            }
            let field = field["name"].as_str().unwrap();
            let document = way.document(&selection);
            Case {
                name: format!("{object}.{field}"),
                field: field.to_owned(),
                document,
                way: way.clone(),
            }
        }));
    }
    cases
}

fn is_root(name: &str) -> bool {
    ["Query", "Mutation", "Subscription"].contains(&name)
}

/// What is under a name anywhere in an answer.
fn under<'a>(answer: &'a Value, name: &str) -> Vec<&'a Value> {
    let within: Vec<&Value> = match answer {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let here = answer.get(name);
    here.into_iter().chain(within.into_iter().flat_map(|value| under(value, name))).collect()
}

fn verdict(case: &Case, (status, answer): (StatusCode, Value)) -> Verdict {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let codes: BTreeSet<_> =
        errors.map(|error| error["extensions"]["code"].as_str().unwrap()).collect();
    let shown = under(&answer["data"], &case.field);
    if status == StatusCode::UNAUTHORIZED {
        assert_eq!(codes, BTreeSet::from(["UNAUTHENTICATED"]), "{}: {answer}", case.name);
        assert!(shown.is_empty(), "{}: {answer}", case.name);
        return Verdict::Unauthenticated;
    }
    if codes.is_empty() {
        assert!(!shown.is_empty(), "{} was not asked for: {answer}", case.name);
        return Verdict::Allowed;
    }
    assert_eq!(codes, BTreeSet::from(["FORBIDDEN"]), "{}: {answer}", case.name);
    assert!(shown.iter().all(|value| value.is_null()), "{}: {answer}", case.name);
    Verdict::Forbidden
}

/// Sets up what the graph can show, all of it, about `kept` and what it is made from.
async fn everything(world: &World) {
    let app = &world.app;
    let (admin, writer) =
        (app.token(TENANT, Role::TenantAdmin), app.token(TENANT, Role::RuntimeWriter));
    let ago = |hours| (app.clock.now() - TimeDelta::hours(hours)).to_rfc3339();
    let other = |last: u8| format!("0190a000-0000-7000-8000-0000000001{last:02x}");
    let made = run_event("COMPLETE", &ago(96), &other(1), "source");
    let mut built = run_event("COMPLETE", &ago(80), &other(2), "kept");
    built["inputs"] = json!([{ "namespace": "warehouse", "name": "source" }]);
    // It goes on since.
    let endless = run_event("START", &ago(48), &other(3), "kept");
    let (status, report) = app.lineage(&writer, &json!([made, built, endless])).await;
    assert_eq!(status, StatusCode::CREATED, "{report:#}");
    let sources = "{ datasets(filter: { text: \"source\" }) { nodes { id } } }";
    let source = app.data(&admin, sources, json!({})).await["datasets"]["nodes"][0]["id"].take();
    let all = "mutation($kept: ID!, $source: ID!, $breach: ID!, $soon: DateTime!) {
        updateDataset(input: { id: $kept, aliases: [{ namespace: \"warehouse\", name: \"shop.kept\" }] }) { status }
        setFreshnessCalendar(input: { name: \"holidays\", dates: [\"2026-12-25\"] }) { status }
        a: setFreshnessPolicy(input: { datasetId: $source, maxAge: { failAfterSeconds: 60 } }) { status }
        b: setFreshnessPolicy(input: { datasetId: $kept, deadline: { cron: \"0 6 * * *\", lowerBoundSeconds: 3600, failAfterSeconds: 60 },
            exclusions: { calendars: [\"holidays\"] } }) { status }
        setFreshnessPolicyForSelector(input: { selector: { domain: \"d\" }, maxAge: { failAfterSeconds: 60 } }) { status }
        muteFreshness(input: { datasetId: $kept, until: $soon, reason: \"r\" }) { status }
        acknowledgeBreach(input: { breachId: $breach }) { status } }";
    let variables =
        json!({ "kept": world.kept, "source": source, "breach": world.breach, "soon": world.soon });
    app.data(&admin, all, variables).await;
    let verdicts = crate::rest::dbt::file(&json!([crate::rest::dbt::result("kept", "pass", 1)]));
    let url = app.internal("/api/v1/imports/dbt-sources?namespace=warehouse");
    let imported = app.http.post(url).bearer_auth(&writer).json(&verdicts).send().await.unwrap();
    assert_eq!(imported.status(), StatusCode::OK);
    app.sweep().await;
    app.announce().await;
}

// D2, D5, D9, D12–D18, S3, S9
#[test]
fn every_field_is_for_whom_the_file_says_and_for_nobody_else() {
    run(async {
        let world = World::start().await;
        everything(&world).await;
        let (matrix, types) = (Matrix::read(), Types::read(&world.app).await);
        let cases = explore(&world, &types, &matrix).await;
        // The ways that change something have been gone once.
        everything(&world).await;
        let expected = expected();
        let names = |of: &BTreeSet<String>| of.iter().cloned().collect::<Vec<_>>().join("\n");
        let asked: BTreeSet<String> = cases.iter().map(|case| case.name.clone()).collect();
        let listed: BTreeSet<String> = expected.keys().cloned().collect();
        let (new, gone) = (&asked - &listed, &listed - &asked);
        assert!(new.is_empty(), "not in sweep.txt yet: for whom are they?\n{}", names(&new));
        assert!(gone.is_empty(), "in sweep.txt and not in the graph:\n{}", names(&gone));

        let mut callers: Vec<(String, Option<String>)> = Role::ALL
            .map(Role::as_str)
            .map(|role| (role.to_owned(), Some(whole(&matrix, role).sign(&world.app))))
            .into();
        let long_ago = ManualClock::new(world.app.clock.now() - TimeDelta::hours(2));
        let was = KEY.sign(&TestApp::request(TENANT, Role::TenantAdmin), &long_ago).unwrap();
        callers.push(("an expired token".to_owned(), Some(was)));
        callers.push(("no token".to_owned(), None));
        let (world, expected) = (&world, &expected);
        let mut wrong = Vec::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        // What is read first: changes could take away what it is read from.
        for changes in [false, true] {
            let cases = cases.iter().filter(|case| case.way.entry.changes() == changes);
            let product = cases.flat_map(|case| callers.iter().map(move |caller| (case, caller)));
            let answers = stream::iter(product).map(|(case, (caller, token))| async move {
                let (document, variables) = (&case.document, &case.way.variables);
                let is = verdict(case, ask(world, token.as_deref(), document, variables).await);
                let should = match token {
                    _ if caller.contains("token") => Verdict::Unauthenticated,
                    _ if expected[&case.name].contains(caller) => Verdict::Allowed,
                    _ => Verdict::Forbidden,
                };
                let said = (is != should)
                    .then(|| format!("{} for {caller}: {is:?}, not {should:?}", case.name));
                (format!("{is:?}"), said)
            });
            for (is, said) in answers.buffer_unordered(8).collect::<Vec<_>>().await {
                *counts.entry(is).or_default() += 1;
                wrong.extend(said);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(counts.values().sum::<usize>(), cases.len() * 12, "{counts:?}");
        println!("{} things, {counts:?}", cases.len());
        assert!(counts.len() == 3 && cases.len() > 300, "{} {counts:?}", cases.len());
    });
}

// S10, D41
#[test]
fn from_another_tenant_every_field_is_as_if_it_were_not_there() {
    run(async {
        // One instant, since answers tell it.
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let world = World::of(TestApp::with_clock(&clock).await).await;
        everything(&world).await;
        let (matrix, types) = (Matrix::read(), Types::read(&world.app).await);
        let cases = explore(&world, &types, &matrix).await;
        let (world, matrix) = (&world, &matrix);
        let answers = stream::iter(&cases).map(|case| async move {
            let nothing = case.way.to_nothing(world);
            let by_name = nothing.variables != case.way.variables || nothing.head != case.way.head;
            // The caller's own token is the caller's, and what is made is made for the caller.
            let entry = case.way.entry;
            let own = ["me", "events.record"].contains(&entry.operation);
            // A stranger who subscribes is told nothing at all; the tests of subscriptions wait for it.
            let own = own || entry.reaches.starts_with("Subscription.");
            // So is the trail of the callers of a tenant, which tells of this very asking.
            let own = own || !by_name && entry.operation == "audit.read";
            if own || !by_name && entry.changes() {
                return 0;
            }
            let send = |tenant: &str, document: String, variables: &Value| {
                let mut request = TestApp::request(
                    tenant,
                    permitted(matrix, case.way.entry).role.parse().unwrap(),
                );
                request.subject = "one".to_owned();
                let request = world
                    .app
                    .http
                    .post(world.app.public(GRAPHQL))
                    .bearer_auth(world.app.sign(&request));
                bytes(request.json(&json!({ "query": document, "variables": variables })))
            };
            let foreign = send("globex", case.document.clone(), &case.way.variables).await;
            let selection = case.document.strip_prefix(&case.way.head).unwrap();
            let absent = format!("{}{selection}", nothing.head);
            let absent = send("globex", absent, &nothing.variables).await;
            assert_eq!(foreign, absent, "{}", case.name);
            // And as for a tenant that has never had anything.
            let nobody = send("initech", case.document.clone(), &case.way.variables).await;
            assert_eq!(foreign, nobody, "{}", case.name);
            1
        });
        let compared: usize = answers.buffer_unordered(8).fold(0, async |sum, one| sum + one).await;
        println!("{compared} of {} compared", cases.len());
        assert!(compared > 200, "{compared} of {}", cases.len());
    });
}

// D5: the two files say the same of what both of them name.
#[test]
fn the_file_of_fields_agrees_with_the_matrix_of_operations() {
    let (matrix, expected) = (Matrix::read(), expected());
    for entry in graph_entries() {
        let may = Role::ALL.map(Role::as_str).into_iter().filter(|role| {
            matrix.expected(&whole(&matrix, role), entry.operation) == Verdict::Allowed
        });
        let may: BTreeSet<_> = may.map(str::to_owned).collect();
        assert_eq!(expected.get(entry.reaches), Some(&may), "{}", entry.reaches);
    }
}
