//! The chain of the audit trail: how its hashes are made, and whether they hold.

use callboard_protocol::AuditCheck;
use rand::{TryRngCore, rngs::OsRng};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{ANCHOR, HEAD, settings};
use crate::{
    Store, StoreError,
    entity::audit_event::{Column, Entity, Model},
};

/// Events that are read at once.
const PAGE: u64 = 1_000;

/// A number of the chain, and the hash up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) hash: [u8; 32],
}

impl Link {
    /// The link of an event that stands in the chain.
    pub(super) fn of(row: &Model) -> Option<Self> {
        let hash = row.hash.as_ref()?.as_slice().try_into().ok()?;
        Some(Self { seq: row.seq?, hash })
    }

    /// The link of `row` behind this one.
    pub(super) fn next(self, row: &Model) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"callboard audit v1");
        hasher.update(self.hash);
        let seq = self.seq + 1;
        hasher.update(seq.to_be_bytes());
        hasher.update(row.id.as_bytes());
        hasher.update(row.at.to_be_bytes());
        part(&mut hasher, row.actor_id.as_ref().map(|id| id.as_bytes().as_slice()));
        part(&mut hasher, Some(row.action.as_bytes()));
        part(&mut hasher, row.object.as_deref().map(str::as_bytes));
        part(&mut hasher, row.request_id.as_ref().map(|id| id.as_bytes().as_slice()));
        part(&mut hasher, row.personal_digest.as_deref());
        Self { seq, hash: hasher.finalize().into() }
    }
}

/// A part by its length, so that no two lists of parts are the same bytes.
fn part(hasher: &mut Sha256, part: Option<&[u8]>) {
    match part {
        None => hasher.update([0]),
        Some(bytes) => {
            hasher.update([1]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    }
}

/// A hash as hexadecimal digits.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What makes a digest of few possible values tell nothing of them.
pub(super) fn salt() -> Result<Vec<u8>, StoreError> {
    let mut salt = vec![0; 16];
    OsRng.try_fill_bytes(&mut salt).map_err(|error| StoreError::Internal(error.into()))?;
    Ok(salt)
}

/// The digest of what may tell of a person, with the event's salt.
pub(super) fn personal_digest(row: &Model) -> [u8; 32] {
    let mut hasher = Sha256::new();
    part(&mut hasher, row.salt.as_deref());
    part(&mut hasher, row.actor_name.as_deref().map(str::as_bytes));
    part(&mut hasher, row.address.as_deref().map(str::as_bytes));
    part(&mut hasher, Some(canonical(&row.details).as_bytes()));
    hasher.finalize().into()
}

/// JSON with its keys in order: a database may keep them in another.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            let fields = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events whose place in the chain was checked.
    pub checked: u64,
    /// Of these, events from which what tells of a person was erased.
    pub erased: u64,
    /// Events from before there was a chain: nothing vouches for them.
    pub unchained: u64,
    /// The number of the first event that is there.
    pub first: u64,
    /// The number and the hash of the last.
    pub head: (u64, [u8; 32]),
    /// Where the chain is broken for the first time.
    pub breach: Option<Breach>,
}

/// A place where the chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The event of this number is not there, though later ones are.
    Missing(u64),
    /// The event of this number was changed.
    Changed(u64),
    /// The trail ends behind this number, and there were more.
    CutOff(u64),
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(seq) => write!(f, "event {seq} is missing"),
            Self::Changed(seq) => write!(f, "event {seq} was changed"),
            Self::CutOff(seq) => write!(f, "events behind {seq} were cut off"),
        }
    }
}

impl From<Verified> for AuditCheck {
    fn from(found: Verified) -> Self {
        let (head_seq, hash) = found.head;
        Self {
            intact: found.breach.is_none(),
            breach: found.breach.map(|breach| breach.to_string()),
            checked: found.checked,
            erased: found.erased,
            unchained: found.unchained,
            first_seq: found.first,
            head_seq,
            head_hash: hex(&hash),
        }
    }
}

/// Reads the trail from end to end, and tells whether its chain holds.
pub async fn verify(store: &Store) -> Result<Verified, StoreError> {
    let (anchor, head, unchained) = store
        .run("audit.verify", async {
            let anchor: Link = settings::read(store.reader(), ANCHOR).await?.unwrap_or_default();
            let head: Link = settings::read(store.reader(), HEAD).await?.unwrap_or_default();
            let unchained = Entity::find().filter(Column::Seq.is_null()).count(store.reader());
            Ok((anchor, head, unchained.await?))
        })
        .await?;
    let number = |seq: i64| u64::try_from(seq).unwrap_or(0);
    let first = number(anchor.seq + 1);
    let mut found = Verified { unchained, first, ..Verified::default() };
    let mut last = anchor;
    while found.breach.is_none() && last.seq < head.seq {
        let rows = store
            .run("audit.verify", async {
                let rows = Entity::find()
                    .filter(Column::Seq.gt(last.seq))
                    .filter(Column::Seq.lte(head.seq))
                    .order_by_asc(Column::Seq)
                    .limit(PAGE)
                    .all(store.reader())
                    .await?;
                Ok(rows)
            })
            .await?;
        if rows.is_empty() {
            found.breach = Some(Breach::CutOff(number(last.seq)));
        }
        for row in rows {
            found.breach = breach(last, &row);
            if found.breach.is_some() {
                break;
            }
            found.checked += 1;
            found.erased += u64::from(row.salt.is_none());
            last = last.next(&row);
        }
    }
    if found.breach.is_none() && last != head {
        found.breach = Some(Breach::Changed(number(last.seq)));
    }
    found.head = (number(last.seq), last.hash);
    Ok(found)
}

/// What is wrong with the event behind `last`.
fn breach(last: Link, row: &Model) -> Option<Breach> {
    let number = u64::try_from(last.seq + 1).unwrap_or(0);
    if row.seq != Some(last.seq + 1) {
        return Some(Breach::Missing(number));
    }
    let digest =
        row.salt.is_none() || row.personal_digest.as_deref() == Some(&personal_digest(row)[..]);
    // Without a salt nothing of a person may be left: what nobody vouches for could be made up.
    let empty =
        row.actor_name.is_none() && row.address.is_none() && row.details == serde_json::json!({});
    let holds = digest && (row.salt.is_some() || empty) && Link::of(row) == Some(last.next(row));
    (!holds).then_some(Breach::Changed(number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_the_same_however_its_keys_are_kept() {
        let value = json!({ "b": [1, { "y": "ü\"", "x": null }], "a": true });
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"x":null,"y":"ü\""}]}"#);
    }
}
