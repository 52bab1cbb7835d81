//! Apollo's subgraph compatibility suite, as it comes from npm, against its products served by the
//! modules that serve ours: the GraphQL handler, the rewriting of the SDL, federated tracing.

mod products;

use std::{net::SocketAddr, sync::Arc};

use async_graphql::{EmptyMutation, EmptySubscription, Schema};
use axum::{Router, http::request::Parts};
use drr::{
    audit::Recorder,
    auth::TenantId,
    clock::SystemClock,
    db::Db,
    error::Result,
    graphql::{
        sdl::ServiceSdl,
        trace::{self, FederatedTracing},
    },
    http::{
        self, BoundListener, Front, ListenerKind,
        graphql::{Admitted, Executed, Executor, Intake, Taken, Trusted, route},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{assembly, settings},
    cluster::{Cluster, run, spool_folder},
    gateway::node,
};
use products::{Products, Query};

/// The version and the directives that the suite knows.
const LINK: &str = r#"extend schema
	@link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@composeDirective", "@external", "@inaccessible", "@interfaceObject", "@key", "@override", "@provides", "@requires", "@shareable", "@tag"])
	@link(url: "https://myspecs.dev/myCustomDirective/v1.0", import: ["@custom"])
	@composeDirective(name: "@custom")
"#;

#[derive(Clone)]
struct Fixture {
    plain: Products,
    traced: Products,
    service_sdl: Arc<ServiceSdl>,
}

impl Fixture {
    fn new() -> Self {
        let build = || Schema::build(Query, EmptyMutation, EmptySubscription).enable_federation();
        let plain = build().finish();
        let traced = build().extension(FederatedTracing::new(Arc::new(SystemClock))).finish();
        let service_sdl = Arc::new(ServiceSdl::linked(&plain, LINK));
        Self { plain, traced, service_sdl }
    }
}

impl Executor for Fixture {
    /// The tenant of all, and whether a trace is asked for.
    type Caller = (TenantId, bool);

    async fn authenticate(&self, parts: &Parts) -> Result<Self::Caller> {
        Ok((TenantId::parse("apollo").unwrap(), trace::is_asked_for(&parts.headers)))
    }

    fn tenant<'a>(&self, caller: &'a Self::Caller) -> &'a TenantId {
        &caller.0
    }

    async fn execute(&self, caller: Self::Caller, admitted: Admitted) -> Result<Executed> {
        let schema = if caller.1 { &self.traced } else { &self.plain };
        let mut response = schema.execute(admitted.request).await;
        self.service_sdl.put_into(&mut response);
        Ok(response.into())
    }
}

#[test]
fn apollos_compatibility_suite_passes() {
    run(async {
        let listener = BoundListener::bind(ListenerKind::Internal, ([127, 0, 0, 1], 0).into());
        let listener = listener.await.unwrap();
        let address: SocketAddr = listener.local_addr();
        let limits = settings().limits;
        let taken = Taken { persisted: true, only_trusted: false };
        let intake = Intake::new(&limits, Trusted::default(), taken);
        let routes = Router::new().route("/", route(Fixture::new(), intake, &limits));
        let database = Cluster::shared().await.database().await;
        let db = Db::new(assembly(&database, Arc::new(SystemClock)).database);
        let (recorder, recording) = Recorder::start(db, &spool_folder(), 1 << 20).unwrap();
        let front = Front::new(ListenerKind::Internal, Arc::new(SystemClock), &limits, recorder);
        let stop = CancellationToken::new();
        let serving = listener.serve(http::assemble(routes, front), limits, stop.clone());
        let serving = tokio::spawn(serving);
        let url = format!("http://{address}/");
        node("compatibility.test.mjs", &[("PRODUCTS_URL", url)]).await;
        stop.cancel();
        serving.await.unwrap();
        drop(recording);
    });
}
