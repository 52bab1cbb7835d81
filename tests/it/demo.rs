//! `drr demo`, from outside: what a new user and the tools of the house see.

use std::{
    collections::BTreeSet,
    fs::Permissions,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use drr::auth::policy::Role;
use reqwest::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cluster::run,
    program::{Running, answer, output, postgres},
};

struct Demo {
    program: Running,
    ready: Value,
}

impl Demo {
    fn start(data_dir: &Path, beside: &Path) -> Self {
        let ready_file = beside.join("ready.json");
        let arguments = ["demo", "--port", "0", "--data-dir", data_dir.to_str().unwrap()];
        let arguments = [&arguments[..], &["--ready-file", ready_file.to_str().unwrap()]].concat();
        let log = beside.join("log");
        let mut program = Running::start(&arguments, &log);
        if program.wait_for("drr is ready.").is_none() {
            panic!("{}", std::fs::read_to_string(log).unwrap());
        }
        let mode = ready_file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "there are tokens in it");
        let ready = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
        Self { program, ready }
    }

    fn token(&self, tenant: &str, role: Role) -> &str {
        let tenants = self.ready["tenants"].as_array().unwrap();
        let found = tenants.iter().find(|entry| entry["tenant"] == tenant).unwrap();
        found["tokens"][role.as_str()].as_str().unwrap()
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        ["public_url", "internal_url", "operations_url"]
            .iter()
            .map(|name| {
                let url = self.ready[name].as_str().unwrap();
                url.strip_prefix("http://").unwrap().parse().unwrap()
            })
            .collect()
    }

    fn ask(&self, token: &str, query: &str) -> Value {
        let url = format!("{}/graphql", self.ready["public_url"].as_str().unwrap());
        run(async {
            let request = Client::new().post(url).bearer_auth(token);
            let answer = request.json(&json!({ "query": query })).send().await.unwrap();
            let mut answer: Value = answer.json().await.unwrap();
            assert!(answer.get("errors").is_none(), "{answer:#}");
            answer["data"].take()
        })
    }

    fn board(&self, tenant: &str) -> Vec<Value> {
        let query = "{ datasets(order: WORST_FIRST) { nodes {
            name domain freshness { status } freshnessPolicy { version }
            refreshState { status } runs(first: 200) { nodes { runId } } } } }";
        let mut data = self.ask(self.token(tenant, Role::Reader), query);
        data["datasets"]["nodes"].as_array_mut().unwrap().drain(..).collect()
    }
}

fn folder() -> TempDir {
    // The account that PostgreSQL runs as is let through the data folder itself, not above it.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    folder
}

fn statuses(board: &[Value]) -> BTreeSet<&str> {
    board.iter().map(|node| node["freshness"]["status"].as_str().unwrap()).collect()
}

fn runs_of(board: &[Value], name: &str) -> usize {
    let node = board.iter().find(|node| node["name"] == name).unwrap();
    node["runs"]["nodes"].as_array().unwrap().len()
}

/// Ends it, and sees to it that nothing it started is left. // D3
fn end(demo: Demo, data_dir: &Path, beside: &Path) {
    let (server, addresses) = (postgres(data_dir), demo.addresses());
    for address in &addresses {
        assert!(address.ip().is_loopback());
        TcpStream::connect(address).unwrap();
    }
    assert!(demo.program.terminate().success());
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = poll(&mut [PollFd::new(&server, PollFlags::IN)], Some(&at_once)).unwrap();
    assert_eq!(gone, 1, "PostgreSQL lives on");
    for address in &addresses {
        assert!(TcpStream::connect(address).is_err(), "{address} still answers");
    }
    assert!(!beside.join("ready.json").exists());
    // D29
    let log = std::fs::read_to_string(beside.join("log")).unwrap();
    assert!(log.contains("the story is told"), "{log}");
    assert!(!log.contains("eyJ") && !log.contains("PRIVATE"), "a secret is in the log: {log}");
}

