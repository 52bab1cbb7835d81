//! The facets that this service reads, leniently: one that is not of the expected form is ignored
//! with a warning, and stays in the payload.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    EventErrorCode, MAX_ERROR_MESSAGE_CHARS, SOURCE_WATERMARK_FACET, WarningCode,
    event::{Reader, uuid},
    place::{Place, Problem},
};
use crate::{
    dataset::model::{Description, Owners, profile::MAX_DESCRIPTION_CHARS},
    error::Error,
    refresh::model::{DatasetFacets, NominalTime, OutputStatistics, WatermarkOrigin},
};

type Facets<'f, 'v> = Option<&'f Place<'v>>;

impl Reader<'_> {
    /// Why the run failed.
    pub(super) fn error_message(&mut self, facets: Facets<'_, '_>) -> Option<String> {
        self.facet(facets, "errorMessage", |reader, facet| {
            let text = reader.text_up_to(&facet.required("message")?, MAX_ERROR_MESSAGE_CHARS)?;
            Ok(Some(text.to_owned()))
        })
    }

    /// The time the run was scheduled for.
    pub(super) fn nominal_time(&mut self, facets: Facets<'_, '_>) -> Option<NominalTime> {
        self.facet(facets, "nominalTime", |reader, facet| {
            let start_at = reader.instant(&facet.required("nominalStartTime")?)?;
            let end_at = facet.get("nominalEndTime")?;
            let end_at = end_at.map(|end| reader.instant(&end)).transpose()?;
            Ok(Some(NominalTime { start_at, end_at }))
        })
    }

    /// The run that started the run; `parentRun` is what early Airflow clients called it.
    pub(super) fn parent_run_id(&mut self, facets: Facets<'_, '_>) -> Option<Uuid> {
        let read = |_: &mut Self, facet: &Place<'_>| {
            uuid(&facet.required("run")?.required("runId")?).map(Some)
        };
        self.facet(facets, "parent", read).or_else(|| self.facet(facets, "parentRun", read))
    }

    /// How much was written; the dataset facet `stats` is what early Spark clients sent.
    pub(super) fn statistics(
        &mut self,
        output_facets: Facets<'_, '_>,
        facets: Facets<'_, '_>,
    ) -> OutputStatistics {
        let read = |reader: &mut Self, facet: &Place<'_>| {
            Ok(Some(OutputStatistics {
                row_count: reader.count(facet, "rowCount")?,
                byte_count: reader.count(facet, "size")?,
                file_count: reader.count(facet, "fileCount")?,
            }))
        };
        let current = self.facet(output_facets, "outputStatistics", read).unwrap_or_default();
        current.or(self.facet(facets, "stats", read).unwrap_or_default())
    }

    /// How far the source had come, and who says so.
    pub(super) fn source_watermark(
        &mut self,
        facets: Facets<'_, '_>,
    ) -> Option<(DateTime<Utc>, WatermarkOrigin)> {
        self.facet(facets, SOURCE_WATERMARK_FACET, |reader, facet| {
            let at = reader.instant(&facet.required("at")?)?;
            let origin = match facet.get("origin")? {
                Some(place) => place.text()?.parse().map_err(|_| {
                    let known: Vec<_> =
                        WatermarkOrigin::ALL.iter().map(|known| known.as_str()).collect();
                    let message = format!("must be one of {}", known.join(", "));
                    place.problem(EventErrorCode::Invalid, message)
                })?,
                None => WatermarkOrigin::Openlineage,
            };
            Ok(Some((at, origin)))
        })
    }

    /// What is said about a dataset itself.
    pub(super) fn dataset_facets(&mut self, facets: Facets<'_, '_>) -> DatasetFacets {
        DatasetFacets {
            schema_fields: self.facet(facets, "schema", |_, facet| {
                facet.items("fields")?;
                Ok(facet.get("fields")?.map(|fields| fields.value.clone()))
            }),
            description: self.facet(facets, "documentation", |reader, facet| {
                let place = facet.required("description")?;
                let text = reader.text_up_to(&place, MAX_DESCRIPTION_CHARS)?;
                if text.trim().is_empty() {
                    return Ok(None);
                }
                Description::parse(text).map_err(|error| unfit(&place, &error))?;
                Ok(Some(text.to_owned()))
            }),
            owners: self.facet(facets, "ownership", read_owners).unwrap_or_default(),
        }
    }

    /// Reads a facet if it is there and not marked as deleted.
    fn facet<'v, T>(
        &mut self,
        facets: Facets<'_, 'v>,
        name: &str,
        read: impl FnOnce(&mut Self, &Place<'v>) -> Result<Option<T>, Problem>,
    ) -> Option<T> {
        let facet = facets?.get(name).ok()??;
        if facet.value.get("_deleted").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        read(self, &facet).unwrap_or_else(|problem| {
            self.note(WarningCode::FacetIgnored, &problem.field, &problem.message);
            None
        })
    }

    /// A count within a facet; one that is none is left out.
    fn count(&mut self, facet: &Place<'_>, name: &str) -> Result<Option<i64>, Problem> {
        let Some(place) = facet.get(name)? else { return Ok(None) };
        Ok(place.count().map(Some).unwrap_or_else(|problem| {
            self.note(WarningCode::ValueIgnored, &problem.field, &problem.message);
            None
        }))
    }

    fn text_up_to<'v>(
        &mut self,
        place: &Place<'v>,
        maximum_chars: usize,
    ) -> Result<&'v str, Problem> {
        let text = place.text()?;
        let end = text.char_indices().nth(maximum_chars).map(|(end, _)| end);
        let Some(cut) = end.and_then(|end| text.get(..end)) else { return Ok(text) };
        let message = format!("was cut to {maximum_chars} characters");
        self.note(WarningCode::TextTruncated, &place.path, &message);
        Ok(cut)
    }
}

fn read_owners(_: &mut Reader<'_>, facet: &Place<'_>) -> Result<Option<Vec<String>>, Problem> {
    let owners = facet.items("owners")?;
    let names = owners.iter().map(|owner| Ok(owner.required("name")?.text()?.to_owned()));
    let names = names.collect::<Result<Vec<_>, Problem>>()?;
    let owners = Owners::parse(names).map_err(|error| unfit(facet, &error))?;
    Ok(Some(owners.into_vec()))
}

fn unfit(place: &Place<'_>, error: &Error) -> Problem {
    place.problem(EventErrorCode::Invalid, error.to_string())
}
