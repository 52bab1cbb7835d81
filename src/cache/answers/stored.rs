//! An answer as bytes, for Redis: a line of JSON that says what it is, and the body.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answer, Told};
use crate::auth::{TenantId, policy::Operation};

#[derive(Serialize, Deserialize)]
struct Head {
    /// Whose it is: one that lies in another tenant's place is none.
    tenant: String,
    tag: String,
    until: i64,
    asked: Vec<String>,
    dataset_id: Option<Uuid>,
    resource: Option<String>,
    operation_name: Option<String>,
    document_hash: Option<[u8; 32]>,
}

pub(super) fn write(tenant: &TenantId, answer: &Answer) -> Vec<u8> {
    let told = &answer.told;
    let head = Head {
        tenant: tenant.to_string(),
        tag: answer.tag.clone(),
        until: answer.until,
        asked: told.asked.iter().map(|operation| operation.as_str().to_owned()).collect(),
        dataset_id: told.dataset_id,
        resource: told.resource.clone(),
        operation_name: told.operation_name.clone(),
        document_hash: told.document_hash,
    };
    // Every field can be said in JSON.
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// The answer; none if it is another tenant's, or nothing that this program has written.
pub(super) fn read(tenant: &TenantId, bytes: &[u8]) -> Option<Answer> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = bytes.split_at_checked(end)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let named = |name: &String| Operation::ALL.into_iter().find(|of| of.as_str() == name);
    let asked: Option<Vec<_>> = head.asked.iter().map(named).collect();
    (head.tenant == tenant.as_str()).then_some(())?;
    Some(Answer {
        body: Bytes::copy_from_slice(body.get(1..)?),
        tag: head.tag,
        told: Told {
            asked: asked?,
            dataset_id: head.dataset_id,
            resource: head.resource,
            operation_name: head.operation_name,
            document_hash: head.document_hash,
        },
        until: head.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written_and_as_nobody_elses() {
        let [acme, globex] = ["acme", "globex"].map(|code| TenantId::parse(code).unwrap());
        let told = Told {
            asked: vec![Operation::DatasetRead, Operation::RunRead],
            dataset_id: Some(Uuid::from_u128(7)),
            resource: None,
            operation_name: Some("Board".into()),
            document_hash: Some([9; 32]),
        };
        let body = Bytes::from_static(b"{\"data\":\n{}}");
        let answer = Answer { body, tag: "\"a\"".into(), told, until: 12 };
        let bytes = write(&acme, &answer);
        assert_eq!(read(&acme, &bytes), Some(answer));
        assert_eq!(read(&globex, &bytes), None);
        for end in 0..bytes.iter().position(|byte| *byte == b'\n').unwrap() {
            assert_eq!(read(&acme, &bytes[..end]), None);
        }
        assert_eq!(read(&acme, b"{}\n"), None);
    }
}
