//! Well-known text of reference systems: its tree, and what PROJ calls the system that it defines.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{NO_SHIFT, UNSUPPORTED};

/// Bytes of a definition, at most; the longest of the EPSG table have 2 kB.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Levels of brackets, at most; definitions have six.
const LEVELS_MAX: usize = 16;

/// A keyword with what is in its brackets.
#[derive(Debug, Default)]
pub(super) struct Node<'t> {
    keyword: &'t str,
    texts: Vec<&'t str>,
    numbers: Vec<f64>,
    nodes: Vec<Node<'t>>,
}

/// The tree of a definition; `None` if the text is none.
pub(super) fn read(text: &str) -> Option<Node<'_>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut open: Vec<Node<'_>> = Vec::new();
    let mut rest = text.trim();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let first = rest.chars().next()?;
        match first {
            '"' => {
                let (inside, after) = rest.get(1..)?.split_once('"')?;
                open.last_mut()?.texts.push(inside);
                rest = after;
            }
            ']' | ')' => {
                let node = open.pop()?;
                rest = rest.get(1..)?;
                match open.last_mut() {
                    Some(parent) => parent.nodes.push(node),
                    None => return rest.trim().is_empty().then_some(node),
                }
            }
            _ => {
                let end = rest.find(['[', '(', ']', ')', ',', '"'])?;
                let (word, after) = rest.split_at_checked(end)?;
                let word = word.trim();
                if after.starts_with(['[', '(']) {
                    if open.len() >= LEVELS_MAX || word.is_empty() {
                        return None;
                    }
                    open.push(Node {
                        keyword: word,
                        ..Node::default()
                    });
                    rest = after.get(1..)?;
                } else {
                    // Words without quotes, as directions of axes, say nothing that matters here.
                    if let Ok(number) = word.parse() {
                        open.last_mut()?.numbers.push(number);
                    }
                    rest = after;
                }
            }
        }
    }
}

impl<'t> Node<'t> {
    fn is(&self, keywords: &[&str]) -> bool {
        keywords
            .iter()
            .any(|keyword| self.keyword.eq_ignore_ascii_case(keyword))
    }

    fn child(&self, keywords: &[&str]) -> Option<&Self> {
        self.nodes.iter().find(|node| node.is(keywords))
    }

