//! The root fields about schemas that read, and what can be followed.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};

use super::{
    evolution_graphql::{self, SchemaDiff, SchemaFieldStep},
    feed::SchemaFeed,
    graphql::{Schema, SchemaFormat, SchemaState, SchemaVersion},
    model::{format, lifecycle},
    page::{self, Event, NamePosition, WaitingPosition},
    repository::VersionKey,
    transition_graphql::SchemaTransition,
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, ListSize, WALK, about, holding, page as paged},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::searched,
        subscription::{self, Cursor, cursor},
    },
    live,
};

impl Place for NamePosition {
    fn is_possible(&self) -> bool {
        !self.domain.contains('\0') && !self.name.contains('\0')
    }
}

impl Place for WaitingPosition {
    fn is_possible(&self) -> bool {
        is_possible_instant(self.requested_at)
    }
}

/// Which schemas are asked for. What is left out does not matter.
#[derive(Debug, Default, InputObject)]
pub struct SchemaFilter {
    /// Its domain is exactly this.
    domain: Option<String>,
    /// It is written in this.
    format: Option<SchemaFormat>,
    /// One of its owners is exactly this.
    owner: Option<String>,
    /// It has this tag.
    tag: Option<String>,
    /// A version of it is in this state.
    state: Option<SchemaState>,
    /// Its name or description holds this, whatever the case.
    text: Option<String>,
}

impl TryFrom<SchemaFilter> for page::Filter {
    type Error = Error;

    fn try_from(filter: SchemaFilter) -> Result<Self> {
        let texts = [
            ("filter.domain", &filter.domain),
            ("filter.owner", &filter.owner),
            ("filter.tag", &filter.tag),
            ("filter.text", &filter.text),
        ];
        searched(&texts)?;
        Ok(Self {
            domain: filter.domain,
            format: filter.format.map(|format| format::Format::from(format).as_str()),
            owner: filter.owner,
            tag: filter.tag,
            state: filter.state.map(|state| lifecycle::State::from(state).as_str()),
            text: filter.text,
        })
    }
}

cursor! {
    /// The place of an event: its number.
    pub struct SchemaEventCursor { sequence }
}

/// Something that happened to a schema, or that was judged by one.
#[derive(Debug, Clone)]
pub struct SchemaEvent(Event);

/// Something that happened to a schema, or that was judged by one. It never changes.
#[Object]
impl SchemaEvent {
    /// Its identifier: that of the CloudEvent which receivers are sent.
    async fn id(&self) -> ID {
        self.0.event_id.into()
    }

    /// What happened: `schema.registered`, `schema_transition.approved` and so on.
    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.event_type
    }

    /// When.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// Who did it: an opaque subject.
    async fn actor_id(&self) -> &str {
        &self.0.actor_id
    }

    /// The id that ties it to its call in the audit trail.
    async fn correlation_id(&self) -> &str {
        &self.0.correlation_id
    }

    /// The schema.
    async fn schema(&self, context: &Context<'_>) -> Nullable<Direct<Schema>> {
        direct(Schema::load(context, self.0.schema_id?).await)
    }

    /// The version.
    async fn version(&self, context: &Context<'_>) -> Nullable<Direct<SchemaVersion>> {
        let key = VersionKey { schema_id: self.0.schema_id?, number: self.0.number? };
        direct(SchemaVersion::load(context, key).await)
    }

    /// What else there is to be said, as JSON.
    async fn data(&self) -> String {
        self.0.data.to_string()
    }

    /// Its place among the events, to go on after.
    async fn cursor(&self) -> String {
        SchemaEventCursor::at(self.0.sequence).text()
    }
}

/// A number of schemas, versions or requests.
#[derive(Debug, SimpleObject)]
pub struct SchemaFigure {
    /// The format, the state or the status that it is of.
    of: String,
    /// How many.
    count: i32,
    /// Since when the oldest of them is so.
    oldest: Option<DateTime<Utc>>,
}

/// How many schemas, versions and requests a tenant has: numbers, and no row.
#[derive(Debug, SimpleObject)]
pub struct SchemaFigures {
    /// Schemas by format.
    schemas: Vec<SchemaFigure>,
    /// Versions by state.
    versions: Vec<SchemaFigure>,
    /// Requests for transitions by status; those that are OPEN wait for an approval.
    transitions: Vec<SchemaFigure>,
}

async fn figures(context: &Context<'_>) -> Result<SchemaFigures> {
    let call = call(context)?;
    call.authorize(Operation::SchemaFiguresRead)?;
    let rows = page::figures(&*call.read().await?).await?;
    let of = |what: &str| {
        let rows = rows.iter().filter(|row| row.what == what);
        rows.map(|row| SchemaFigure {
            of: row.of_state.clone(),
            count: i32::try_from(row.figure).unwrap_or(i32::MAX),
            oldest: row.oldest,
        })
        .collect()
    };
    Ok(SchemaFigures {
        schemas: of("SCHEMA"),
        versions: of("VERSION"),
        transitions: of("TRANSITION"),
    })
}

/// The root fields about schemas.
#[derive(Debug, Default)]
pub struct SchemaQuery;

