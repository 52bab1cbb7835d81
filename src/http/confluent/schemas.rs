//! What there is at all.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Answer, Asked, Result, told::Told};
use crate::{
    auth::policy::Operation,
    schema::{repository, subjects},
};

/// The most versions that one answer tells whole.
const MAXIMUM_WHOLE: u32 = 200;
/// The most bytes that these have together; a first one is told in any case.
const MAXIMUM_BYTES: usize = 8 * 1024 * 1024;

/// `GET /`
pub(super) async fn root(mut asked: Asked) -> Result<Answer<Map<String, Value>>> {
    asked.begin(Operation::SchemaRead).await?;
    Ok(Answer(Map::new()))
}

/// `GET /contexts`: there is the one that is always there.
pub(super) async fn contexts(mut asked: Asked) -> Result<Answer<[&'static str; 1]>> {
    asked.begin(Operation::SchemaRead).await?;
    Ok(Answer(["."]))
}

/// `GET /schemas/types`
pub(super) async fn types(mut asked: Asked) -> Result<Answer<[&'static str; 3]>> {
    asked.begin(Operation::SchemaRead).await?;
    Ok(Answer(["JSON", "PROTOBUF", "AVRO"]))
}

/// `GET /schemas`
pub(super) async fn list(mut asked: Asked) -> Result<Answer<Vec<Told>>> {
    asked.begin(Operation::SchemaRead).await?;
    let (call, listing) = (&asked.call, asked.listing(MAXIMUM_WHOLE));
    let tx = call.read().await?;
    let reach = call.principal().reach();
    let versions = subjects::versions(&tx, reach, &listing, asked.is("latestOnly")).await?;
    let ids: Vec<_> = versions.iter().map(|version| version.schema_id).collect();
    let records = repository::by_ids(&tx, &ids).await?;
    drop(tx);
    let records: HashMap<_, _> = records.iter().map(|record| (record.schema_id, record)).collect();
    let (mut told, mut bytes) = (Vec::with_capacity(versions.len()), 0_usize);
    for version in &versions {
        bytes = bytes.saturating_add(usize::try_from(version.content_bytes).unwrap_or_default());
        if bytes > MAXIMUM_BYTES && !told.is_empty() {
            break;
        }
        if let Some(record) = records.get(&version.schema_id) {
            told.push(Told::whole(call, (record, version), asked.wants_descriptors()).await?);
        }
    }
    Ok(Answer(told))
}
