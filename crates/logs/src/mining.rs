//! Template mining: which pattern a message is an instance of, learned from the stream itself.
//!
//! `Failed password for root from 10.0.0.1 port 22` is an instance of
//! `Failed password for <*> from <*> port <*>`. Statistical, without configuration or training, in
//! one pass, in the spirit of PIPLUP (Qin et al., arXiv 2508.09366): no place in a message is
//! taken for constant beforehand, and what stands in one place of messages that are otherwise alike
//! decides whether it is a word of the program or a value.
//!
//! The way of a message: [`pieces`] cuts it and sees by the looks of a piece that it is a value (a
//! number, an address, a path). Its *form*, values left out, is mostly known: then that is all. A new
//! form goes to the templates of its *shape* (what stands between its pieces), and when those have
//! become enough more, [`shape`] joins the ones that differ only in what must be values.
//!
//! Invariants:
//! - **Patterns only ever join.** The id that a message got stays valid for ever:
//!   [`Miner::resolve`] names the pattern that it belongs to now, the oldest of those that joined.
//! - The same messages in the same order give the same patterns and ids.
//! - Memory is bounded by [`MAX_SHAPES`] and [`shape::MAX_TEMPLATES`]; what goes over is still given
//!   a pattern, a coarser one.
//! - No text makes it panic.

mod joined;
mod pieces;
mod shape;
mod values;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasher, Hasher},
};

use ahash::RandomState;
use serde::{Deserialize, Serialize};

use self::{
    pieces::{Kind, Piece, cut},
    shape::{Joint, Shape, Slot},
};

/// What stands for a value in a template.
pub const VALUE: &str = "<*>";

/// Shapes that are kept apart. Programs have hundreds; text that nobody wrote for a log can have any
/// number, and everything after these is one pattern.
const MAX_SHAPES: usize = 20_000;

/// Only so much of a message is looked at: what comes later is data, not the words of a program.
const MAX_BYTES: usize = 2_048;

/// Likewise, in pieces.
const MAX_PIECES: usize = 400;

/// Most messages have fewer pieces.
const USUAL_PIECES: usize = 64;

/// Forms that are remembered; a place is taken over by the next form that falls on it.
const REMEMBERED: usize = 1 << 16;

/// A pattern, as it was given to a message. Ids count from 0 and are never given twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PatternId(pub u32);

/// Learns the patterns of a stream of messages. See the module.
pub struct Miner {
    memory: Memory,
    /// Where the templates of a shape are.
    places: HashMap<Box<str>, u32>,
    /// The patterns of forms that came lately, by the hash of the form.
    remembered: Vec<(u64, PatternId)>,
    hasher: RandomState,
}

/// What is worth keeping between two runs.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    shapes: Vec<Shape>,
    /// For each pattern: itself, or the one that it has joined.
    joined: Vec<PatternId>,
    /// The shape of each pattern; none for the pattern of everything beyond the bounds.
    shape_of: Vec<Option<u32>>,
    /// The pattern of everything beyond the bounds, once there is one.
    rest: Option<PatternId>,
}

impl Default for Miner {
    fn default() -> Self {
        Self::from_memory(Memory::default())
    }
}

impl Miner {
    /// The pattern of a message: of its first line, without the time, level and name before it.
    pub fn observe(&mut self, message: &str) -> PatternId {
        let mut pieces = Vec::with_capacity(USUAL_PIECES);
        cut(head(message), &mut pieces);
        pieces.truncate(MAX_PIECES);
        let form = self.form(&pieces);
        let place = form as usize % REMEMBERED;
        let (known, id) = self.remembered[place];
        if known == form {
            let id = self.resolve(id);
            self.remembered[place].1 = id;
            return id;
        }
        let id = self.learn(&pieces);
        self.remembered[place] = (form, id);
        id
    }

    /// The pattern that an id belongs to now; an id that was never given is returned as it is.
    #[must_use]
    pub fn resolve(&self, id: PatternId) -> PatternId {
        let mut id = id;
        while let Some(&other) = self.memory.joined.get(id.0 as usize)
            && other != id
        {
            id = other;
        }
        id
    }

    /// The template of a pattern, its values written as [`VALUE`].
    #[must_use]
    pub fn template(&self, id: PatternId) -> Option<String> {
        let id = self.resolve(id);
        match self.memory.shape_of.get(id.0 as usize)? {
            Some(shape) => self.memory.shapes.get(*shape as usize)?.text(id),
            None => Some(VALUE.to_owned()),
        }
    }

    /// All patterns that have not joined another, oldest first, with their templates.
    pub fn patterns(&self) -> impl Iterator<Item = (PatternId, String)> {
        let given = (0..).map(PatternId).zip(&self.memory.joined);
        given
            .filter(|(id, joined)| id == *joined)
            .filter_map(|(id, _)| Some((id, self.template(id)?)))
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        (0..).zip(&self.memory.joined).filter(|(id, joined)| *id == joined.0).count()
    }

    /// How many ids were given: it grows whenever something was learned that is worth keeping.
    #[must_use]
    pub fn given(&self) -> u32 {
        u32::try_from(self.memory.joined.len()).unwrap_or(u32::MAX)
    }

