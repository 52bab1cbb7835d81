//! What the events of a run say about it and its outputs: the latest one's word stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    dataset::model::DatasetName,
    refresh::model::{ContentHash, Output, OutputStatistics, RunEvent, WatermarkOrigin},
};

/// A value as the latest event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latest<T> {
    pub(super) at: DateTime<Utc>,
    pub(super) hash: ContentHash,
    pub(super) value: T,
}

impl<T> Latest<T> {
    pub(super) fn of(event: &RunEvent, value: Option<T>) -> Option<Self> {
        Some(Self { at: event.event_time, hash: event.content_hash, value: value? })
    }

    pub(super) fn merge(left: Option<Self>, right: Option<Self>) -> Option<Self> {
        [left, right].into_iter().flatten().max_by_key(|latest| (latest.at, latest.hash))
    }
}

/// What a run reported about one of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputFold {
    statistics: Option<Latest<OutputStatistics>>,
    source_watermark: Option<Latest<DateTime<Utc>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_watermark_origin: Option<Latest<WatermarkOrigin>>,
}

impl OutputFold {
    pub(super) fn of(event: &RunEvent, output: &Output) -> Self {
        let statistics = Some(output.statistics).filter(|statistics| !statistics.is_empty());
        Self {
            statistics: Latest::of(event, statistics),
            source_watermark: Latest::of(event, output.source_watermark),
            source_watermark_origin: Latest::of(event, output.source_watermark_origin),
        }
    }

    pub(super) fn merge(self, other: Self) -> Self {
        Self {
            statistics: Latest::merge(self.statistics, other.statistics),
            source_watermark: Latest::merge(self.source_watermark, other.source_watermark),
            source_watermark_origin: Latest::merge(
                self.source_watermark_origin,
                other.source_watermark_origin,
            ),
        }
    }

    /// How much was written.
    #[must_use]
    pub fn statistics(&self) -> OutputStatistics {
        self.statistics.map(|latest| latest.value).unwrap_or_default()
    }

    /// How far the source had come.
    #[must_use]
    pub fn source_watermark(&self) -> Option<DateTime<Utc>> {
        self.source_watermark.map(|latest| latest.value)
    }

    /// Where that watermark came from. A fold that was stored before origins were kept has none of
    /// them, and its watermarks are from events of runs: there was no other way.
    #[must_use]
    pub fn source_watermark_origin(&self) -> Option<WatermarkOrigin> {
        let watermark = self.source_watermark?;
        let origin = self.source_watermark_origin;
        let same = origin
            .filter(|origin| (origin.at, origin.hash) == (watermark.at, watermark.hash))
            .map(|origin| origin.value);
        Some(same.unwrap_or(WatermarkOrigin::Openlineage))
    }
}

/// When the events of a run named one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFold {
    /// The earliest of them.
    pub first_at: DateTime<Utc>,
    /// The latest of them.
    pub last_at: DateTime<Utc>,
}

impl InputFold {
    pub(super) fn of(event: &RunEvent) -> Self {
        Self { first_at: event.event_time, last_at: event.event_time }
    }

    /// What both say.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            first_at: self.first_at.min(other.first_at),
            last_at: self.last_at.max(other.last_at),
        }
    }
}

/// A map whose keys are no texts, as JSON: a list of pairs.
pub(super) mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::DatasetName;

    pub(in super::super) fn serialize<S: Serializer, V: Serialize>(
        named: &BTreeMap<DatasetName, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(named)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<DatasetName, V>, D::Error> {
        Ok(Vec::<(DatasetName, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
