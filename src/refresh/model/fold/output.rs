//! What the events of a run say about it and its outputs: the latest one's word stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    dataset::model::DatasetName,
    refresh::model::{ContentHash, Output, OutputStatistics, RunEvent},
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
}

impl OutputFold {
    pub(super) fn of(event: &RunEvent, output: &Output) -> Self {
        let statistics = Some(output.statistics).filter(|statistics| !statistics.is_empty());
        Self {
            statistics: Latest::of(event, statistics),
            source_watermark: Latest::of(event, output.source_watermark),
        }
    }

    pub(super) fn merge(self, other: Self) -> Self {
        Self {
            statistics: Latest::merge(self.statistics, other.statistics),
            source_watermark: Latest::merge(self.source_watermark, other.source_watermark),
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
}

/// A map whose keys are no texts, as JSON: a list of pairs.
pub(super) mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{DatasetName, OutputFold};

    type Outputs = BTreeMap<DatasetName, OutputFold>;

    pub(in super::super) fn serialize<S: Serializer>(
        outputs: &Outputs,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(outputs)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Outputs, D::Error> {
        Ok(Vec::<(DatasetName, OutputFold)>::deserialize(deserializer)?.into_iter().collect())
    }
}
