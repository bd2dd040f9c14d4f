//! The query of a list of features, read strictly: what is not known is refused, so that no filter is passed over.

use serde_json::Value;

use super::super::problem::Problem;
use crate::geometry::BBox;
use crate::index::{Filter, PropertyFilter};

/// Features in a page where none is asked for.
pub const LIMIT_DEFAULT: usize = 100;
/// Features in a page at most; a larger limit is taken as this one.
pub const LIMIT_MAX: usize = 10_000;
/// Property filters in one query.
const PROPERTY_FILTERS_MAX: usize = 16;
/// What stands before the name of a property.
const PROPERTY_PREFIX: &str = "prop.";

/// Which features of a map are asked for, and which part of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ListQuery {
    /// Which features.
    pub filter: Filter,
    /// How many at most.
    pub limit: usize,
    /// Only those after this fid.
    pub after: Option<String>,
    /// The nearest to this longitude and latitude first, instead of in order of their fids.
    pub near: Option<(f64, f64)>,
}

impl ListQuery {
    /// Reads `name=value` pairs joined by `&`, percent-encoded as in forms.
    ///
    /// # Errors
    /// A parameter that is unknown, given twice or has a value that cannot be read.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut read = Self {
            filter: Filter::default(),
            limit: LIMIT_DEFAULT,
            after: None,
            near: None,
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.iter().any(|other| *other == name) {
                return Err(bad(format!("the parameter {name:?} is given twice")));
            }
            read.parameter(&name, &value)?;
            seen.push(name.into_owned());
        }
        if read.near.is_some() && read.after.is_some() {
            return Err(bad(
                "`near` and `cursor` do not go together: ask for a larger `limit`",
            ));
        }
        Ok(read)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "bbox" => {
                let bbox = value.parse::<BBox>();
                self.filter.bbox = Some(bbox.map_err(|error| bad(format!("`bbox`: {error}")))?);
            }
            "layer" => self.filter.layer = Some(value.to_owned()),
            "id" => self.filter.id = Some(value.to_owned()),
            "limit" => self.limit = limit(value)?,
            "cursor" => self.after = Some(cursor::read(value)?),
            "near" => self.near = Some(position(value)?),
            "intersects" => {
                let geometry = super::body::geometry(value.as_bytes())
                    .map_err(|why| bad(format!("`intersects` is no GeoJSON geometry: {why}")))?;
                self.filter.intersects = Some(geometry);
            }
            // Credentials and answers' forms are none of the filters.
            "token" | "f" => {}
            _ => match name.strip_prefix(PROPERTY_PREFIX) {
                Some(property) if !property.is_empty() => self.property(property, value)?,
                _ => {
                    return Err(bad(format!(
                        "there is no parameter {name:?}; there are bbox, layer, id, intersects, near, limit, cursor and prop.NAME"
                    )));
                }
            },
        }
        Ok(())
    }

    fn property(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if self.filter.properties.len() == PROPERTY_FILTERS_MAX {
            return Err(bad(format!(
                "at most {PROPERTY_FILTERS_MAX} properties can be asked for at once"
            )));
        }
        self.filter.properties.push(PropertyFilter {
            name: name.to_owned(),
            text: value.to_owned(),
            value: serde_json::from_str(value).ok().filter(is_plain),
        });
        Ok(())
    }

    /// The query of the page after `fid`, everything else the same.
    #[must_use]
    pub fn next(query: &str, fid: &str) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let kept = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name != "cursor" && name != "token");
        out.extend_pairs(kept);
        out.append_pair("cursor", &cursor::write(fid));
        out.finish()
    }
}

/// A number, a truth value or nothing: what a filter's text may stand for beside itself.
fn is_plain(value: &Value) -> bool {
    !value.is_array() && !value.is_object() && !value.is_string()
}

fn limit(value: &str) -> Result<usize, Problem> {
    // More digits than a number holds are a large limit all the same.
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<usize>() {
        Ok(0) => Err(bad("`limit` is at least 1")),
        Ok(limit) => Ok(limit.min(LIMIT_MAX)),
        Err(_) if digits => Ok(LIMIT_MAX),
        Err(_) => Err(bad(format!(
            "`limit` is a number from 1 to {LIMIT_MAX}, not {value:?}"
        ))),
    }
}

