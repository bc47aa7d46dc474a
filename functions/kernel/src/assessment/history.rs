//! Where assessments are kept: the latest of a topic as `assessments/<topic>`, all of them in the collection of that name.
//!
//! The history of a topic keeps its newest [`MAX_HISTORY_DOCUMENTS`]: the oldest leave in the commit that adds. How many there
//! are stands in the latest document, whose revision every commit replaces, so that two runs cannot count past each other.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Assessment;
use crate::stage::{Documents, Key, Query, StageError, Write, read_body};

/// The collection of the latest assessments, by topic.
pub const ASSESSMENTS: &str = "assessments";
/// How many assessments of a topic are kept.
pub const MAX_HISTORY_DOCUMENTS: u32 = 500;
/// How many of the oldest one commit takes away at most.
const MAX_PRUNED: u32 = 50;

/// The address of the latest assessment of a topic.
#[must_use]
pub fn latest_key(topic: &str) -> Key {
    Key::new(ASSESSMENTS, topic)
}

/// The collection of a topic's assessments.
#[must_use]
pub fn collection(topic: &str) -> String {
    format!("{ASSESSMENTS}/{topic}")
}

/// The address of an assessment in the history: ids ascend with time.
#[must_use]
pub fn key(assessment: &Assessment, run_id: &str) -> Key {
    let id = format!("{:013}-{run_id}", assessment.generated_at_ms.max(0));
    Key::new(collection(&assessment.topic), id)
}

/// What the latest document says of the history.
#[derive(Debug, Default, Serialize, Deserialize)]
struct History {
    /// The id of the newest assessment.
    latest: String,
    /// How many there are.
    documents: u32,
}

#[derive(Deserialize)]
struct Latest {
    history: History,
}

/// The writes that keep an assessment, to be committed together with whatever else the run changes: the history's
/// document, those that leave, and the latest.
///
/// # Errors
/// The store does not answer, or the latest document is not one that this module wrote. The commit is a
/// [`StageError::Conflict`] when another run kept an assessment of the topic meanwhile.
pub async fn writes(
    documents: &impl Documents,
    assessment: &Assessment,
    run_id: &str,
) -> Result<Vec<Write>, StageError> {
    let stored = documents.get(latest_key(&assessment.topic)).await?;
    let history = match &stored {
        Some(document) => read_body::<Latest>(document)?.history,
        None => History::default(),
    };
    let key = key(assessment, run_id);
    let body = assessment.to_json();
    let mut writes = vec![Write::Upsert(key.clone(), body.clone())];
    let mut count = history.documents;
    if key.id != history.latest {
        count = count.saturating_add(1);
        let surplus = count.saturating_sub(MAX_HISTORY_DOCUMENTS).min(MAX_PRUNED);
        let oldest = oldest(documents, &key, surplus).await?;
        count -= u32::try_from(oldest.len()).unwrap_or(count).min(count);
        writes.extend(oldest.into_iter().map(Write::Delete));
    }
    let mut latest = body;
    latest["history"] = json!(History {
        latest: key.id,
        documents: count,
    });
    let revision = stored.map(|document| document.revision);
    writes.push(Write::over(revision, latest_key(&assessment.topic), latest));
    Ok(writes)
}

/// The first `surplus` documents of the history, without the one that is being written.
async fn oldest(
    documents: &impl Documents,
    written: &Key,
    surplus: u32,
) -> Result<Vec<Key>, StageError> {
    if surplus == 0 {
        return Ok(vec![]);
    }
    let query = Query {
        collection: written.collection.clone(),
        prefix: None,
        start: None,
        limit: surplus,
    };
    let listed = documents.list(query).await?.into_iter();
    Ok(listed
        .map(|document| document.key)
        .filter(|key| key != written)
        .collect())
}
