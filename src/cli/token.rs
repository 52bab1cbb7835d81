//! `drr token`: a token signed with a development key, for a service that trusts that key.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Failure, output};
use crate::{
    auth::{
        TenantId,
        policy::{Role, ScopeSet},
        signing::{DevelopmentKey, TokenRequest},
    },
    clock::SystemClock,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The development key's file; made if it is not there.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The tenant's code.
    #[arg(long)]
    tenant: String,
    /// The role.
    #[arg(long)]
    role: Role,
    /// The scopes, separated by spaces; everything that the role has a use for unless said otherwise.
    #[arg(long)]
    scope: Option<String>,
    /// The subject: opaque, no name and no e-mail address.
    #[arg(long)]
    subject: Option<String>,
    /// The issuer; that of the settings unless said otherwise.
    #[arg(long)]
    issuer: Option<String>,
    /// The audience; that of the settings unless said otherwise.
    #[arg(long)]
    audience: Option<String>,
    /// For one use: the service accepts it once.
    #[arg(long)]
    one_time: bool,
    /// Which schemas it is for, as often as there are any: `tenant.<code>`, `tenant.<code>.<domain>` or
    /// `tenant.<code>.<domain>.<name>`.
    #[arg(long = "schema", value_name = "NAME")]
    schemas: Vec<String>,
    /// Print the key set to trust instead of a token.
    #[arg(long)]
    jwks: bool,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let key = DevelopmentKey::load_or_create(&arguments.key)?;
    if arguments.jwks {
        output::line(key.jwks_json());
        return Ok(());
    }
    let settings = common.settings()?;
    let configured = |text: fn(&crate::config::Auth) -> &str| settings.auth.as_ref().map(text);
    let issuer = arguments.issuer.as_deref().or(configured(|auth| &auth.issuer));
    let audience = arguments.audience.as_deref().or(configured(|auth| &auth.audience));
    let (Some(issuer), Some(audience)) = (issuer, audience) else {
        return Err("an issuer and an audience are needed: set auth.issuer and auth.audience, or \
             give --issuer and --audience"
            .into());
    };
    let tenant = TenantId::parse(&arguments.tenant)?;
    let mut request = TokenRequest::for_role(issuer, audience, tenant, arguments.role);
    if let Some(scopes) = &arguments.scope {
        request.scopes = ScopeSet::parse(scopes);
    }
    if let Some(subject) = &arguments.subject {
        request.subject.clone_from(subject);
    }
    request.one_time = arguments.one_time;
    if !arguments.schemas.is_empty() {
        request.schemas = Some(arguments.schemas.clone());
    }
    output::line(key.sign(&request, &SystemClock)?);
    Ok(())
}
