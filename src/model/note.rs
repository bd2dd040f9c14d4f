//! Notes that people leave on a map, and the attachments of its features (`map-document` §3).

use yrs::Any;

use super::feature::Edited;
use super::json::{number, text};
use super::schema::{Raw, time};

/// A note, perhaps about a feature or a place, perhaps an answer to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Its id.
    pub nid: String,
    /// When and in which session it was written.
    pub written: Edited,
    /// What it says.
    pub body: String,
    /// The feature that it is about.
    pub fid: Option<String>,
    /// The note that it answers.
    pub answers: Option<String>,
    /// Longitude and latitude of the place that it is about.
    pub place: Option<[f64; 2]>,
}

/// An attachment of a feature. Its content lies outside of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Its id.
    pub aid: String,
    /// When and in which session it was attached.
    pub attached: Edited,
    /// The feature.
    pub fid: String,
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its size.
    pub bytes: f64,
    /// SHA-256 of its content in hexadecimal digits.
    pub sha256: String,
}

impl Note {
    /// The note under a key; `None` if it was removed or is malformed.
    pub(super) fn read(nid: &str, raw: &Raw) -> Option<Self> {
        let [t, sid, body, fid, answers, place, ..] = &raw.array()?[..] else {
            return None;
        };
        Some(Self {
            nid: nid.to_owned(),
            written: edited(t, sid)?,
            body: text(body)?.to_string(),
            fid: text(fid).map(ToString::to_string),
            answers: text(answers).map(ToString::to_string),
            place: position(place),
        })
    }
}

impl Attachment {
    /// The attachment under a key; `None` if it was removed or is malformed.
    pub(super) fn read(aid: &str, raw: &Raw) -> Option<Self> {
        let [t, sid, fid, name, media_type, bytes, sha256, ..] = &raw.array()?[..] else {
            return None;
        };
        let string = |any: &Any| text(any).map(ToString::to_string);
        Some(Self {
            aid: aid.to_owned(),
            attached: edited(t, sid)?,
            fid: string(fid)?,
            name: string(name)?,
            media_type: string(media_type)?,
            bytes: number(bytes)?,
            sha256: string(sha256)?,
        })
    }
}

fn edited(t: &Any, sid: &Any) -> Option<Edited> {
    Some(Edited {
        t: time(t)?,
        sid: text(sid)?.to_string(),
    })
}

fn position(any: &Any) -> Option<[f64; 2]> {
    match any {
        Any::Array(items) => match &items[..] {
            [lon, lat, ..] => Some([number(lon)?, number(lat)?]),
            _ => None,
        },
        _ => None,
    }
}