#[test]
fn it_answers_a_board_for_two_tenants_and_leaves_nothing_behind() {
    let (data_dir, beside) = (folder(), folder());
    let demo = Demo::start(data_dir.path(), beside.path());

    let acme = demo.board("acme");
    let all = ["FRESH", "NOT_APPLICABLE", "STALE", "UNKNOWN", "WARN"];
    assert_eq!(statuses(&acme), BTreeSet::from(all), "{acme:#?}");
    assert_eq!(acme[0]["name"], "shop.main.daily_revenue");
    assert_eq!(acme[0]["refreshState"]["status"], "FAILED");
    assert_eq!(acme[0]["domain"], "shop");
    // D21, D41: neither sees the other's.
    let waiting = "{ pendingApprovals { nodes { reason version { name } } } }";
    let waiting = demo.ask(demo.token("acme", Role::GovernanceApprover), waiting);
    let waiting = &waiting["pendingApprovals"]["nodes"][0];
    assert_eq!(waiting["version"]["name"], "tenant.acme.shop.Order@2", "{waiting}");
    let globex = demo.board("globex");
    assert_eq!(statuses(&globex), BTreeSet::from(["FRESH", "NOT_APPLICABLE"]), "{globex:#?}");
    assert!(globex.iter().all(|node| node["name"].as_str().unwrap().starts_with("outlet.")));
    assert_eq!((acme.len(), globex.len()), (10, 10));
    assert_eq!(
        (runs_of(&acme, "shop.main.orders"), runs_of(&globex, "outlet.main.orders")),
        (4, 4)
    );

    for tenant in ["acme", "globex"] {
        for role in Role::ALL {
            let me = demo.ask(demo.token(tenant, role), "{ me { tenantId role } }");
            assert_eq!(me["me"]["tenantId"], tenant);
        }
    }
    // The address that a person is told has the token where no browser sends it.
    let tenants = demo.ready["tenants"].as_array().unwrap();
    for tenant in tenants {
        let address = tenant["graphiql_url"].as_str().unwrap();
        let (page, token) = address.split_once("#token=").unwrap();
        assert_eq!(page, format!("{}/graphiql", demo.ready["public_url"].as_str().unwrap()));
        let me = demo.ask(token, "{ me { tenantId role } }");
        assert_eq!(me["me"], json!({ "tenantId": tenant["tenant"], "role": "tenant-admin" }));
        let answer = run(async { reqwest::get(page).await.unwrap() });
        assert!(answer.headers().contains_key("content-security-policy"));
    }
    let key = data_dir.path().join("credentials/development-key.pem");
    let command = ["token", "--key", key.to_str().unwrap(), "--tenant", "acme", "--role", "reader"];
    let identity = ["--issuer", "https://identity.drr.invalid", "--audience", "drr"];
    let made = answer(&[&command[..], &identity].concat());
    demo.ask(made.trim(), "{ datasets { nodes { id } } }");
    end(demo, data_dir.path(), beside.path());

    // Once more on the same folder: one more build, nothing else.
    let demo = Demo::start(data_dir.path(), beside.path());
    let later = demo.board("acme");
    assert_eq!(statuses(&later), BTreeSet::from(all), "{later:#?}");
    assert_eq!(later.len(), acme.len());
    assert_eq!(runs_of(&later, "shop.main.orders"), 5);
    assert_eq!(runs_of(&later, "shop.main.customers"), runs_of(&acme, "shop.main.customers"));
    assert_eq!(later[0]["freshnessPolicy"]["version"], 1);
    end(demo, data_dir.path(), beside.path());
}

#[test]
fn a_port_that_is_taken_is_a_clear_error() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().min(65_533);
    let _also = TcpListener::bind(("127.0.0.1", port));
    let data_dir = folder();
    let arguments = ["demo", "--data-dir", data_dir.path().to_str().unwrap()];
    let refused = output(&[&arguments[..], &["--port", &port.to_string()]].concat());
    assert!(!refused.status.success());
    let message = String::from_utf8(refused.stderr).unwrap();
    let message = message.lines().last().unwrap();
    assert!(message.contains(&format!("cannot listen on 127.0.0.1:{port} (public)")), "{message}");
    assert!(message.contains("--port 0"), "{message}");
    assert!(!data_dir.path().join("cluster/postmaster.pid").exists(), "PostgreSQL lives on");
}
