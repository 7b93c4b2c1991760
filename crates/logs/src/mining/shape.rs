//! The templates of one shape: messages with the same delimiters in the same places.
//!
//! Where messages are otherwise alike, the number of different words that stand in one place says
//! what they are: a program has few words to choose from, the world has many. How many make a value
//! of a place depends on what stands before it ([`Place`]). Among templates of which nothing is known
//! yet, the place with the fewest different words is taken for a choice of the program's, and the
//! templates are divided by it, until each part is of one kind, or one template. (The division of
//! IPLoM, Makanju et al., KDD 2009, with the test turned around: not how many to divide by, but when
//! to stop.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    PatternId, VALUE,
    pieces::{Kind, Piece},
};

/// Templates that a shape keeps apart. When there are more, it is no text of a program, and what is
/// not known yet shares one template.
pub(super) const MAX_TEMPLATES: usize = 512;

/// When this part of its templates is new, a shape looks for what can join.
const FRESH_PART: usize = 8;

/// What stands in a place of a template that differs from message to message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Slot {
    /// A value.
    Value,
    /// A word, always the same so far; `doubtful` when it looks like a value itself.
    Word { text: Box<str>, doubtful: bool },
}

/// What stands in each place of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Joint {
    /// A word or a value.
    Slot,
    /// A space or a delimiter.
    Text(Box<str>),
}

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Shape {
    joints: Vec<Joint>,
    templates: BTreeMap<PatternId, Vec<Slot>>,
    /// New since templates were joined last.
    fresh: usize,
}

/// What is before a place, which says how free its words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but delimiters: messages begin with who speaks or what happens.
    First,
    /// An equals sign.
    Key,
    /// Anything else.
    Inner,
}

impl Slot {
    pub(super) fn of(piece: &Piece<'_>) -> Option<Self> {
        let word = |doubtful| Self::Word { text: piece.text.into(), doubtful };
        match piece.kind {
            Kind::Value => Some(Self::Value),
            Kind::Doubtful => Some(word(true)),
            Kind::Word => Some(word(false)),
            Kind::Joint => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Value => None,
            Self::Word { text, .. } => Some(text),
        }
    }
}

impl Joint {
    pub(super) fn of(piece: &Piece<'_>) -> Self {
        match piece.kind {
            Kind::Joint => Self::Text(piece.text.into()),
            Kind::Value | Kind::Doubtful | Kind::Word => Self::Slot,
        }
    }
}

/// The name of a shape; two shapes with one name are the same.
pub(super) fn key(joints: &[Joint]) -> Box<str> {
    let texts = joints.iter().map(|joint| match joint {
        Joint::Slot => "\u{0}",
        Joint::Text(text) => text,
    });
    texts.collect::<String>().into()
}

impl Shape {
    pub(super) fn new(joints: Vec<Joint>) -> Self {
        Self { joints, templates: BTreeMap::new(), fresh: 0 }
    }

    pub(super) fn key(&self) -> Box<str> {
        key(&self.joints)
    }

    pub(super) fn joints(&self) -> &[Joint] {
        &self.joints
    }

    pub(super) fn slots(&self, id: PatternId) -> Option<&[Slot]> {
        self.templates.get(&id).map(Vec::as_slice)
    }

    /// Whether all templates fit it.
    pub(super) fn is_sound(&self) -> bool {
        let places = self.places().len();
        self.templates.values().all(|slots| slots.len() == places)
    }

    /// The pattern that a form is an instance of: of several the one with the fewest values.
    pub(super) fn find(&self, form: &[Slot]) -> Option<PatternId> {
        let fits = |template: &[Slot]| {
            template.iter().zip(form).all(|(known, slot)| *known == Slot::Value || known == slot)
        };
        let values = |slots: &[Slot]| slots.iter().filter(|slot| **slot == Slot::Value).count();
        let fitting = self.templates.iter().filter(|(_, template)| fits(template));
        fitting.min_by_key(|(_, template)| values(template)).map(|(id, _)| *id)
    }

    /// Adds a template. Returns the patterns that joined others over it, and which.
    pub(super) fn add(&mut self, id: PatternId, slots: Vec<Slot>) -> Vec<(PatternId, PatternId)> {
        let known = self.templates.len() - self.fresh.min(self.templates.len());
        let slots = if self.templates.len() < MAX_TEMPLATES {
            slots
        } else {
            vec![Slot::Value; slots.len()]
        };
        self.templates.insert(id, slots);
        self.fresh += 1;
        if self.fresh <= known / FRESH_PART { Vec::new() } else { self.join() }
    }