    /// One that gives ids after so many that another one gave, of which nothing is known.
    pub(crate) fn after(given: u32) -> Self {
        let joined = (0..given).map(PatternId).collect();
        let shape_of = vec![None; given as usize];
        Self::from_memory(Memory { joined, shape_of, ..Memory::default() })
    }

    /// Whether nothing was observed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.memory.joined.is_empty()
    }

    /// Takes in what another one has learned. Returns what became of the other's patterns, by their
    /// ids there.
    pub fn absorb(&mut self, other: &Self) -> BTreeMap<PatternId, PatternId> {
        let mut became = BTreeMap::new();
        for (theirs, _) in other.patterns() {
            let shape = other.memory.shape_of.get(theirs.0 as usize).copied().flatten();
            let shape = shape.and_then(|shape| other.memory.shapes.get(shape as usize));
            let ours = match shape.and_then(|shape| Some((shape, shape.slots(theirs)?))) {
                Some((shape, slots)) => self.place(shape.joints().to_vec(), slots.to_vec()),
                None => self.rest(),
            };
            became.insert(theirs, ours);
        }
        became.values_mut().for_each(|id| *id = self.resolve(*id));
        became
    }

    /// Everything learned, to be kept.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which would be a bug.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.memory)
    }

    /// What [`Miner::to_json`] kept.
    ///
    /// # Errors
    /// When it is not that, or does not fit together.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let memory: Memory = serde_json::from_slice(json)?;
        memory.check().map_err(serde::de::Error::custom)?;
        Ok(Self::from_memory(memory))
    }

    fn from_memory(memory: Memory) -> Self {
        let places = (0..).zip(&memory.shapes).map(|(at, shape)| (shape.key(), at)).collect();
        let unknown = (0, PatternId(u32::MAX));
        Self { memory, places, remembered: vec![unknown; REMEMBERED], hasher: RandomState::new() }
    }

    /// The hash of a form; never 0, which stands for an empty place.
    fn form(&self, pieces: &[Piece<'_>]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for piece in pieces {
            match piece.kind {
                Kind::Value => hasher.write_u8(0xff),
                Kind::Word | Kind::Doubtful | Kind::Joint => {
                    hasher.write(piece.text.as_bytes());
                    hasher.write_u8(0xfe);
                }
            }
        }
        hasher.finish().max(1)
    }

    /// The pattern of a form that is not remembered.
    fn learn(&mut self, pieces: &[Piece<'_>]) -> PatternId {
        let slots = pieces.iter().filter_map(Slot::of).collect();
        self.place(pieces.iter().map(Joint::of).collect(), slots)
    }

    /// The pattern of a form or a template in its shape, which is made when there is none.
    fn place(&mut self, joints: Vec<Joint>, slots: Vec<Slot>) -> PatternId {
        let shapes = self.memory.shapes.len();
        let at = match self.places.entry(shape::key(&joints)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if shapes >= MAX_SHAPES => return self.rest(),
            Entry::Vacant(free) => {
                self.memory.shapes.push(Shape::new(joints));
                // There are fewer than `MAX_SHAPES`.
                *free.insert(u32::try_from(shapes).unwrap_or(u32::MAX))
            }
        };
        let Memory { shapes, joined, shape_of, .. } = &mut self.memory;
        let Some(shape) = shapes.get_mut(at as usize) else { return self.rest() };
        if let Some(id) = shape.find(&slots) {
            return id;
        }
        let id = PatternId(u32::try_from(joined.len()).unwrap_or(u32::MAX));
        joined.push(id);
        shape_of.push(Some(at));
        for (from, to) in shape.add(id, slots) {
            if let Some(joined) = joined.get_mut(from.0 as usize) {
                *joined = to;
            }
        }
        self.resolve(id)
    }

    /// The pattern of everything beyond the bounds.
    fn rest(&mut self) -> PatternId {
        let Memory { joined, shape_of, rest, .. } = &mut self.memory;
        *rest.get_or_insert_with(|| {
            let id = PatternId(u32::try_from(joined.len()).unwrap_or(u32::MAX));
            joined.push(id);
            shape_of.push(None);
            id
        })
    }
}

impl Memory {
    /// Whether it fits together: read from a file, it could be anything.
    fn check(&self) -> Result<(), &'static str> {
        // An id joins only an older one, so that following them ends.
        let in_order = (0..).zip(&self.joined).all(|(id, joined)| joined.0 <= id);
        if !in_order || self.joined.len() != self.shape_of.len() {
            return Err("patterns that join later ones");
        }
        let known = |shape: &u32| (*shape as usize) < self.shapes.len();
        if !self.shape_of.iter().flatten().all(known) || !self.shapes.iter().all(Shape::is_sound) {
            return Err("templates that do not fit their shape");
        }
        Ok(())
    }
}

/// The part of a message that is looked at.
fn head(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    if line.len() <= MAX_BYTES {
        return line;
    }
    let head = &line[..line.floor_char_boundary(MAX_BYTES)];
    // Half of a value may look like a word.
    head.rsplit_once(' ').map_or(head, |(whole, _)| whole)
}

#[cfg(test)]
mod tests;