    /// The name of what the node defines.
    pub(super) fn name(&self) -> &'t str {
        self.texts.first().copied().unwrap_or_default()
    }

    fn number(&self) -> Option<f64> {
        self.numbers
            .first()
            .copied()
            .filter(|number| number.is_finite())
    }

    /// The horizontal part of a compound system, else the system itself.
    fn horizontal(&self) -> &Self {
        if self.is(&["COMPD_CS", "COMPOUNDCRS", "BOUNDCRS"]) {
            let parts = [
                "PROJCS",
                "GEOGCS",
                "PROJCRS",
                "GEOGCRS",
                "PROJECTEDCRS",
                "GEODCRS",
                "SOURCECRS",
            ];
            if let Some(part) = self.child(&parts) {
                return if part.is(&["SOURCECRS"]) {
                    part.nodes.first().unwrap_or(part)
                } else {
                    part
                };
            }
        }
        self
    }

    /// The EPSG code that it gives itself.
    pub(super) fn epsg(&self) -> Option<u32> {
        let system = self.horizontal();
        let id = system.child(&["AUTHORITY", "ID"])?;
        let (authority, code) = (id.texts.first()?, id.texts.get(1));
        let code = match code {
            Some(text) => text.trim().parse().ok()?,
            None => format!("{}", id.number()?).parse().ok()?,
        };
        (authority.eq_ignore_ascii_case("EPSG") || authority.eq_ignore_ascii_case("ESRI"))
            .then_some(code)
    }

    /// The system as a definition of PROJ, or why there is none.
    pub(super) fn to_proj(&self) -> Result<String, &'static str> {
        let system = self.horizontal();
        if system.is(&["GEOGCS"]) {
            return Ok(format!("+proj=longlat {}", system.datum()?));
        }
        if !system.is(&["PROJCS"]) {
            return Err(
                "it is neither geographic nor projected, or in a notation without a known code",
            );
        }
        let geographic = system.child(&["GEOGCS"]).ok_or(UNSUPPORTED)?;
        let to_metre = system
            .child(&["UNIT"])
            .and_then(Self::number)
            .unwrap_or(1.0);
        let degrees = geographic.degrees();
        let projection = system.projection(to_metre, degrees)?;
        Ok(format!(
            "{projection} {} +to_meter={to_metre}",
            geographic.datum()?
        ))
    }

    /// Degrees in the angular unit.
    fn degrees(&self) -> f64 {
        /// A degree in radians as definitions write it differs in the last digits.
        const SLACK: f64 = 1e-9;
        let radians = self.child(&["UNIT"]).and_then(Self::number);
        let degrees = radians.map_or(1.0, f64::to_degrees);
        if (degrees - 1.0).abs() < SLACK {
            1.0
        } else {
            degrees
        }
    }

    /// Ellipsoid, shift and prime meridian.
    fn datum(&self) -> Result<String, &'static str> {
        let degrees = self.degrees();
        if degrees != 1.0 && self.is(&["GEOGCS"]) && self.child(&["PROJECTION"]).is_none() {
            return Err("its angles are not in degrees");
        }
        let datum = self.child(&["DATUM"]).ok_or(NO_SHIFT)?;
        let meridian = self
            .child(&["PRIMEM"])
            .and_then(Self::number)
            .unwrap_or_default();
        let meridian = if meridian == 0.0 {
            String::new()
        } else {
            format!(" +pm={meridian}")
        };
        if let Some(known) = known_datums().get(&simple(datum.name())) {
            return Ok(format!("{known}{meridian}"));
        }
        let spheroid = datum.child(&["SPHEROID", "ELLIPSOID"]).ok_or(NO_SHIFT)?;
        let (Some(axis), Some(flattening)) = (spheroid.number(), spheroid.numbers.get(1)) else {
            return Err(NO_SHIFT);
        };
        let shift = datum.child(&["TOWGS84"]).map(|shift| {
            let numbers: Vec<String> = shift.numbers.iter().map(f64::to_string).collect();
            numbers.join(",")
        });
        let shape = if *flattening == 0.0 {
            format!("+a={axis} +b={axis}")
        } else {
            format!("+a={axis} +rf={flattening}")
        };
        match shift {
            Some(shift) => Ok(format!("{shape} +towgs84={shift} {meridian}")),
            None => Err(NO_SHIFT),
        }
    }

    fn parameter(&self, names: &[&str]) -> Option<f64> {
        self.nodes
            .iter()
            .filter(|node| node.is(&["PARAMETER"]))
            .find(|node| {
                names
                    .iter()
                    .any(|name| node.name().eq_ignore_ascii_case(name))
            })
            .and_then(Self::number)
    }

    fn projection(&self, to_metre: f64, degrees: f64) -> Result<String, &'static str> {
        let method = self.child(&["PROJECTION"]).ok_or(UNSUPPORTED)?;
        let angle = |names: &[&str]| self.parameter(names).map(|value| value * degrees);
        let lat_0 = angle(&[
            "latitude_of_origin",
            "latitude_of_center",
            "latitude_of_centre",
        ]);
        let lon_0 = angle(&[
            "central_meridian",
            "longitude_of_center",
            "longitude_of_centre",
            "longitude_of_origin",
        ]);
        let lat_1 = angle(&["standard_parallel_1"]);
        let lat_2 = angle(&["standard_parallel_2"]);
        let scale = self.parameter(&["scale_factor"]);
        let false_origin = format!(
            "+x_0={} +y_0={}",
            self.parameter(&["false_easting"]).unwrap_or_default() * to_metre,
            self.parameter(&["false_northing"]).unwrap_or_default() * to_metre,
        );
        let set = |name: &str, value: Option<f64>| {
            value.map_or(String::new(), |value| format!(" +{name}={value}"))
        };
        let usual = format!(
            "{}{}{}",
            set("lat_0", lat_0),
            set("lon_0", lon_0),
            set("k_0", scale)
        );
        let parallels = format!("{}{}", set("lat_1", lat_1), set("lat_2", lat_2));
        let proj = match simple(method.name()).as_str() {
            "transversemercator" | "gausskruger" => format!("+proj=tmerc{usual}"),
            "mercator" | "mercator1sp" | "mercator2sp" => {
                format!(
                    "+proj=merc{}{}{}",
                    set("lon_0", lon_0),
                    set("k_0", scale),
                    set("lat_ts", lat_1)
                )
            }
            "mercatorauxiliarysphere" | "popularvisualisationpseudomercator" => {
                return Ok(format!(
                    "+proj=merc +a=6378137 +b=6378137{} {false_origin} +nadgrids=@null",
                    set("lon_0", lon_0)
                ));
            }
            "lambertconformalconic" | "lambertconformalconic2sp" if lat_2.is_some() => {
                format!("+proj=lcc{usual}{parallels}")
            }
            "lambertconformalconic" | "lambertconformalconic1sp" => {
                format!("+proj=lcc{usual}{}", set("lat_1", lat_1.or(lat_0)))
            }
            "albers" | "albersconicequalarea" | "albersequalareaconic" => {
                format!(
                    "+proj=aea{}{}{parallels}",
                    set("lat_0", lat_0),
                    set("lon_0", lon_0)
                )
            }
            "lambertazimuthalequalarea" => {
                format!("+proj=laea{}{}", set("lat_0", lat_0), set("lon_0", lon_0))
            }
            "doublestereographic" | "obliquestereographic" => format!("+proj=sterea{usual}"),
            "stereographic" => format!("+proj=stere{usual}"),
            "polarstereographic" => {
                let pole = if lat_0.unwrap_or(90.0) < 0.0 { -90 } else { 90 };
                format!(
                    "+proj=stere +lat_0={pole}{}{}{}",
                    set("lat_ts", lat_0),
                    set("lon_0", lon_0),
                    set("k_0", scale)
                )
            }
            "stereographicnorthpole" => {
                format!(
                    "+proj=stere +lat_0=90{}{}",
                    set("lat_ts", lat_1),
                    set("lon_0", lon_0)
                )
            }
            "stereographicsouthpole" => {
                format!(
                    "+proj=stere +lat_0=-90{}{}",
                    set("lat_ts", lat_1),
                    set("lon_0", lon_0)
                )
            }
            "equidistantcylindrical" | "equirectangular" | "platecarree" => {
                format!(
                    "+proj=eqc{}{}{}",
                    set("lat_0", lat_0),
                    set("lon_0", lon_0),
                    set("lat_ts", lat_1)
                )
            }
            "cylindricalequalarea" => {
                format!("+proj=cea{}{}", set("lon_0", lon_0), set("lat_ts", lat_1))
            }
            "hotineobliquemercator"
            | "hotineobliquemercatorazimuthcenter"
            | "hotineobliquemercatorazimuthnaturalorigin"
            | "swissobliquecylindrical"
                if angle(&["azimuth"]).is_none_or(|azimuth| (azimuth - 90.0).abs() < 1e-9) =>
            {
                format!("+proj=somerc{usual}")
            }
            "hotineobliquemercatorazimuthcenter" => format!(
                "+proj=omerc{}{}{}{}{}",
                set("lat_0", lat_0),
                set("lonc", lon_0),
                set("alpha", angle(&["azimuth"])),
                set("gamma", angle(&["rectified_grid_angle"])),
                set("k_0", scale)
            ),
            "cassini" | "cassinisoldner" => {
                format!("+proj=cass{}{}", set("lat_0", lat_0), set("lon_0", lon_0))
            }
            "polyconic" => format!("+proj=poly{}{}", set("lat_0", lat_0), set("lon_0", lon_0)),
            "equidistantconic" => {
                format!(
                    "+proj=eqdc{}{}{parallels}",
                    set("lat_0", lat_0),
                    set("lon_0", lon_0)
                )
            }
            "sinusoidal" => format!("+proj=sinu{}", set("lon_0", lon_0)),
            "mollweide" => format!("+proj=moll{}", set("lon_0", lon_0)),
            "robinson" => format!("+proj=robin{}", set("lon_0", lon_0)),
            _ => return Err(UNSUPPORTED),
        };
        Ok(format!("{proj} {false_origin}"))
    }
}

