//! The values that were taken out of a prompt, and the names that stand for them.
//!
//! Bounds: [`MAX_VALUES`] values of at most [`MAX_VALUE_BYTES`] each and [`MAX_BYTES`] together.
//! What is beyond them gets no name: the redactor then writes `<KIND_REDACTED>`, which nothing
//! restores.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::placeholder::{Kind, MAX_NUMBER, Name};

/// The most values: a prompt of some hundred lines has a handful.
pub(crate) const MAX_VALUES: usize = 4_096;
/// The longest value: a private key has a few thousand bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 64 << 10;
/// The most bytes of all values.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// A value that is overwritten when nobody holds it any more.
pub(crate) type Value = Arc<SecretString>;

/// See the module.
#[derive(Default)]
pub(crate) struct Vault {
    values: HashMap<Name, Value>,
    /// By the SHA-256 of a value, so that no second copy of it is kept.
    names: HashMap<[u8; 32], Name>,
    /// Names that stood in the text before they were given to a value.
    reserved: HashSet<Name>,
    shelves: [Shelf; Kind::ALL.len()],
    bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Shelf {
    /// The last number that was given out or passed over.
    last: u16,
    /// How many values have a name.
    kept: u64,
    /// How many times a value got none.
    refused: u64,
}

impl Vault {
    /// Keeps a name from being given to a value; false if it has one already.
    pub(crate) fn reserve(&mut self, name: Name) -> bool {
        let free = !self.values.contains_key(&name);
        if free {
            self.reserved.insert(name);
        }
        free
    }

    /// The name of a value: the one that it has, a new one, or none beyond the bounds.
    pub(crate) fn name_of(&mut self, kind: Kind, value: &str) -> Option<Name> {
        let digest = Sha256::digest(value.as_bytes()).into();
        if let Some(name) = self.names.get(&digest) {
            return Some(*name);
        }
        let fits = value.len() <= MAX_VALUE_BYTES
            && self.bytes + value.len() <= MAX_BYTES
            && self.values.len() < MAX_VALUES;
        let shelf = &mut self.shelves[kind as usize];
        let mut numbers = (shelf.last.saturating_add(1)..=MAX_NUMBER)
            .map(|number| Name { kind, number })
            .filter(|name| !self.reserved.contains(name));
        let Some(name) = numbers.next().filter(|_| fits) else {
            shelf.refused += 1;
            return None;
        };
        shelf.last = name.number;
        shelf.kept += 1;
        self.bytes += value.len();
        self.values.insert(name, Arc::new(SecretString::from(value)));
        self.names.insert(digest, name);
        Some(name)
    }

    pub(crate) fn values(&self) -> &HashMap<Name, Value> {
        &self.values
    }

    /// Values per kind that were found; those beyond the bounds count each time.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL
            .into_iter()
            .zip(&self.shelves)
            .map(|(kind, shelf)| (kind, shelf.kept + shelf.refused))
    }
}
