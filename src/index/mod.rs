//! A map's features by place, layer and property, moved by the document's changes.
//!
//! It holds a view of the document and, beside it, a box and a layer for each feature that shows; features are read
//! when asked for. Taking in a change costs time logarithmic in the features for each that changed. Knows no task,
//! clock or document. Start at [`FeatureIndex`].

mod filter;
mod problems;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use mapweave_proto::Seq;

pub use filter::{Filter, FilterError, PropertyFilter};
pub use problems::{FeatureProblems, Problems};

use self::filter::Wanted;
use crate::geometry::{BBox, Geometry, SpatialIndex};
use crate::model::{Delta, Feature, MapView};

/// Memory of a feature in the index beside the view's, about, in bytes: key, box, tree node, layer.
const FEATURE_BYTES: u64 = 240;
/// Memory of an entry in the view, about, in bytes.
const ENTRY_BYTES: u64 = 80;

/// The features of a map, as of one place of its log.
pub struct FeatureIndex {
    view: MapView,
    seq: Seq,
    features: BTreeMap<Arc<str>, Indexed>,
    places: SpatialIndex<Arc<str>>,
    problems: Problems,
    /// Where sessions last said who they are, since the index began.
    people: HashMap<Box<str>, Seq>,
}

/// What is kept of a feature that shows.
struct Indexed {
    bbox: Option<BBox>,
    /// Whether the box is the geometry: a point.
    is_point: bool,
    layer: Arc<str>,
    changed_at: Seq,
}

/// A part of the features that a filter lets through, in order of their fids.
#[derive(Debug)]
pub struct Page {
    /// The features.
    pub features: Vec<Feature>,
    /// How many the filter lets through in the whole map.
    pub matched: u64,
    /// The last of the page, if more follow.
    pub next: Option<String>,
}

/// A feature and how far away it is.
#[derive(Debug)]
pub struct Near {
    /// The feature.
    pub feature: Feature,
    /// Metres on the ellipsoid.
    pub metres: f64,
}

impl FeatureIndex {
    /// Indexes what `view` shows: linear in its entries, plus sorting.
    #[must_use]
    pub fn new(view: MapView, seq: Seq) -> Self {
        let mut features = BTreeMap::new();
        let mut boxes = Vec::new();
        let mut names = Names::default();
        for feature in view.features() {
            let fid: Arc<str> = feature.fid.as_str().into();
            let indexed = Indexed::of(&feature, names.get(&feature.layer), seq);
            boxes.push((fid.clone(), indexed.bbox));
            features.insert(fid, indexed);
        }
        let mut problems = Problems::default();
        for fid in view.fids() {
            problems.check(
                features
                    .get_key_value(fid)
                    .map_or_else(|| fid.into(), |(fid, _)| fid.clone()),
            );
        }
        Self {
            view,
            seq,
            features,
            places: SpatialIndex::bulk(boxes),
            problems,
            people: HashMap::new(),
        }
    }

    /// Takes in what changed up to `seq`.
    pub fn apply(&mut self, delta: Delta, seq: Seq) {
        let changes = self.view.apply(delta);
        for fid in changes.features.keys() {
            self.read(fid, seq);
        }
        if !changes.layers.is_empty() {
            self.read_layers(seq);
        }
        self.people
            .extend(changes.sessions.into_iter().map(|sid| (sid, seq)));
        self.seq = seq;
    }

    /// Reads one feature again.
    fn read(&mut self, fid: &str, seq: Seq) {
        let before = self.features.remove_entry(fid);
        let key: Arc<str> = before
            .as_ref()
            .map_or_else(|| fid.into(), |(key, _)| key.clone());
        let was = before.and_then(|(_, before)| before.bbox.map(Some).or(Some(None)));
        let now = self
            .view
            .feature(fid)
            .map(|feature| Indexed::of(&feature, feature.layer.as_str().into(), seq));
        if let Some(bbox) = was {
            self.places.remove(&key, bbox);
        }
        if let Some(now) = now {
            self.places.insert(key.clone(), now.bbox);
            self.features.insert(key.clone(), now);
        }
        self.problems.check(key);
    }

    /// A layer that came or went changes in which layer its features are; their boxes stay.
    fn read_layers(&mut self, seq: Seq) {
        let moved: Vec<Arc<str>> = self
            .features
            .iter()
            .filter(|(fid, indexed)| *self.view.layer_of(fid) != *indexed.layer)
            .map(|(fid, _)| fid.clone())
            .collect();
        for fid in moved {
            self.read(&fid, seq);
        }
    }

    /// The document as it is indexed.
    #[must_use]
    pub fn view(&self) -> &MapView {
        &self.view
    }

    /// The last record that is taken in.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// A place of the log at which the feature has been as it is now, with the people who made and changed it: that of
    /// the last change, or where the index began.
    #[must_use]
    pub fn changed_at(&self, feature: &Feature) -> Seq {
        let own = self.features.get(feature.fid.as_str());
        let people = [&feature.created, &feature.changed];
        let people = people.map(|edited| self.people.get(edited.sid.as_str()).copied());
        let own = own.map_or(self.seq, |indexed| indexed.changed_at);
        people.into_iter().flatten().fold(own, Seq::max)
    }