/// A name without what writers spell differently.
fn simple(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    name
}

/// Esri's names of datums beside those of the EPSG table, both as [`simple`] writes them.
const ESRI_DATUMS: [(&str, &str); 39] = [
    ("dnorthamerican1983", "northamericandatum1983"),
    ("dnorthamerican1927", "northamericandatum1927"),
    ("drgf1993", "reseaugeodesiquefrancais1993"),
    ("dntf", "nouvelletriangulationfrancaise"),
    ("dbelge1972", "reseaunationalbelge1972"),
    ("dmgi", "militargeographischeinstitute"),
    ("dsjtsk", "systemjednotnetrigonometrickesitekatastralni"),
    ("dnewzealand1949", "newzealandgeodeticdatum1949"),
    ("daustralian1966", "australiangeodeticdatum1966"),
    ("daustralian1984", "australiangeodeticdatum1984"),
    ("dsouthamerican1969", "southamericandatum1969"),
    (
        "dnorthamerican1983harn",
        "nad83highaccuracyreferencenetwork",
    ),
    ("dnad19832011", "nad83nationalspatialreferencesystem2011"),
    (
        "dnorthamerican1983csrs",
        "nad83canadianspatialreferencesystem",
    ),
    (
        "dnad1983nsrs2007",
        "nad83nationalspatialreferencesystem2007",
    ),
    ("djgd2011", "japanesegeodeticdatum2011"),
    ("drt1990", "riketskoordinatsystem1990"),
    ("dkkj", "kartastokoordinaattijarjestelma1966"),
    ("dkkj", "kartastokoordinaattijarjestelma1966"),
    ("dlithuania1994", "lithuania1994etrs89"),
    ("dlithuania1994", "lithuania1994etrs89"),
    ("dmagna", "marcogeocentriconacionaldereferencia"),
    ("digm1995", "istitutogeograficomilitaire1995"),
    ("dkorea2000", "geocentricdatumofkorea"),
    ("dhartebeesthoek1994", "hartebeesthoek94"),
    ("deuropean1950", "europeandatum1950"),
    ("dtm75", "geodeticdatumof1965"),
    ("dlisbon", "lisbon1937"),
    ("dhungarian1972", "hungariandatum1972"),
    ("disrael", "israel1993"),
    ("detrs1989", "europeanterrestrialreferencesystem1989"),
    (
        "dsirgas2000",
        "sistemadereferenciageocentricoparalasamericas2000",
    ),
    ("dgda1994", "geocentricdatumofaustralia1994"),
    ("dgda2020", "geocentricdatumofaustralia2020"),
    ("dnzgd2000", "newzealandgeodeticdatum2000"),
    ("djgd2000", "japanesegeodeticdatum2000"),
    ("ditrf2000", "internationalterrestrialreferenceframe2000"),
    ("dposgar2007", "posicionesgeodesicasargentinas2007"),
    (
        "dprovisionalsamerican1956",
        "provisionalsouthamericandatum1956",
    ),
];

/// What PROJ calls the datums of the EPSG table, by their names; made once.
fn known_datums() -> &'static HashMap<String, String> {
    static KNOWN: OnceLock<HashMap<String, String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut known = HashMap::new();
        for definition in (4000..5000)
            .chain(7000..10_000)
            .filter_map(crs_definitions::from_code)
        {
            let Some(words) = definition.proj4.strip_prefix("+proj=longlat ") else {
                continue;
            };
            let words: Vec<&str> = words
                .split(' ')
                .filter(|word| !word.starts_with("+no_defs") && !word.starts_with("+pm="))
                .collect();
            if let Some(datum) = read(definition.wkt)
                .as_ref()
                .and_then(|tree| tree.child(&["DATUM"]))
            {
                let name = simple(datum.name());
                known
                    .entry(format!("d{name}"))
                    .or_insert_with(|| words.join(" "));
                known.entry(name).or_insert_with(|| words.join(" "));
            }
        }
        for (esri, epsg) in ESRI_DATUMS {
            if let Some(words) = known.get(epsg).cloned() {
                known.insert(esri.to_owned(), words);
            }
        }
        known
    })
}
