//! What is told to whoever started the demonstration: to a person on standard output, to a program
//! in a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::story::STORIES;
use crate::{
    app::App,
    auth::{TenantId, policy::Role},
    cli::{
        Failure,
        development::{AUDIENCE, Development, ISSUER},
        output,
    },
};

/// Where the service is, and tokens for it.
#[derive(Serialize)]
pub(super) struct Ready {
    public_url: String,
    internal_url: String,
    operations_url: String,
    pid: u32,
    tenants: Vec<Tenant>,
}

#[derive(Serialize)]
struct Tenant {
    tenant: &'static str,
    /// GraphiQL with the token of a tenant's administrator, who may try all of its examples.
    graphiql_url: String,
    tokens: Map<String, Value>,
}

impl Ready {
    pub(super) fn new(app: &App, development: &Development) -> Result<Self, Failure> {
        let public_url = format!("http://{}", app.public);
        let tenants = STORIES.iter().map(|story| {
            let code = TenantId::parse(story.tenant)?;
            let token =
                |role: Role| Ok((role.as_str().to_owned(), development.token(&code, role)?.into()));
            let tokens = Role::ALL.into_iter().map(token).collect::<Result<_, Failure>>()?;
            let admin = development.token(&code, Role::TenantAdmin)?;
            let graphiql_url = format!("{public_url}/graphiql#token={admin}");
            Ok(Tenant { tenant: story.tenant, graphiql_url, tokens })
        });
        let tenants = tenants.collect::<Result<_, Failure>>()?;
        Ok(Self {
            public_url,
            internal_url: format!("http://{}", app.internal),
            operations_url: format!("http://{}", app.operations),
            pid: std::process::id(),
            tenants,
        })
    }

    /// For a person.
    pub(super) fn print(&self, data_dir: &Path) {
        output::line(format_args!("drr is ready.\n"));
        output::line(format_args!("  public      {}/graphql", self.public_url));
        output::line(format_args!("  internal    {}/api/v1/lineage", self.internal_url));
        output::line(format_args!("  operations  {}/readyz, /metrics\n", self.operations_url));
        for tenant in &self.tenants {
            output::line(format_args!("Tokens of {}:\n", tenant.tenant));
            for (role, token) in &tenant.tokens {
                output::line(format_args!("{role}: {}", token.as_str().unwrap_or_default()));
            }
            output::line("");
        }
        for tenant in &self.tenants {
            output::line(format_args!("GraphiQL as tenant-admin of {}:\n", tenant.tenant));
            output::line(format_args!("  {}\n", tenant.graphiql_url));
        }
        output::line("A person's token lives 15 minutes, a service's 1 hour. A new one:\n");
        output::line(format_args!(
            "  drr token --key {} --issuer {ISSUER} --audience {AUDIENCE} --tenant acme --role reader\n",
            data_dir.join("credentials/development-key.pem").display()
        ));
        for tenant in &self.tenants {
            let reader = tenant.tokens.get(Role::Reader.as_str()).and_then(Value::as_str);
            output::line(format_args!("The freshness board of {}:\n", tenant.tenant));
            output::line(format_args!(
                "  curl -s {}/graphql -H 'content-type: application/json' \\\n    \
                 -H 'authorization: Bearer {}' \\\n    -d '{{\"query\": \"{BOARD}\"}}'\n",
                self.public_url,
                reader.unwrap_or_default(),
            ));
        }
        output::line("Next: report a run of your own as the README shows. Ctrl-C ends everything.");
    }
}

/// The query of the printed command: it stands in a JSON string in a quoted argument, so it has
/// neither kind of quote.
const BOARD: &str = "{ freshnessSummary { fresh warn stale unknown notApplicable } \
datasets(order: WORST_FIRST) { nodes { name freshness { status ageSeconds staleAt } \
refreshState { status lastRunState } } } }";

/// The file that says that the service answers; gone when it does not any more.
#[derive(Debug)]
pub(super) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Whatever is there is from a program that was killed.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self(std::path::absolute(path)?)),
        }
    }

    /// It appears whole or not at all, and readable to its owner only: there are tokens in it.
    pub(super) fn write(&self, ready: &Ready) -> Result<(), Failure> {
        let folder = self.0.parent().unwrap_or_else(|| Path::new("/"));
        let draft = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&draft, ready)?;
        draft.persist(&self.0)?;
        Ok(())
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // It may not have been written yet.
        let _gone = fs::remove_file(&self.0);
    }
}