#[Object]
impl SchemaQuery {
    /// The schema with this full name.
    async fn schema(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "`tenant.<code>.<domain>.<name>`.")] fqid: String,
    ) -> Nullable<Direct<Schema>> {
        direct(Schema::named(context, &fqid).await)
    }

    /// The schemas that the caller's token is for, by domain and name.
    #[graphql(directive = ListSize::apply(paged(50)))]
    async fn schemas(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which ones.")] filter: Option<SchemaFilter>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<NamePosition, Schema>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaRead)?;
        let filter = filter.unwrap_or_default().try_into()?;
        let page = Page::<NamePosition>::parse(first, after.as_deref(), 50)?;
        let (tx, reach) = (call.read().await?, call.principal().reach());
        let rows = page::schemas(&tx, reach, &filter, page.after.as_ref(), page.limit()).await?;
        Ok(page.connection(rows.into_iter().map(|record| {
            let place = NamePosition { domain: record.domain.clone(), name: record.name.clone() };
            (place, Schema(record.into()))
        })))
    }

    /// The version with this name.
    async fn schema_version(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "`tenant.<code>.<domain>.<name>@<number>`.")] name: String,
    ) -> Nullable<Direct<SchemaVersion>> {
        direct(SchemaVersion::named(context, &name).await)
    }

    /// What differs between two versions, field by field, and whether that is breaking.
    #[graphql(
        directive = Cost::apply(WALK),
        directive = ListSize::apply(holding(&["changes"], 20))
    )]
    async fn schema_diff(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The earlier version: `tenant.<code>.<domain>.<name>@<number>`.")]
        from: String,
        #[graphql(desc = "The later version.")] to: String,
    ) -> Nullable<SchemaDiff> {
        nullable(evolution_graphql::diff(context, &from, &to).await)
    }

    /// Which versions of a schema brought, changed or dropped a field, in their order.
    #[graphql(directive = Cost::apply(WALK), directive = ListSize::apply(about(5)))]
    async fn field_history(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The schema: `tenant.<code>.<domain>.<name>`.")] fqid: String,
        #[graphql(desc = "The field, as `fields` of a version writes it.")] path: String,
        #[graphql(
            desc = "Only among the last so many versions; 100 unless said otherwise, and at the most."
        )]
        last: Option<i32>,
    ) -> Nullable<Vec<SchemaFieldStep>> {
        nullable(evolution_graphql::history(context, &fqid, path, last).await)
    }

    /// The requests that wait for a decision, the oldest first.
    #[graphql(directive = ListSize::apply(paged(50)))]
    async fn pending_approvals(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<WaitingPosition, SchemaTransition>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaTransitionRead)?;
        let page = Page::<WaitingPosition>::parse(first, after.as_deref(), 50)?;
        let (tx, reach) = (call.read().await?, call.principal().reach());
        let rows = page::waiting(&tx, reach, call.now(), page.after, page.limit()).await?;
        Ok(page.connection(rows.into_iter().map(|row| {
            let (requested_at, transition_id) = (row.requested_at, row.transition_id);
            (WaitingPosition { requested_at, transition_id }, row.into())
        })))
    }

    /// What happened to schemas, in the order in which it was done, to catch up: nothing is left out between the
    /// last event of one page and the first of the next.
    #[graphql(directive = ListSize::apply(paged(50)))]
    async fn schema_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<SchemaEventCursor, SchemaEvent>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaTransitionRead)?;
        let page = Page::<SchemaEventCursor>::parse(first, after.as_deref(), 50)?;
        let last = page.after.map_or(0, |after| after.sequence());
        let (tx, reach) = (call.read().await?, call.principal().reach());
        let rows = page::events(&tx, reach, last, page.limit()).await?;
        let place = |event: &Event| SchemaEventCursor::at(event.sequence);
        Ok(page.connection(rows.into_iter().map(|event| (place(&event), SchemaEvent(event)))))
    }

    /// How many schemas, versions and requests there are, for who operates the service.
    #[graphql(directive = ListSize::apply(holding(&["schemas", "versions", "transitions"], 5)))]
    async fn schema_figures(&self, context: &Context<'_>) -> Nullable<SchemaFigures> {
        nullable(figures(context).await.map(Some))
    }

    #[graphql(entity)]
    async fn find_schema_by_id(&self, context: &Context<'_>, id: ID) -> Nullable<Direct<Schema>> {
        direct(Schema::with_id(context, &id).await)
    }

    #[graphql(entity)]
    async fn find_schema_by_fqid(
        &self,
        context: &Context<'_>,
        fqid: String,
    ) -> Nullable<Direct<Schema>> {
        direct(Schema::named(context, &fqid).await)
    }

    #[graphql(entity)]
    async fn find_schema_version_by_id(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> Nullable<Direct<SchemaVersion>> {
        direct(SchemaVersion::with_id(context, &id).await)
    }

    #[graphql(entity)]
    async fn find_schema_version_by_name(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Nullable<Direct<SchemaVersion>> {
        direct(SchemaVersion::named(context, &name).await)
    }
}

/// What can be followed of schemas.
#[derive(Debug, Default)]
pub struct SchemaSubscription;

#[Subscription]
impl SchemaSubscription {
    /// What happens to schemas, as `schemaEvents` has it: one item for each event, in their order.
    async fn schema_events(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Only these types, as `schemaEvents` writes them: `schema_transition.proposed` for an \
                          inbox of approvals. 20 at the most."
        )]
        types: Option<Vec<String>>,
        #[graphql(
            desc = "Go on after this cursor, of an item or of `schemaEvents`; without one, with what \
                          happens from now on."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = SchemaEvent>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaTransitionRead)?;
        let feed = SchemaFeed::of(call.principal().reach().clone(), types.unwrap_or_default())?;
        let place = live::Place::new(feed, SchemaEventCursor::read(after.as_deref())?);
        Ok(subscription::items(context, place)?.map(SchemaEvent))
    }
}