fn position(value: &str) -> Result<(f64, f64), Problem> {
    let wrong = || {
        bad(format!(
            "`near` is longitude,latitude in degrees, not {value:?}"
        ))
    };
    let (lon, lat) = value.split_once(',').ok_or_else(wrong)?;
    let (lon, lat) = (lon.trim().parse::<f64>(), lat.trim().parse::<f64>());
    match (lon, lat) {
        (Ok(lon), Ok(lat)) if lon.abs() <= 180.0 && lat.abs() <= 90.0 => Ok((lon, lat)),
        _ => Err(wrong()),
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::bad_request(detail)
}

/// Where a page ended, as text that clients hand back and do not read.
mod cursor {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{Problem, bad};

    /// Longest cursor: a fid has at most 64 bytes, but a hostile document's keys may be longer.
    const BYTES_MAX: usize = 8 << 10;
    /// So much of a longer key is told; the next page begins behind all keys that begin so.
    const KEY_BYTES_MAX: usize = 4 << 10;

    pub(super) fn write(fid: &str) -> String {
        if fid.len() <= KEY_BYTES_MAX {
            return URL_SAFE_NO_PAD.encode(fid);
        }
        let start = fid.get(..fid.floor_char_boundary(KEY_BYTES_MAX));
        URL_SAFE_NO_PAD.encode(format!("{}{}", start.unwrap_or_default(), char::MAX))
    }

    pub(super) fn read(text: &str) -> Result<String, Problem> {
        let bytes = (text.len() <= BYTES_MAX)
            .then(|| URL_SAFE_NO_PAD.decode(text).ok())
            .flatten();
        let fid = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        fid.ok_or_else(|| {
            bad("`cursor` is none of ours: take it from the `next` link of the page before")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_read() {
        let query =
            "bbox=170,-20,-170,-10&layer=Roads&limit=7&prop.name=A%20B&prop.lanes=2&id=a%2Fb";
        let read = ListQuery::parse(query).unwrap();
        assert!(read.filter.bbox.unwrap().crosses_antimeridian());
        assert_eq!(read.filter.layer.as_deref(), Some("Roads"));
        assert_eq!(read.filter.id.as_deref(), Some("a/b"));
        assert_eq!(read.limit, 7);
        let [name, lanes] = &read.filter.properties[..] else {
            panic!("two filters")
        };
        assert_eq!((name.text.as_str(), &name.value), ("A B", &None));
        assert_eq!(lanes.value, Some(Value::from(2)));
    }

    #[test]
    fn a_larger_limit_than_allowed_is_clamped_and_none_is_refused() {
        assert_eq!(
            ListQuery::parse("limit=99999999999999999999999")
                .unwrap()
                .limit,
            LIMIT_MAX
        );
        assert_eq!(ListQuery::parse("limit=10001").unwrap().limit, LIMIT_MAX);
        assert_eq!(ListQuery::parse("").unwrap().limit, LIMIT_DEFAULT);
        for query in ["limit=0", "limit=-1", "limit=ten", "limit="] {
            assert!(ListQuery::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_is_unknown_or_said_twice_is_refused() {
        for query in [
            "colour=red",
            "prop.=1",
            "bbox=1,2,3",
            "bbox=1,2,3,4&bbox=1,2,3,4",
            "near=200,0",
            "near=1",
            "cursor=%21",
            "intersects=%7B%7D",
        ] {
            assert!(ListQuery::parse(query).is_err(), "{query}");
        }
        let cursor = cursor::write("a");
        assert!(ListQuery::parse(&format!("near=1,2&cursor={cursor}")).is_err());
    }

    #[test]
    fn a_page_that_ends_with_a_monstrous_key_has_one_after_it() {
        let long = "ä".repeat(100_000);
        let next = ListQuery::next("limit=7", &format!("k{long}"));
        let after = ListQuery::parse(&next).unwrap().after.unwrap();
        assert!(after > format!("k{long}") && *after < *"l");
    }

    #[test]
    fn the_next_page_asks_the_same_after_the_last_feature() {
        let next = ListQuery::next("bbox=1%2C2%2C3%2C4&cursor=YQ&token=secret", "b-1");
        let read = ListQuery::parse(&next).unwrap();
        assert_eq!(read.after.as_deref(), Some("b-1"));
        assert!(read.filter.bbox.is_some() && !next.contains("secret"));
    }
}