    /// The template in words.
    pub(super) fn text(&self, id: PatternId) -> Option<String> {
        let mut slots = self.templates.get(&id)?.iter();
        let texts = self.joints.iter().map(|joint| match joint {
            Joint::Text(text) => text,
            Joint::Slot => slots.next().and_then(Slot::text).unwrap_or(VALUE),
        });
        Some(texts.collect())
    }

    fn join(&mut self) -> Vec<(PatternId, PatternId)> {
        self.fresh = 0;
        let mut groups = Vec::new();
        let division = Division { templates: &self.templates, places: self.places() };
        division.divide(self.templates.keys().copied().collect(), &mut groups);
        let mut joined = Vec::new();
        for group in groups {
            let Some((oldest, others)) = group.split_first() else { continue };
            for other in others {
                let Some(slots) = self.templates.remove(other) else { continue };
                let Some(template) = self.templates.get_mut(oldest) else { continue };
                for (known, slot) in template.iter_mut().zip(slots) {
                    if *known != slot {
                        *known = Slot::Value;
                    }
                }
                joined.push((*other, *oldest));
            }
        }
        joined
    }

    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut place = Place::First;
        for joint in &self.joints {
            match joint {
                Joint::Text(text) if &**text == "=" => place = Place::Key,
                Joint::Text(text) if &**text == " " => {}
                Joint::Text(_) => place = Place::Inner,
                Joint::Slot => {
                    places.push(place);
                    place = Place::Inner;
                }
            }
        }
        places
    }
}

/// Divides templates into groups of which each is one template in truth.
struct Division<'a> {
    templates: &'a BTreeMap<PatternId, Vec<Slot>>,
    places: Vec<Place>,
}

/// What stands in one place of a group.
#[derive(Default)]
struct Variety<'a> {
    words: BTreeMap<&'a str, bool>,
    values: bool,
}

impl Variety<'_> {
    fn distinct(&self) -> usize {
        self.words.len() + usize::from(self.values)
    }
}

impl<'a> Division<'a> {
    /// Ids come and go in their order, the oldest first.
    fn divide(&self, ids: Vec<PatternId>, groups: &mut Vec<Vec<PatternId>>) {
        let (mut words, mut constant) = (0, 0);
        // Whether it is a place for values, how many different ones, and where.
        let mut narrowest: Option<(bool, usize, usize)> = None;
        for at in 0..self.places.len() {
            let variety = self.variety(&ids, at);
            if variety.words.is_empty() {
                continue;
            }
            words += 1;
            if variety.distinct() == 1 {
                constant += 1;
                continue;
            }
            let place =
                (variety.distinct() >= self.enough(&ids, at, &variety), variety.distinct(), at);
            narrowest = Some(narrowest.map_or(place, |known| known.min(place)));
        }
        // A template must say something: half of its words at least stay words.
        match narrowest {
            Some((free, _, at)) if !free || constant * 2 < words => {
                let mut parts: BTreeMap<Option<&str>, Vec<PatternId>> = BTreeMap::new();
                for id in ids {
                    parts.entry(self.slot(id, at).and_then(Slot::text)).or_default().push(id);
                }
                parts.into_values().for_each(|part| self.divide(part, groups));
            }
            Some(_) | None => groups.push(ids),
        }
    }

    /// How many different words in this place are values.
    fn enough(&self, ids: &[PatternId], at: usize, variety: &Variety<'_>) -> usize {
        if variety.values || variety.words.values().all(|doubtful| *doubtful) {
            return 2;
        }
        match self.places[at] {
            Place::Key => 3,
            Place::First => 20,
            Place::Inner if self.word_before(ids, at).is_some_and(introduces) => 3,
            Place::Inner => 6,
        }
    }

    /// The word that stands before a place in all of them.
    fn word_before(&self, ids: &[PatternId], at: usize) -> Option<&'a str> {
        let before = self.variety(ids, at.checked_sub(1)?);
        let only = before.words.keys().next().copied();
        only.filter(|_| before.distinct() == 1)
    }

    fn variety(&self, ids: &[PatternId], at: usize) -> Variety<'a> {
        let mut variety = Variety::default();
        for id in ids {
            match self.slot(*id, at) {
                Some(Slot::Word { text, doubtful }) => {
                    variety.words.insert(text, *doubtful);
                }
                Some(Slot::Value) | None => variety.values = true,
            }
        }
        variety
    }

    fn slot(&self, id: PatternId, at: usize) -> Option<&'a Slot> {
        self.templates.get(&id)?.get(at)
    }
}

/// Whether what follows this word is mostly somebody or something: `for root`, `user ann`.
fn introduces(word: &str) -> bool {
    let words = [
        "as", "at", "by", "file", "for", "from", "host", "id", "in", "name", "named", "of", "on",
        "to", "user", "using", "via", "with",
    ];
    words.contains(&word)
}
