//! Witnesses: others who remember how large a log was, and sign a checkpoint as well once it was shown to
//! them that the log only grew (C2SP tlog-witness, tlog-cosignature).

use std::time::Duration;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, StatusCode, Url};
use signed_note::{Signature, is_key_name_valid, key_id};

use super::model::HASH_BYTES;
use crate::outbound::{self, OutboundError};

/// How long a witness may take over one checkpoint.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);
/// The longest answer that is looked at, in bytes.
const ANSWER_BYTES: usize = 64 * 1_024;
/// Witnesses at the most: tools read no note with more than 100 signatures.
const MOST: usize = 64;
/// What stands before the public key in a verifier key: Ed25519 (C2SP tlog-cosignature).
const ED25519_COSIGNER: u8 = 4;
/// Bytes of the time in a cosignature.
const TIME_BYTES: usize = 8;
/// What stands before the signatures of a note.
const SIGNATURES: &str = "\n\n";

/// A witness that is asked.
#[derive(Debug)]
pub struct Witness {
    name: String,
    id: u32,
    key: Vec<u8>,
    client: Client,
    url: Url,
}

/// A line of a policy that names no witness that could be asked.
#[derive(Debug, thiserror::Error)]
#[error("line {line} {why}")]
pub struct BadPolicy {
    line: usize,
    why: BadLine,
}

#[derive(Debug, thiserror::Error)]
enum BadLine {
    #[error("is none of a policy: log, witness, group or quorum (C2SP tlog-policy)")]
    Unknown,
    #[error("has no verifier key of a cosigner with Ed25519 (C2SP tlog-cosignature)")]
    Key,
    #[error("names the key of another line")]
    Twice,
    #[error("is one witness too many: {MOST} are asked at the most")]
    TooMany,
    #[error("{0}")]
    Address(#[from] OutboundError),
}

/// What a witness says to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its cosignature, as a line of the note.
    Cosigned(String),
    /// It last signed a log of so many leaves, and wants to be shown what came since.
    Knows(u64),
}

/// Why a witness did not cosign a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Uncosigned {
    /// It says no: it does not know the log, or the log is another one than it knows.
    #[error("it answered {0}")]
    Refused(u16),
    /// It has seen a log that this one would have to grow into.
    #[error("it has seen {0} leaves, more than the log has")]
    Ahead(u64),
    /// What it answers is no cosignature by its key.
    #[error("what it answered is no cosignature of this checkpoint by its key")]
    Invalid,
    /// It does not answer, or not in time.
    #[error("it did not answer in time")]
    Away,
    /// What it is to be shown cannot be had.
    #[error("the log cannot be shown to it: {0}")]
    Unproved(#[from] crate::error::Error),
}

impl Uncosigned {
    /// As the metric has it.
    pub(super) const fn result(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Ahead(_) => "ahead",
            Self::Invalid => "invalid",
            Self::Away => "away",
            Self::Unproved(_) => "unproved",
        }
    }
}

/// The witnesses of a policy (C2SP tlog-policy) that have an address. What it says of logs, groups and a
/// quorum is for those who verify.
///
/// # Errors
/// [`BadPolicy`]: the first line that cannot be understood.
pub fn witnesses(policy: &str) -> Result<Vec<Witness>, BadPolicy> {
    let mut found: Vec<Witness> = Vec::new();
    for (line, text) in (1..).zip(policy.lines()) {
        let bad = |why| BadPolicy { line, why };
        let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] | ["log" | "group" | "quorum", _, ..] => {}
            [first, ..] if first.starts_with('#') => {}
            ["witness", _, key, address @ ..] if address.len() < 2 => {
                let (name, id, key) = cosigner(key).ok_or_else(|| bad(BadLine::Key))?;
                let Some(address) = address.first() else { continue };
                if found.iter().any(|other| other.key == key) {
                    return Err(bad(BadLine::Twice));
                }
                if found.len() == MOST {
                    return Err(bad(BadLine::TooMany));
                }
                let address = format!("{}/add-checkpoint", address.trim_end_matches('/'));
                let (client, url) = outbound::client(&address, DEADLINE)
                    .map_err(|error| bad(BadLine::Address(error)))?;
                found.push(Witness { name, id, key, client, url });
            }
            _ => return Err(bad(BadLine::Unknown)),
        }
    }
    Ok(found)
}

/// The name, the key's id and the key of a verifier key (C2SP signed-note).
fn cosigner(text: &str) -> Option<(String, u32, Vec<u8>)> {
    let (name, rest) = text.split_once('+')?;
    let (id, encoded) = rest.split_once('+')?;
    let typed = STANDARD.decode(encoded).ok()?;
    let key = typed.strip_prefix(&[ED25519_COSIGNER])?;
    let expected = key_id(name, &typed);
    let good = is_key_name_valid(name) && key.len() == 32 && id == format!("{expected:08x}");
    good.then(|| (name.to_owned(), expected, key.to_vec()))
}

impl Witness {
    /// The name of its key.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Asks it to cosign a checkpoint, whose log it is shown to have grown from `old` leaves.
    ///
    /// # Errors
    /// [`Uncosigned`].
    pub(super) async fn ask(
        &self,
        checkpoint: &str,
        old: u64,
        proof: &[[u8; HASH_BYTES]],
    ) -> Result<Answer, Uncosigned> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(checkpoint);
        let request = self.client.post(self.url.clone()).body(body);
        let answer = outbound::answered(request).await.map_err(|_| Uncosigned::Away)?;
        let status = answer.status();
        let text = outbound::beginning(answer, ANSWER_BYTES).await;
        let text = String::from_utf8_lossy(&text);
        match status {
            StatusCode::OK => match self.cosignature(checkpoint, &text) {
                Some(line) => Ok(Answer::Cosigned(line)),
                None => Err(Uncosigned::Invalid),
            },
            StatusCode::CONFLICT => match text.trim_end().parse() {
                Ok(size) => Ok(Answer::Knows(size)),
                Err(_) => Err(Uncosigned::Refused(status.as_u16())),
            },
            status if status.is_server_error() => Err(Uncosigned::Away),
            status => Err(Uncosigned::Refused(status.as_u16())),
        }
    }

    /// Whether a note has its cosignature.
    pub(super) fn has_cosigned(&self, note: &str) -> bool {
        let signatures = note.rsplit_once(SIGNATURES).map(|(_, signatures)| signatures);
        signatures.is_some_and(|lines| self.cosignature(note, lines).is_some())
    }

    /// Its cosignature of a note among `lines`, as a line.
    fn cosignature(&self, note: &str, lines: &str) -> Option<String> {
        let (text, _) = note.rsplit_once(SIGNATURES)?;
        lines.lines().find_map(|line| {
            let signature = Signature::from_bytes(line.as_bytes()).ok()?;
            let own = signature.name() == self.name && signature.id() == self.id;
            let good = own && self.verifies(text, signature.signature());
            good.then(|| String::from_utf8(signature.to_bytes()).ok())?
        })
    }

    /// Whether it has signed `text`, which is a note's without the line's end.
    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<TIME_BYTES>() else {
            return false;
        };
        let time = u64::from_be_bytes(*time);
        let message = format!("cosignature/v1\ntime {time}\n{text}\n");
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        i64::try_from(time).is_ok() && key.verify(message.as_bytes(), signature).is_ok()
    }
}