    /// How many features show.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether none shows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// What the index costs, about, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.features.len() as u64 * FEATURE_BYTES + self.view.entry_count() as u64 * ENTRY_BYTES
    }

    /// The features that `filter` lets through, after the fid `after`, at most `limit`.
    ///
    /// Time: logarithmic in the features plus linear in those inside the box, or in all where there is none; a
    /// property or a geometry in the filter reads each feature that the rest lets through.
    ///
    /// # Errors
    /// [`FilterError`]: the filter names what the map does not have, here and below.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, FilterError> {
        let wanted = Wanted::new(filter, &self.view)?;
        if wanted.is_everything() {
            return Ok(self.page_of_all(after, limit));
        }
        let mut page = Page {
            features: Vec::new(),
            matched: 0,
            next: None,
        };
        let mut more = false;
        for fid in self.candidates(&wanted) {
            let follows = after.is_none_or(|after| *after < **fid);
            // Beyond the page a match is only counted, and most need not be read for that.
            let full = page.features.len() == limit;
            let Some(matched) = self.matches(fid, &wanted, follows && !full) else {
                continue;
            };
            page.matched += 1;
            match matched {
                Matched::Read(feature) => page.features.push(*feature),
                Matched::Counted => more |= follows,
            }
        }
        page.next = page
            .features
            .last()
            .filter(|_| more)
            .map(|last| last.fid.clone());
        Ok(page)
    }

    fn page_of_all(&self, after: Option<&str>, limit: usize) -> Page {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut following = self
            .features
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(fid, _)| fid);
        let features: Vec<Feature> = following
            .by_ref()
            .take(limit)
            .filter_map(|fid| self.view.feature(fid))
            .collect();
        let next = following
            .next()
            .and(features.last())
            .map(|last| last.fid.clone());
        Page {
            features,
            matched: self.features.len() as u64,
            next,
        }
    }

    /// The features that `filter` lets through, nearest to a position in degrees first, at most `limit`. Features
    /// without geometry are not near anything.
    pub fn nearest(
        &self,
        filter: &Filter,
        lon: f64,
        lat: f64,
        limit: usize,
    ) -> Result<Vec<Near>, FilterError> {
        let wanted = Wanted::new(filter, &self.view)?;
        let distance = |fid: &Arc<str>| {
            let feature = self.view.feature(fid)?;
            feature
                .geometry
                .as_ref()
                .and_then(|geometry| geometry.metres_from(lon, lat))
        };
        let passes = |fid: &Arc<str>| self.matches(fid, &wanted, false).is_some();
        let found = self.places.nearest(lon, lat, limit, passes, distance);
        let read = found.into_iter().filter_map(|(fid, metres)| {
            Some(Near {
                feature: self.view.feature(&fid)?,
                metres,
            })
        });
        Ok(read.collect())
    }

    /// Those that may match, in order of their fids.
    fn candidates<'a>(&'a self, wanted: &Wanted) -> Box<dyn Iterator<Item = &'a Arc<str>> + 'a> {
        match wanted.area() {
            None => Box::new(self.features.keys()),
            Some(area) => {
                let mut inside: Vec<&Arc<str>> = self.places.in_box(&area).collect();
                inside.extend(self.places.without_place());
                inside.sort_unstable();
                Box::new(inside.into_iter())
            }
        }
    }

    /// Whether a feature matches; read if `read` says so or if that has to be known.
    fn matches(&self, fid: &Arc<str>, wanted: &Wanted, read: bool) -> Option<Matched> {
        let indexed = self.features.get(fid)?;
        if !wanted.layer(&indexed.layer) {
            return None;
        }
        let placed = wanted.place(indexed.bbox.as_ref(), indexed.is_point)?;
        let decided = placed && !wanted.reads_content();
        if decided && !read {
            return Some(Matched::Counted);
        }
        let feature = self.view.feature(fid)?;
        let matches = decided || wanted.content(&feature, placed);
        match (matches, read) {
            (false, _) => None,
            (true, false) => Some(Matched::Counted),
            (true, true) => Some(Matched::Read(Box::new(feature))),
        }
    }

    /// Looks for problems in what was not looked at since it last changed.
    pub fn check(&mut self) {
        self.check_some(usize::MAX);
    }

    /// The same in up to so many features; whether none is left. Others can read and edit between two calls.
    pub fn check_some(&mut self, features_max: usize) -> bool {
        self.problems.catch_up(&self.view, features_max)
    }

    /// What was wrong when [`FeatureIndex::check`] was last called: the document's own report of its features, and
    /// geometries that are not valid.
    #[must_use]
    pub fn problems(&self) -> &Problems {
        &self.problems
    }
}

enum Matched {
    Read(Box<Feature>),
    Counted,
}

impl Indexed {
    fn of(feature: &Feature, layer: Arc<str>, changed_at: Seq) -> Self {
        let geometry = feature.geometry.as_ref();
        Self {
            bbox: geometry.and_then(Geometry::bbox),
            is_point: matches!(geometry, Some(Geometry::Shape(shape)) if shape.vertex_count() == 1),
            layer,
            changed_at,
        }
    }
}

/// One copy of each layer's id.
#[derive(Default)]
struct Names(HashMap<String, Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.0.insert(name.to_owned(), shared.clone());
        shared
    }
}
