//! What uses a schema, in the graph.

use std::sync::Arc;

use async_graphql::{Context, Object};
use futures::future::try_join_all;

use super::{
    graphql::{Schema, SchemaVersion},
    repository::name_of,
    usage,
};
use crate::{
    auth::policy::Operation,
    dataset::graphql::Dataset,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, LOG, ListSize, about},
        call,
        direct::Direct,
    },
};

/// What uses a schema.
#[derive(Debug)]
pub struct SchemaUsage(Schema);

impl SchemaUsage {
    /// That of a schema.
    pub(super) const fn of(schema: Schema) -> Self {
        Self(schema)
    }
}

/// What uses a schema.
#[Object]
impl SchemaUsage {
    /// How many datasets in use are bound to it or to a version of it.
    #[graphql(directive = Cost::apply(LOG))]
    async fn dataset_count(&self, context: &Context<'_>) -> Result<i32> {
        let call = call(context)?;
        let name = name_of(call.principal().tenant(), &self.0.0)?;
        let count = usage::bound_count(&*call.read().await?, &name).await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// These, by name: 200 at the most.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(10)))]
    async fn datasets(&self, context: &Context<'_>) -> Result<Vec<Direct<Dataset>>> {
        let call = call(context)?;
        call.authorize(Operation::DatasetRead)?;
        let name = name_of(call.principal().tenant(), &self.0.0)?;
        let ids = usage::bound(&*call.read().await?, &name).await?;
        let datasets = ids.into_iter().map(|id| Dataset::load(context, id));
        let datasets = try_join_all(datasets).await?;
        Ok(datasets.into_iter().flatten().map(Direct).collect())
    }

    /// The versions of schemas that refer to it: 200 at the most.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(10)))]
    async fn referring(&self, context: &Context<'_>) -> Result<Vec<Direct<SchemaVersion>>> {
        let versions = {
            let tx = call(context)?.read().await?;
            usage::referring_to(&tx, self.0.0.schema_id).await?
        };
        let referring = versions.into_iter().map(async |version| {
            // Those that the caller's token is for.
            let schema = Schema::load(context, version.schema_id).await?;
            let shown = |schema| Direct(SchemaVersion { schema, version: Arc::new(version) });
            Ok::<_, Error>(schema.map(shown))
        });
        Ok(try_join_all(referring).await?.into_iter().flatten().collect())
    }
}
